"""The same features as a good engineer would write them in pandas and in Polars; and DuckDB's group-by.

All start from data that are already in memory with encoded names, as the engine does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

DAY = 86_400_000_000
WINDOWS = (7, 30, 90, 180, 365)
HALF_LIVES = (7.0, 30.0, 90.0, 365.0)
KINDS = tuple(f"kind-{k:02d}" for k in range(20))
CHANNELS = ("app", "branch", "mail", "phone", "store", "web")
MEASURES = ("amount", "wait_minutes", "satisfaction")


def feature_names() -> list[str]:
    """Return the names of the features, in the order of every version's columns."""
    names = [f"{kind}_{w}" for kind in KINDS for w in WINDOWS]
    names += [f"{channel}_{w}" for channel in CHANNELS for w in WINDOWS]
    names += [f"n_{w}" for w in WINDOWS]
    names += [f"{m}_sum_{w}" for m in MEASURES for w in WINDOWS]
    names += [f"{m}_n_{w}" for m in MEASURES[1:] for w in WINDOWS]
    names += [f"days_since_{kind}" for kind in KINDS] + ["days_since_last", "days_since_first"]
    return names + [f"{what}_faded_{h:g}" for what in ("n", "amount") for h in HALF_LIVES]


def duckdb_group_by(path: Path) -> int:
    """Scan the Parquet file and group it once by customer; returns the number of customers."""
    import duckdb

    connection = duckdb.connect(config={"threads": 1})
    table = connection.sql(
        """
        select customer_id, count(*), sum(amount), sum(wait_minutes), sum(satisfaction),
               count(wait_minutes), count(satisfaction), min(occurred_at), max(occurred_at)
        from read_parquet(?) group by customer_id
        """,
        params=[str(path)],
    ).to_arrow_table()
    return int(table.num_rows)


def pandas_frame(path: Path) -> pd.DataFrame:
    """Return the log in order of time, names as categories, times as whole microseconds."""
    frame = pd.read_parquet(path)
    frame["moment"] = frame.pop("occurred_at").dt.as_unit("us").astype("int64")
    frame["customer_id"] = frame["customer_id"].astype("category")
    frame["kind"] = pd.Categorical(frame["kind"], categories=KINDS)
    frame["channel"] = pd.Categorical(frame["channel"], categories=CHANNELS)
    return frame.sort_values("moment", ignore_index=True)


