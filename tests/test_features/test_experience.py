"""Every feature of experience on histories small enough to work out by hand."""

import numpy as np
import pytest

from features.catalog import FittedFeatures, fit_features
from features.settings import Activity, TouchpointKind
from tests.literals import at, histories, settings

KINDS = {
    "claim": TouchpointKind(adequate=5, desired=8, promised_minutes=10),
    "call": TouchpointKind(adequate=6, desired=6),  # no zone: what is wished is not above what is accepted
}
LOG = """
customer_id  occurred_at  kind   outcome  expected  perceived  satisfaction  wait_minutes
ana          2026-01-01   claim  failed   7         4          2             25
ana          2026-02-01   claim  done     7         9          8             5
ana          2026-03-01   call   done     -         6          -             30
ana          2026-03-02   claim  -        -         -          -             -
ana          2026-03-11   call   done     5         5          6             -
bea          2026-03-01   call   done     -         -          -             -
"""


def features() -> FittedFeatures:
    company = settings(windows_days=(28, 182, 364)).model_copy(update={"touchpoints": KINDS})
    until = at("2026-04-01")
    return fit_features(histories(LOG), company, Activity(), fit_before=until, until=until)


def known(as_of: str, customer: int = 0) -> dict[str, float]:
    fitted = features()
    row = fitted.snapshots(histories(LOG), [at(as_of)])[customer, 0]
    return dict(zip(fitted.names, row.tolist(), strict=True))


def test_the_last_answer_is_that_of_the_last_contact_with_one():
    found = known("2026-03-12")
    assert found["satisfaction_last"] == 6 and found["satisfaction_days_since_answered"] == 1
    assert found["satisfaction_worst"] == 2
    assert known("2026-03-05")["satisfaction_last"] == 8


def test_the_usual_answer_counts_the_latest_most():
    """As of 1 March the answers are 59 and 28 days old; after 90 days one counts half."""
    weights = 0.5 ** (np.array([59, 28]) / 90)
    expected = (weights * [2, 8]).sum() / weights.sum()
    assert known("2026-03-01")["satisfaction_usual"] == pytest.approx(expected, rel=1e-6)


def test_better_than_before_is_a_positive_change():
    assert known("2026-02-15")["satisfaction_change"] > 0
    assert known("2026-01-15")["satisfaction_change"] == pytest.approx(0, abs=1e-6)


def test_silence_is_a_feature_and_never_filled_in():
    found, silent = known("2026-03-12"), known("2026-03-12", customer=1)
    assert found["satisfaction_answers_364d"] == 3
    assert found["satisfaction_answered_share_364d"] == pytest.approx(3 / 5)
    assert silent["satisfaction_answers_364d"] == 0 and silent["satisfaction_answered_share_364d"] == 0
    assert np.isnan([silent[n] for n in ("satisfaction_last", "satisfaction_usual", "adequacy_usual")]).all()


def test_below_adequate_is_a_failure_and_above_desired_a_delight():
    """Claims of 4 (fails 5) and 9 (beats 8); calls of 6 and 5 against 6: the second fails."""
    found = known("2026-03-12")
    assert found["failures_182d"] == 2 and found["failure_share_364d"] == pytest.approx(0.5)
    assert found["days_since_failure"] == 1 and found["days_since_delight"] == 39
    assert found["delights_182d"] == 1
    assert known("2026-03-11")["days_since_failure"] == 69
    assert found["claim_failures_182d"] == 1 and found["call_failures_182d"] == 1
    assert found["claim_adequacy_last"] == 4 and found["call_adequacy_last"] == -1


def test_a_desired_service_that_is_not_above_the_adequate_one_is_no_answer():
    """Only the claims have a zone of tolerance: 4 - 8 and 9 - 8, 60 and 29 days old on 2 March."""
    weights = 0.5 ** (np.array([60, 29]) / 90)
    expected = (weights * [-4, 1]).sum() / weights.sum()
    assert known("2026-03-02")["superiority_usual"] == pytest.approx(expected, rel=1e-6)


def test_the_expectation_gap_is_perceived_less_expected():
    assert known("2026-01-02")["expectation_gap_usual"] == -3
    weights = 0.5 ** (np.array([31, 0]) / 90)
    expected = (weights * [-3, 2]).sum() / weights.sum()
    assert known("2026-02-01T12:00")["expectation_gap_usual"] == pytest.approx(expected, rel=1e-6)


def test_a_wait_beyond_the_promise_breaks_it():
    """Claims are promised in 10 minutes: 25 breaks it by 15, 5 keeps it; calls promise nothing."""
    found = known("2026-03-12")
    assert found["promises_broken_182d"] == 1 and found["days_since_promise_broken"] == 70
    assert known("2026-01-02")["wait_excess_usual"] == 15
    assert found["claim_wait_last"] == 5 and found["call_wait_last"] == 30


def test_a_contact_that_ended_badly_is_dated():
    assert known("2026-03-12")["days_since_failed"] == 70


def test_what_a_row_says_of_itself_goes_before_what_its_kind_promises():
    log = (
        "customer_id occurred_at kind adequate perceived\nana 2026-01-01 claim 2 4\nana 2026-01-02 claim - 4"
    )
    company = settings().model_copy(update={"touchpoints": KINDS})
    until = at("2026-02-01")
    fitted = fit_features(histories(log), company, Activity(), fit_before=until, until=until)
    row = dict(zip(fitted.names, fitted.snapshots(histories(log), [until])[0, 0].tolist(), strict=True))
    assert row["failures_182d"] == 1  # 4 is above 2, and below the kind's 5


def test_experience_is_not_there_where_nothing_was_asked():
    log = "customer_id occurred_at kind\nana 2026-01-01 claim\nana 2026-01-05 call"
    until = at("2026-02-01")
    fitted = fit_features(histories(log), settings(), Activity(), fit_before=until, until=until)
    assert not [f.name for f in fitted.features if f.family == "experience"]


def test_every_feature_of_experience_has_words_in_both_languages():
    fitted = features()
    for feature in fitted.features:
        if feature.family == "experience":
            assert "{value}" in feature.sentence.en and "{value}" in feature.sentence.es
            for language in ("en", "es"):
                assert fitted.moment_label(feature.moment, language)
    assert fitted.moment_label("experience.failure", "es") == "experiencia: fallos"
    assert fitted.moment_label("experience.satisfaction", "en") == "experience: satisfaction"


def test_the_experience_index_is_the_mean_of_its_known_parts_by_their_weights():
    from dataclasses import replace

    log = """
        customer_id  occurred_at  kind  effective  easy  enjoyable
        ana          2026-03-01   call  8          4     2
        bea          2026-03-01   call  8          4     -
        cleo         2026-03-01   call  -          -     -
    """
    until = at("2026-04-01")
    fitted = fit_features(histories(log), settings(), Activity(), fit_before=until, until=until)
    weighed = replace(fitted.context.population, experience=(0.5, 0.3, 0.2))
    for population, expected in (
        (fitted.context.population, [14 / 3, 6, np.nan]),
        (weighed, [5.6, 5.2 / 0.8, np.nan]),
    ):
        company = FittedFeatures(replace(fitted.context, population=population))
        found = company.snapshots(histories(log), [until])[
            :, 0, company.names.index("experience_index_usual")
        ]
        assert found == pytest.approx(np.array(expected), rel=1e-6, nan_ok=True)
