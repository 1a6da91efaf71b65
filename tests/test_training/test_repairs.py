"""The repair list: on a company whose truth is known, and on one small enough to follow by hand."""

import json
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from features.clock import local_date
from features.corridor_map import draw_map
from features.histories import build_histories
from features.sources import load_tables
from tests.literals import DAY, at, typed
from training.config import Config, load_config
from training.corridor import read_corridor
from training.labels import eligible
from training.repairs import Interval, Repair, drawn_together, excess_of, left_of, repair_list
from training.scoring import score
from training.simulate import simulate
from training.train import learn


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Return the histories, the configuration and the truth of a company."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate(folder, 1_500, months=18, seed=11)
    config = load_config(folder / "corredor.toml")
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))["corridor"]
    return build_histories(load_tables(config, folder).tables), config, truth


def listed(found):
    return [found.map.pair(r.stretch) for r in found.repairs.repairs]


@pytest.mark.parametrize("as_of", ["2025-07-01", "2025-05-01"])
def test_the_congested_and_the_blocked_stretch_come_first_since_the_day_they_were_broken(simulated, as_of):
    histories, config, truth = simulated
    found = read_corridor(histories, config, at(as_of))
    broken = {
        (truth[what]["from"], truth[what]["to"]): (what, truth[what]) for what in ("congested", "blocked")
    }
    assert set(listed(found)[:2]) == broken.keys()
    for repair in found.repairs.repairs[:2]:
        what, told = broken[found.map.pair(repair.stretch)]
        assert repair.nature == what
        assert repair.promised and repair.target == told["accepted_days"] * DAY
        since = date.fromisoformat(local_date(repair.worsened.since, config.project.zone))
        assert abs((since - date.fromisoformat(told["since"])).days) <= 14
        assert repair.worsened.held_before < 0.2 < 0.4 < repair.worsened.held_after
        assert repair.at_risk.low < repair.at_risk.value < repair.at_risk.high
        assert repair.at_risk.value == pytest.approx(repair.worth * repair.excess.value)


def test_before_they_were_broken_neither_is_said_to_have_become_worse(simulated):
    histories, config, truth = simulated
    before = min(truth[what]["since"] for what in ("congested", "blocked"))
    found = read_corridor(histories, config, at(before))
    assert all(r.worsened is None for r in found.repairs.repairs)


def test_nothing_that_came_to_be_known_later_changes_the_list(simulated):
    histories, config, _ = simulated
    as_of = at("2025-04-01")
    drawn = draw_map(histories, config, as_of)
    ours = repair_list(histories, config, drawn.steps, drawn.flow, drawn.targets)
    known = repair_list(histories.known_before(as_of), config, drawn.steps, drawn.flow, drawn.targets)
    assert ours == known
    assert ours.cohorts == 12


def test_who_left_afterwards_had_been_held_up_more(simulated):
    histories, config, truth = simulated
    found = read_corridor(histories, config, at("2025-07-01"))
    place = [found.map.pair(s) for s in found.map.stretches].index(("claim", "claim_answer"))
    assert found.afterwards["left"].held[place] > found.afterwards["stayed"].held[place] > 0
    assert set(found.segments) == {"family", "professional", "senior", "young"}
    stages = [found.parts[n, -1] for n in range(4)]
    assert sum(s.contacts for s in stages).tolist() == found.map.nodes.contacts.tolist()
    both = [part for (stage, channel), part in found.parts.items() if stage == 2 and channel >= 0]
    assert sum(p.measured.volume for p in both).tolist() == stages[2].measured.volume.tolist()


