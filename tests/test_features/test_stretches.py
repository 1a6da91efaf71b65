"""The directly-follows graph: by hand, and against the same in SQL on random logs."""

import numpy as np
import pytest

from features.histories import build_histories
from features.stretches import measure, measure_nodes, steps_of
from features.throughput import measure_journeys
from tests.corridor_oracle import KINDS, STRETCHES, ask
from tests.literals import DAY, at, histories, typed

HAND = """
customer_id  occurred_at       kind    case_id  outcome    recorded_at
ana          2025-03-01        claim   A        open       2025-03-01
ana          2025-03-02        call    -        -          2025-03-02
ana          2025-03-04        answer  A        done       2025-03-04
ana          2025-03-05        claim   A        open       2025-03-05
bo           2025-03-01        claim   B        open       2025-03-01
bo           2025-03-06        answer  B        abandoned  2025-03-06
bo           2025-03-07        claim   -        open       2025-06-01
cy           2025-03-01        call    -        -          2025-03-01
cy           2025-03-03        call    -        -          2025-03-03
cy           2025-03-20        visit   -        done       2025-03-20
"""
END = at("2025-04-01")
GAP = 3 * DAY


def stretches(steps):
    n = len(steps.kinds)
    found = measure(steps, steps.stretch, n * n)
    return {
        (steps.kinds[s // n], steps.kinds[s % n]): [
            float(getattr(found, name)[s]) for name in found.__dataclass_fields__
        ]
        for s in np.flatnonzero(found.volume)
    }


def test_a_stretch_leads_from_a_contact_to_the_next_one_of_its_journey():
    found = stretches(steps_of(histories(HAND), END, gap=GAP))
    assert found == {  # volume, customers, median, 90th percentile, turns back, abandoned
        ("claim", "answer"): [2, 2, 4 * DAY, pytest.approx(4.8 * DAY), 0, 0.5],
        ("answer", "claim"): [1, 1, DAY, DAY, 1, 0],
        ("call", "call"): [1, 1, 2 * DAY, 2 * DAY, 1, 0],
    }


def test_a_kind_is_told_by_where_journeys_begin_and_whether_it_leads_on():
    steps = steps_of(histories(HAND), END, gap=GAP)
    nodes = measure_nodes(steps)
    assert steps.kinds == ("answer", "call", "claim", "visit")
    assert nodes.contacts.tolist() == [2, 3, 3, 1], "bo's last claim is not known yet"
    assert nodes.customers.tolist() == [2, 2, 2, 1]
    assert nodes.begins.tolist() == [0, 2, 2, 1]
    assert nodes.leads_on.tolist() == pytest.approx([1 / 2, 1 / 3, 2 / 3, 0])
    assert nodes.abandoned.tolist() == [0.5, 0, 0, 0]


def test_whole_journeys_have_a_throughput_time_and_variants():
    found = measure_journeys(steps_of(histories(HAND), END, gap=GAP))
    assert (found.journeys, found.of_one_contact) == (5, 2)
    assert found.median == 4 * DAY, "of 4, 5 and 2 days"
    assert set(found.variants) == {
        (("claim", "answer", "claim"), 1),
        (("claim", "answer"), 1),
        (("call", "call"), 1),
        (("call",), 1),
        (("visit",), 1),
    }


def test_what_came_to_be_known_late_stands_where_it_happened():
    steps = steps_of(histories(HAND), at("2025-07-01"), gap=GAP)
    assert len(steps) == 10
    late = steps_of(
        histories("""
            customer_id  occurred_at  recorded_at  kind
            ana          2025-03-01   2025-03-01   call
            ana          2025-03-02   2025-03-20   visit
            ana          2025-03-03   2025-03-03   mail
        """),
        END,
        gap=GAP,
    )
    assert stretches(late).keys() == {("call", "visit"), ("visit", "mail")}


def test_the_lines_of_one_contact_are_one_contact():
    steps = steps_of(
        histories("""
            customer_id  occurred_at  kind      item
            ana          2025-03-01   visit     -
            ana          2025-03-02   purchase  milk
            ana          2025-03-02   purchase  tea
            ana          2025-03-03   call      -
        """),
        END,
        gap=GAP,
    )
    assert len(steps) == 3
    assert stretches(steps).keys() == {("visit", "purchase"), ("purchase", "call")}


def test_only_the_journeys_that_come_through_a_channel():
    steps = steps_of(
        histories("""
            customer_id  occurred_at  kind   channel  case_id
            ana          2025-03-01   claim  web      A
            ana          2025-03-02   call   phone    A
            ana          2025-03-03   visit  store    B
            bo           2025-03-01   visit  store    C
            bo           2025-03-02   call   phone    C
        """),
        END,
    )
    assert stretches(steps.of_journeys_with(steps.channels.index("store"))).keys() == {("visit", "call")}


def test_nothing_known_is_an_empty_graph():
    steps = steps_of(histories(HAND), at("2020-01-01"))
    assert len(steps) == 0
    assert stretches(steps) == {}
    assert measure_journeys(steps).journeys == 0


def random_log(seed, *, customers=25, contacts=600, cased=0.6):
    rng = np.random.default_rng(seed)
    who = rng.integers(0, customers, contacts)
    moments = at("2025-01-01") + rng.choice(90 * 86_400, contacts, replace=False) * 1_000_000
    case = [
        f"{c}-{n}" if rng.random() < cased else None
        for c, n in zip(who, rng.integers(0, 5, contacts), strict=True)
    ]
    return typed(
        {
            "customer_id": [f"c{c:03d}" for c in who],
            "occurred_at": moments.tolist(),
            "kind": [str(k) for k in rng.choice(["bill", "call", "claim", "repair", "visit"], contacts)],
            "channel": [str(k) for k in rng.choice(["phone", "web"], contacts)],
            "outcome": [[None, "done", "abandoned", "open"][k] for k in rng.integers(0, 4, contacts)],
            "case_id": case,
            "wait_minutes": rng.integers(0, 9_000, contacts).tolist(),
        }
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("gap_days", [0.2, 2.0])
def test_the_graph_equals_the_one_made_in_sql(seed, gap_days):
    log, gap = random_log(seed), int(gap_days * DAY)
    steps = steps_of(build_histories({"touchpoints": log}), at("2026-01-01"), gap=gap)
    theirs = {row[:2]: list(map(float, row[2:])) for row in ask(log, gap, STRETCHES)}
    ours = stretches(steps)
    assert ours.keys() == theirs.keys() and len(ours) == 25
    for pair, measured in theirs.items():
        assert ours[pair] == pytest.approx(measured, rel=1e-12), pair
    nodes = measure_nodes(steps)
    of_kinds = [
        (
            kind,
            *(int(getattr(nodes, name)[k]) for name in ("contacts", "customers", "begins")),
            nodes.abandoned[k],
        )
        for k, kind in enumerate(steps.kinds)
    ]
    assert of_kinds == [(*row[:4], pytest.approx(row[4])) for row in ask(log, gap, KINDS)]


@pytest.mark.parametrize("seed", range(3))
def test_journeys_equal_those_made_in_sql(seed):
    log, gap = random_log(seed), DAY
    found = measure_journeys(
        steps_of(build_histories({"touchpoints": log}), at("2026-01-01"), gap=gap), variants=10_000
    )
    theirs = ask(
        log,
        gap,
        """select string_agg(kind, '>' order by step), count(*) as n,
               epoch_us(max(occurred_at)) - epoch_us(min(occurred_at))
           from linked group by customer_id, matter""",
    )
    times = [lasted for _, n, lasted in theirs if n > 1]
    assert (found.journeys, found.of_one_contact) == (len(theirs), len(theirs) - len(times))
    assert (found.median, found.p90) == pytest.approx(np.quantile(times, (0.5, 0.9)))
    counts = {}
    for path, n, _ in theirs:
        if n <= 12:  # longer ones are cut when told
            counts[tuple(path.split(">"))] = counts.get(tuple(path.split(">")), 0) + 1
    assert {kinds: n for kinds, n in found.variants if kinds[-1] != "…"} == counts
