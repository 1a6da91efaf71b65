"""The at-risk list: who to call first, how much is at stake, and the moments of truth behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.clock import US_PER_DAY, local_date
from features.errors import CorredorError
from features.histories import Histories
from features.profile import LIFECYCLE
from features.streams import NULL
from serving import standing as standings_told
from serving.rows import REASONS, lifecycle_codes, score_rows
from serving.two_way import joins
from training.bundle import PRINCIPALITY, Bundle
from training.config import Config
from training.drift import TwoWay, ends_of, forecast
from training.labels import eligible
from training.scoring import BANDS, standings
from training.sentences import Sentences
from training.tellers import ToldBy
from training.worth import WorthFacts, WorthSource, worth_of

Order = Literal["value", "risk"]
CHUNK = 16_384
RISK_BINS = 40
MOST_NAMED = 200
"""Hostages whose commitment ends who are named in the summary; the file has all of them."""
GONE = "left"
_WORTH = ("worth_given", "spent_active", "spent", "first_at")
_TEXTS = ("customer_id", "unseen_kinds")
_OF_REASONS = tuple(f"_{k}" for k in range(1, REASONS + 1))

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

    The rows are told in words chunk by chunk, by `batches`.
    """

    bundle: Bundle
    config: Config
    as_of_us: int
    rows: pa.Table
    """Of all customers: numbers, as `serving.rows.score_rows` gives them, in any order."""
    order: npt.NDArray[np.int64]
    """Positions in `rows`, the first to call first."""
    value: npt.NDArray[np.float64]
    """Worth per year of each listed customer, NaN where not known."""
    value_source: WorthSource
    summary: dict[str, Any]
    """Of all customers with us at `as_of`, listed or not: how many, how many will leave, worth at stake."""
    two_way: bool = False
    """Whether principality is asked."""

    @property
    def schema(self) -> pa.Schema:
        """The columns of the list."""
        if not self.two_way:
            return BASIC
        fields = [pa.field(name, kind) for name, kind in PRINCIPAL_COLUMNS]
        place = BASIC.get_field_index("as_of")
        return pa.schema([*list(BASIC)[:place], *fields, *list(BASIC)[place:]])

    def __len__(self) -> int:
        return len(self.order)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, with the moments behind each, in order of rank."""
        for low in range(0, len(self), CHUNK):
            yield self._batch(low, min(low + CHUNK, len(self)))

    def table(self, rows: int | None = None) -> pa.Table:
        """Return the first rows (all by default) as a table."""
        n = len(self) if rows is None else min(rows, len(self))
        parts = [self._batch(low, min(low + CHUNK, n)) for low in range(0, n, CHUNK)]
        return pa.Table.from_batches(parts, self.schema)

    @cached_property
    def _told_rows(self) -> pa.Table:
        """The columns of the rows that are told, to take no others."""
        return self.rows.drop_columns([*_WORTH, "known", "last_at", "unseen_kinds"])

    @cached_property
    def _sentences(self) -> Sentences:
        return Sentences(self.bundle, self.as_of_us, self.config.project.language)

    def _batch(self, low: int, high: int) -> pa.RecordBatch:
        n, zone = high - low, self.config.project.zone
        taken = self._told_rows.take(pa.array(self.order[low:high])).combine_chunks()
        rows = numbers_of(taken)
        active, value = rows["active"], self.value[low:high]
        probability = rows["churn_probability"]
        columns: dict[str, Any] = {
            **standings_told.columns(rows, self.as_of_us, zone),
            "rank": np.arange(low + 1, high + 1),
            "customer_id": taken["customer_id"],
            "churn_probability": probability,
            "risk": standings_told.named(BANDS, rows["band"]),
            "principality_probability": rows["principality_probability"],
            "value": np.round(value, 2),
            "value_at_risk": np.round(value * probability, 2),
            "value_source": pa.repeat(self.value_source, n),
            "lifecycle_stage": standings_told.named(
                (*LIFECYCLE, GONE), np.where(active, rows["lifecycle_stage"], len(LIFECYCLE))
            ),
            "as_of": pa.repeat(local_date(self.as_of_us, zone), n),
            "model_version": pa.repeat(self.bundle.version, n),
            **_reasons("", "risk_without", rows, self._sentences),
        }
        if self.two_way:
            ends = ends_of(probability, rows["principality_probability"])
            picture = TwoWay(rows["principal_today"], ends)
            columns |= {
                "principal_today": standings_told.named(("no", "yes"), rows["principal_today"]),
                "likely": picture.way,
                "drift_probability": picture.drift,
                **_reasons("principality_", "principality_without", rows, self._sentences),
            }
        arrays = []
        for field in self.schema:
            column = columns[field.name]
            if isinstance(column, pa.ChunkedArray):
                column = column.combine_chunks()
            if not isinstance(column, pa.Array):
                column = pa.array(column, field.type, from_pandas=True)
            arrays.append(column)
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def numbers_of(rows: pa.Table) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of `score_rows` that are numbers and flags as arrays, by name."""
    return {field.name: rows[field.name].to_numpy() for field in rows.schema if field.name not in _TEXTS}


