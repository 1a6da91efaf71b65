from pathlib import Path

import numpy as np
import pytest

from features.histories import build_histories
from tests.literals import DAY, typed
from tests.test_training.shop import START, shop_config, shop_rows
from training.bundle import load_bundle, save_bundle
from training.calibration import probability
from training.forest import Forest
from training.model import Recipe, fit_forest, fit_logistic
from training.start import Start, fit_start
from training.train import learn

SMALL = Recipe(trees=30, seeds=2, min_rows=20, feature_share=0.5)


def rows(n=2_000, seed=0):
    random = np.random.default_rng(seed)
    X = random.uniform(0.02, 0.98, size=(n, 3)).astype(np.float32)
    X[:, 2] = random.normal(size=n)
    X[random.random(n) < 0.1, 1] = np.nan
    y = random.random(n) < probability(1.5 * np.log(X[:, 0] / (1 - X[:, 0])) + 0.5 * X[:, 2])
    return X, y.astype(np.int8)


def test_a_start_is_worked_out_by_hand():
    start = Start((1,), (0.0,), (2.0,), (3.0,), 0.25)
    X = np.array([[9.0, 0.5], [9.0, 0.9], [9.0, np.nan]])
    assert start.raw_score(X) == pytest.approx([0.25, 0.25 + 1.5 * np.log(9), 0.25])


def test_it_finds_the_line_through_the_log_odds():
    X, y = rows(20_000)
    start = fit_start(X[:, :1], y, (0,), c=1e6)
    slope = start.weights[0] / start.scale[0]
    # without the other feature the slope is a little lower than 1.5; its standard error is about 0.02
    assert slope == pytest.approx(1.45, abs=0.08)


def test_shares_of_none_and_of_all_are_finite():
    X, y = rows()
    X[:50, 0], X[50:99, 0] = 0.0, 1.0
    assert np.isfinite(fit_start(X, y, (0, 1), c=0.1).raw_score(X)).all()


def test_trees_go_on_from_the_start_and_contributions_add_up():
    X, y = rows()
    start = fit_start(X, y, (0, 1), c=0.1)
    forest = fit_forest(X, y, recipe=SMALL, start=start)
    later, happened = rows(seed=1)
    whole, alone = probability(forest.raw_score(later)), probability(start.raw_score(later))

    def loss(p):
        return -np.log(np.where(happened == 1, p, 1 - p)).mean()

    assert loss(whole) < loss(alone)
    blended = Forest(forest.texts, fit_logistic(X, y, recipe=SMALL), 0.25, start)
    for one in (forest, blended):
        added = one.contributions(later).sum(axis=1)
        assert np.abs(added - one.raw_score(later)).max() < 1e-9


def test_a_row_scores_the_same_bits_whoever_is_beside_it():
    random = np.random.default_rng(2)
    X = random.uniform(size=(300, 12)).astype(np.float32)
    start = fit_start(X, random.random(300) < X[:, 3], (0, 1, 2, 3, 5, 6, 7, 9, 11), c=0.1)
    everyone = start.raw_score(X)
    assert start.raw_score(X[7:9]).tobytes() == everyone[7:9].tobytes()
    assert np.concatenate([start.raw_score(X[i : i + 1]) for i in range(300)]).tobytes() == everyone.tobytes()


def test_a_forest_with_a_start_comes_back_from_its_parts():
    X, y = rows()
    forest = fit_forest(X, y, recipe=SMALL, start=fit_start(X, y, (0, 1), c=0.1))
    names = ["a", "b", "c"]
    again = Forest.from_texts(forest.texts, None, names, forest.start.to_dict())
    assert again.raw_score(X).tobytes() == forest.raw_score(X).tobytes()
    with pytest.raises(ValueError, match="starts from features"):
        Forest.from_texts(forest.texts, None, names, {**forest.start.to_dict(), "columns": [0, 7]})


def asked_shop():
    """The shop, whose customers are asked every month what part of their purchases is its own."""
    random = np.random.default_rng(1)
    rows = shop_rows(customers=150)
    names = ("customer_id", "occurred_at", "kind")
    touchpoints = typed({n: [row[n] for row in rows] for n in names})
    own = dict(zip(sorted({row["customer_id"] for row in rows}), random.beta(1, 1, 150), strict=False))
    told = [
        (who, START + (d + i % 30) * DAY, float(np.clip(share + random.normal(0, 0.2), 0, 1)))
        for i, (who, share) in enumerate(own.items())
        for d in range(20, 390, 30)
    ]
    who, when, share = zip(*told, strict=True)
    wallet = {"customer_id": who, "observed_at": when, "ours": [True] * len(who), "share": share}
    return build_histories({"touchpoints": touchpoints, "wallet": typed(wallet)})


def test_where_wallets_tell_them_principality_starts_from_own_shares_and_churn_does_not(tmp_path):
    config = shop_config(
        Path(),
        training={"seeds": 1, "step_days": 28},
        principality={"rule": "share"},
        features={"windows_days": [28, 84]},
    )
    shop = asked_shop()
    bundle = learn(shop, config, START + 370 * DAY)
    forest = bundle.predictors["principality"].forest
    names = [bundle.fitted.names[c] for c in forest.start.columns]
    assert names == ["wallet_share_usual", "wallet_share_fading_28d", "wallet_share_fading_84d"]
    assert bundle.predictors["churn"].forest.start is None
    measured = bundle.measures["principality"]["models"]["corredor"]["auc"]["value"]
    # who knows the shares themselves has 0.921; the standard error on 106 snapshots is 0.056
    assert measured > 0.921 - 3 * 0.056
    saved = save_bundle(bundle, tmp_path / "bundle")
    again = load_bundle(tmp_path / "bundle", verify=False)
    again.check_sample()
    X = bundle.sample.X
    assert again.predictors["principality"].probability(X).tobytes() == (
        saved.predictors["principality"].probability(X).tobytes()
    )
