"""What each contact was on its customer's way, said slowly: lists, loops, no tables but the fitted ones."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.paths import Paths, pseudonym
from features.streams import NULL, Stream

DAY = 86_400_000_000
ENDS = {None: 0, "done": 1, "abandoned": 2, "failed": 3, "transferred": 4, "open": 5}


@dataclass
class Matter:
    """One journey as far as it is known."""

    rows: list[int]
    began: int
    with_kind: int
    last: int
    last_kind: int
    last_end: int
    waits: bool = False
    failures: int = 0
    failed_since: int = 0
    loose: bool = True


def walked(paths: Paths, stream: Stream, columns: dict[str, np.ndarray], names: list[str]) -> dict[str, list]:
    """Return the numbers of every row by name, as whole multiples, None where there is none."""
    found: dict[str, list] = {name: [None] * stream.n_rows for name in names}
    for low, high in zip(stream.offsets[:-1], stream.offsets[1:], strict=True):
        _customer(paths, stream, columns, names, found, range(int(low), int(high)))
    return found


def _customer(
    paths: Paths, stream: Stream, columns: dict[str, np.ndarray], names: list[str], found: dict, rows: range
) -> None:
    moment, known = stream.occurred_at.unpack().tolist(), stream.known_at().tolist()
    codes = {n: c.unpack().tolist() for n, c in stream.codes.items()}
    case = codes.get("case_id", [NULL] * stream.n_rows)
    told = {
        n: [stream.labels[n][i] if i != NULL else None for i in c] for n, c in codes.items() if n != "case_id"
    }
    agent, team = (told.get(n, [None] * stream.n_rows) for n in ("agent_id", "team"))
    parts = [stream.contacts[c] for c in stream.contact]
    kinds, ends = [paths.number(p[0]) for p in parts], [ENDS[p[3]] for p in parts]
    amount, below = columns["amount"].tolist(), columns["below_adequate"].tolist()
    said = [s if p == NULL else p for p, s in zip(columns["perceived"], columns["satisfaction"], strict=True)]
    matters: list[Matter] = []
    matter_of: dict[int, Matter] = {}
    latest_of_kind: dict[int, int] = {}
    newest_row: dict[int, int] = {}
    amounts: dict[int, list[int]] = {}
    agent_of: dict[int, tuple[str, int]] = {}
    team_of: dict[int, tuple[str, int]] = {}
    passed: dict[int, int] = {}

    def put(row: int, name: str, value: Any) -> None:
        if name in found:
            found[name][row] = value

    def thousandths(us: int) -> int:
        return us * 1000 // DAY

    def quality(column: str, who: list, row: int) -> int:
        people = paths.people[column]
        total, n = people.sums.get(pseudonym(who[row]), (0, 0))
        for other in rows:
            if known[other] < paths.fitted_before and who[other] == who[row] and said[other] != NULL:
                total, n = total - (int(said[other]) - int(paths.answer_mean[kinds[other]])), n - 1
        return round(10.0 * total / (n + people.prior)) if n > 0 else 0

    def stand(row: int) -> None:
        waiting, hurt = [m for m in matters if m.waits], [m for m in matters if m.failures]
        put(row, "open_matters", len(waiting))
        if hurt:
            put(row, "unrecovered_since", thousandths(min(m.failed_since for m in hurt)))
        if waiting:
            put(row, "open_since", thousandths(min(m.began for m in waiting)))
            put(
                row,
                "due",
                thousandths(min(m.last + int(paths.due[m.last_kind * 6 + m.last_end]) for m in waiting)),
            )
        for name in names:
            what, _, kind = name.partition("@")
            if not kind:
                continue
            number = paths.number(kind)
            mine = [m for m in waiting if m.with_kind == number]
            moments = {
                "opened": [m.began for m in mine],
                "overdue": [m.began + int(paths.matter_due[number]) for m in mine],
                "waiting": [m.last for m in waiting if m.last_kind == number],
                "passed": [passed[number]] if number in passed else [],
            }[what]
            if moments:
                put(row, name, thousandths(min(moments)))

    previous_contact = None
    for row in sorted(rows, key=lambda r: (known[r], r)):
        if stream.opens is not None and stream.opens[row] == 0 and previous_contact is not None:
            matter_of[row] = matter_of[previous_contact]
            stand(row)
            continue
        previous_contact = row
        kind, end, now = kinds[row], ends[row], moment[row]
        if case[row] != NULL:
            mine = [m for m in matters if not m.loose and case[m.rows[0]] == case[row]]
        else:
            mine = [m for m in matters if m.loose][-1:]
            mine = [m for m in mine if now - moment[m.rows[-1]] <= paths.gap]
        if mine:
            matter = mine[0]
            before = matter.rows[-1]
            matter.rows.append(row)
        else:
            if case[row] == NULL:
                for old in matters:
                    if old.loose:
                        old.waits, old.failures = False, 0
            matter = Matter([row], now, kind, now - 1, 0, 0, loose=case[row] == NULL)
            matters.append(matter)
            before = None
        matter_of[row] = matter
        put(row, "lead_on", round(1000.0 * float(paths.lead_on[kind * 6 + end])))
        put(
            row,
            "surprise",
            int(paths.surprise[len(paths.kinds) + 1 if before is None else kinds[before], kind]),
        )
        obstacles = 0
        if before is None:
            put(row, "transfer", int(end == 4))
        else:
            apart, usual = now - moment[before], int(paths.usual[kinds[before], kind])
            if apart >= 0:
                put(row, "step_days", thousandths(apart))
                if usual > 0:
                    slow = int(apart > paths.late[kinds[before], kind])
                    put(row, "step_ratio", round(1000.0 * math.log((apart + 3.6e9) / (usual + 3.6e9))))
                    put(row, "step_late", slow)
                    obstacles += slow
            matter.began = min(matter.began, now)
            hop = int(None not in (parts[row][1], parts[before][1]) and parts[row][1] != parts[before][1])
            moved = int(end == 4 or (None not in (team[row], team[before]) and team[row] != team[before]))
            seen = newest_row.get(kind)
            back = int(seen is not None and seen != before and matter_of[seen] is matter)
            for name, flag in (("hop", hop), ("transfer", moved), ("back", back)):
                put(row, name, flag)
                obstacles += flag
        put(row, "steps", len(matter.rows))
        again = latest_of_kind.get(kind)
        put(row, "repeat", int(again is not None and 0 <= now - again <= 7 * DAY))
        latest_of_kind[kind] = now if again is None else max(again, now)
        newest_row[kind] = row
        failed = end == 3 or below[row] > 0
        put(row, "failed", int(failed))
        if failed:
            obstacles += 1
            earlier = [r for r in matter.rows[:-1][-64:] if found["failed"][r] and kinds[r] == kind]
            put(row, "double", int(matter.failures > 0 and bool(earlier)))
            if not matter.failures:
                matter.failed_since = now
            matter.failures += 1
            put(row, "deviations", matter.failures)
        elif end == 1 and matter.failures:
            put(row, "recovered", 1)
            matter.failures = 0
        put(row, "friction", obstacles)
        if now >= matter.last:
            matter.last, matter.last_kind, matter.last_end = now, kind, end
            waited = matter.waits
            matter.waits = end == 5 or (case[row] != NULL and bool(paths.waits[kind * 6 + end]))
            limit = int(paths.matter_due[matter.with_kind])
            if waited and not matter.waits and limit >= 0 and now > matter.began + limit:
                passed[matter.with_kind] = max(passed.get(matter.with_kind, NULL), matter.began + limit)
        if amount[row] != NULL and amount[row] > 0:
            before_it = amounts.setdefault(kind, [])
            if len(before_it) >= 2:
                ratio = round(1000.0 * math.log(amount[row] / statistics.median(before_it[-5:])))
                put(row, "amount_ratio", ratio)
                if paths.surge[kind] >= 0:
                    put(row, "surge", ratio if ratio > paths.surge[kind] else 0)
            before_it.append(amount[row])
        if agent[row] is not None:
            if kind in agent_of:
                put(row, "agent_changed", int(agent_of[kind][0] != agent[row]))
            if kind not in agent_of or agent_of[kind][0] != agent[row]:
                agent_of[kind] = (agent[row], now)
            put(row, "conflict", int(failed or end == 4))
            put(row, "bond_since", thousandths(agent_of[kind][1]))
            put(row, "agent_quality", quality("agent_id", agent, row))
        if team[row] is not None:
            if kind in team_of:
                put(row, "team_changed", int(team_of[kind][0] != team[row]))
            if kind not in team_of or team_of[kind][0] != team[row]:
                team_of[kind] = (team[row], now)
            put(row, "team_since", thousandths(team_of[kind][1]))
            put(row, "team_quality", quality("team", team, row))
        stand(row)
