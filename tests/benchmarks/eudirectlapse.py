"""Motor insurance renewals by configuration alone: `python -m tests.benchmarks.eudirectlapse FOLDER`.

FOLDER holds `eudirectlapse.parquet` (CASdatasets, GPL): one row a policy, without dates. Its columns
become customers and relationships that renew on one made-up day; price against the market, change of
premium and policy age are declared as signals of the economic switching cost. Five folds over
customers: features fitted on the other four, the product's recipe, and beside it a plain LightGBM on
the raw columns. Prints both AUCs and their difference, with intervals by bootstrap over customers.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import lightgbm
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from features.catalog import fit_features
from features.clock import as_of_us
from serving.workspace import open_workspace
from training.fitting import fit_question
from training.panel import Panel

CONFIGURATION = """
[project]
name = "eudirectlapse"
data_folders = ["{folder}"]

[files.policies]
path = "{folder}/eudirectlapse.parquet"

[sources]
# the quote of the renewal is the one contact that is known
touchpoints = '''
select lpad(cast(row_number() over () as varchar), 5, '0') as customer_id,
       timestamp '2026-01-01 12:00:00' as occurred_at, 'quote' as kind, prem_final as amount
from policies'''
customers = '''
select lpad(cast(row_number() over () as varchar), 5, '0') as customer_id,
       timestamp '2026-01-01' - to_years(policy_age) as since, * exclude (lapse, policy_age)
from policies'''
relationships = '''
select lpad(cast(row_number() over () as varchar), 5, '0') as customer_id, 'motor insurance' as product,
       timestamp '2026-01-01' - to_years(policy_age) as started_at,
       timestamp '2026-01-01 12:00:00' as recorded_at,
       prem_final as amount, prem_market as market_amount
from policies'''

[churn]
rule = "inactivity"
horizon_days = 365

[features]
known_since = {{ customers = "2026-01-01" }}

[switching_costs.price_above_market]
cost = "economic"
table = "relationships"
column = "amount"
against = "market_amount"
direction = -1
label = {{ en = "price against the market", es = "precio frente al mercado" }}

[switching_costs.premium_change]
cost = "economic"
table = "customers"
column = "prem_final"
against = "prem_last"
direction = -1
label = {{ en = "premium against the last one", es = "prima frente a la anterior" }}

[switching_costs.policy_age]
cost = "economic"
table = "customers"
column = "since"
measure = "days"
label = {{ en = "age of the policy", es = "antigüedad de la póliza" }}
"""
PLAIN = dict(
    objective="binary", learning_rate=0.03, num_leaves=15, min_child_samples=100, feature_fraction=0.5,
    bagging_fraction=0.6, bagging_freq=1, lambda_l2=10.0, num_threads=1, verbose=-1, seed=0,
)  # fmt: skip
AS_OF = "2026-01-02"


def main(folder: Path) -> None:
    """Measure and print."""
    raw = pd.read_parquet(folder / "eudirectlapse.parquet")
    lapsed = raw.pop("lapse").to_numpy(np.int8)
    ours, plain = np.zeros(len(raw)), np.zeros(len(raw))
    with tempfile.TemporaryDirectory() as temporary:
        config_file = Path(temporary) / "corredor.toml"
        config_file.write_text(CONFIGURATION.format(folder=folder.resolve()), encoding="utf-8")
        workspace = open_workspace(config_file)
        for number, (train, test) in enumerate(
            StratifiedKFold(5, shuffle=True, random_state=0).split(raw, lapsed), start=1
        ):
            ours[test], names = _ours(workspace, lapsed, train, test)
            plain[test] = _plain(raw, lapsed, train, test)
            print(f"fold {number}: {len(names)} features", flush=True)
    print("switching costs and gaps:", ", ".join(n for n in names if n.startswith(("switching_", "price_"))))
    report(lapsed, ours, plain)


def _ours(workspace, lapsed, train, test):
    config, histories = workspace.config, workspace.histories
    moment = as_of_us(AS_OF, config.project.zone)
    known = histories.select(train)
    fitted = fit_features(known, config, config.activity, fit_before=moment, until=moment)
    X = fitted.snapshots(known, [moment])[:, 0]
    panel = Panel(np.arange(len(train)), np.full(len(train), moment), X, lapsed[train])
    predictor = fit_question(panel, "churn", config).predictor
    return predictor.probability(fitted.snapshots(histories.select(test), [moment])[:, 0]), fitted.names


def _plain(raw, lapsed, train, test):
    columns = raw.apply(lambda c: c if c.dtype.kind in "if" else c.astype("category"))
    rows = lightgbm.Dataset(columns.iloc[train], lapsed[train])
    return lightgbm.train(PLAIN, rows, 200).predict(columns.iloc[test], num_threads=1)


def report(lapsed: np.ndarray, ours: np.ndarray, plain: np.ndarray, draws: int = 500) -> None:
    """Print both AUCs and their paired difference."""
    rng, drawn = np.random.default_rng(0), []
    for _ in range(draws):
        rows = rng.integers(len(lapsed), size=len(lapsed))
        drawn.append([roc_auc_score(lapsed[rows], score[rows]) for score in (ours, plain)])
    both = np.array(drawn)
    both = np.column_stack([both, both[:, 0] - both[:, 1]])
    values = [roc_auc_score(lapsed, ours), roc_auc_score(lapsed, plain)]
    names = ("corredor", "LightGBM on the raw columns", "difference")
    for name, value, of in zip(names, [*values, values[0] - values[1]], both.T, strict=True):
        low, high = np.quantile(of, [0.025, 0.975])
        print(f"{name}: AUC {value:+.4f} ({low:+.4f} to {high:+.4f})")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
