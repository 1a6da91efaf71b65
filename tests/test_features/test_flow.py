"""What is late, what is blocked, what is in progress: by hand, and against a slow loop on random logs."""

from collections import Counter

import numpy as np
import pytest

from features.flow import BLOCKED, CENSORED, ENDED, LATE, ON_TIME, fit_targets, follow
from features.histories import build_histories
from features.periods import periods_of, trend
from features.settings import TouchpointKind
from features.stretches import steps_of
from tests.corridor_oracle import fates
from tests.literals import DAY, at, histories
from tests.test_features.test_stretches import random_log

END = at("2025-04-01")
NAMES = {ON_TIME: "on time", LATE: "late", BLOCKED: "blocked", ENDED: "ended", CENSORED: "open"}
CLAIMS = {"claim": TouchpointKind(deadline_days=7), "answer": TouchpointKind(promised_minutes=5 * 1440)}


def told(rows: str, kinds, until=END):
    """Return (kind, status, stretch, days until it was held up, first) of each contact."""
    steps = steps_of(histories(rows), until, gap=3 * DAY)
    flow = follow(steps, fit_targets(steps, kinds))
    n = len(steps.kinds)
    return [
        (
            steps.kinds[steps.kind[i]],
            NAMES[int(flow.status[i])],
            None if flow.stretch[i] < 0 else "-".join(steps.kinds[k] for k in divmod(flow.stretch[i], n)),
            None if not flow.held[i] else (flow.late_at[i] - steps.entered[i]) / DAY,
            bool(flow.first[i]),
        )
        for i in range(len(steps))
    ]


def test_a_claim_is_on_time_late_blocked_or_still_open():
    rows = """
        customer_id  occurred_at  kind    case_id  outcome
        ana          2025-01-01   claim   A        open
        ana          2025-01-04   answer  A        done
        bo           2025-01-01   claim   B        open
        bo           2025-01-07   answer  B        done
        cy           2025-01-01   claim   C        open
        cy           2025-02-01   answer  C        done
        di           2025-01-01   claim   D        open
        ed           2025-03-28   claim   E        open
        fi           2025-03-26   claim   F        open
    """
    found = [row for row in told(rows, CLAIMS) if row[0] == "claim"]
    assert found == [
        ("claim", "on time", "claim-answer", None, False),
        ("claim", "late", "claim-answer", 5.0, True),
        ("claim", "blocked", "claim-answer", 7.0, True),
        ("claim", "blocked", "claim-answer", 7.0, True),
        ("claim", "open", "claim-answer", None, False),
        ("claim", "late", "claim-answer", 5.0, True),
    ]


def test_what_is_blocked_counts_where_it_was_to_go_whatever_followed_in_the_end():
    rows = """
        customer_id  occurred_at  kind    case_id  outcome
        ana          2025-01-01   claim   A        open
        ana          2025-01-04   answer  A        done
        bo           2025-01-01   claim   B        open
        bo           2025-01-20   call    B        transferred
        bo           2025-02-20   answer  B        done
    """
    assert told(rows, CLAIMS)[2:4] == [
        ("claim", "blocked", "claim-answer", 7.0, True),
        ("call", "late", "call-answer", 5.0, False),
    ], "the journey is held up first at the claim"


def test_a_matter_that_is_done_or_abandoned_or_mostly_ends_there_is_not_blocked():
    rows = """
        customer_id  occurred_at  kind    case_id  outcome
        ana          2025-01-01   claim   A        done
        bo           2025-01-01   claim   B        abandoned
        cy           2025-01-01   claim   C        -
        di           2025-01-01   claim   D        -
        ed           2025-01-01   claim   E        -
        ed           2025-01-02   answer  E        done
    """
    statuses = [status for _, status, *_ in told(rows, CLAIMS)]
    assert statuses == ["ended", "ended", "ended", "ended", "on time", "ended"]


def test_without_a_case_a_silence_is_an_end_unless_the_configuration_gives_a_deadline():
    rows = """
        customer_id  occurred_at  kind    outcome
        ana          2025-01-01   claim   open
        bo           2025-01-01   claim   open
        bo           2025-01-02   answer  done
    """
    assert [s for _, s, *_ in told(rows, {})] == ["ended", "on time", "ended"]
    assert [s for _, s, *_ in told(rows, CLAIMS)] == ["blocked", "on time", "ended"]


def test_a_wait_that_contacts_tell_is_what_counts_and_is_known_when_it_is_over():
    rows = """
        customer_id  occurred_at  kind  case_id  outcome  wait_minutes
        ana          2025-01-01   bill  A        done     -
        ana          2025-01-20   call  A        done     4
        bo           2025-01-01   bill  B        done     -
        bo           2025-01-02   call  B        done     11
        cy           2025-01-01   bill  C        done     -
        cy           2025-01-20   call  C        done     -
    """
    found = told(rows, {"call": TouchpointKind(promised_minutes=10)})
    assert [row[1:4] for row in found if row[0] == "bill"] == [
        ("on time", "bill-call", None),
        ("late", "bill-call", 1.0),
        ("on time", "bill-call", None),
    ]


