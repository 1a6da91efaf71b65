"""The compiled walk along each customer's way: what it writes beside each contact."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from features.contract import OUTCOMES
from features.journeys import US_PER_DAY
from features.streams import NULL

STATES = len(OUTCOMES) + 1
"""How a contact can have ended, not telling included."""
_DONE, _, _FAILED, _TRANSFERRED, _OPEN = range(1, STATES)
REPEAT_DAYS = 7
"""The same kind of contact again within so many days is a repeat."""
USUAL_OF = 5
"""What is usual for the customer is the median of so many amounts of a kind: one surge does not raise it."""
STEPS = {
    "step_days": 1_000,
    "step_ratio": 1_000,
    "step_late": 1,
    "surprise": 1_000,
    "repeat": 1,
    "back": 1,
    "hop": 1,
    "transfer": 1,
    "friction": 1,
    "steps": 1,
    "failed": 1,
    "recovered": 1,
    "deviations": 1,
    "double": 1,
    "unrecovered_since": 1_000,
    "open_matters": 1,
    "open_since": 1_000,
    "due": 1_000,
    "amount_ratio": 1_000,
    "surge": 1_000,
    "agent_changed": 1,
    "conflict": 1,
    "bond_since": 1_000,
    "team_changed": 1,
    "team_since": 1_000,
    "agent_quality": 1_000,
    "team_quality": 1_000,
    "lead_on": 1_000,
}
"""What is said of a row, and the whole multiples it is counted in; `…_since` and `due`: days since 1970."""
(
    STEP_DAYS, STEP_RATIO, STEP_LATE, SURPRISE, REPEAT, BACK, HOP, TRANSFER, FRICTION, LENGTH, FAILED,
    RECOVERED, DEVIATIONS, DOUBLE, UNRECOVERED_SINCE, OPEN_MATTERS, OPEN_SINCE, DUE, AMOUNT_RATIO, SURGE,
    AGENT_CHANGED, CONFLICT, BOND_SINCE, TEAM_CHANGED, TEAM_SINCE, AGENT_QUALITY, TEAM_QUALITY, LEAD_ON,
) = range(len(STEPS))  # fmt: skip
N_STEPS = len(STEPS)
BY_KIND = ("opened", "waiting", "overdue", "passed")
"""Moments by kind, such as `opened@claim`, in days since 1970: since when a matter is open that the kind
began, or waits after the kind; when the time of a matter that it began, and is open, is up; when it was up
for the last one that was closed too late."""
DAY_SCALE = 1_000
MOST_BACK = 64
"""How many contacts back a journey is searched for an earlier failure of the same kind."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _quality(sums: Any, prior: float, person: int, own: Any) -> int:
    """Return the shrunk mean impression that a person left on other customers, in thousandths of a point."""
    n = sums[1, person] - own[1, person]
    if n <= 0:
        return 0
    return int(np.rint(10.0 * (sums[0, person] - own[0, person]) / (n + prior)))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _days(moment: int) -> int:
    """Return a moment as thousandths of days since 1970."""
    return int(moment * DAY_SCALE // US_PER_DAY)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _serve(
    found: Any, changed: int, since: int, who: int, now: int, kind: int, of_kind: Any, bond: Any
) -> None:
    """Write whether others served than at the contact of the kind before it, and since when these do."""
    if of_kind[kind] != NULL:
        found[changed] = 0 if of_kind[kind] == who else 1
    if of_kind[kind] != who:
        bond[kind] = now
    of_kind[kind] = who
    found[since] = _days(bond[kind])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _median(some: Any, n: int, ordered: Any) -> float:
    """Return the median of the first n of a few numbers; `ordered` is room to sort them in."""
    if n == 5:  # of all that are kept: without a branch that nobody can foretell
        low = max(min(some[0], some[1]), min(some[2], some[3]))
        high = min(max(some[0], some[1]), max(some[2], some[3]))
        return float(max(min(low, high), min(max(low, high), some[4])))
    for i in range(n):
        k = i
        while k > 0 and ordered[k - 1] > some[i]:
            ordered[k] = ordered[k - 1]
            k -= 1
        ordered[k] = some[i]
    return float(ordered[(n - 1) // 2] + ordered[n // 2]) / 2.0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _drop(some: Any, place: Any, n: int, journey: int) -> int:
    """Take a journey out of the first n of a list, if it is there; return how many are left."""
    k = place[journey]
    if k < 0:
        return n
    some[k] = some[n - 1]
    place[some[k]], place[journey] = k, -1
    return n - 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _hold(some: Any, place: Any, n: int, journey: int) -> int:
    """Put a journey behind the first n of a list; return how many there are then."""
    some[n], place[journey] = journey, n
    return n + 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _state(
    found: Any, out: Any, by_kind: Any, row: int, waiting: Any, n_waiting: int, hurt: Any, n_hurt: int,
    started: Any, begun_with: Any, ended: Any, end_state: Any, failed_at: Any, due: Any, passed: Any,
    matter_due: Any,
) -> None:  # fmt: skip
    """Write how things stand after a row: matters that are open, failures not made up for."""
    found[OPEN_MATTERS] = n_waiting
    if n_hurt:
        since = failed_at[hurt[0]]
        for k in range(1, n_hurt):
            since = min(since, failed_at[hurt[k]])
        found[UNRECOVERED_SINCE] = _days(since)
    if n_waiting:
        since, soonest = started[waiting[0]], NULL
        for k in range(n_waiting):
            j = waiting[k]
            since = min(since, started[j])
            at = ended[j] + due[end_state[j]]
            soonest = at if soonest == NULL else min(soonest, at)
        found[OPEN_SINCE] = _days(since)
        found[DUE] = _days(soonest)
    for b in range(by_kind.shape[0]):
        what, kind, oldest = by_kind[b, 0], by_kind[b, 1], NULL
        if what == 3:
            oldest = passed[kind]
        else:
            for k in range(n_waiting):
                j = waiting[k]
                at = NULL
                if what == 1:
                    if end_state[j] // STATES == kind:
                        at = ended[j]
                elif begun_with[j] == kind:
                    at = started[j] + (0 if what == 0 else matter_due[kind])
                if at != NULL:
                    oldest = at if oldest == NULL else min(oldest, at)
        if oldest != NULL:
            out[by_kind[b, 2], row] = _days(oldest)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def last_rows(offsets: Any, moment: Any, known: Any, dates: Any) -> Any:
    """Return which rows are a customer's last one known before some date: int8[rows]."""
    last = np.zeros(moment.size, np.int8)
    for c in range(offsets.size - 1):
        for d in range(dates.size):
            i = offsets[c] + np.searchsorted(moment[offsets[c] : offsets[c + 1]], dates[d]) - 1
            while i >= offsets[c] and known.size and known[i] >= dates[d]:
                i -= 1
            if i >= offsets[c]:
                last[i] = 1
    return last


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def walk_path(
    offsets: Any, moment: Any, order: Any, previous: Any, journey: Any, contacts: Any, contact: Any,
    opens: Any, case: Any, agent: Any, team: Any, amount: Any, below: Any, impression: Any, early: Any,
    lead_on: Any, waits: Any, due: Any, matter_due: Any, usual: Any, late: Any, surprise: Any, surge: Any,
    answer_mean: Any, agent_sums: Any, agent_prior: float, team_sums: Any, team_prior: float,
    needed: Any, wanted: Any, by_kind: Any, out: Any,
) -> None:  # fmt: skip
    """Write what each row was; see `STEPS` for the names and `Paths` for the tables.

    How things stand after a row is written only where it is `needed` (empty: everywhere). Of the numbers of
    a row those are written that are `wanted`, int64[2, n]: which of `STEPS`, and its row of `out`.
    """
    U = np.uint64  # no look is needed whether such a place counts from the end
    n_kinds = surge.size
    found = np.empty(N_STEPS, np.int64)
    with_amounts = False
    for name in wanted[0]:
        with_amounts |= name == AMOUNT_RATIO or name == SURGE
    longest = 0
    for c in range(offsets.size - 1):
        longest = max(longest, offsets[c + 1] - offsets[c])
    # of each journey: when and with what it began, its last contact, whether it waits, failures not made up
    started = np.zeros(longest, np.int64)
    begun_with = np.zeros(longest, np.int64)
    ended = np.zeros(longest, np.int64)
    end_state = np.zeros(longest, np.int64)
    length = np.zeros(longest, np.int64)
    pending = np.zeros(longest, np.int64)
    failed_at = np.zeros(longest, np.int64)
    waiting = np.zeros(longest, np.int64)
    hurt = np.zeros(longest, np.int64)
    waits_at = np.zeros(longest, np.int64)  # where it is among those that wait; -1: it does not
    hurt_at = np.zeros(longest, np.int64)
    failed_row = np.zeros(moment.size, np.int8)
    # of each kind: its last contact, its usual amount, who served it, and since when
    last_of_kind = np.full(n_kinds, NULL)
    row_of_kind = np.full(n_kinds, -1)
    amounts = np.zeros((n_kinds, USUAL_OF), np.int64)
    n_amounts = np.zeros(n_kinds, np.int64)
    ordered = np.zeros(USUAL_OF, np.int64)
    passed = np.full(n_kinds, NULL)
    agent_of_kind = np.full(n_kinds, NULL)
    bond = np.full(n_kinds, NULL)
    team_of_kind = np.full(n_kinds, NULL)
    team_bond = np.full(n_kinds, NULL)
    own = np.zeros((2, agent_sums.shape[1]), np.int64)
    own_team = np.zeros((2, team_sums.shape[1]), np.int64)
    for c in range(offsets.size - 1):
        low, high = offsets[c], offsets[c + 1]
        n_waiting, n_hurt, loose = 0, 0, -1
        last_of_kind[:], row_of_kind[:] = NULL, -1
        agent_of_kind[:], bond[:], team_of_kind[:], team_bond[:] = NULL, NULL, NULL, NULL
        n_amounts[:], passed[:] = 0, NULL
        for i in range(low, high if impression.size else low):
            if impression[i] != NULL and early[i]:
                said = impression[i] - answer_mean[contacts[0, contact[i]]]
                if agent.size and agent[i] != NULL:
                    own[0, agent[i]] += said
                    own[1, agent[i]] += 1
                if team.size and team[i] != NULL:
                    own_team[0, team[i]] += said
                    own_team[1, team[i]] += 1
        for i in range(low, high):
            row = U(order[i])
            j = journey[row]
            matter = U(j)
            stands = needed.size == 0 or needed[row]
            found[:] = NULL
            if opens.size == 0 or opens[row] != 0:  # a further line of a contact changes nothing
                whom = U(contact[row])
                kind, how, channel = contacts[0, whom], contacts[1, whom], contacts[2, whom]
                now, before = moment[row], previous[row]
                of_kind, was_at = U(kind), U(before)
                friction = 0
                # the step from the contact before it in the journey
                came_from = n_kinds if before < 0 else contacts[0, U(contact[was_at])]
                found[SURPRISE] = surprise[U(came_from), of_kind]
                found[LEAD_ON] = lead_on[U(kind * STATES + how)]
                if before < 0:
                    started[matter], begun_with[matter], length[matter], pending[matter] = now, kind, 0, 0
                    waits_at[matter] = hurt_at[matter] = -1
                    ended[matter] = now - 1
                    found[TRANSFER] = 1 if how == _TRANSFERRED else 0
                    if case.size == 0 or case[row] == NULL:
                        if loose >= 0:  # the matter before it went no further
                            n_waiting = _drop(waiting, waits_at, n_waiting, loose)
                            n_hurt = _drop(hurt, hurt_at, n_hurt, loose)
                        loose = j
                else:
                    apart = now - moment[was_at]
                    if apart >= 0:
                        found[STEP_DAYS] = _days(apart)
                        middle = usual[U(came_from), of_kind]
                        if middle > 0:
                            ratio = np.log((apart + 3.6e9) / (middle + 3.6e9))  # an hour keeps it finite
                            found[STEP_RATIO] = int(np.rint(1000.0 * ratio))
                            slow = 1 if apart > late[U(came_from), of_kind] else 0
                            found[STEP_LATE] = slow
                            friction += slow
                    started[matter] = min(started[matter], now)
                    was = contacts[2, U(contact[was_at])]
                    hop = 1 if channel >= 0 and was >= 0 and channel != was else 0
                    found[HOP] = hop
                    handed = how == _TRANSFERRED
                    if team.size and team[row] != NULL and team[was_at] != NULL and team[row] != team[was_at]:
                        handed = True
                    found[TRANSFER] = 1 if handed else 0
                    # the same matter has seen this kind before, and something else in between
                    seen = row_of_kind[of_kind]
                    back = 1 if seen >= 0 and seen != before and journey[U(seen)] == j else 0
                    found[BACK] = back
                    friction += back + hop + (1 if handed else 0)
                length[matter] += 1
                found[LENGTH] = length[matter]
                again = last_of_kind[of_kind]
                repeat = 1 if again != NULL and 0 <= now - again <= REPEAT_DAYS * US_PER_DAY else 0
                found[REPEAT] = repeat
                last_of_kind[of_kind] = now if again == NULL else max(again, now)
                row_of_kind[of_kind] = row
                # failures, and what made up for them
                failed = how == _FAILED or below[row] > 0
                found[FAILED] = 1 if failed else 0
                if failed:
                    failed_row[row] = 1
                    friction += 1
                    second, b, far = 0, before, 0
                    while b >= 0 and far < MOST_BACK and pending[matter] > 0:
                        if failed_row[b] and contacts[0, contact[b]] == kind:
                            second = 1
                            break
                        b = previous[b]
                        far += 1
                    found[DOUBLE] = second
                    if pending[matter] == 0:
                        failed_at[matter] = now
                        n_hurt = _hold(hurt, hurt_at, n_hurt, j)
                    pending[matter] += 1
                    found[DEVIATIONS] = pending[matter]
                elif how == _DONE and pending[matter] > 0:
                    found[RECOVERED] = 1
                    pending[matter] = 0
                    n_hurt = _drop(hurt, hurt_at, n_hurt, j)
                found[FRICTION] = friction
                # whether the matter waits for what comes next; a late record does not end a later one
                if now >= ended[matter]:
                    ended[matter], end_state[matter] = now, kind * STATES + how
                    left = _drop(waiting, waits_at, n_waiting, j)
                    if how == _OPEN or (case.size and case[row] != NULL and waits[U(end_state[matter])]):
                        left = _hold(waiting, waits_at, left, j)
                    elif left < n_waiting:
                        first = begun_with[matter]
                        if matter_due[first] >= 0 and now > started[matter] + matter_due[first]:
                            passed[first] = max(passed[first], started[matter] + matter_due[first])
                    n_waiting = left
                # amounts against the customer's own
                if with_amounts and amount[row] != NULL and amount[row] > 0:
                    n = min(n_amounts[of_kind], USUAL_OF)
                    if n >= 2:
                        middle = _median(amounts[of_kind], n, ordered)
                        ratio = int(np.rint(1000.0 * np.log(amount[row] / middle)))
                        found[AMOUNT_RATIO] = ratio
                        if surge[of_kind] >= 0:
                            found[SURGE] = ratio if ratio > surge[of_kind] else 0
                    amounts[of_kind, n_amounts[of_kind] % USUAL_OF] = amount[row]
                    n_amounts[of_kind] += 1
                # who served
                if agent.size and agent[row] != NULL:
                    _serve(found, AGENT_CHANGED, BOND_SINCE, agent[row], now, kind, agent_of_kind, bond)
                    found[CONFLICT] = 1 if failed or how == _TRANSFERRED else 0
                    found[AGENT_QUALITY] = _quality(agent_sums, agent_prior, agent[row], own)
                if team.size and team[row] != NULL:
                    _serve(found, TEAM_CHANGED, TEAM_SINCE, team[row], now, kind, team_of_kind, team_bond)
                    found[TEAM_QUALITY] = _quality(team_sums, team_prior, team[row], own_team)
            if stands:
                _state(found, out, by_kind, row, waiting, n_waiting, hurt, n_hurt, started, begun_with,
                       ended, end_state, failed_at, due, passed, matter_due)  # fmt: skip
            for w in range(wanted.shape[1]):
                out[U(wanted[1, U(w)]), row] = found[U(wanted[0, U(w)])]
        for i in range(low, high if impression.size else low):
            if agent.size and agent[i] != NULL:
                own[0, agent[i]] = own[1, agent[i]] = 0
            if team.size and team[i] != NULL:
                own_team[0, team[i]] = own_team[1, team[i]] = 0
