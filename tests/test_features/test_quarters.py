"""Satisfaction times switching costs, worked by hand."""

import pytest

from features.catalog import fit_features
from features.histories import build_histories
from features.settings import Activity
from tests.literals import at, settings, table, typed

UNTIL = at("2026-01-01")
N = 40


def company():
    """Customer i has an exit fee of i until after `UNTIL`, if i is even; the first three answered."""
    ids = [f"c{i:02d}" for i in range(N)]
    answers = [4.0, 9.0, None, *[None] * (N - 3)]
    perceived = [None, None, 2.0, *[None] * (N - 3)]
    return {
        "touchpoints": typed(
            {
                "customer_id": ids,
                "occurred_at": [UNTIL - 90 * 86_400_000_000] * N,
                "kind": ["call"] * N,
                "satisfaction": answers,
                "perceived": perceived,
            }
        ),
        "relationships": typed(
            {
                "customer_id": ids,
                "product": ["loan"] * N,
                "started_at": [at("2025-01-01")] * N,
                "committed_until": [at("2026-06-01") if i % 2 == 0 else None for i in range(N)],
                "exit_fee": [float(i) for i in range(N)],
            }
        ),
    }


@pytest.fixture(scope="module")
def found():
    history = build_histories(company())
    fitted = fit_features(history, settings(), Activity(), fit_before=UNTIL, until=UNTIL)
    return dict(zip(fitted.names, fitted.snapshots(history, [UNTIL])[:, 0].T.astype(float), strict=True))


def test_what_the_customer_said_counts_and_silence_is_not_filled_in(found):
    assert found["satisfaction_said"][:4] == pytest.approx([4, 9, 2, float("nan")], nan_ok=True)
    assert found["days_since_satisfaction_said"][:4] == pytest.approx([90, 90, 90, float("nan")], nan_ok=True)


def test_dissatisfaction_is_split_by_how_much_holds(found):
    """Satisfied from 6: the first is 2 points short, the second 3 above, the third 4 short."""
    cost = found["switching_cost_mean"]
    assert found["dissatisfaction_held"][:3] == pytest.approx([2 * cost[0] / 100, 0, 4 * cost[2] / 100])
    assert found["dissatisfaction_free"][:3] == pytest.approx(
        [2 * (1 - cost[0] / 100), 0, 4 * (1 - cost[2] / 100)]
    )
    assert found["satisfaction_free"][:3] == pytest.approx([0, 3 * (1 - cost[1] / 100), 0])


def test_who_is_committed_is_not_free(found):
    assert found["dissatisfaction_committed"][:4] == pytest.approx([2, 0, 4, float("nan")], nan_ok=True)
    assert found["dissatisfaction_uncommitted"][:4] == pytest.approx([0, 0, 0, float("nan")], nan_ok=True)


def test_the_mean_cost_is_that_of_the_indices_that_are_known(found):
    """Only the economic cost tells these customers apart: its index is the mean."""
    assert found["switching_cost_mean"] == pytest.approx(found["switching_economic_index"])


def test_without_answers_there_is_nothing_to_multiply():
    tables = company()
    tables["touchpoints"] = table("customer_id occurred_at kind\nc00 2025-06-01 call\nc01 2025-06-01 call")
    fitted = fit_features(build_histories(tables), settings(), Activity(), fit_before=UNTIL, until=UNTIL)
    assert "switching_cost_mean" in fitted.names
    assert not [n for n in fitted.names if n.startswith(("dissatisfaction", "satisfaction"))]
