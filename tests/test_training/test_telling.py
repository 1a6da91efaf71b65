import math
from zoneinfo import ZoneInfo

import pytest

from features.definition import Feature, Words
from features.expressions import ACTIVITY
from tests.literals import at
from tests.test_training.shop import AS_OF, DAY, to_histories, trained_shop
from training.scoring import score
from training.telling import AsOf, tell_feature, tell_reasons, tell_weight

QUARTER = math.log(0.25)


@pytest.fixture(scope="module")
def shop():
    return trained_shop()


def reasons_of(shop, rows, k=50):
    scores = score(shop.bundle, to_histories(rows), AS_OF, reasons=k)
    return {reason.moment: reason for reason in tell_reasons(shop.bundle, scores, 0)}, scores


def weekly_until(days):
    row = {"customer_id": "c", "kind": "purchase"}
    return [{**row, "occurred_at": AS_OF - d * DAY - DAY // 2} for d in range(days, 300, 9)]


def test_a_silence_is_told_by_its_length_and_what_is_usual(shop):
    reasons, _ = reasons_of(shop, weekly_until(34))
    silence = reasons["purchase.silence"]
    assert silence.sentence.en == "No purchase for 34 days, against a usual gap of 9"
    assert silence.sentence.es == "Sin compra desde hace 34 días; lo habitual son 9"
    assert silence.feature == "days_since_purchase" and silence.value == 34.5
    assert silence.label == Words("purchase: silence", "compra: silencio")


def test_a_silence_of_a_day_or_less_is_told_in_its_own_words(shop):
    assert reasons_of(shop, weekly_until(1))[0]["purchase.silence"].sentence.en.startswith(
        "No purchase for 1 day,"
    )
    just_now = reasons_of(shop, weekly_until(0))[0]["purchase.silence"].sentence
    assert just_now.en.startswith("The last purchase was less than a day ago")


def test_every_moment_has_a_reason_and_their_contributions_add_up(shop):
    reasons, scores = reasons_of(shop, weekly_until(20))
    assert set(reasons) == set(shop.bundle.moment_keys)
    total = scores.base + math.fsum(reason.contribution for reason in reasons.values())
    assert total == pytest.approx(scores.raw_scores["churn"][0], abs=1e-9)


def test_a_reason_that_raises_the_risk_lowers_it_when_left_out(shop):
    for reason in reasons_of(shop, weekly_until(40))[0].values():
        assert (reason.contribution > 0) == (reason.risk_without < reason.risk) or reason.contribution == 0


def test_all_sentences_are_filled_in_both_languages(shop):
    scores = score(shop.bundle, shop.histories, AS_OF, reasons=50)
    for element in range(0, 300, 10):
        for reason in tell_reasons(shop.bundle, scores, element):
            for text in (reason.sentence.en, reason.sentence.es, reason.label.en, reason.label.es):
                assert text and "{" not in text and "nan" not in text.split()


@pytest.mark.parametrize(
    ("unit", "value", "en", "es"),
    [
        ("contacts", 1.0, "Calls: 1 contact so far", "Llamadas: 1 contacto hasta ahora"),
        ("contacts", 1234.0, "Calls: 1,234 contacts so far", "Llamadas: 1.234 contactos hasta ahora"),
        ("probability", 0.314, "Calls: 31% contacts so far", "Llamadas: 31 % contactos hasta ahora"),
        ("EUR", 12.5, "Calls: 12.50 contacts so far", "Llamadas: 12,50 contactos hasta ahora"),
        ("days", 2.9, "Calls: 2 contacts so far", "Llamadas: 2 contactos hasta ahora"),
        ("yes/no", 1.0, "Calls: yes contacts so far", "Llamadas: sí contactos hasta ahora"),
        ("stage", 3.0, "Calls: fading contacts so far", "Llamadas: en declive contactos hasta ahora"),
        ("ratio", 2.25, "Calls: 2.2 contacts so far", "Llamadas: 2,2 contactos hasta ahora"),
        ("log probability", QUARTER, "Calls: 25% contacts so far", "Llamadas: 25 % contactos hasta ahora"),
        ("log days", math.log(9.0), "Calls: 9 contacts so far", "Llamadas: 9 contactos hasta ahora"),
        ("contacts", math.nan, "Calls: nothing known", "Llamadas: no consta"),
    ],
)
def test_numbers_are_said_by_their_unit(unit, value, en, es):
    sentence = Words("calls: {value} contacts so far", "llamadas: {value} contactos hasta ahora")
    feature = Feature("calls", ACTIVITY.count(), unit, "call.frequency", sentence)
    assert tell_feature(feature, value, Words("Calls", "Llamadas")) == Words(en, es)


@pytest.mark.parametrize(
    ("as_of", "days", "en", "es"),
    [
        ("2026-05-20", 12.0, "The exit fee ends on 1 June", "La penalización termina el 1 de junio"),
        (
            *("2025-12-20", 12.99999),
            *("The exit fee ends on 2 January 2026", "La penalización termina el 2 de enero de 2026"),
        ),
    ],
)
def test_days_ahead_are_told_as_the_date_they_end_on(as_of, days, en, es):
    sentence = Words("the exit fee ends on {value}", "la penalización termina el {value}")
    feature = Feature("fee", ACTIVITY.count(), "days ahead", "switching.economic", sentence, absent=FREE)
    on = AsOf(at(as_of), ZoneInfo("UTC"))
    assert tell_feature(feature, days, Words("Fee", "Penalización"), on=on) == Words(en, es)
    assert tell_feature(feature, math.nan, Words("Fee", "Penalización"), on=on) == Words("Free", "Libre")


FREE = Words("free", "libre")


def test_the_weight_of_a_reason_is_said_as_two_risks(shop):
    reason = next(iter(reasons_of(shop, weekly_until(34))[0].values()))
    words = tell_weight(reason)
    assert words.en == f"risk {100 * reason.risk:.0f}%, without it {100 * reason.risk_without:.0f}%"


def test_reasons_that_were_not_asked_for_cannot_be_told(shop):
    with pytest.raises(ValueError, match="without reasons"):
        tell_reasons(shop.bundle, score(shop.bundle, shop.histories, AS_OF), 0)


def test_a_long_wait_is_told_in_hours_or_days():
    sentence = Words("waited {value} minutes", "esperó {value} minutos")
    feature = Feature("wait", ACTIVITY.count(), "minutes", "repair.wait", sentence)
    label = Words("repair", "reparación")
    assert tell_feature(feature, 9 * 1440.0, label).en == "Waited 9 days"
    assert tell_feature(feature, 9 * 1440.0, label).es == "Esperó 9 días"
    assert tell_feature(feature, 180.0, label).en == "Waited 3 hours"
    assert tell_feature(feature, 12.0, label) == Words("Waited 12 minutes", "Esperó 12 minutos")


def test_days_ago_are_told_as_the_date():
    sentence = Words("the person changed on {value}", "la persona cambió el {value}")
    feature = Feature("change", ACTIVITY.count(), "days ago", "meeting.people", sentence)
    on = AsOf(at("2026-03-12"), ZoneInfo("UTC"))
    told = tell_feature(feature, 7.0, Words("meeting", "reunión"), on=on)
    assert told == Words("The person changed on 5 March", "La persona cambió el 5 de marzo")
