"""What a list says of each customer, as numbers: one row per customer, in no order, from one pass.

The nightly batch, a Spark partition and a test call the same `score_rows`; `serving.batch.rank` makes a
list of the rows of all customers, however they were cut into parts. What only all customers together can
tell (whose worth is given, when the data begin) is told by the rows, and found by `rank`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.clock import US_PER_DAY
from features.histories import Histories
from features.profile import LIFECYCLE
from features.settings import COSTS
from features.streams import NULL
from serving.two_way import check_staples, joins, principal_today
from training.bundle import CHURN, PRINCIPALITY, Bundle
from training.config import Config
from training.labels import eligible
from training.scoring import BOTH_QUESTIONS, CHUNK, Explained, Scores, score
from training.worth import worth_facts

REASONS = 3


def _reason_fields(prefix: str) -> list[pa.Field]:
    return [
        pa.field(f"{prefix}{name}_{k}", kind)
        for k in range(1, REASONS + 1)
        for name, kind in (
            ("moment", pa.int16()),
            ("feature", pa.int16()),
            ("value", pa.float32()),
            ("usual", pa.float32()),
            ("without", pa.float64()),
        )
    ]


SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("known", pa.bool_()),
        ("active", pa.bool_()),
        ("churn_probability", pa.float64()),
        ("band", pa.int8()),
        ("principality_probability", pa.float64()),
        ("principal_today", pa.int8()),
        ("lifecycle_stage", pa.int8()),
        ("quarter", pa.int8()),
        ("quarter_before", pa.int8()),
        ("satisfaction", pa.float64()),
        ("satisfaction_source", pa.int8()),
        ("hostage_probability", pa.float64()),
        ("next_end_days", pa.float32()),
        ("last_end_days", pa.float32()),
        *(
            (f"{cost}_cost{part}", kind)
            for cost in COSTS
            for part, kind in (("", pa.float32()), ("_coverage", pa.float32()), ("_source", pa.int8()))
        ),
        *_reason_fields(""),
        *_reason_fields("principality_"),
        ("worth_given", pa.float64()),
        ("spent_active", pa.int64()),
        ("spent", pa.int64()),
        ("first_at", pa.int64()),
        ("last_at", pa.int64()),
        ("unseen_kinds", pa.list_(pa.string())),
    ]
)
"""The columns of `score_rows`. Nothing is null but `unseen_kinds`: an unknown number is NaN, an unknown code
(a position in `BANDS`, `LIFECYCLE`, `QUARTERS`, `PROVENANCES`, `Bundle.moment_keys`, the features) is -1, an
unknown moment or sum `NULL`. Customers of whom nothing is `known` yet are there too: they are in no list."""


@dataclass(frozen=True)
class ScoredChunk:
    """Some customers' rows, and the features that they were scored by, of those that are known."""

    rows: pa.RecordBatch
    customer_ids: pa.Array
    X: npt.NDArray[np.float32]


def score_rows(
    bundle: Bundle,
    histories: Histories,
    config: Config,
    as_of_us: int,
) -> pa.RecordBatch:
    """Return one row for each customer of the histories (all, or any part of the company), unranked.

    A row is the same to the last bit whoever is scored beside it.

    Args:
        bundle: the model.
        histories: of any customers; `partial` if they are not all.
        config: the workspace's configuration.
        as_of_us: the moment of the list, µs UTC; nothing known at or after it is looked at.
    """
    chunks = [c.rows for c in score_chunks(bundle, histories, config, as_of_us)]
    return pa.Table.from_batches(chunks, SCHEMA).combine_chunks().to_batches()[0] if chunks else _nobody()


def score_chunks(
    bundle: Bundle,
    histories: Histories,
    config: Config,
    as_of_us: int,
    *,
    size: int = CHUNK,
) -> Iterator[ScoredChunk]:
    """Yield what `score_rows` returns, some customers at a time, with their features."""
    if joins(bundle, config):
        check_staples(bundle, config)
    for low in range(0, histories.n_customers, size):
        part = histories.between(low, min(low + size, histories.n_customers))
        yield _chunk(bundle, part, config, as_of_us)


def _nobody() -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in SCHEMA], schema=SCHEMA)


