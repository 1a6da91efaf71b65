from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from features.errors import CorredorError
from features.profile import LIFECYCLE
from tests.literals import DAY
from tests.test_training.shop import START, shop_config, shop_rows, to_histories
from training.ablation import ablate, ablation_report
from training.backtest import backtest, backtest_dates
from training.bundle import CHURN, PRINCIPALITY, load_bundle, save_bundle
from training.evaluate import Outcomes, auc
from training.fitting import (
    Gate,
    Rows,
    _earned,
    check_enough,
    fit_pair,
    fit_through,
    hold_out,
    judge,
    recipe_of,
    tell_the_date,
)
from training.labels import churn_labels, eligible
from training.model import Recipe
from training.panel import Panel
from training.principality import staples_of
from training.train import bands_of, learn
from training.verdict import verdict_of

UNTIL = START + 330 * DAY


def config(**sections):
    small = {"seeds": 1, "step_days": 28}
    return shop_config(
        Path(),
        training=small,
        principality={"rule": "usage", "min_weeks_share": 0.5, "min_items": 1},
        **sections,
    )


@lru_cache
def shop():
    return to_histories(shop_rows(customers=250))


@lru_cache
def learnt():
    return learn(shop(), config(), UNTIL)


def test_what_is_learnt_tells_later_leavers_from_stayers():
    bundle = learnt()
    who = np.flatnonzero(eligible(shop(), config(), UNTIL))
    X = bundle.fitted.snapshots(shop(), [UNTIL], who)[:, 0]
    left = churn_labels(shop(), config(), UNTIL).value[who]
    error = np.sqrt((len(left) + 1) / (12 * left.sum() * (len(left) - left.sum())))
    assert auc(left, bundle.predictors[CHURN].probability(X)) > 0.5 + 3 * error


def test_a_bundle_tells_what_it_was_trained_on_and_how_it_was_tested():
    bundle = learnt()
    assert bundle.window.until == UNTIL and bundle.window.last_as_of == UNTIL - 30 * DAY
    assert set(bundle.predictors) == {CHURN, PRINCIPALITY}
    assert bundle.staples == staples_of(shop(), config(), bundle.window.first_as_of)
    assert set(bundle.staples) == {f"item {n}" for n in range(6)}
    for question, others in (
        (CHURN, {"logistic", "recency", "rfm", "bgnbd"}),
        (PRINCIPALITY, {"logistic", "as_before", "own_share"}),
    ):
        measures = bundle.measures[question]
        assert set(measures["models"]) == {"corredor", *others}
        assert measures["curves"]["snapshots"] == measures["snapshots"]
        low, high = measures["models"]["corredor"]["auc"]["interval"]
        assert low <= measures["models"]["corredor"]["auc"]["value"] <= high
    assert bundle.measures[PRINCIPALITY]["stopping"]["models"]["corredor"]["auc"]["value"] > 0.5
    assert bundle.moments["churn"]["overall"] and bundle.moments["churn"]["lifecycle"]
    first = bundle.moments["churn"]["stages"][0]
    assert first["weight"] >= bundle.moments["churn"]["stages"][1]["weight"]
    assert set(first["stages"]) <= set(LIFECYCLE)
    assert bundle.verdict.endswith(".")


def test_nothing_that_is_known_at_until_or_later_is_looked_at():
    cut = learn(shop().known_before(UNTIL), config(), UNTIL)
    assert texts(cut) == texts(learnt())
    assert cut.fitted.fingerprint == learnt().fitted.fingerprint
    assert cut.measures == learnt().measures


def test_same_data_and_seed_give_the_same_bundle(tmp_path):
    first = save_bundle(learnt(), tmp_path / "a")
    second = save_bundle(learn(shop(), config(), UNTIL), tmp_path / "b")
    assert first.id == second.id
    again = load_bundle(tmp_path / "a", verify=False)
    assert again.beats_baselines == first.beats_baselines


def texts(bundle):
    return {question: p.forest.texts for question, p in bundle.predictors.items()}


