"""What to know of the data before training: what is there, what is missing, whether it is enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from features.clock import US_PER_DAY, local_date
from features.contract import CONTRACT, Tables
from features.errors import CorredorError
from features.histories import Histories
from training.config import Config
from training.ideas import Idea, dark_ideas
from training.labels import churn_labels, eligible
from training.leaks import find_leaks
from training.panel import panel_dates
from training.regularity import Regularity, regularity
from training.suspects import Suspect

MIN_CUSTOMERS = 100
MIN_OF_EACH = 30
"""Snapshots that must have left, and that must have stayed, over the dates that can be learnt from."""
MIN_DATES = 2
SPARSE = 0.5
"""A column with values in fewer rows than this share is said to be sparse."""


@dataclass(frozen=True)
class ColumnFacts:
    """A column of the contract and how much of it is there."""

    table: str
    column: str
    required: bool
    filled: float | None
    """Share of rows with a value; None when the column is missing."""


@dataclass(frozen=True)
class Learnable:
    """What there is to learn from."""

    customers: int = 0
    """With us at the newest date whose outcome is known."""
    dates: int = 0
    snapshots: int = 0
    churned: int = 0
    stayed: int = 0
    history_days: float = 0.0
    needed_days: int = 0


@dataclass(frozen=True)
class Preflight:
    """All that `corredor check` knows."""

    project: str
    first: str
    last: str
    customers: int
    touchpoints: int
    intake: Mapping[str, Mapping[str, Any]]
    columns: tuple[ColumnFacts, ...]
    dark: tuple[Idea, ...]
    regularity: Regularity
    learnable: Learnable
    suspects: tuple[Suspect, ...]
    """Undated columns that give the future away; left out of the model."""
    problems: tuple[str, ...]
    """Why it is not enough to learn from, with the fix; empty when it is."""
    warnings: tuple[str, ...]

    @property
    def enough(self) -> bool:
        """Whether a model can be trained."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain JSON."""
        stored = asdict(self)
        stored["enough"] = self.enough
        stored["dark"] = [{"idea": i.key, "text": i.words.en, "needs": list(i.needs)} for i in self.dark]
        return stored


def preflight(tables: Tables, histories: Histories, config: Config) -> Preflight:
    """Look at loaded tables and their histories, and judge whether they are enough to learn from."""
    zone = config.project.zone
    first, last = histories.span()
    columns = _columns(tables)
    filled = {f"{c.table}.{c.column}" for c in columns if c.filled}
    learnable, clock = Learnable(), Regularity()
    suspects: tuple[Suspect, ...] = ()
    try:
        clock = regularity(histories, config)
        learnable = _learnable(histories, config)
        problems = _not_enough(learnable, config)
        if not problems:
            suspects = tuple(find_leaks(histories, config, last + 1))
    except CorredorError as error:  # a kind or a table that is not there: nothing can be learnt
        problems = [str(error)]
    return Preflight(
        project=config.project.name,
        first=local_date(first, zone),
        last=local_date(last, zone),
        customers=histories.n_customers,
        touchpoints=histories.n_touchpoints,
        intake={name: asdict(intake) for name, intake in tables.intake.items()},
        columns=columns,
        dark=dark_ideas(filled),
        regularity=clock,
        learnable=learnable,
        suspects=suspects,
        problems=tuple(problems),
        warnings=tuple(_warnings(tables, columns, clock, config)),
    )


def _columns(tables: Tables) -> tuple[ColumnFacts, ...]:
    facts = []
    for name, contract in CONTRACT.items():
        filled: dict[str, float] = {}
        if name in tables.tables:
            table = tables[name]
            rows = max(table.num_rows, 1)
            filled = {c: 1.0 - table.column(c).null_count / rows for c in table.column_names}
        for column in contract.columns:
            facts.append(ColumnFacts(name, column.name, column.required, filled.pop(column.name, None)))
        facts += [ColumnFacts(name, attribute, False, share) for attribute, share in filled.items()]
    return tuple(facts)


def _learnable(histories: Histories, config: Config) -> Learnable:
    first, last = histories.span()
    churn = config.churn
    dates = panel_dates(histories, config, last + 1)
    customers = snapshots = churned = stayed = 0
    for as_of in dates.tolist():
        with_us = eligible(histories, config, as_of)
        labels = churn_labels(histories, config, as_of).value[with_us]
        customers = customers or int(with_us.sum())
        snapshots += len(labels)
        churned += int((labels == 1).sum())
        stayed += int((labels == 0).sum())
    needed = (
        churn.active_days + churn.gap_days + churn.horizon_days + (MIN_DATES - 1) * config.training.step_days
    )
    return Learnable(customers, len(dates), snapshots, churned, stayed, (last - first) / US_PER_DAY, needed)


def _not_enough(found: Learnable, config: Config) -> list[str]:
    churn = config.churn
    where = "relationships.ended_at" if churn.rule == "ended" else "touchpoints.occurred_at"
    if found.dates < MIN_DATES:
        return [
            f"{where}: the history is {found.history_days:.0f} days long, and {found.needed_days} are needed "
            f"(active_days {churn.active_days} + gap_days {churn.gap_days} + horizon_days "
            f"{churn.horizon_days}, "
            "and a step between two dates). Export a longer history, or shorten them in [churn]."
        ]
    if found.customers < MIN_CUSTOMERS:
        return [
            f"touchpoints.customer_id: {found.customers} customers are with us at the newest date whose "
            "outcome "
            f"is known, and {MIN_CUSTOMERS} are needed. Export more customers, or raise active_days in "
            "[churn]."
        ]
    for count, what, fix in (
        (found.churned, "left", "Lengthen the history, or shorten horizon_days in [churn]"),
        (found.stayed, "stayed", "Lengthen horizon_days in [churn], or check [churn] kinds"),
    ):
        if count < MIN_OF_EACH:
            return [
                f"{where}: {count} of {found.snapshots} snapshots {what}, and {MIN_OF_EACH} are needed. "
                f"{fix}."
            ]
    return []


def _warnings(
    tables: Tables, columns: tuple[ColumnFacts, ...], clock: Regularity, config: Config
) -> list[str]:
    lines = []
    for name, intake in tables.intake.items():
        if intake.quarantined:
            reasons = ", ".join(f"{count} {reason}" for reason, count in intake.reasons.items())
            lines.append(f"{name}: {intake.quarantined} of {intake.rows} rows were put aside ({reasons}).")
    for c in columns:
        if c.filled is not None and 0 < c.filled < SPARSE and c.table == "touchpoints":
            lines.append(f"{c.table}.{c.column}: only {100 * c.filled:.0f}% of the rows have a value.")
    horizon = config.churn.horizon_days
    soon = next((p for p in clock.curve if p.days >= horizon), None)
    if config.churn.rule == "inactivity" and soon and soon.returned > 0.9:
        lines.append(
            f"[churn] horizon_days = {horizon}: {100 * soon.returned:.0f}% of the silences of {soon.days} "
            "days "
            "still end in a return, so this is a lapse more than a farewell; the data suggest "
            f"{clock.horizon_days} or more."
        )
    return lines
