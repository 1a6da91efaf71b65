"""How hard a simulated company is: `python -m tests.benchmarks.simulated FOLDER`.

Prints the share that leaves in 60 days, and the AUC over the last three dates of the oracle and of
LightGBM on plain counts of the last 30, 90 and 365 days per kind, fitted on dates whose outcome was
known before the first of the three; both with the standard error of a bootstrap over customers.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import duckdb
import lightgbm
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from training.simulate import file_of

WINDOWS = (30, 90, 365)
HORIZON = 60


def main(folder: Path) -> None:
    """Measure and print."""
    test = scored(folder)
    left, expected = test.churned.mean(), test.oracle.mean()
    print(f"{len(test):,} snapshots, {left:.3f} left, {expected:.3f} by the oracle")
    for name in ("oracle", "counts"):
        area, error = auc(test, name)
        print(f"{name}: AUC {area:.3f} ± {error:.3f}")


def scored(folder: Path) -> pd.DataFrame:
    """Return who left at the last three dates of the oracle, with the scores of `counts` and `oracle`."""
    truth = json.loads((folder / "truth.json").read_text())
    dates = [pd.Timestamp(d) for d in truth["oracle"]["dates"]][-3:]
    early = [dates[0] - pd.Timedelta(days=HORIZON + 30 * back) for back in range(8)]
    first = pd.Timestamp(truth["first_day"]) + pd.Timedelta(days=90)
    counts = counts_at(folder, [*dates, *(d for d in early if d >= first)])
    test = counts[counts.as_of.isin(dates)].copy()
    train = counts[~counts.as_of.isin(dates)]
    names = [c for c in counts.columns if c.startswith("n_")]
    shape = dict(objective="binary", learning_rate=0.03, num_leaves=15, min_child_samples=100)
    still = dict(feature_fraction=0.3, bagging_fraction=0.6, bagging_freq=1, lambda_l2=10.0)
    booster = lightgbm.train(
        {**shape, **still, "num_threads": 1, "verbose": -1, "seed": 0},
        lightgbm.Dataset(train[names].to_numpy(np.float64), train.churned.to_numpy()),
        250,
    )
    test["counts"] = booster.predict(test[names].to_numpy(np.float64), num_threads=1)
    states = pd.read_parquet(file_of(folder, "truth_states"))
    states["as_of"] = pd.to_datetime(states.as_of)
    states = states.rename(columns={"probability": "oracle"})
    return test[["customer_id", "as_of", "churned", "counts"]].merge(states, on=["customer_id", "as_of"])


def counts_at(folder: Path, dates: list[pd.Timestamp]) -> pd.DataFrame:
    """Return one row per customer with us at each date: counts per kind, and who left in the horizon."""
    touchpoints, relationships = (file_of(folder, name) for name in ("touchpoints", "relationships"))
    kinds = duckdb.sql(f"select distinct kind from '{touchpoints}' order by 1").df()["kind"]
    counted = ", ".join(
        f"count(*) filter (kind = '{kind}' and occurred_at >= d - interval {days} day) as n_{kind}_{days}"
        for kind in kinds
        for days in WINDOWS
    )
    parts = []
    for date in dates:
        sql = f"""
            with day as (select timestamptz '{date.date()} 00:00:00+00' as d),
            known as (
                select customer_id, product, started_at, arg_max(ended_at, recorded_at) as ended_at
                from '{relationships}', day where recorded_at < d group by all
            ), held as (select distinct customer_id from known, day where ended_at is null or ended_at >= d),
            ends as (
                select customer_id, product, started_at, max(ended_at) as ended_at,
                       bool_and(voluntary) as willing
                from '{relationships}' group by all
            ), fate as (
                select customer_id,
                       bool_or(ended_at is null or ended_at >= d + interval {HORIZON} day) as stays,
                       max(ended_at) as last, arg_max(willing, ended_at) as willing
                from ends, day where started_at < d + interval {HORIZON} day group by 1
            ), counts as (
                select customer_id, {counted} from '{touchpoints}', day
                where occurred_at < d and recorded_at < d and occurred_at >= d - interval 365 day group by 1
            )
            select held.customer_id, d at time zone 'UTC' as as_of, (not stays)::int as churned,
                   counts.* exclude (customer_id)
            from held join fate using (customer_id) left join counts using (customer_id), day
            where stays or (last >= d and willing) order by 1
        """
        parts.append(duckdb.sql(sql).df())
    found = pd.concat(parts).fillna(0.0)
    found["as_of"] = pd.to_datetime(found.as_of).astype("datetime64[us]")
    return found


def auc(rows: pd.DataFrame, score: str, draws: int = 200) -> tuple[float, float]:
    """Return the AUC of a score, and its standard error by bootstrap over customers."""
    rng, code = np.random.default_rng(0), pd.factorize(rows.customer_id)[0]
    y, s = rows.churned.to_numpy(), rows[score].to_numpy()
    found = []
    for _ in range(draws):
        times = np.bincount(rng.integers(code.max() + 1, size=code.max() + 1), minlength=code.max() + 1)
        found.append(roc_auc_score(y, s, sample_weight=times[code]))
    return float(roc_auc_score(y, s)), float(np.std(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