def test_too_short_a_history_says_what_is_missing():
    with pytest.raises(CorredorError, match="no date can be learnt from"):
        learn(shop(), config(), START + 50 * DAY)
    with pytest.raises(CorredorError, match="gap_days"):
        check_enough(np.zeros(0, np.int64), config())


def test_held_out_dates_never_share_a_day_of_label_window_with_those_fitted_on():
    for n in range(1, 30):
        split = hold_out(np.arange(n) * 14, 28)
        if split is None:
            assert n < 3
            continue
        early, late = split
        assert early.max() + 28 <= late.min()
        assert late.tolist() == (np.arange(n) * 14)[-len(late) :].tolist()
    assert hold_out(np.arange(5) * 28, 90)[0].tolist() == [0]


def made_panel(share_linear: bool, seed: int = 0) -> Panel:
    """Snapshots whose log-odds are a sum of many features (a logistic's world), or a product of two."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(6_000, 20)).astype(np.float32)
    z = X.sum(axis=1) / 2 if share_linear else 2.5 * np.sign(X[:, 0] * X[:, 1])
    left = (random.random(len(X)) < 1 / (1 + np.exp(-z))).astype(np.int8)
    return Panel(np.arange(len(X)), np.zeros(len(X), np.int64), X, left)


@pytest.mark.parametrize("linear", [True, False])
def test_the_logistic_is_blended_in_only_where_it_earns_it(linear):
    recipe = Recipe(trees=60, seeds=1, feature_share=0.5, logistic_c=1.0)
    pair = fit_pair(made_panel(linear), CHURN, recipe)
    gate = judge(pair, made_panel(linear, seed=1), CHURN, 1)
    assert (gate.share > 0) == linear
    assert pair.through(gate).forest.share == gate.share
    assert gate.calibration.calibrator.kind == "identity"  # 60 slow trees are timider than the blend


def test_fewer_rounds_are_taken_where_more_learnt_noise():
    noisy = Recipe(trees=400, seeds=1, learning_rate=0.3, min_rows=5, feature_share=1.0, l2=0.0)
    pair = fit_pair(made_panel(True), CHURN, noisy)
    gate = judge(pair, made_panel(True, seed=1), CHURN, 1)
    assert gate.rounds == 100
    assert min(gate.rounds_log_loss, key=gate.rounds_log_loss.get) == 100
    final = fit_through(made_panel(True), CHURN, noisy, gate)
    assert final.pair.forest.boosters[0].num_trees() == 100


def test_of_what_clearly_lowers_the_log_loss_the_lowest_is_taken_and_none_where_nothing_does():
    stayed, each = np.zeros(400, np.int8), np.arange(400)
    usual = np.zeros(400)
    steady = usual - 0.1  # a little better for everyone
    better = usual - 0.2
    wild = np.where(
        each < 394, -5.0, 70.0
    )  # the lowest on average, but by less than its error: 0.17, of 0.21
    scores = {"usual": usual, "steady": steady, "better": better, "wild": wild}
    chosen, measured = _earned(scores, stayed, each, 1.0)
    assert chosen == "better"
    assert measured == pytest.approx(
        {"usual": 0.6931, "steady": 0.6444, "better": 0.5981, "wild": 0.5247}, abs=1e-4
    )
    assert _earned({"usual": usual, "wild": wild}, stayed, each, 1.0)[0] == "usual"
    assert _earned({"better": better, "usual": usual}, stayed, each, 1.0)[0] == "better"


def test_rows_are_binned_once_for_what_is_judged_and_what_is_kept():
    panel = made_panel(False)
    rows = Rows.of(panel, CHURN, Recipe(trees=20, seeds=2, feature_share=1.0))
    early = np.arange(len(panel)) < 3_000
    judged, kept = rows.fit(rows.recipe, early), rows.fit(rows.recipe)
    assert (judged.snapshots, kept.snapshots) == (3_000, 6_000)
    assert rows.binned.num_data() == 6_000
    assert kept.forest.texts == fit_pair(panel, CHURN, rows.recipe).forest.texts
    # outcomes of rows that are not chosen have no part in what is judged
    other = panel.churned.copy()
    other[~early] = 1 - other[~early]
    turned = Rows.of(replace(panel, churned=other), CHURN, rows.recipe).fit(rows.recipe, early)
    assert turned.forest.texts == judged.forest.texts


@pytest.mark.parametrize(
    ("rounds", "usual", "snapshots", "grown"),
    [
        (600, 400, 4_000, 1_200),  # four times the rows: twice the rounds
        (600, 400, 1_000, 600),
        (600, 400, 250, 600),  # never fewer than earned their place
        (400, 400, 4_000, 400),  # no more than usual earned it
        (200, 400, 4_000, 200),
        (None, 0, 4_000, None),
    ],
)
def test_more_rounds_that_earned_their_place_grow_with_the_root_of_the_rows(rounds, usual, snapshots, grown):
    gate = Gate(rounds=rounds, usual=usual, learnt_from=1_000)
    assert gate.rounds_on(snapshots) == grown


def test_the_last_forest_has_the_rounds_of_its_rows():
    slow = Recipe(trees=40, seeds=1, learning_rate=0.02, feature_share=1.0, l2=0.0)
    panel = made_panel(False)
    half = panel.take(np.arange(len(panel)) < 3_000)
    pair = fit_pair(half, CHURN, replace(slow, trees=80))
    gate = judge(pair, made_panel(False, seed=1), CHURN, 1, usual=slow.trees)
    assert gate.rounds == 80 and gate.learnt_from == 3_000
    assert fit_through(panel, CHURN, slow, gate).pair.forest.boosters[0].num_trees() == 113  # 80 x root of 2


def test_a_feature_that_tells_the_date_is_left_alone():
    random = np.random.default_rng(0)
    dates = np.repeat([0, 1, 2], 400)
    calendar = dates * 100 + random.normal(size=1200) * 10
    left = (random.random(1200) < np.where(dates == 2, 0.8, 0.2)).astype(np.int8)
    X = np.stack([calendar, random.normal(size=1200)], axis=1).astype(np.float32)
    panel = Panel(np.arange(1200) % 400, dates, X, left)
    assert tell_the_date(panel).tolist() == [True, False]
    assert tell_the_date(panel.take(dates == 1)).tolist() == [False, False]
    assert tell_the_date(panel.take(dates > 2)).tolist() == [False, False]
    pair = fit_pair(panel, CHURN, Recipe(trees=50, seeds=1, min_rows=20, feature_share=1.0))
    assert pair.logistic.weights[0] == 0
    assert pair.forest.boosters[0].feature_importance()[0] == 0
    assert panel.X[:, 0].tolist() == X[:, 0].tolist()


def test_monotone_training_holds_silence_to_its_direction():
    held = config().model_copy(update={"training": config().training.model_copy(update={"monotone": True})})
    bundle = learn(shop(), held, UNTIL)
    names, X = bundle.fitted.names, np.repeat(bundle.sample.X[:1], 50, axis=0)
    X[:, names.index("days_since_purchase")] = np.linspace(0, 200, 50)
    assert (np.diff(bundle.predictors[CHURN].forest.raw_score(X)) >= -1e-12).all()
    assert [f.direction for f in bundle.fitted.features if f.name == "purchase_count_28d"] == [-1]


def test_shuffled_outcomes_teach_nothing():
    panel, later = made_panel(True), made_panel(True, seed=1)
    shuffled = Panel(
        panel.customer, panel.as_of, panel.X, np.random.default_rng(2).permutation(panel.churned)
    )
    pair = fit_pair(shuffled, CHURN, Recipe(trees=120, seeds=1))
    y = later.churned
    error = np.sqrt((len(y) + 1) / (12 * y.sum() * (len(y) - y.sum())))
    assert abs(auc(y, pair.forest.raw_score(later.X)) - 0.5) < 3 * error


def test_the_recipe_takes_seeds_and_threads_from_the_configuration():
    assert recipe_of(config()) == Recipe(seeds=1, seed=0, threads=1)


def test_bands_stay_apart_for_any_share_of_leavers():
    for share in (0.01, 0.2, 0.6, 0.95):
        bands = bands_of(share)
        assert share < bands.elevated < bands.high < 1


def models(auc_behind, loss_low):
    ahead = {"auc_behind": {"value": auc_behind, "interval": [auc_behind - 0.01, auc_behind + 0.01]}}
    ahead["log_loss_behind"] = {"value": 0.01, "interval": [loss_low, 0.02]}
    return {"corredor": {}, "logistic": {"auc_behind": {"value": -1.0}}, "rfm": ahead}


def test_the_verdict_says_better_only_when_it_is_beyond_chance():
    assert verdict_of(models(0.02, 0.005))[0] is True
    beats, words = verdict_of(models(0.02, -0.005))
    assert beats is False and "does not clearly beat RFM logistic regression" in words
    assert verdict_of(models(-0.01, 0.005))[0] is False
    assert verdict_of(None) == (None, "Not judged: the history leaves no later dates to test on.")


@lru_cache
def backtested():
    return backtest(shop(), config(), [START + d * DAY for d in (270, 300)], ablation=True)


def test_a_backtest_trains_before_each_date_and_pools_what_came():
    found = backtested().to_json()
    assert found["dates"] == ["2021-06-10", "2021-07-10"] and found["horizon_days"] == 30
    assert set(found["models"]) == {"corredor", "logistic", "recency", "rfm", "bgnbd"}
    measures = ("auc", "average_precision", "log_loss", "brier", "calibration_error", "calibration_slope")
    for m in (*measures, "lift_top_decile", "empc"):
        assert set(found["models"]["corredor"][m]) == {"value", "interval"}
    by_date = [d["churn"]["models"]["corredor"]["auc"]["value"] for d in found["by_date"]]
    assert found["models"]["corredor"]["auc"]["value"] == pytest.approx(np.mean(by_date))
    assert 0 < found["stability"]["jaccard"] <= 1
    assert found["principality"]["models"]["corredor"]["auc"]["value"] > 0.5


def test_an_ablation_tells_what_each_family_is_worth():
    found = backtested()
    families = {f.family for f in learnt().fitted.features}
    assert set(found.ablation) == families == set(found.to_json()["ablation"])
    for facts in found.ablation.values():
        assert facts["features"] > 0
        low, high = facts["auc_cost"]["interval"]
        assert low <= facts["auc_cost"]["value"] <= high
    assert "ablation" not in backtest(shop(), config(), [START + 300 * DAY]).to_json()


def test_a_family_that_tells_all_is_missed_when_it_is_left_out():
    """Who leaves is told by one feature alone: without its family the AUC falls to that of a coin."""
    fitted, random = learnt().fitted, np.random.default_rng(0)
    place = fitted.names.index("days_since_purchase")
    X = np.zeros((2, 3_000, len(fitted.names)), np.float32)
    X[:, :, place] = random.normal(size=(2, 3_000))
    left = (X[:, :, place] > 0).astype(np.int8)
    who, when = np.arange(3_000), np.zeros(3_000, np.int64)
    train, recipe = Panel(who, when, X[0], left[0]), Recipe(trees=60, seeds=1, feature_share=1.0)
    fit = fit_through(train, CHURN, recipe, Gate())
    part = ablate(fit, train, Outcomes(who, when, left[1]), X[1], fitted, CHURN, recipe)
    found = ablation_report([part], fitted, config())
    assert found["contacts"]["auc_cost"]["value"] == pytest.approx(0.5, abs=0.01)
    assert found["pace"]["auc_cost"]["value"] == pytest.approx(0.0, abs=0.01)


def test_a_backtest_of_a_date_does_not_depend_on_what_came_after_its_outcome():
    date = START + 270 * DAY
    cut = shop().known_before(date + 30 * DAY)
    short = backtest(cut, config(), [date]).by_date[0]
    assert short == backtested().by_date[0]


def test_backtest_dates_are_a_horizon_apart_and_their_outcomes_known():
    dates = backtest_dates(shop(), config())
    assert len(dates) == 4 and (np.diff(dates) == 30 * DAY).all()
    assert dates[-1] + 30 * DAY <= shop().span()[1] + DAY


def test_a_date_whose_outcome_is_not_known_is_refused():
    with pytest.raises(CorredorError, match="Choose"):
        backtest(shop(), config(), [START + 395 * DAY])
