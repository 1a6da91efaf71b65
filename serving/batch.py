"""The at-risk list: who to call first, how much is at stake, and the moments of truth behind it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from features.clock import US_PER_DAY, local_date
from features.durable import write_atomically
from features.errors import CorredorError
from features.histories import Histories
from features.profile import LIFECYCLE
from serving import standing as standings_told
from serving.two_way import principal_today
from training.bundle import CHURN, PRINCIPALITY, Bundle
from training.config import Config
from training.drift import TwoWay, ends_of, forecast
from training.labels import eligible
from training.scoring import BANDS, BOTH_QUESTIONS, Scores, score, standings
from training.telling import tell_reasons
from training.worth import WorthSource, worth_per_year

Order = Literal["value", "risk"]
REASONS = 3
CHUNK = 4096
RISK_BINS = 40
MOST_NAMED = 200
"""Hostages whose commitment ends who are named in the summary; the file has all of them."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
GONE = "left"
_SPECIAL = re.compile(r'[",\r\n]')

BASIC = pa.schema(
    [
        ("rank", pa.int64()),
        ("customer_id", pa.string()),
        ("churn_probability", pa.float64()),
        ("risk", pa.string()),
        ("principality_probability", pa.float64()),
        ("value", pa.float64()),
        ("value_at_risk", pa.float64()),
        ("value_source", pa.string()),
        ("lifecycle_stage", pa.string()),
        *standings_told.FIELDS,
        *(
            (f"{name}_{k}", pa.float64() if name == "risk_without" else pa.string())
            for k in range(1, REASONS + 1)
            for name in ("moment", "reason", "risk_without")
        ),
        ("as_of", pa.string()),
        ("model_version", pa.string()),
    ]
)
"""The columns of every list, one row per customer."""
PRINCIPAL_COLUMNS = (
    ("principal_today", pa.string()),
    ("likely", pa.string()),
    ("drift_probability", pa.float64()),
    *(
        (f"principality_{name}_{k}", pa.float64() if name == "without" else pa.string())
        for k in range(1, REASONS + 1)
        for name in ("moment", "reason", "without")
    ),
)
"""What more is told where principality is asked: the state today, the likeliest way from it, the
probability of silent drift, and what speaks against being the main provider."""