def test_a_stretch_without_a_target_is_held_to_its_usual_in_the_better_half_of_the_log():
    rows = ["customer_id  occurred_at  kind  case_id"]
    for n in range(80):
        day, lasts = n * 2, 1 if n < 46 else 9
        for kind, moment in (("order", day), ("delivery", day + lasts)):
            rows.append(f"c{n:02d}  {np.datetime64('2025-01-01') + moment}  {kind}  {n}")
    steps = steps_of(histories("\n".join(rows)), at("2025-07-01"))
    targets = fit_targets(steps, {})
    stretch = steps.kinds.index("order") * 2 + steps.kinds.index("delivery")
    assert targets.limit[stretch] == DAY
    assert not targets.promised[stretch]
    flow = follow(steps, targets)
    assert flow.held[steps.kind == steps.kinds.index("order")].tolist() == [False] * 46 + [True] * 34


@pytest.mark.parametrize("seed", range(8))
def test_what_became_of_each_contact_equals_a_slow_loop(seed):
    log = random_log(seed, cased=1.0).drop_columns("wait_minutes")
    log = log.filter(np.isin(log["outcome"].to_pylist(), ["open", "done"]))
    until = at("2025-04-01")
    due = {"claim": 7, "repair": 3, "call": 12}
    promised = {"call": 2, "visit": 5, "repair": 20}
    kinds = {
        k: TouchpointKind(
            deadline_days=due.get(k), promised_minutes=promised[k] * 1440 if k in promised else None
        )
        for k in due.keys() | promised.keys()
    }
    steps = steps_of(build_histories({"touchpoints": log}), until)
    targets = fit_targets(steps, kinds)
    flow, n = follow(steps, targets), len(steps.kinds)
    pairs = [(a, b) for a in steps.kinds for b in steps.kinds]
    limit = {p: int(targets.limit[s]) for s, p in enumerate(pairs) if targets.limit[s] > 0}
    deadline = {k: int(targets.deadline[s]) for s, k in enumerate(steps.kinds) if targets.deadline[s] > 0}
    for before, after in pairs:  # what the configuration gives is what counts
        given = promised.get(after) or due.get(before)
        if given:
            assert limit[before, after] == given * DAY
    theirs = fates(log, steps.gap, until, deadline, limit)
    ours = Counter(
        (steps.kinds[s // n], steps.kinds[s % n], NAMES[int(status)])
        for s, status in zip(flow.stretch.tolist(), flow.status.tolist(), strict=True)
        if s >= 0
    )
    assert ours == theirs
    assert {name for *_, name in ours} == {"on time", "late", "blocked", "open"}


def test_each_journey_is_held_up_first_in_one_place():
    log = random_log(3, cased=0.8)
    steps = steps_of(build_histories({"touchpoints": log}), at("2025-05-01"))
    flow = follow(steps, fit_targets(steps, {"claim": TouchpointKind(deadline_days=4)}))
    held = steps.journey[flow.held]
    assert sorted(steps.journey[flow.first].tolist()) == sorted(set(held.tolist()))
    for journey in set(held.tolist()):
        rows = np.flatnonzero(flow.held & (steps.journey == journey))
        assert (
            flow.late_at[rows].min()
            == flow.late_at[np.flatnonzero(flow.first & (steps.journey == journey))[0]]
        )


def test_what_is_in_progress_is_arrivals_times_mean_time():
    """Two matters a day, each of three days, are six at a time (Little's law)."""
    rows = ["customer_id  occurred_at  kind  case_id"]
    for n in range(2 * 84):
        start = np.datetime64("2025-01-01T00:00") + np.timedelta64(12 * n, "h")
        rows += [f"c{n}  {start}  open  {n}", f"c{n}  {start + np.timedelta64(3, 'D')}  close  {n}"]
    until = at("2025-03-26")
    steps = steps_of(histories("\n".join(rows)), until)
    targets = fit_targets(steps, {"close": TouchpointKind(promised_minutes=2 * 1440)})
    flow = follow(steps, targets)
    stretch = steps.kinds.index("open") * 2 + steps.kinds.index("close")
    found = periods_of(steps, flow, targets, np.array([stretch]))
    assert np.diff(found.starts).tolist() == [14 * DAY] * 5
    assert found.starts[-1] == until - 14 * DAY
    assert found.arrivals[0].tolist() == [28] * 6
    assert found.in_progress[0] == pytest.approx([6.0] * 6)
    assert found.held[0].tolist() == [1.0] * 6
    assert found.told[0].tolist() == [28] * 5 + [22], "of the last three days nothing is certain yet"
    assert found.median[0].tolist() == [3 * DAY] * 6
    assert np.isnan(trend(found)[0]), "too few periods to compare"
    assert trend(found, recent=3)[0] == pytest.approx(1.0)
