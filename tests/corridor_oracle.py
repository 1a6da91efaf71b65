"""The map of the corridor once more, slowly: SQL over the log for the graph, a loop for what became of it."""

from __future__ import annotations

from collections import Counter

import duckdb
import numpy as np
import pyarrow as pa

LINKED = """
with pauses as (
    select *, occurred_at - lag(occurred_at) over (partition by customer_id, case_id order by occurred_at)
               as pause
    from log
), matters as (
    select *, case when case_id is not null then 'case ' || case_id
        else 'loose ' || sum(case when pause > $gap then 1 else 0 end)
            over (partition by customer_id, case_id order by occurred_at) end as matter
    from pauses
), linked as (
    select *, lead(kind) over journey as next_kind, lead(channel) over journey as next_channel,
           lead(outcome) over journey as next_outcome,
           epoch_us(lead(occurred_at) over journey) - epoch_us(occurred_at) as elapsed,
           row_number() over journey as step
    from matters window journey as (partition by customer_id, matter order by occurred_at)
)
"""
STRETCHES = """
select a.kind, a.next_kind, count(*) as volume, count(distinct a.customer_id) as customers,
       quantile_cont(elapsed, 0.5) as median, quantile_cont(elapsed, 0.9) as p90,
       avg((exists(from linked b where b.customer_id = a.customer_id and b.matter = a.matter
                   and b.step <= a.step and b.kind = a.next_kind))::int) as turns_back,
       avg(coalesce(next_outcome = 'abandoned', false)::int) as abandoned
from linked a where next_kind is not null group by all order by all
"""
KINDS = """
select kind, count(*), count(distinct customer_id), count_if(step = 1),
       avg(coalesce(outcome = 'abandoned', false)::int) from linked group by 1 order by 1
"""


def ask(log: pa.Table, gap_us: int, query: str) -> list[tuple]:
    """Return the rows of a query over `linked`: each contact, with the next one of its journey."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.register("log", log)
        gap = f"{gap_us} microseconds"
        return connection.execute((LINKED + query).replace("$gap", f"interval '{gap}'")).fetchall()


def fates(
    log: pa.Table,
    gap_us: int,
    until_us: int,
    due_us: dict[str, int],
    limit_us: dict,
    *,
    of: str | None = None,
) -> Counter:
    """Return how many contacts were on time, late, blocked… by stretch, with targets that are all given.

    Args:
        log: touchpoints, all of them of cases, none tied, all with an outcome that says whether they go on.
        gap_us: of journeys without a case.
        until_us: what is not known before it is not in the log.
        due_us: kind -> deadline.
        limit_us: (kind, next kind) -> limit.
        of: a column of the contact by which they are counted apart, as the last part of the key.
    """
    rows = ask(
        log,
        gap_us,
        f"""select kind, next_kind, elapsed, outcome, epoch_us(occurred_at),
               first(kind) over (partition by customer_id, matter order by occurred_at),
               {of or "null"} from linked""",
    )
    onward: dict[tuple, Counter] = {}
    for kind, following, elapsed, _, _, first, _ in rows:
        if following is not None and (kind not in due_us or elapsed <= due_us[kind]):
            onward.setdefault((first, kind), Counter())[following] += 1
            onward.setdefault(kind, Counter())[following] += 1

    def usual(first: str, kind: str) -> str | None:
        seen = onward.get((first, kind)) or onward.get(kind)
        return min(seen, key=lambda k: (-seen[k], k)) if seen else None

    found: Counter = Counter()
    for kind, following, elapsed, outcome, entered, first, part in rows:
        last = () if of is None else (part,)
        next_one = usual(first, kind)
        awaited = outcome == "open" and kind in due_us and next_one is not None
        if awaited and (following is None or elapsed > due_us[kind]) and entered + due_us[kind] < until_us:
            found[(kind, next_one, "blocked", *last)] += 1
        elif following is not None:
            late = elapsed > limit_us.get((kind, following), np.inf)
            found[(kind, following, "late" if late else "on time", *last)] += 1
        elif awaited:
            patience = min(due_us[kind], limit_us.get((kind, next_one), np.inf))
            overdue = entered + patience < until_us
            found[(kind, next_one, "late" if overdue else "open", *last)] += 1
    return found