@dataclass(frozen=True)
class AtRiskList:
    """The customers of a list in order of rank, and what is said of them together.

    The rows themselves are made chunk by chunk, by `batches`.
    """

    bundle: Bundle
    histories: Histories
    config: Config
    as_of_us: int
    customers: npt.NDArray[np.int64]
    """Positions in the histories, the first to call first."""
    churn_probability: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]
    active: npt.NDArray[np.bool_]
    quarter_before: npt.NDArray[np.int8]
    """Each one's quarter a step of the panel earlier, -1 for who was not with us then."""
    value_source: WorthSource
    summary: dict[str, Any]
    """Of all customers with us at `as_of`, listed or not: how many, how many will leave, worth at stake."""
    principal_today: npt.NDArray[np.int8] | None = None
    """1, 0 or -1 (not known) for each row; None where principality is not asked."""

    @property
    def schema(self) -> pa.Schema:
        """The columns of the list."""
        if self.principal_today is None:
            return BASIC
        fields = [pa.field(name, kind) for name, kind in PRINCIPAL_COLUMNS]
        place = BASIC.get_field_index("as_of")
        return pa.schema([*list(BASIC)[:place], *fields, *list(BASIC)[place:]])

    def __len__(self) -> int:
        return len(self.customers)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, with the moments behind each, in order of rank."""
        for low in range(0, len(self), CHUNK):
            yield self._batch(low, min(low + CHUNK, len(self)))

    def table(self, rows: int | None = None) -> pa.Table:
        """Return the first rows (all by default) as a table."""
        n = len(self) if rows is None else min(rows, len(self))
        parts = [self._batch(low, min(low + CHUNK, n)) for low in range(0, n, CHUNK)]
        return pa.Table.from_batches(parts, self.schema)

    def _batch(self, low: int, high: int) -> pa.RecordBatch:
        chosen, active = self.customers[low:high], self.active[low:high]
        explain = BOTH_QUESTIONS if self.principal_today is not None else {CHURN: BOTH_QUESTIONS[CHURN]}
        scores = score(self.bundle, self.histories, self.as_of_us, chosen, reasons=REASONS, explain=explain)
        told = [tell_reasons(self.bundle, scores, element) for element in range(high - low)]
        language = self.config.project.language
        n = high - low
        value = self.value[low:high]
        columns: dict[str, Any] = {
            **standings_told.columns(
                scores.standing,
                self.quarter_before[low:high],
                active,
                self.as_of_us,
                self.config.project.zone,
            ),
            "rank": np.arange(low + 1, high + 1),
            "customer_id": self.histories.customer_ids.take(pa.array(chosen)),
            "churn_probability": scores.churn_probability,
            "risk": [BANDS[b] for b in scores.band],
            "principality_probability": scores.principality_probability,
            "value": np.round(value, 2),
            "value_at_risk": np.round(value * scores.churn_probability, 2),
            "value_source": [self.value_source] * n,
            "lifecycle_stage": np.where(active, lifecycle_stages(self.bundle, scores.X), GONE),
            "as_of": [local_date(self.as_of_us, self.config.project.zone)] * n,
            "model_version": [self.bundle.version] * n,
        }
        for k in range(REASONS):
            of_rank = [t[k] if k < len(t) else None for t in told]
            columns[f"moment_{k + 1}"] = [r and getattr(r.label, language) for r in of_rank]
            columns[f"reason_{k + 1}"] = [r and getattr(r.sentence, language) for r in of_rank]
            columns[f"risk_without_{k + 1}"] = [r and r.risk_without for r in of_rank]
        if self.principal_today is not None:
            columns |= self._principality(scores, self.principal_today[low:high])
        arrays = []
        for field in self.schema:
            column = columns[field.name]
            arrays.append(
                pa.nulls(n, field.type) if column is None else pa.array(column, field.type, from_pandas=True)
            )
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _principality(self, scores: Scores, today: npt.NDArray[np.int8]) -> dict[str, Any]:
        """Return the columns of the two-way picture, with what speaks against being the main provider."""
        language = self.config.project.language
        ends = ends_of(scores.churn_probability, scores.probability(PRINCIPALITY))
        picture = TwoWay(today, ends)
        against = [
            [r for r in tell_reasons(self.bundle, scores, element, PRINCIPALITY) if r.contribution < 0]
            for element in range(len(scores))
        ]
        columns: dict[str, Any] = {
            "principal_today": [{1: "yes", 0: "no"}.get(state) for state in today.tolist()],
            "likely": picture.way,
            "drift_probability": picture.drift,
        }
        for k in range(REASONS):
            of_rank = [t[k] if k < len(t) else None for t in against]
            columns[f"principality_moment_{k + 1}"] = [r and getattr(r.label, language) for r in of_rank]
            columns[f"principality_reason_{k + 1}"] = [r and getattr(r.sentence, language) for r in of_rank]
            columns[f"principality_without_{k + 1}"] = [r and r.risk_without for r in of_rank]
        return columns


def at_risk_list(
    bundle: Bundle,
    histories: Histories,
    config: Config,
    as_of_us: int,
    *,
    everyone: bool = False,
    top: int | None = None,
    order: Order = "value",
) -> AtRiskList:
    """Score the customers and return those to call, the most at stake first.

    Args:
        bundle: the model.
        histories: what is known; nothing known at or after `as_of_us` is looked at.
        config: the workspace's configuration: worth, language, time zone.
        as_of_us: the moment of the list, µs UTC.
        everyone: list every customer known by then, also those at low risk and, at the end, those
            who have already left; otherwise those with us whose risk is elevated or high.
        top: at most so many rows.
        order: `value` for value at risk (by risk where no worth is known), `risk` for probability.

    Raises:
        CorredorError: nothing was known by then.
    """
    known = _known(histories, as_of_us)
    if not known.any():
        raise CorredorError(
            f"nothing is known of any customer before {local_date(as_of_us, config.project.zone)}. "
            f"The touchpoints run from {_span(histories, config)}: choose a later --as-of."
        )
    positions = np.flatnonzero(known)
    scores = score(bundle, histories, as_of_us, positions)
    active = eligible(histories, config, as_of_us)[positions]
    worth, source = worth_per_year(histories, config, as_of_us)
    value = worth[positions]
    probability = scores.churn_probability
    stake = probability * value
    by = probability if order == "risk" or source == "none" else np.nan_to_num(stake, nan=-1.0)
    listed = np.ones(len(positions), bool) if everyone else active & (scores.band > 0)
    ids = np.asarray(histories.customer_ids.take(pa.array(positions)).to_pylist(), object)
    ranked = [i for i in np.lexsort((np.arange(len(ids)), -probability, -by, ~active)) if listed[i]]
    chosen = np.asarray(ranked[:top], np.int64)
    before = quarters_before(bundle, histories, config, as_of_us, positions)
    window = config.churn.gap_days + config.churn.horizon_days
    freed = standings_told.freed_hostages(scores.standing, active, window)
    principal = scores.principality_probability
    asked = principal is not None and config.principality.rule != "none"
    today = two_way = None
    if asked:
        today = principal_today(bundle, histories, config, as_of_us)[positions]
        ends = ends_of(probability[active], scores.probability(PRINCIPALITY)[active])
        two_way = forecast(TwoWay(today[active], ends), value[active])
    summary = {
        "customers": int(active.sum()),
        "expected_leavers": float(probability[active].sum()),
        "high_risk": int((active & (scores.band == 2)).sum()),
        "listed": int(listed.sum()),
        "value": _total(value[active]),
        "value_at_risk": _total(stake[active]),
        "expected_principal": None
        if principal is None
        else float(((1 - probability) * principal)[active].sum()),
        "two_way": two_way,
        "risks": np.histogram(probability[active], bins=RISK_BINS, range=(0.0, 1.0))[0].tolist(),
        "unseen_kinds": list(scores.unseen_kinds),
        "quarters": {
            "since": local_date(as_of_us - config.training.step_days * US_PER_DAY, config.project.zone),
            **standings_told.quarters_summary(scores.standing, before, active, value, stake),
            "freed_hostages": [
                {
                    "customer_id": str(ids[i]),
                    "uncommitted_on": standings_told.date_in(
                        as_of_us, float(scores.standing.next_end_days[i]), config.project.zone
                    ),
                    "churn_probability": float(probability[i]),
                    "value": None if np.isnan(value[i]) else float(value[i]),
                    "satisfaction": round(float(scores.standing.satisfaction[i]), 1),
                }
                for i in freed[:MOST_NAMED].tolist()
            ],
            "freed_hostages_total": len(freed),
        },
    }
    return AtRiskList(
        bundle,
        histories,
        config,
        as_of_us,
        positions[chosen],
        probability[chosen],
        value[chosen],
        active[chosen],
        before[chosen],
        source,
        summary,
        None if today is None else today[chosen],
    )


def quarters_before(
    bundle: Bundle,
    histories: Histories,
    config: Config,
    as_of_us: int,
    customers: npt.NDArray[np.int64],
) -> npt.NDArray[np.int8]:
    """Return the quarter of customers a step of the panel before `as_of`; -1 for who was not with us."""
    earlier = as_of_us - config.training.step_days * US_PER_DAY
    quarter = standings(bundle, histories, earlier, customers).quarter
    here = eligible(histories, config, earlier)[customers]
    return np.where(here, quarter, -1).astype(np.int8)


def write_list(found: AtRiskList, path: Path) -> Path:
    """Write a list as CSV or Parquet, by the ending of its name: whole or not at all.

    In CSV a text that a spreadsheet would run as a formula, or that begins with an apostrophe, gets
    an apostrophe in front; numbers stay as they are. To read an id back, drop one leading apostrophe.

    Raises:
        CorredorError: the name ends in something else.
    """
    if path.suffix == ".parquet":
        return write_atomically(path, lambda temporary: _write_parquet(found, temporary))
    if path.suffix == ".csv":
        return write_atomically(path, lambda temporary: _write_csv(found, temporary))
    raise CorredorError(f"{path}: a list is written as .csv or .parquet. Give it one of these endings.")


def lifecycle_stages(bundle: Bundle, X: npt.NDArray[np.float32] | None) -> npt.NDArray[np.object_]:
    """Return the lifecycle stage of each row of features."""
    names = bundle.fitted.names
    if X is None or "lifecycle_stage" not in names:
        return np.full(0 if X is None else len(X), None, object)
    number = np.nan_to_num(X[:, names.index("lifecycle_stage")], nan=len(LIFECYCLE) - 1).astype(np.int64)
    return np.array(LIFECYCLE, object)[np.clip(number, 0, len(LIFECYCLE) - 1)]


def harmless(text: str) -> str:
    r"""Return text as a CSV cell that no spreadsheet takes for a formula.

    >>> harmless("=1+1"), harmless("-5"), harmless("'quoted"), harmless("007")
    ("'=1+1", "'-5", "''quoted", '007')
    """
    return "'" + text if text.startswith((*FORMULA_STARTS, "'")) else text


def _write_csv(found: AtRiskList, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(csv_rows([found.schema.names]))
        for batch in found.batches():
            columns = [
                _cells(column, field.type) for column, field in zip(batch.columns, found.schema, strict=True)
            ]
            file.write(csv_rows(zip(*columns, strict=True)))


def csv_rows(rows: Iterable[Sequence[str]]) -> str:
    r"""Return rows of cells as CSV text, quoted where needed.

    >>> csv_rows([["a", 'b "c", d', "e\r"]])
    'a,"b ""c"", d","e\r"\n'
    """
    return "".join(",".join(map(_quoted, row)) + "\n" for row in rows)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell


def _cells(column: pa.Array, kind: pa.DataType) -> list[str]:
    if pa.types.is_string(kind):
        return ["" if v is None else harmless(v) for v in column.to_pylist()]
    return ["" if v is None else repr(v) for v in column.to_pylist()]


def _write_parquet(found: AtRiskList, path: Path) -> None:
    with pq.ParquetWriter(path, found.schema, compression="zstd") as writer:
        for batch in found.batches():
            writer.write_batch(batch)


def _known(histories: Histories, as_of_us: int) -> npt.NDArray[np.bool_]:
    """Return which customers have a touchpoint known before `as_of`."""
    stream = histories.touchpoints
    before = np.concatenate([[0], np.cumsum(stream.known_at() < as_of_us)])
    return np.diff(before[stream.offsets]) > 0


def _total(values: npt.NDArray[np.float64]) -> float | None:
    return None if np.isnan(values).all() else float(np.nansum(values))


def _span(histories: Histories, config: Config) -> str:
    first, last = histories.span()
    return f"{local_date(first, config.project.zone)} to {local_date(last, config.project.zone)}"