def pandas_snapshot(frame: pd.DataFrame, as_of: int) -> np.ndarray:
    """Return float32[customers, features] at one date.

    Each row falls in one band of age; what is grouped once by band adds up to every window.
    """
    n = len(frame["customer_id"].cat.categories)
    past = frame.iloc[: int(np.searchsorted(frame["moment"].to_numpy(), as_of))]
    customer = past["customer_id"].cat.codes.to_numpy()
    moment = past["moment"].to_numpy()
    band = np.searchsorted(np.array(WINDOWS) * DAY, as_of - moment)
    keyed = past[list(MEASURES)].assign(customer=customer, band=band)

    def windows(grouped: pd.DataFrame | pd.Series) -> np.ndarray:
        wide = grouped.unstack("band", fill_value=0).reindex(range(n), fill_value=0)
        return wide.reindex(columns=range(len(WINDOWS)), fill_value=0).cumsum(axis=1).to_numpy()

    parts: list[np.ndarray] = []
    for column, names in (("kind", KINDS), ("channel", CHANNELS)):
        counts = (
            keyed.assign(name=past[column].cat.codes.to_numpy()).groupby(["customer", "name", "band"]).size()
        )
        wide = counts.unstack(["name", "band"], fill_value=0).reindex(range(n), fill_value=0)
        columns = pd.MultiIndex.from_product([range(len(names)), range(len(WINDOWS))])
        table = wide.reindex(columns=columns, fill_value=0).to_numpy().reshape(n, len(names), len(WINDOWS))
        parts.append(table.cumsum(axis=2).reshape(n, -1))
    groups = keyed.groupby(["customer", "band"])
    parts.append(windows(groups.size()))
    sums, counts = groups.sum(), groups.count()
    parts += [windows(sums[m]) for m in MEASURES] + [windows(counts[m]) for m in MEASURES[1:]]
    last = pd.Series(moment).groupby([customer, past["kind"].cat.codes.to_numpy()]).last()  # in order of time
    by_kind = last.unstack().reindex(index=range(n), columns=range(len(KINDS))).to_numpy()
    ends = pd.Series(moment).groupby(customer).agg(["last", "first"]).reindex(range(n)).to_numpy()
    parts.append((as_of - np.hstack([by_kind, ends])) / DAY)
    ages = (as_of // DAY - moment // DAY).astype(float)
    faded = {}
    for h in HALF_LIVES:
        weight = np.exp2(-ages / h)
        faded["n", h], faded["amount", h] = weight, weight * past["amount"].to_numpy()
    faded_sums = pd.DataFrame(faded).groupby(customer).sum().reindex(range(n), fill_value=0)
    parts.append(faded_sums[[(what, h) for what in ("n", "amount") for h in HALF_LIVES]].to_numpy())
    return np.hstack(parts).astype(np.float32)


def polars_frame(path: Path) -> Any:
    """Return the log in order of time, customers numbered, names as categories."""
    import polars as pl

    frame = pl.read_parquet(path).with_columns(
        moment=pl.col("occurred_at").dt.timestamp("us"),
        customer=pl.col("customer_id").rank("dense").cast(pl.Int32) - 1,
        kind=pl.col("kind").cast(pl.Enum(KINDS)).to_physical(),
        channel=pl.col("channel").cast(pl.Enum(CHANNELS)).to_physical(),
    )
    return frame.drop("occurred_at", "customer_id").sort("moment")


def polars_snapshot(frame: Any, as_of: int, customers: int) -> np.ndarray:
    """Return float32[customers, features] at one date: one lazy group-by of filtered aggregates."""
    import polars as pl

    moment, age = pl.col("moment"), as_of - pl.col("moment")
    inside = {w: pl.col(f"in_{w}") for w in WINDOWS}
    wanted: list[Any] = []
    for column, names in (("kind", KINDS), ("channel", CHANNELS)):
        for code in range(len(names)):
            is_it = pl.col(column) == code
            wanted += [(inside[w] & is_it).sum().alias(f"{names[code]}_{w}") for w in WINDOWS]
    wanted += [inside[w].sum().alias(f"n_{w}") for w in WINDOWS]
    wanted += [pl.col(m).filter(inside[w]).sum().alias(f"{m}_sum_{w}") for m in MEASURES for w in WINDOWS]
    wanted += [
        (inside[w] & pl.col(m).is_not_null()).sum().alias(f"{m}_n_{w}") for m in MEASURES[1:] for w in WINDOWS
    ]
    for code, kind in enumerate(KINDS):
        last = moment.filter(pl.col("kind") == code).last()  # in order of time
        wanted.append(((as_of - last) / DAY).alias(f"days_since_{kind}"))
    wanted.append(((as_of - moment.last()) / DAY).alias("days_since_last"))
    wanted.append(((as_of - moment.first()) / DAY).alias("days_since_first"))
    wanted += [pl.col(f"weight_{h:g}").sum().alias(f"n_faded_{h:g}") for h in HALF_LIVES]
    wanted += [
        (pl.col(f"weight_{h:g}") * pl.col("amount")).sum().alias(f"amount_faded_{h:g}") for h in HALF_LIVES
    ]
    days = as_of // DAY - moment // DAY
    found = (
        frame.lazy()
        .filter(moment < as_of)
        .with_columns(
            *((age <= w * DAY).alias(f"in_{w}") for w in WINDOWS),
            *((days * (-np.log(2.0) / h)).exp().alias(f"weight_{h:g}") for h in HALF_LIVES),
        )
        .group_by("customer")
        .agg(wanted)
        .collect()
    )
    result = np.zeros((customers, len(wanted)), np.float32)
    since = [i for i, name in enumerate(feature_names()) if name.startswith("days_since")]
    result[:, since] = np.nan
    result[found["customer"].to_numpy()] = found.select(feature_names()).cast(pl.Float32).to_numpy()
    return result