def small_company(seed, *, leaves=(0.1, 0.5), customers=900, value=True):
    """Customers use us weekly; one order each, late for a half; of these, more leave soon after."""
    rng = np.random.default_rng(seed)
    rows = {name: [] for name in ("customer_id", "occurred_at", "kind", "case_id", "outcome")}

    def add(*row):
        for column, cell in zip(rows.values(), row, strict=True):
            column.append(cell)

    start, end = at("2025-01-01"), at("2026-01-01")
    for n in range(customers):
        who, late = f"c{n:04d}", bool(rng.random() < 0.5)
        ordered = start + int(rng.integers(60, 330)) * DAY
        add(who, ordered, "order", f"{n}", "open")
        arrived = ordered + (9 if late else 2) * DAY
        add(who, arrived, "delivery", f"{n}", "done")
        stop = arrived + DAY if rng.random() < leaves[late] else end
        for moment in range(start + int(rng.integers(0, 7 * DAY)), stop, 7 * DAY):
            add(who, moment, "use", None, "done")
    tables = {"touchpoints": typed(rows)}
    if value:
        ids = sorted(set(rows["customer_id"]))
        tables["customers"] = typed({"customer_id": ids, "value": [100.0] * len(ids)})
    config = Config.model_validate(
        {
            "project": {"name": "small"},
            "sources": {"touchpoints": ""},
            "touchpoints": {"order": {"deadline_days": 20}, "delivery": {"promised_minutes": 5 * 1440}},
            "churn": {"kinds": ["use"], "active_days": 14, "horizon_days": 30},
        }
    )
    return build_histories(tables), config


def test_the_excess_is_how_many_more_of_the_held_up_left():
    histories, config = small_company(0)
    found = read_corridor(histories, config, at("2025-12-01"))
    (repair,) = found.repairs.repairs
    assert found.map.pair(repair.stretch) == ("order", "delivery")
    assert repair.nature == "congested" and repair.target == 5 * DAY
    assert repair.held == pytest.approx(0.5, abs=0.1)
    assert repair.worth == 100.0 * repair.held_now
    assert repair.clear and repair.worsened is None
    # those who leave stop being eligible: a fortnight after the last use at the latest, of thirty days
    assert 0.05 < repair.excess.low < repair.excess.value < repair.excess.high < 0.6


def test_where_the_held_up_leave_as_others_do_the_excess_may_be_chance():
    unclear = 0
    for seed in range(4):
        histories, config = small_company(seed, leaves=(0.3, 0.3), customers=500)
        (repair,) = read_corridor(histories, config, at("2025-12-01")).repairs.repairs
        unclear += not repair.clear
        assert repair.excess.low < 0.1
    assert unclear >= 3


def test_where_no_worth_is_known_customers_are_counted():
    histories, config = small_company(1, value=False)
    found = read_corridor(histories, config, at("2025-12-01")).repairs
    assert found.worth_source == "none"
    assert found.repairs[0].worth == found.repairs[0].held_now


def test_with_too_little_history_nothing_is_ranked():
    histories, config = small_company(2)
    found = read_corridor(histories, config, at("2025-01-20"))
    assert found.repairs.repairs == () and found.repairs.cohorts == 0
    assert found.afterwards == {}


def test_the_excess_by_hand():
    """Two strata: 4 of 10 against 2 of 20, and 6 of 8 against 1 of 2 (Greenland and Robins 1985)."""
    table = np.zeros((200, 1, 2, 2, 2))
    table[0, 0, 0] = [[6, 4], [18, 2]]
    table[1, 0, 1] = [[2, 6], [1, 1]]
    weights = np.array([10 * 20 / 30, 8 * 2 / 10])
    expected = (weights * np.array([0.4 - 0.1, 0.75 - 0.5])).sum() / weights.sum()
    assert excess_of(table).value == pytest.approx(expected)


def test_the_share_of_the_held_up_that_left_by_hand():
    table = np.zeros((200, 1, 2, 2, 2))
    table[0, 0, 0] = [[6, 4], [18, 2]]
    table[1, 0, 1] = [[2, 6], [1, 1]]
    weights = np.array([10 * 20 / 30, 8 * 2 / 10])
    assert left_of(table) == pytest.approx((weights * np.array([0.4, 0.75])).sum() / weights.sum())
    table[..., 0, 1] = 0  # of the held up nobody left: 6 + 2 stayed
    assert left_of(table) == 0.5 / 8


