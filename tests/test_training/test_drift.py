import numpy as np
import pytest

from training.drift import (
    ENDS,
    TODAY,
    WAY_WORDS,
    WAYS,
    TwoWay,
    drift_moments,
    ends_of,
    forecast,
    outturn,
    together,
)

NAN = float("nan")


def picture(today, churn, principal, churned=None, later=None):
    def states(values):
        return None if values is None else np.array(values, np.int8)

    return TwoWay(
        states(today), ends_of(np.array(churn), np.array(principal)), states(churned), states(later)
    )


def test_the_three_ends_are_leaving_and_what_staying_splits_into():
    found = ends_of(np.array([0.2, 0.0, 1.0]), np.array([0.75, 0.5, 0.9]))
    assert found == pytest.approx(np.array([[0.6, 0.2, 0.2], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]))


def test_the_likeliest_way_follows_from_the_state_today():
    found = picture([1, 1, 1, 0, 0, 0, -1], [0.1, 0.1, 0.8] * 2 + [0.8], [0.9, 0.2, 0.9] * 2 + [0.5])
    assert found.way.tolist() == [
        *("stays_principal", "silent_drift", "leaves_principal"),
        *("becomes_principal", "stays_secondary", "leaves_secondary"),
        "leaves",
    ]


def test_silent_drift_is_told_of_those_whose_main_provider_we_are():
    found = picture([1, 0, -1], [0.5, 0.5, 0.5], [0.75, 0.75, 0.75])
    assert found.drift == pytest.approx([0.125, NAN, NAN], nan_ok=True)


def test_the_forecast_adds_up_to_the_customers_and_their_worth():
    found = forecast(picture([1, 1, 0], [0.5, 0.0, 0.25], [0.5, 1.0, 0.0]), np.array([100.0, 40.0, NAN]))
    assert [row["today"] for row in found] == ["principal", "secondary"]
    main, second = found
    assert (main["customers"], main["value"]) == (2, 140)
    assert {end: cell["customers"] for end, cell in main["ends"].items()} == pytest.approx(
        {"principal": 1.25, "secondary": 0.25, "leaves": 0.5}
    )
    assert {end: cell["value"] for end, cell in main["ends"].items()} == pytest.approx(
        {"principal": 65, "secondary": 25, "leaves": 50}
    )
    assert main["ends"]["secondary"]["mean"] == pytest.approx(0.125)
    assert main["ends"]["secondary"]["way"] == "silent_drift"
    assert second["value"] is None and second["ends"]["leaves"]["customers"] == 0.25


def test_the_outturn_compares_those_who_stay_where_their_main_provider_is_known():
    found = outturn(
        picture(
            today=[1, 1, 1, 1, 0],
            churn=[0.2, 0.2, 0.2, 0.4, 0.5],
            principal=[0.9, 0.6, 0.7, 0.5, 0.1],
            churned=[0, 0, 0, 1, 0],
            later=[1, 0, -1, -1, 0],
        )
    )
    main, second = found
    assert (main["snapshots"], main["stayed"], main["told"]) == (4, 3, 2)
    expected = {end: cell["expected"] for end, cell in main["ends"].items()}
    assert expected == pytest.approx({"principal": 1.5, "secondary": 0.5, "leaves": 1.0})
    assert {end: cell["happened"] for end, cell in main["ends"].items()} == {
        **{"principal": 1, "secondary": 1, "leaves": 1}
    }
    assert second["ends"]["secondary"] == {
        **{"way": "stays_secondary", "expected": pytest.approx(0.9), "happened": 1}
    }


def test_a_customer_who_is_sure_to_leave_breaks_no_table():
    row = outturn(picture([1], [1.0], [0.5], [0], [1]))[0]
    assert row["ends"]["principal"]["happened"] == 1 and np.isfinite(row["ends"]["principal"]["expected"])


def test_outcomes_that_are_not_known_are_not_compared():
    with pytest.raises(ValueError, match="nothing has happened"):
        outturn(picture([1], [0.1], [0.5]))
    assert outturn(picture([1], [0.1], [0.5], [-1], [-1])) == []


def test_dates_are_put_together_in_order():
    parts = [picture([1], [0.1], [0.5], [0], [1]), picture([0, 1], [0.2, 0.3], [0.5, 0.5], [1, 0], [-1, 0])]
    whole = together(parts)
    assert whole.today.tolist() == [1, 0, 1] and whole.ends[:, 2].tolist() == [0.1, 0.2, 0.3]
    assert whole.churned.tolist() == [0, 1, 0] and whole.principal.tolist() == [1, -1, 0]


def test_drift_goes_with_the_moments_that_put_the_drifted_lower():
    moments = np.array([[-1.0, 0.5, 0.0], [-2.0, 0.5, 0.0], [0.5, -0.5, 0.0], [0.5, 0.5, 0.0]])
    found = drift_moments(moments, np.array([True, True, False, False]), ["claim", "price", "other"])
    assert found == [{"moment": "claim", "drifted": -1.5, "stayed": 0.5, "difference": -2.0}]
    assert drift_moments(moments, np.zeros(4, bool), ["claim", "price", "other"]) == []


def test_every_way_has_words_in_both_languages():
    ways = {way for of in WAYS.values() for way in of.values()}
    assert ways == set(WAY_WORDS) and set(WAYS) == set(TODAY.values())
    assert all(set(of) == set(ENDS) for of in WAYS.values())
    assert all(w.en and w.es and w.en != w.es for w in WAY_WORDS.values())