def _reasons(
    prefix: str, without: str, rows: dict[str, npt.NDArray[Any]], sentences: Sentences
) -> dict[str, Any]:
    """Return a question's moments, their sentences, and the probability without each."""
    columns: dict[str, Any] = {}
    moment, *by = (
        np.concatenate([rows[f"{prefix}{what}_{k}"] for k in range(1, REASONS + 1)])
        for what in ("moment", "feature", "value", "usual")
    )
    told = sentences.of(moment, ToldBy(*by))  # all at once: many are the same
    n = len(moment) // REASONS
    for k in range(1, REASONS + 1):
        columns[f"{prefix}moment_{k}"] = standings_told.named(sentences.labels, rows[f"{prefix}moment_{k}"])
        columns[f"{prefix}reason_{k}"] = told.slice((k - 1) * n, n)
        columns[f"{without}_{k}"] = rows[f"{prefix}without_{k}"]
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
    rows = pa.Table.from_batches([score_rows(bundle, histories, config, as_of_us)])
    return rank(rows, bundle, config, as_of_us, everyone=everyone, top=top, order=order)


def rank(
    rows: pa.Table,
    bundle: Bundle,
    config: Config,
    as_of_us: int,
    *,
    everyone: bool = False,
    top: int | None = None,
    order: Order = "value",
) -> AtRiskList:
    """Return the list that the rows of all customers make, in whatever order and parts they come.

    Args:
        rows: of `serving.rows.score_rows`, each customer once.
        bundle: the model that scored them.
        config: the workspace's configuration.
        as_of_us: the moment that they were scored at, µs UTC.
        everyone: list every known customer (see `at_risk_list`).
        top: at most so many rows.
        order: `value` for value at risk, `risk` for probability.

    Raises:
        CorredorError: nothing was known of anyone by then.
    """
    whole, places = _known_rows(rows)
    facts = WorthFacts(*(whole[name] for name in _WORTH))
    worth, source = worth_of(facts, config, as_of_us)
    known = whole["known"]
    if not known.any():
        raise CorredorError(
            f"nothing is known of any customer before {local_date(as_of_us, config.project.zone)}. "
            f"The touchpoints run from {_span(whole, config)}: choose a later --as-of."
        )
    if not known.all():
        places, worth = places[known], worth[known]
        whole = {name: column[known] for name, column in whole.items()}
    value, probability, active = worth, whole["churn_probability"], whole["active"]
    stake = probability * value
    by = probability if order == "risk" or source == "none" else np.nan_to_num(stake, nan=-1.0)
    listed = np.ones(len(places), bool) if everyone else active & (whole["band"] > 0)
    candidates = np.flatnonzero(listed)
    ranked = np.lexsort((-probability[candidates], -by[candidates], ~active[candidates]))
    chosen = candidates[ranked[:top]]  # the sort is stable: who is level comes in the order of ids
    principal = whole["principality_probability"] if PRINCIPALITY in bundle.predictors else None
    asked = joins(bundle, config)
    two_way = None
    if asked:
        ends = ends_of(probability[active], whole["principality_probability"][active])
        two_way = forecast(TwoWay(whole["principal_today"][active], ends), value[active])
    strange = pc.unique(pc.list_flatten(rows["unseen_kinds"])).to_pylist()
    summary = {
        "customers": int(active.sum()),
        "expected_leavers": float(probability[active].sum()),
        "high_risk": int((active & (whole["band"] == 2)).sum()),
        "listed": int(listed.sum()),
        "value": _total(value[active]),
        "value_at_risk": _total(stake[active]),
        "expected_principal": None
        if principal is None
        else float(((1 - probability) * principal)[active].sum()),
        "two_way": two_way,
        "risks": np.histogram(probability[active], bins=RISK_BINS, range=(0.0, 1.0))[0].tolist(),
        "unseen_kinds": sorted(strange),
        "quarters": _quarters(rows, places, whole, value, stake, config, as_of_us),
    }
    return AtRiskList(bundle, config, as_of_us, rows, places[chosen], value[chosen], source, summary, asked)


