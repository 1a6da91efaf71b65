import numpy as np

from tests.literals import at, histories
from training.baselines import behaviour, principality_baselines
from training.config import Config
from training.panel import Panel

SHOP = """
customer_id  occurred_at       kind      touchpoint_id  item   amount
ana          2025-01-01        purchase  1              milk   10
ana          2026-01-10        purchase  2              milk   1
ana          2026-01-10        purchase  2              bread  2
ana          2026-01-10T18:00  purchase  3              milk   4
ana          2026-01-20        purchase  4              milk   8
ana          2026-02-01        purchase  5              milk   99
bea          2026-01-31        call      -              -      -
"""


def config() -> Config:
    return Config.model_validate(
        {"project": {"name": "s"}, "sources": {"touchpoints": ""}, "churn": {"kinds": ["purchase"]}}
    )


def test_behaviour_counts_contacts_and_days_before_as_of_only():
    found = behaviour(histories(SHOP), config(), np.array([0, 1]), np.full(2, at("2026-02-01")))
    assert found.silence[0] == 12 and found.age[0] == 396
    assert found.count[0] == 3 and found.amount[0] == 15.0
    assert found.repeats[0] == 2
    assert np.isnan(found.silence[1]) and found.count[1] == 0


def test_behaviour_of_a_snapshot_is_that_of_its_own_date():
    shop, dates = histories(SHOP), np.array([at("2026-02-02"), at("2026-01-10")])
    found = behaviour(shop, config(), np.array([0, 0]), dates)
    assert found.silence.tolist() == [1, 374]
    assert found.amount.tolist() == [114.0, 0.0]


def test_the_smoothed_own_share_ranks_by_how_much_was_given_and_how_often():
    """100 households, of whom each gives us its own share of 8 purchases; then 4 are known of three more."""
    random = np.random.default_rng(3)
    rows = ["customer_id  observed_at  ours  share"]
    given = random.beta(0.8, 0.8, 100)
    for c, share in enumerate(given):
        for day in range(1, 9):
            rows.append(f"c{c:03d}  2026-01-{day:02d}  {'yes' if random.random() < share else 'no'}  1")
    for who, ours in (("x-all", "yyyy"), ("x-half", "ynyn"), ("x-one", "y"), ("x-none", "")):
        for day, letter in enumerate(ours, start=10):
            rows.append(f"{who}  2026-01-{day:02d}  {'yes' if letter == 'y' else 'no'}  1")
    shop = histories(
        "customer_id occurred_at kind\n" + "\n".join(f"{w} 2026-01-01 call" for w in ("x-none",)),
        wallet="\n".join(rows),
    )
    asked = Config.model_validate(
        {
            **{"project": {"name": "s"}, "sources": {"touchpoints": ""}},
            "principality": {"rule": "declared", "wallets": "all"},
        }
    )
    n = shop.n_customers
    later = (random.random(100) < given).astype(np.int8)
    train = Panel(
        np.arange(100),
        np.full(100, at("2026-01-09")),
        np.zeros((100, 1), np.float32),
        np.zeros(100, np.int8),
        later,
        (given > 0.5).astype(np.int8),
    )
    four = np.arange(100, n)
    test = Panel(
        four,
        np.full(4, at("2026-01-20")),
        np.zeros((4, 1), np.float32),
        np.zeros(4, np.int8),
        np.zeros(4, np.int8),
        np.array([1, 1, 1, -1], np.int8),
    )
    found = principality_baselines(shop.known_before(at("2026-01-09")), shop, asked, train, test)
    assert set(found) == {"as_before", "own_share"}
    by_id = dict(zip(shop.customer_ids.to_pylist()[100:], found["own_share"].tolist(), strict=True))
    assert by_id["x-all"] > by_id["x-one"] > by_id["x-half"]
    # nothing known: the population's mean, here near a half, so within the log-odds' error of the middle
    assert abs(by_id["x-none"] - by_id["x-half"]) < 0.1
