import numpy as np
import pytest

from features.errors import CorredorError
from tests.test_training.shap_oracles import brute_force
from training.calibration import Calibrator, probability
from training.forest import Forest, Logistic, Predictor
from training.model import Recipe, fit_forest, fit_logistic
from training.reasons import roll_up
from training.start import fit_start

SMALL = Recipe(trees=40, seeds=2, min_rows=20, feature_share=0.5)
NAMES = ["silence", "count", "noise", "sometimes"]


def rows(n: int = 3_000, seed: int = 0):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, 4)).astype(np.float32)
    X[random.random(n) < 0.3, 3] = np.nan
    y = random.random(n) < probability(1.5 * X[:, 0] - X[:, 1])
    return X, y.astype(np.int8)


def fitted(share: float = 0.25) -> Forest:
    X, y = rows()
    return Forest(fit_forest(X, y, recipe=SMALL).texts, fit_logistic(X, y, recipe=SMALL), share)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_contributions_and_base_add_up_to_the_raw_score(share):
    X, _ = rows(200, seed=1)
    forest = fitted(share)
    assert np.abs(forest.contributions(X).sum(axis=1) - forest.raw_score(X)).max() < 1e-9


def test_one_pass_gives_the_score_of_lightgbm_to_the_last_bit_and_its_contributions():
    X, _ = rows(700, seed=5)
    forest = fitted(0.25)
    score, found = forest.explain(X)
    assert score.tobytes() == forest.raw_score(X).tobytes() == forest.raw_score(X, rounds=40).tobytes()
    assert found.tobytes() == forest.contributions(X).tobytes()
    trees = sum(b.predict(X, pred_contrib=True) for b in forest.boosters) / 2
    linear = np.hstack([forest.logistic.terms(X), np.full((len(X), 1), forest.logistic.intercept)])
    assert np.abs(found - (0.75 * trees + 0.25 * linear)).max() < 1e-9


def test_contributions_by_group_are_the_sums_of_their_features_with_a_start_and_a_logistic():
    X, y = rows(600, seed=6)
    X[:, 2] = probability(X[:, 2])
    start = fit_start(X, y, [2], 0.1)
    forest = Forest(fit_forest(X, y, recipe=SMALL, start=start).texts, fitted().logistic, 0.25, start)
    groups = np.array([0, 1, 0, 1])
    score, moments = forest.explain(X, groups)
    found = forest.contributions(X)
    assert score.tobytes() == forest.raw_score(X).tobytes()
    assert np.abs(moments[:, :-1] - roll_up(found[:, :-1], groups, 2)).max() < 1e-9
    assert np.abs(moments.sum(axis=1) - score).max() < 1e-9


def test_contributions_of_trees_are_shapley_values_by_brute_force():
    X, y = rows(800)
    forest = fit_forest(X, y, recipe=Recipe(trees=3, seeds=1, min_rows=50, feature_share=1.0))
    tree_tables = forest.boosters[0].dump_model()["tree_info"]
    for row in X[:3]:
        found = forest.contributions(row[None])[0]
        expected = sum(brute_force(t["tree_structure"], row) for t in tree_tables)
        assert np.abs(found[:-1] - expected).max() < 1e-9


def test_same_rows_and_recipe_give_the_same_bytes():
    X, y = rows()
    assert fit_forest(X, y, recipe=SMALL).texts == fit_forest(X, y, recipe=SMALL).texts


def test_other_seeds_give_other_trees():
    X, y = rows()
    other = Recipe(**{**SMALL.__dict__, "seed": 100})
    assert fit_forest(X, y, recipe=SMALL).texts != fit_forest(X, y, recipe=other).texts


def test_a_score_does_not_depend_on_the_rows_beside_it():
    X, _ = rows(64, seed=2)
    predictor = Predictor(fitted())
    together = predictor.probability(X)
    alone = np.array([predictor.probability(X[i : i + 1])[0] for i in range(len(X))])
    assert together.tobytes() == alone.tobytes()


def test_what_is_taken_apart_is_put_together_bit_for_bit():
    X, _ = rows(100, seed=3)
    forest = fitted()
    again = Forest.from_texts(forest.texts, forest.linear_dict(), NAMES)
    assert again.raw_score(X).tobytes() == forest.raw_score(X).tobytes()
    assert Forest.from_texts(forest.texts, None, NAMES).linear_dict() is None


def test_parts_of_another_width_are_refused():
    forest = fitted()
    with pytest.raises(CorredorError, match="4 features, not 3"):
        Forest.from_texts(forest.texts, None, NAMES[:3])
    with pytest.raises(CorredorError, match="no trees"):
        Forest.from_texts([], None, NAMES)
    with pytest.raises(CorredorError, match="reads 4 features"):
        forest.raw_score(np.zeros((1, 3), np.float32))


def test_outcomes_that_are_all_the_same_are_refused():
    X, _ = rows(200)
    with pytest.raises(CorredorError, match="nothing to learn"):
        fit_forest(X, np.zeros(200), recipe=SMALL)


def test_monotone_features_are_held_to_their_direction():
    X, y = rows()
    recipe = Recipe(**{**SMALL.__dict__, "monotone": True})
    forest = fit_forest(X, y, recipe=recipe, directions=[1, -1, 0, 0])
    line = np.zeros((50, 4), np.float32)
    line[:, 0] = np.linspace(-3, 3, 50)
    assert (np.diff(forest.raw_score(line)) >= -1e-12).all()


def test_the_logistic_finds_the_weights_that_made_the_outcomes():
    random = np.random.default_rng(0)
    X = random.normal(size=(20_000, 2)).astype(np.float32)
    squashed = np.sign(X) * np.log1p(np.abs(X))
    y = random.random(len(X)) < probability(2 * squashed[:, 0] - 0.5)
    model = fit_logistic(X, y, recipe=Recipe(logistic_c=1e4))
    assert model.weights / model.scale == pytest.approx([2.0, 0.0], abs=0.1)


def test_an_unknown_value_adds_nothing_to_the_logistic():
    linear = Logistic(np.array([1.0]), np.array([2.0]), np.array([3.0]), 0.5)
    assert linear.raw_score(np.array([[np.nan]])).tolist() == [0.5]


def test_a_predictor_calibrates_its_forest():
    X, _ = rows(20)
    forest = fitted()
    p = Predictor(forest, Calibrator("platt", (0.5, -1.0))).probability(X)
    assert p == pytest.approx(probability(0.5 * forest.raw_score(X) - 1.0))