def test_what_is_at_risk_by_hand_without_a_model_and_with_one():
    """Six in a hundred more than usual, of twenty who left: three tenths of what is at risk."""
    repair = Repair(0, "blocked", DAY, True, 9, 0.5, 10, 1_000.0, Interval(0.06, -0.02, 0.4), 0.2, None)
    assert repair.at_risk == pytest.approx((60.0, -20.0, 400.0))
    # no more than all of it
    assert replace(repair, stake=150.0).at_risk == pytest.approx((45.0, -15.0, 150.0))
    # where each one's probability is that of the past, it is the same: 0.2 of 1,000
    same = replace(repair, stake=200.0, excess=Interval(0.06, -0.02, 0.2))
    assert same.at_risk == pytest.approx(replace(same, stake=None).at_risk)


def test_with_a_model_each_one_counts_by_their_own_probability_of_leaving():
    histories, config = small_company(0, customers=500)
    config = config.model_copy(update={"training": config.training.model_copy(update={"seeds": 1})})
    until = at("2025-12-01")
    bundle = replace(learn(histories, config, until), id="ab" * 32)
    plain = read_corridor(histories, config, until).repairs
    found = read_corridor(histories, config, until, bundle=bundle).repairs
    assert (plain.model_version, found.model_version) == (None, "abababababab")
    (before,), (repair,) = plain.repairs, found.repairs
    assert before == replace(repair, stake=None)
    # held up in the last 30 days: five days after an order that came after nine, or has not come yet
    expected, customers = 0.0, 0
    risk = score(bundle, histories, until).churn_probability
    here = eligible(histories, config, until)
    stream = histories.touchpoints
    kind = np.array([c[0] for c in stream.contacts])[stream.contact]
    for customer in np.flatnonzero(here):
        rows = slice(stream.offsets[customer], stream.offsets[customer + 1])
        moments = dict(zip(kind[rows], stream.occurred_at.unpack()[rows], strict=True))
        late_at, came = moments["order"] + 5 * DAY, moments["delivery"]
        if came > late_at and until - 30 * DAY <= late_at < until:
            expected += 100.0 * risk[customer]
            customers += 1
    assert repair.held_now == customers > 10
    assert repair.stake == pytest.approx(expected)
    assert repair.at_risk.value == pytest.approx(expected * repair.excess.value / repair.left)
    assert 0 < repair.at_risk.value < repair.stake < repair.worth


def test_the_interval_covers_the_truth_as_often_as_it_says():
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        n, way = 600, rng.integers(0, 2, 600)
        left = (rng.random(n) < np.where(way == 0, 0.3, 0.2)).astype(int)
        table = np.zeros((200, 1, 4, 2, 2))
        np.add.at(table, (rng.integers(0, 200, n), 0, rng.integers(0, 4, n), way, left), 1.0)
        found = excess_of(table)
        covered += found.low <= 0.1 <= found.high
    assert 88 <= covered <= 99


def test_noisy_excesses_are_drawn_together_as_the_eight_schools_are():
    """The posterior means of Gelman et al. (2013), section 5.5, which are for a flat prior on the spread."""
    effects, errors = [28, 8, -3, 7, -1, 1, 18, 12], [15, 10, 16, 11, 9, 11, 10, 18]
    found = [Interval(y, y - 1.96 * s, y + 1.96 * s) for y, s in zip(effects, errors, strict=True)]
    drawn = drawn_together(found)
    means = [11.4, 7.9, 6.1, 7.6, 5.1, 6.2, 10.7, 8.5]
    assert [d.value for d in drawn] == pytest.approx(means, abs=0.6)
    assert all(d.high - d.low < f.high - f.low for d, f in zip(drawn, found, strict=True))
    assert drawn_together(found[:2]) == found[:2]
    assert drawn_together([]) == []