def _quarters(
    rows: pa.Table,
    places: npt.NDArray[np.int64],
    whole: dict[str, npt.NDArray[Any]],
    value: npt.NDArray[np.float64],
    stake: npt.NDArray[np.float64],
    config: Config,
    as_of_us: int,
) -> dict[str, Any]:
    """Return what the summary says of the quarters: how many stand where, who moved, who will be free."""
    zone = config.project.zone
    window = config.churn.gap_days + config.churn.horizon_days
    freed = standings_told.freed_hostages(whole, window)
    named_ones = freed[:MOST_NAMED]
    ids = rows["customer_id"].take(pa.array(places[named_ones])).to_pylist()
    return {
        "since": local_date(as_of_us - config.training.step_days * US_PER_DAY, zone),
        **standings_told.quarters_summary(whole, value, stake),
        "freed_hostages": [
            {
                "customer_id": customer,
                "uncommitted_on": standings_told.date_in(as_of_us, float(whole["next_end_days"][i]), zone),
                "churn_probability": float(whole["churn_probability"][i]),
                "value": None if np.isnan(value[i]) else float(value[i]),
                "satisfaction": round(float(whole["satisfaction"][i]), 1),
            }
            for customer, i in zip(ids, named_ones.tolist(), strict=True)
        ],
        "freed_hostages_total": len(freed),
    }


def _known_rows(rows: pa.Table) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.int64]]:
    """Return what is ranked and summed up by, in the byte order of the customers' ids, and their positions.

    Column by column, since of many customers a second copy of all rows would not fit.
    """
    ids = rows["customer_id"].combine_chunks()
    names = [f.name for f in rows.schema if not (f.name in _TEXTS or f.name.endswith(_OF_REASONS))]
    places = np.arange(len(ids))
    if len(ids) > 1 and not pc.all(pc.less(ids[:-1], ids[1:])).as_py():
        places = np.asarray(pc.array_sort_indices(ids).to_numpy(), np.int64)
        return {name: rows[name].to_numpy()[places] for name in names}, places
    return {name: rows[name].to_numpy() for name in names}, places


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


def lifecycle_stages(bundle: Bundle, X: npt.NDArray[np.float32] | None) -> npt.NDArray[np.object_]:
    """Return the lifecycle stage of each row of features."""
    codes = np.full(0, -1) if X is None else lifecycle_codes(bundle, X)
    return np.array([*LIFECYCLE, None], object)[codes]


def _total(values: npt.NDArray[np.float64]) -> float | None:
    return None if np.isnan(values).all() else float(np.nansum(values))


def _span(whole: dict[str, npt.NDArray[Any]], config: Config) -> str:
    first, last = (whole[name][whole[name] != NULL] for name in ("first_at", "last_at"))
    ends = (int(first.min()), int(last.max())) if len(first) else (0, 0)
    return " to ".join(local_date(at, config.project.zone) for at in ends)
