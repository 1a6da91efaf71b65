"""The features of a company: their names, words and fitted state."""

import json
import re

import numpy as np
import pytest

from features.catalog import FAMILIES, FittedFeatures, fit_features
from features.errors import CorredorError
from features.histories import build_histories
from tests.companies import ACTIVITY, FIT_BEFORE, UNTIL, company, configuration, fitted
from tests.literals import histories, settings

TABLES = company(7)
FEATURES = fitted(TABLES)


def test_names_are_plain_and_unique():
    names = FEATURES.names
    assert len(set(names)) == len(names) > 150
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in names)


def test_every_family_has_features():
    assert {f.family for f in FEATURES.features} == set(FAMILIES)


def test_every_feature_has_a_sentence_in_both_languages_with_its_value():
    for feature in FEATURES.features:
        for text in (feature.sentence.en, feature.sentence.es):
            assert text.count("{value}") == 1 and text.format(value="3")
        assert feature.unit and feature.moment and feature.direction in (-1, 0, 1)


def test_every_moment_of_truth_has_words_in_both_languages():
    for moment in {f.moment for f in FEATURES.features}:
        english, spanish = (FEATURES.moment_label(moment, language) for language in ("en", "es"))
        assert english and spanish and "." not in english + spanish, moment
    assert FEATURES.moment_label("purchase.silence", "es") == "purchase: silencio"


def test_features_can_be_excluded_by_name_or_pattern():
    wanted = settings(exclude=("*_7d", "tenure_days"))
    some = fit_features(build_histories(TABLES), wanted, ACTIVITY, fit_before=FIT_BEFORE, until=UNTIL)
    assert "purchase_count_28d" in some.names
    assert not [n for n in some.names if n.endswith("_7d") or n == "tenure_days"]


def test_an_attribute_left_out_is_no_feature():
    history = build_histories(TABLES)
    arguments = {"fit_before": FIT_BEFORE, "until": UNTIL}
    some = fit_features(history, configuration(), ACTIVITY, left_out=["segment"], **arguments)
    assert {"attribute_segment_gold", "attribute_age"} <= set(FEATURES.names)
    assert "attribute_segment_gold" not in some.names and "attribute_age" in some.names


def test_features_of_another_version_are_refused():
    stored = FEATURES.to_dict()
    stored["features"] = [*stored["features"][1:], "a_feature_of_tomorrow"]
    with pytest.raises(CorredorError, match=r"other features .* \(1 gone, 1 new\). Train again"):
        FittedFeatures.from_dict(stored)


def test_the_fingerprint_follows_what_was_fitted():
    again = FittedFeatures.from_dict(json.loads(json.dumps(FEATURES.to_dict())))
    assert again.fingerprint == FEATURES.fingerprint
    assert fitted(company(8)).fingerprint != FEATURES.fingerprint


def test_some_features_alone_have_the_same_values():
    chosen = [f for f in FEATURES.features if f.moment == "purchase.frequency" and "faded" not in f.name]
    places = [FEATURES.names.index(f.name) for f in chosen]
    history, dates = build_histories(TABLES), np.array([UNTIL])
    some = FEATURES.plan_of(chosen).run(history, dates)
    assert np.allclose(some, FEATURES.snapshots(history, dates)[:, :, places], rtol=1e-6, equal_nan=True)


def test_a_log_of_one_kind_without_amounts_has_features():
    history = histories("""
        customer_id occurred_at  kind
        ana         2025-06-01   visit
        ana         2025-07-01   visit
        bo          2025-07-01   visit
    """)
    some = fit_features(history, settings(), ACTIVITY, fit_before=FIT_BEFORE, until=UNTIL)
    row = dict(zip(some.names, some.snapshots(history, [UNTIL])[0, 0].tolist(), strict=True))
    assert row["tenure_days"] == 214 and not [n for n in some.names if "amount" in n]


def test_a_history_of_nobody_can_be_fitted():
    nobody = histories("customer_id occurred_at kind amount")
    some = fit_features(nobody, settings(), ACTIVITY, fit_before=FIT_BEFORE, until=UNTIL)
    assert some.snapshots(nobody, [UNTIL]).shape == (0, 1, len(some.names))


def test_local_days_begin_with_the_winter_time_of_the_zone():
    for zone, hours in (
        ("Europe/Madrid", -1),
        ("America/New_York", 5),
        ("UTC", 0),
        ("Australia/Sydney", -10),
    ):
        there = settings().model_copy(
            update={"project": settings().project.model_copy(update={"timezone": zone})}
        )
        some = fit_features(build_histories(TABLES), there, ACTIVITY, fit_before=FIT_BEFORE, until=UNTIL)
        assert some.context.day_offset == hours * 3_600_000_000


def test_trailing_spend_is_there_for_value_at_risk():
    assert "purchase_amount_364d" in FEATURES.names and "lifecycle_stage" in FEATURES.names