def _chunk(bundle: Bundle, part: Histories, config: Config, as_of_us: int) -> ScoredChunk:
    everyone, stream = part, part.touchpoints
    moments = stream.occurred_at.unpack()
    some = np.flatnonzero(np.diff(stream.offsets))
    if stream.lag is None:  # a customer's rows are in order of time
        known = np.zeros(everyone.n_customers, np.bool_)
        known[some] = moments[stream.offsets[some]] < as_of_us
    else:
        known = _any_of(stream.known_at() < as_of_us, stream.offsets)
    if not known.all():
        part = part.select(np.flatnonzero(known))
    asked = joins(bundle, config)
    explain = BOTH_QUESTIONS if asked else {CHURN: BOTH_QUESTIONS[CHURN]}
    scores = score(bundle, part, as_of_us, reasons=REASONS, explain=explain, before=True)
    assert scores.X is not None and scores.standing_before is not None
    standing, n = scores.standing, part.n_customers
    earlier = as_of_us - config.training.step_days * US_PER_DAY
    here_before = eligible(part, config, earlier)
    columns: dict[str, Any] = {
        "active": eligible(part, config, as_of_us),
        "churn_probability": scores.churn_probability,
        "band": scores.band,
        "principality_probability": scores.principality_probability,
        "lifecycle_stage": lifecycle_codes(bundle, scores.X),
        "quarter": standing.quarter,
        "quarter_before": np.where(here_before, scores.standing_before.quarter, -1),
        "satisfaction": standing.satisfaction,
        "satisfaction_source": standing.satisfaction_source,
        "hostage_probability": standing.hostage,
        "next_end_days": standing.next_end_days,
        "last_end_days": standing.last_end_days,
        **_reasons("", bundle, scores, CHURN),
    }
    for c, cost in enumerate(COSTS):
        columns[f"{cost}_cost"] = standing.indices[:, c]
        columns[f"{cost}_cost_coverage"] = standing.coverage[:, c]
        columns[f"{cost}_cost_source"] = standing.provenance[:, c]
    if asked:
        columns["principal_today"] = principal_today(bundle, part, config, as_of_us)
        columns |= _reasons("principality_", bundle, scores, PRINCIPALITY)
    worth = worth_facts(everyone, config, as_of_us)
    last = np.full(everyone.n_customers, NULL)
    last[some] = moments[stream.offsets[some + 1] - 1]  # a customer's rows are in order of time
    of_everyone: dict[str, Any] = {
        "customer_id": everyone.customer_ids,
        "known": known,
        "worth_given": worth.given,
        "spent_active": worth.activity,
        "spent": worth.contacts,
        "first_at": worth.first,
        "last_at": last,
        "unseen_kinds": _unseen(part, scores, known, bundle, as_of_us),
    }
    arrays = []
    for field in SCHEMA:
        if field.name in of_everyone:
            arrays.append(pa.array(of_everyone[field.name], field.type))
            continue
        kind = field.type.to_pandas_dtype()
        column = columns.get(field.name)
        if column is not None and n == everyone.n_customers:
            arrays.append(pa.array(np.ascontiguousarray(column, kind)))
            continue
        whole = np.full(everyone.n_customers, _unknown(field.type), kind)
        if column is not None:
            whole[known] = column
        arrays.append(pa.array(whole))
    assert n == int(known.sum())
    return ScoredChunk(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA), part.customer_ids, scores.X)


def _unknown(kind: pa.DataType) -> Any:
    if pa.types.is_boolean(kind):
        return False
    return np.nan if pa.types.is_floating(kind) else -1


def _any_of(rows: npt.NDArray[np.bool_], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return of which customers any row is marked."""
    before = np.concatenate([[0], np.cumsum(rows)])
    return np.asarray(np.diff(before[offsets]) > 0)


def _reasons(prefix: str, bundle: Bundle, scores: Scores, question: str) -> dict[str, Any]:
    """Return the columns of a question's top moments; of principality only what speaks against it."""
    explained: Explained = scores.explained[question]
    assert scores.X is not None
    top = explained.top
    by = bundle.tellers.told_by(scores.X, top.moment, top.feature)
    against = np.ones(top.moment.shape, bool) if question == CHURN else top.contribution < 0
    columns: dict[str, Any] = {}
    for k in range(top.moment.shape[1]):
        columns[f"{prefix}moment_{k + 1}"] = np.where(against[:, k], top.moment[:, k], -1)
        columns[f"{prefix}feature_{k + 1}"] = by.feature[:, k]
        columns[f"{prefix}value_{k + 1}"] = by.value[:, k]
        columns[f"{prefix}usual_{k + 1}"] = by.usual[:, k]
        columns[f"{prefix}without_{k + 1}"] = np.where(against[:, k], top.risk_without[:, k], np.nan)
    return columns


def lifecycle_codes(bundle: Bundle, X: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return the lifecycle stage of each row of features, as a position in `LIFECYCLE`; -1: not told."""
    names = bundle.fitted.names
    if "lifecycle_stage" not in names:
        return np.full(len(X), -1)
    number = np.nan_to_num(X[:, names.index("lifecycle_stage")], nan=len(LIFECYCLE) - 1).astype(np.int64)
    return np.clip(number, 0, len(LIFECYCLE) - 1)


def _unseen(
    part: Histories, scores: Scores, known: npt.NDArray[np.bool_], bundle: Bundle, as_of_us: int
) -> list[list[str] | None]:
    """Return the kinds of touchpoints of each customer that the model has never seen."""
    found: list[list[str] | None] = [None] * len(known)
    if not scores.unseen_kinds:
        return found
    stream = part.touchpoints
    place = stream.fields.index("kind")
    strange = {c for c, contact in enumerate(stream.contacts) if contact[place] in scores.unseen_kinds}
    rows = np.flatnonzero(np.isin(stream.contact, list(strange)) & (stream.known_at() < as_of_us))
    who = np.flatnonzero(known)[stream.customer_of_rows()[rows]]
    for customer, contact in sorted({*zip(who.tolist(), stream.contact[rows].tolist(), strict=True)}):
        kinds = found[customer] = found[customer] or []
        kind = str(stream.contacts[contact][place])
        if kind not in kinds:
            kinds.append(kind)
    return found
