"""Where customers stand between satisfaction and switching costs, by hand."""

import json
import math

import numpy as np
import pytest

from features.settings import Quarters
from training.forest import Linear
from training.quarters import PROVENANCES, QUARTERS, Satisfaction, join, movement, standing_of

NAMES = (
    *("satisfaction_said", "days_since_satisfaction_said", "switching_cost_mean", "commitments"),
    *("days_until_uncommitted", "switching_economic_index", "switching_economic_surveyed"),
    "switching_economic_coverage",
)
NAN = math.nan


def stands(*rows, satisfaction=None, names=NAMES, **quarters):
    told = [[*row, 1.0] if len(row) < len(names) else row for row in rows]
    return standing_of(np.array(told, np.float32), names, satisfaction, Quarters(**quarters))


def names_of(codes, names=QUARTERS):
    return [names[code] for code in codes]


def test_the_four_quarters_and_the_fifth_of_whom_nothing_tells():
    found = stands(
        [8, 10, 70, 0, NAN, 70, 1],
        [4, 10, 70, 0, NAN, 70, 1],
        [8, 10, 30, 0, NAN, 30, 0],
        [4, 10, 30, 0, NAN, 30, 0],
        [NAN, NAN, 70, 0, NAN, NAN, NAN],
    )
    assert names_of(found.quarter) == ["loyal", "hostage", "mercenary", "defector", "unknown"]
    assert names_of(found.provenance[:, 3], PROVENANCES) == [
        *("surveyed", "surveyed", "observed", "observed", "unknown")
    ]
    assert names_of(found.provenance[:, 0], PROVENANCES) == ["unknown"] * 5
    assert found.coverage[:, 3].tolist() == [1, 1, 1, 1, 0]


def test_a_commitment_that_runs_holds_whatever_the_other_costs():
    found = stands([4, 10, 10, 1, 12, NAN, NAN], [4, 10, 10, 0, NAN, NAN, NAN])
    assert names_of(found.quarter) == ["hostage", "defector"]
    assert found.hostage.tolist() == [1, 0]
    assert found.next_end_days[0] == 12 and math.isnan(found.next_end_days[1])


def test_satisfied_and_held_begin_where_the_configuration_says():
    row = [6.5, 10, 55, 0, NAN, NAN, NAN]
    assert names_of(stands(row).quarter) == ["loyal"]
    assert names_of(stands(row, satisfied_from=7).quarter) == ["hostage"]
    assert names_of(stands(row, held_from=60).quarter) == ["mercenary"]


def test_an_answer_of_more_than_a_year_ago_no_longer_tells():
    found = stands([8, 365, 70, 0, NAN, NAN, NAN])
    assert names_of(found.quarter) == ["unknown"]
    assert names_of(found.satisfaction_source, PROVENANCES) == ["unknown"]


WAITING = Satisfaction(
    "satisfaction", ("waits",), Linear(*map(np.array, ([0.0], [1.0], [-2.0])), 8.0), 1.0, (0, 0)
)


def test_who_says_nothing_is_estimated_and_said_to_be():
    """Satisfaction is 8 - 2 log(1 + waits), give or take 1: with e^1.5 - 1 waits, 5."""
    waits = math.exp(1.5) - 1
    found = stands([NAN, NAN, 70, 1, waits], satisfaction=WAITING, names=(*NAMES[:4], "waits"))
    assert found.satisfaction[0] == pytest.approx(5, abs=1e-6)
    assert found.unsatisfied[0] == pytest.approx(0.8413, abs=1e-4)  # the normal within one deviation
    assert names_of(found.quarter) == ["hostage"]
    assert names_of(found.satisfaction_source, PROVENANCES) == ["observed"]
    assert found.hostage[0] == found.unsatisfied[0]


def test_those_who_are_not_asked_alike_are_moved_towards_those_who_do_not_answer():
    """Log-odds of answering 0 whatever the estimate is, then one a point: half of the variance less."""
    shy = Satisfaction("satisfaction", ("waits",), WAITING.linear, 2.0, (-8.0, 1.0))
    assert shy.estimate(np.array([[0.0]])).tolist() == [8 - 1 * 0.5 * 4]
    assert WAITING.estimate(np.array([[0.0]])).tolist() == [8]


def test_an_estimate_survives_as_json():
    again = Satisfaction.from_dict(json.loads(json.dumps(WAITING.to_dict())))
    X = np.array([[0.0], [3.0]])
    assert again.estimate(X).tolist() == WAITING.estimate(X).tolist()
    assert (again.names, again.spread, again.response) == (WAITING.names, 1.0, (0.0, 0.0))


def test_without_a_feature_of_the_estimate_only_answers_count():
    found = stands([8, 10, 70, 0, NAN, NAN, NAN], satisfaction=WAITING)
    assert found.satisfaction.tolist() == [8]


def test_movement_counts_customers_and_worth_from_quarter_to_quarter():
    before, now = np.array([0, 0, 1, -1, 0]), np.array([1, 1, 1, 0, 0])
    assert movement(before, now, np.array([10.0, NAN, 5.0, 7.0, 1.0])) == [
        {"before": "loyal", "now": "hostage", "customers": 2, "value": 10.0},
        {"before": None, "now": "loyal", "customers": 1, "value": 7.0},
        {"before": "loyal", "now": "loyal", "customers": 1, "value": 1.0},
        {"before": "hostage", "now": "hostage", "customers": 1, "value": 5.0},
    ]


def test_standings_of_parts_are_those_of_the_whole():
    rows = [[8, 10, 70, 0, NAN, 70, 1], [4, 10, 30, 1, 3, NAN, NAN], [NAN, NAN, 70, 0, NAN, 20, 0]]
    whole, joined = stands(*rows), join([stands(rows[0]), stands(*rows[1:])])
    for name in whole.__dataclass_fields__:
        assert getattr(whole, name).tobytes() == getattr(joined, name).tobytes(), name
