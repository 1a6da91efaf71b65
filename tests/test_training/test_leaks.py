import numpy as np
import pytest

from features.histories import build_histories
from tests.literals import DAY, typed
from training.config import Config
from training.leaks import find_leaks, left_out

START = 1_600_000_000_000_000
DAYS = 300


def config(**features) -> Config:
    return Config.model_validate(
        {
            "project": {"name": "shop"},
            "sources": {"touchpoints": ""},
            "churn": {"kinds": ["purchase"], "active_days": 40, "horizon_days": 28},
            "features": features,
        }
    )


class Shop:
    """Customers who buy at their own rates until they leave; those of `safe` leave less often."""

    def __init__(self, seed: int = 0, customers: int = 1_500, safe_hazard: float = 1.0) -> None:
        random = np.random.default_rng(seed)
        self.n = customers
        self.safe = random.random(customers) < 0.4
        self.gap = random.uniform(3, 12, customers)
        hazard = np.where(self.safe, safe_hazard, 1.0) / 250
        self.leaves = random.exponential(1 / hazard)
        people, moments = [], []
        for c in range(customers):
            t = random.uniform(0, 20)
            while t < min(DAYS, self.leaves[c]):
                people.append(self.name(c))
                moments.append(START + int(t * DAY))
                t += random.exponential(self.gap[c])
        self.touchpoints = {"customer_id": people, "occurred_at": moments, "kind": ["purchase"] * len(people)}
        self.random = random

    @staticmethod
    def name(c: int) -> str:
        return f"c{c:05d}"

    def find(self, who=None, settings=None, **columns):
        who = np.ones(self.n, bool) if who is None else who
        rows = {"customer_id": [self.name(c) for c in np.flatnonzero(who)]}
        for name, values in columns.items():
            rows[name] = [values[c] for c in np.flatnonzero(who)]
        histories = build_histories({"touchpoints": typed(self.touchpoints), "customers": typed(rows)})
        found = find_leaks(histories, settings or config(), START + DAYS * DAY)
        return found, left_out(found, histories)


@pytest.mark.parametrize("seed", range(4))
def test_clean_attributes_are_not_named(seed):
    shop = Shop(seed)
    noise = shop.random.random(shop.n)
    rate = [float(g) for g in shop.gap]  # honest, and tells how often they buy
    city = [str(c) for c in shop.random.choice(["Madrid", "Vigo", "Reus"], shop.n)]
    some = [None if u < 0.5 else float(u) for u in shop.random.random(shop.n)]
    assert shop.find(segment=city, score=[float(u) for u in noise], pace=rate, filled=some)[0] == []


@pytest.mark.parametrize("seed", range(3))
def test_an_honest_segment_that_tells_who_stays_is_not_named(seed):
    shop = Shop(seed, safe_hazard=0.4)
    assert shop.find(segment=["gold" if s else "plain" for s in shop.safe])[0] == []


def test_rows_collected_late_from_those_still_there_are_named_with_all_their_columns():
    shop = Shop()
    survey = (shop.leaves > DAYS - 30) & (shop.random.random(shop.n) < 0.7)
    found, without = shop.find(survey, age=[float(a) for a in shop.random.integers(18, 90, shop.n)])
    assert [s.name for s in found] == ["customers"]
    assert without == ("age",)
    assert found[0].customers == survey.sum()
    assert "leave far less often" in found[0].sentence("en") and "mucho menos" in found[0].sentence("es")
    assert "known_since" in found[0].sentence("en")


def test_one_column_filled_in_late_is_named_and_the_others_stay():
    shop = Shop()
    late = (shop.leaves > DAYS - 30) & (shop.random.random(shop.n) < 0.7)
    age = [float(a) if k else None for a, k in zip(shop.random.integers(18, 90, shop.n), late, strict=True)]
    city = [str(c) for c in shop.random.choice(["Madrid", "Vigo"], shop.n)]
    found, without = shop.find(age=age, segment=city)
    assert [s.name for s in found] == ["customers.age"] and without == ("age",)


def test_a_status_as_of_today_is_named_by_its_level():
    shop = Shop()
    status = ["closed" if gone else "open" for gone in shop.leaves < DAYS]
    found, without = shop.find(segment=status)
    assert [s.name for s in found] == ["customers.segment"] and without == ("segment",)
    assert found[0].level in ("open", "other than closed")


def test_a_number_from_the_future_is_named():
    shop = Shop()
    future = [float(max(min(left, DAYS) - 100, 0)) for left in shop.leaves]
    assert [s.name for s in shop.find(days_still_with_us=future)[0]] == ["customers.days_still_with_us"]


def test_a_status_that_tells_the_more_the_later_is_named():
    """Who was still there 60 days after the end: too weak for the limit, but it grows towards the end."""
    shop = Shop(customers=3_000)
    later = ["yes" if left > DAYS + 60 or shop.random.random() < 0.25 else "no" for left in shop.leaves]
    found, without = shop.find(segment=later)
    assert without == ("segment",)
    assert found[0].grew and "the more so the later" in found[0].sentence("en")
    assert "cuanto más reciente" in found[0].sentence("es")


def test_what_was_made_from_the_log_at_its_end_is_named_by_what_it_restates():
    shop = Shop()
    last, days = {}, {}
    for who, when in zip(shop.touchpoints["customer_id"], shop.touchpoints["occurred_at"], strict=True):
        last[who] = max(last.get(who, 0), when)
        days.setdefault(who, set()).add(when // DAY)
    everyone = [shop.name(c) for c in range(shop.n)]
    silence = [float(DAYS - (last[w] - START) / DAY) if w in last else None for w in everyone]
    visits = [float(len(days.get(w, ()))) for w in everyone]
    loyal = [None if v is None else "yes" if v < 20 else "no" for v in silence]
    noise = [float(u) for u in shop.random.random(shop.n)]
    found, without = shop.find(silence=silence, visits=visits, segment=loyal, noise=noise)
    assert without == ("segment", "silence", "visits")
    told = {s.column: s.sentence("en") for s in found}
    assert "the same as the days of activity at the end" in told["visits"]
    assert "known_since" in told["visits"]
    restated = [s.sentence("es") for s in found if s.restates is not None]
    assert restated and all("dice lo mismo que" in sentence for sentence in restated)


def test_what_the_configuration_vouches_for_is_kept():
    shop = Shop()
    status = ["closed" if gone else "open" for gone in shop.leaves < DAYS]
    for key in ("customers.segment", "customers"):
        settings = config(known_since={key: "2020-01-01"})
        assert shop.find(settings=settings, segment=status) == ([], ())


def test_nothing_after_until_is_looked_at():
    shop = Shop()
    status = ["closed" if gone else "open" for gone in shop.leaves < DAYS]
    tables = {"customer_id": [shop.name(c) for c in range(shop.n)], "segment": status}
    whole = {"touchpoints": typed(shop.touchpoints), "customers": typed(tables)}
    until = START + 285 * DAY
    early = [i for i, t in enumerate(shop.touchpoints["occurred_at"]) if t < until]
    cut = {name: [values[i] for i in early] for name, values in shop.touchpoints.items()}
    less = {"touchpoints": typed(cut), "customers": typed(tables)}
    both = [find_leaks(build_histories(t), config(), until) for t in (whole, less)]
    assert both[0] == both[1] and both[0]
