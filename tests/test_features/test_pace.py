"""The features of pace, trend, tenure and main use, worked by hand for one customer."""

import math

import numpy as np
import pytest
from scipy import stats

from features.histories import build_histories
from features.profile import LIFECYCLE
from tests.companies import ACTIVITY, UNTIL, company, fitted
from tests.literals import DAY, at, histories, typed

FEATURES = fitted(company(5))
HORIZON = ACTIVITY.horizon_days
DAYS = (0, 10, 20, 40)  # gaps 10, 10, 20
AS_OF = at("2025-06-01") + 70 * DAY  # 30 days of silence
ANA = histories(
    "customer_id occurred_at kind amount\n"
    + "\n".join(f"ana {np.datetime64('2025-06-01') + d} purchase 20" for d in DAYS)
)


def row(history, as_of=AS_OF, features=FEATURES):
    values = features.snapshots(history, [as_of])[0, 0].astype(float).tolist()
    return dict(zip(features.names, values, strict=True))


ROW = row(ANA)


def test_gaps_and_the_silence_against_them():
    logs = np.log([10, 10, 20])
    expected = {
        **{
            "purchase_gaps": 3,
            "purchase_gap_mean": 40 / 3,
            "purchase_gap_median": 10,
            "purchase_gap_last": 20,
        },
        **{
            "purchase_gap_longest": 20,
            "purchase_gap_sd": np.std([10, 10, 20]),
            "purchase_gap_last_over_mean": 1.5,
        },
        **{"purchase_gap_log_mean": logs.mean(), "purchase_gap_log_sd": logs.std()},
        **{
            "purchase_silence_over_mean": 2.25,
            "purchase_silence_over_median": 3,
            "purchase_silence_over_longest": 1.5,
        },
        **{"purchase_silence_rarity": 0.5 / 4, "days_since_purchase": 30, "days_since_first_purchase": 70},
        **{"purchase_silence_z": (math.log(30) - logs.mean()) / logs.std()},
        **{"days_since_purchase_gap_over_7d": 30, "days_since_purchase_gap_over_14d": 30},
    }
    assert {name: ROW[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert math.isnan(ROW["days_since_purchase_gap_over_21d"])


def test_a_shrunken_rate_adds_the_population_s_contacts_and_days():
    shape, rate = FEATURES.context.population.rates[1e6]
    expected = (3 + shape) / (70 + rate)
    assert ROW["purchase_rate_ever"] == pytest.approx(30 * expected, rel=1e-4)
    assert ROW["purchase_missed_ever"] == pytest.approx(30 * expected, rel=1e-4)
    none = (3 + shape) * math.log((70 + rate) / (70 + rate + HORIZON))
    assert ROW["purchase_none_expected_ever"] == pytest.approx(none, rel=1e-4)


def test_a_fading_rate_weighs_contacts_and_days_alike():
    shape, rate = FEATURES.context.population.rates[30.0]
    count = sum(0.5 ** ((70 - d) / 30) for d in DAYS[1:])
    exposure = 30 / math.log(2) * (1 - 0.5 ** (70 / 30))
    assert ROW["purchase_rate_30d"] == pytest.approx(30 * (count + shape) / (exposure + rate), rel=1e-5)


def test_the_chance_of_being_alive_is_that_of_bg_nbd():
    r, alpha, a, b = FEATURES.context.population.dropout
    x, last, age = 3, 40, 70
    alive = 1 / (1 + a / (b + x - 1) * ((alpha + age) / (alpha + last)) ** (r + x))
    none = ((alpha + age) / (alpha + age + HORIZON)) ** (r + x)
    assert ROW["purchase_alive"] == pytest.approx(alive, rel=1e-5)
    assert ROW["purchase_none_if_alive_or_not"] == pytest.approx(1 - alive + alive * none, rel=1e-5)
    assert ROW["purchase_expected"] == pytest.approx(alive * (r + x) / (alpha + age) * HORIZON, rel=1e-5)


def test_one_purchase_is_no_sign_of_having_left():
    once = histories("customer_id occurred_at kind\nana 2025-06-01 purchase")
    assert row(once)["purchase_alive"] == 1


def test_how_likely_the_silence_goes_on_follows_the_own_gaps_shrunk():
    mean, within, weight = FEATURES.context.population.gaps[1e6]
    logs = np.log([10, 10, 20])
    centre = (logs.sum() + weight * mean) / (3 + weight)
    spread = math.sqrt((((logs - logs.mean()) ** 2).sum() + 4 * within) / (3 + 4))
    survival = stats.norm(centre, spread).logsf
    assert ROW["purchase_silence_surprise"] == pytest.approx((math.log(30) - centre) / spread, rel=1e-4)
    assert ROW["purchase_silence_goes_on"] == pytest.approx(
        survival(math.log(58)) - survival(math.log(30)), rel=1e-4
    )
    assert ROW["purchase_usual_gap"] == pytest.approx(math.exp(centre), rel=1e-5)


def test_more_or_less_than_before():
    expected = {
        "purchase_change_28d": 0 - 2,  # none in the last 28 days, two in the 28 before (days 20 and 40)
        "purchase_count_28d": 0,
        "purchase_count_56d": 2,
        "purchase_amount_84d": 80,
        "purchase_mean_amount_84d": 20,
        "purchase_amount_spread": 0,
        "purchase_rate_28d_of_56d": (0.5 / 28) / (2.5 / 56),
        "purchase_faded_30d": sum(0.5 ** ((70 - d) / 30) for d in DAYS),
        "purchase_amount_faded_30d": 20 * sum(0.5 ** ((70 - d) / 30) for d in DAYS),
    }
    assert {name: ROW[name] for name in expected} == pytest.approx(expected, rel=1e-5, abs=1e-3)


def test_main_use_is_the_share_of_weeks_with_activity():
    assert ROW["days_active_56d"] == 2 and ROW["days_active_84d"] == 4
    weeks = len({(at("2025-06-01") // DAY + d + 3) // 7 for d in DAYS})
    assert ROW["weeks_active_share_84d"] == pytest.approx(weeks / 10)


def of_days(days):
    """Return the history of someone who bought so many days before UNTIL."""
    log = {"customer_id": ["ana"] * len(days), "kind": ["purchase"] * len(days)}
    log["occurred_at"] = [UNTIL - d * DAY for d in days]
    return build_histories({"touchpoints": typed(log)})


@pytest.mark.parametrize(
    ("days", "stage"),
    [
        ([80, 40, 5], "new"),
        (range(5, 360, 20), "settled"),
        ([*range(5, 56, 5), *range(60, 360, 40)], "growing"),
        ([50, *range(60, 360, 8)], "fading"),
        (range(100, 360, 20), "fading"),
        ([500], "fading"),
    ],
)
def test_the_stage_of_life_follows_tenure_and_the_recent_rate(days, stage):
    assert LIFECYCLE[int(row(of_days(list(days)), UNTIL)["lifecycle_stage"])] == stage


def test_tenure_is_since_the_date_given_or_the_first_contact():
    def tenure(customers):
        given = histories("customer_id occurred_at kind\nana 2025-06-01 purchase", customers=customers)
        return row(given, at("2025-06-11"))["tenure_days"]

    assert tenure("customer_id since\nana 2024-06-11") == 365
    assert tenure("customer_id since\nana -") == 10
    assert tenure("customer_id since\nana 2027-01-01") == 10


def test_nothing_is_known_of_the_pace_of_someone_who_was_never_active():
    stranger = row(histories("customer_id occurred_at kind\nana 2025-06-01 mail"))
    never = (
        "purchase_gap_mean",
        "purchase_alive",
        "purchase_rate_30d",
        "days_since_purchase",
        "purchase_silence_z",
    )
    assert all(math.isnan(stranger[name]) for name in never)
    assert stranger["purchase_count_28d"] == 0 and stranger["days_since_mail"] == 70
