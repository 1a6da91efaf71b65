import lightgbm as lgb
import numpy as np
import pytest
import shap
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.errors import CorredorError
from tests.test_training.shap_oracles import brute_force, for_shap
from training.shap_narrow import narrow_trees
from training.treeshap import FEW, TreeShap

CLOSE = 1e-9
STUMP = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
objective=binary sigmoid:1
feature_names=silence age
feature_infos=none none
tree_sizes=0

Tree=0
num_leaves=3
num_cat=0
split_feature=0 1
split_gain=1 1
threshold=30 65
decision_type=2 2
left_child=-1 -2
right_child=1 -3
leaf_value=-1 0 2
leaf_weight=50 30 20
leaf_count=50 30 20
internal_value=0 0.8
internal_weight=100 50
internal_count=100 50
is_linear=0
shrinkage=1


end of trees
"""


def table_of(n: int, seed: int, width: int = 6, zeros: float = 0.2, unknown: float = 0.15):
    """Rows with NaN, plain zeros and a column of categories, and an outcome that hangs on pairs of them."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, width)).astype(np.float32).round(2)
    X[random.random(X.shape) < zeros] = 0.0
    X[random.random(X.shape) < unknown] = np.nan
    X[:, 1] = random.integers(0, 40, n)
    known = np.nan_to_num(X)
    push = known[:, 0] * known[:, 2] + known[:, 3] + (known[:, 1] % 3 == 0) + 0.3 * known[:, -1] ** 2
    return X, (push + random.normal(0, 0.7, n) > 0.8).astype(np.int8)


def booster(seed: int = 0, *, trees: int = 12, rows: int = 900, width: int = 6, **parameters) -> lgb.Booster:
    X, y = table_of(rows, seed, width)
    kind = {"objective": "binary", "num_threads": 1, "verbose": -1, "min_child_samples": 5, "seed": seed}
    data = lgb.Dataset(X, label=y, categorical_feature=[1] if parameters.pop("categories", False) else [])
    model = lgb.train({**kind, "deterministic": True, **parameters}, data, num_boost_round=trees)
    return lgb.Booster(model_str=model.model_to_string())


def hard_rows(model: lgb.Booster, seed: int, n: int = 60) -> np.ndarray:
    """Rows of double numbers on thresholds and just beside them, at 0 and next to it, and unknown ones."""
    random = np.random.default_rng(seed)
    X = table_of(n, seed + 1, model.num_feature())[0].astype(np.float64)
    nodes = [n for t in model.dump_model()["tree_info"] for n in splits(t["tree_structure"])]
    for node in nodes:
        if node["decision_type"] == "<=":
            at, f = node["threshold"], node["split_feature"]
            X[random.integers(n), f] = random.choice(
                [at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf)]
            )
    odd = [
        0.0,
        -0.0,
        1e-36,
        -1e-36,
        1e-35,
        -1e-35,
        1.1e-35,
        np.inf,
        -np.inf,
        np.nan,
        -0.5,
        39.7,
        64.0,
        3e9,
        -3.0,
    ]
    X[random.integers(0, n, 80), random.integers(0, X.shape[1], 80)] = random.choice(odd, 80)
    return X


def single(X: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # the threshold beyond all numbers becomes inf
        return X.astype(np.float32)


def splits(node: dict) -> list[dict]:
    if "leaf_value" in node:
        return []
    return [node, *splits(node["left_child"]), *splits(node["right_child"])]


def theirs(model: lgb.Booster, X: np.ndarray) -> np.ndarray:
    return model.predict(X, pred_contrib=True, num_threads=1)


def test_a_tree_of_two_questions_by_hand():
    # Silent at most 30 days: -1. Longer: 0 up to the age of 65, 2 beyond. Mean: -0.5 + 0.4 = -0.1.
    # A silent customer of 70: knowing the silence alone, 0.8 (20 of 50 are old); knowing the age alone,
    # half of -1 and half of 2 = 0.5; both, 2. Silence: (0.9 + 1.5) / 2; age: (0.6 + 1.2) / 2.
    score, shap_values = TreeShap([STUMP]).explain(np.array([[90.0, 70.0]]))
    assert score[0] == 2.0
    assert shap_values[0] == pytest.approx([1.2, 0.9, -0.1], abs=1e-12)


KINDS = {
    "shallow": {"max_depth": 3, "num_leaves": 8},
    "of two leaves": {"num_leaves": 2},
    "small": {"num_leaves": 8, "min_child_samples": 2},
    "small, with zero as missing": {"num_leaves": 8, "zero_as_missing": True},
    "wide": {"num_leaves": 31},
    "deep": {"num_leaves": 31, "width": 24, "rows": 3000, "min_child_samples": 2},
    "of more than 32 leaves": {"num_leaves": 90, "rows": 3000},
    "with categories": {"num_leaves": 16, "categories": True, "min_data_per_group": 5, "cat_smooth": 1},
    "with zero as missing": {"num_leaves": 16, "zero_as_missing": True},
    "without missing": {"num_leaves": 16, "use_missing": False},
    "with zero as missing and categories": {"zero_as_missing": True, "categories": True, "cat_smooth": 1},
}


@pytest.mark.parametrize("name", KINDS)
def test_contributions_are_those_of_lightgbm_and_scores_have_its_bits(name):
    model = booster(3, **KINDS[name])
    trees = TreeShap([model.model_to_string()])
    for X in (hard_rows(model, 5, 300), single(hard_rows(model, 6, 300))):
        score, found = trees.explain(X)
        assert score.tobytes() == model.predict(X, raw_score=True, num_threads=1).tobytes()
        assert np.abs(found - theirs(model, X)).max() < CLOSE
        assert np.abs(found.sum(axis=1) - score).max() < CLOSE


def test_leaves_whose_path_is_too_long_for_a_table_are_walked():
    trees = TreeShap([booster(3, **KINDS["deep"]).model_to_string()])
    assert 0 < trees.tables().n_walks < len(trees.tables().table_start) // 10


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    leaves=st.integers(2, 40),
    depth=st.sampled_from([-1, 2, 3, 5]),
    missing=st.sampled_from([{}, {"zero_as_missing": True}, {"use_missing": False}]),
    categories=st.booleans(),
    memory=st.sampled_from([0, 20_000, 1 << 20]),
    single_rows=st.booleans(),
)
def test_any_forest_and_any_row_agree_with_lightgbm(
    seed, leaves, depth, missing, categories, memory, single_rows
):
    model = booster(
        *(seed,),
        **{"trees": 4, "rows": 400, "num_leaves": leaves, "max_depth": depth, "cat_smooth": 1},
        **{"min_data_per_group": 5, "categories": categories, **missing},
    )
    X = hard_rows(model, seed)
    if single_rows:
        X = single(X)
    text = model.model_to_string()
    score, found = TreeShap([text], most_bytes=memory).explain(X)
    assert score.tobytes() == model.predict(X, raw_score=True, num_threads=1).tobytes()
    assert np.abs(found - theirs(model, X)).max() < CLOSE
    assert np.abs(TreeShap([text], single=True).explain(X)[1] - theirs(model, X)).max() < 1e-6


@pytest.mark.parametrize("missing", [{}, {"zero_as_missing": True}, {"use_missing": False}])
def test_contributions_are_shapley_values_by_all_subsets(missing):
    model = booster(
        11, trees=4, num_leaves=12, categories=True, min_data_per_group=5, cat_smooth=1, **missing
    )
    X = hard_rows(model, 2, 12)
    X = np.where(np.abs(X) < 1e-35, 0.0, X).clip(-1e6, 1e6)
    trees = model.dump_model()["tree_info"]
    assert any(node["decision_type"] == "==" for t in trees for node in splits(t["tree_structure"]))
    for walks in (0, 1 << 20):
        found = TreeShap([model.model_to_string()], most_bytes=walks).explain(X)[1][:, :-1]
        for row, ours in zip(X, found, strict=True):
            expected = sum(brute_force(t["tree_structure"], row) for t in trees)
            assert np.abs(ours - expected).max() < CLOSE


def test_contributions_are_those_of_shaps_own_code():
    model = booster(4, num_leaves=20, trees=8)
    X = hard_rows(model, 9, 100).clip(-1e6, 1e6)
    X[np.abs(X) < 2e-35] = 0.0  # shap does not know that LightGBM reads these as 0
    trees = [t["tree_structure"] for t in model.dump_model()["tree_info"]]
    explainer = shap.TreeExplainer(for_shap(trees), feature_perturbation="tree_path_dependent")
    by_shap = explainer.shap_values(X, check_additivity=False)
    assert np.abs(by_shap).max() > 0.1
    assert np.abs(TreeShap([model.model_to_string()]).explain(X)[1][:, :-1] - by_shap).max() < CLOSE


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("memory", [64 << 20, 3_000])
def test_a_row_has_the_same_bits_alone_in_a_few_and_in_blocks_explained_or_not(name, kind, memory):
    models = [booster(seed, **KINDS[name]) for seed in (1, 2)]
    bag = TreeShap([model.model_to_string() for model in models], most_bytes=memory)
    X = single(hard_rows(models[0], 4, 1_100)) if kind is np.float32 else hard_rows(models[1], 4, 1_100)
    score, found = bag.explain(X)
    assert bag.raw_score(X).tobytes() == score.tobytes()
    for low, n in ((0, 1), (700, 1), (3, FEW), (3, FEW + 1), (511, 2), (200, 600), (1_099, 1)):
        some = slice(low, low + n)
        again, contributions = bag.explain(X[some])
        assert again.tobytes() == score[some].tobytes() == bag.raw_score(X[some]).tobytes()
        assert contributions.tobytes() == found[some].tobytes()


def test_only_small_trees_with_plain_questions_are_narrow():
    def narrow(kind, **changes):
        model = booster(3, **{**KINDS[kind], **changes})
        trees = TreeShap([model.model_to_string()]).trees
        return narrow_trees(trees, trees.threshold) is not None

    assert narrow("shallow") and narrow("wide", num_leaves=8) and narrow("without missing", num_leaves=5)
    assert not narrow("wide", num_leaves=9)
    assert not narrow("with categories", num_leaves=8)
    assert not narrow("with zero as missing", num_leaves=8)


def test_a_bag_is_the_sum_of_its_boosters():
    models = [booster(seed, max_depth=3) for seed in (1, 2, 3)]
    X = hard_rows(models[0], 1)
    score, found = TreeShap([m.model_to_string() for m in models]).explain(X)
    each = [m.predict(X, raw_score=True, num_threads=1) for m in models]
    assert score.tobytes() == (each[0] + each[1] + each[2]).tobytes()
    assert np.abs(found - sum(theirs(m, X) for m in models)).max() < CLOSE


@pytest.mark.parametrize("name", ["shallow", "deep"])
def test_groups_have_the_sums_of_their_features(name):
    model = booster(3, **KINDS[name])
    trees, X = TreeShap([model.model_to_string()]), hard_rows(model, 5)
    groups = np.arange(model.num_feature()) % 4
    score, found = trees.explain(X)
    again, moments = trees.explain(X, groups)
    assert again.tobytes() == score.tobytes()
    for g in range(4):
        assert np.abs(moments[:, g] - found[:, :-1][:, groups == g].sum(axis=1)).max() < CLOSE
    assert moments[0, -1] == found[0, -1] == trees.base
    assert len(trees.tables(groups).column) < len(trees.tables().column)


def test_tables_take_no_more_memory_than_they_may_and_stay_exact():
    model = booster(3, **KINDS["wide"])
    X, text = hard_rows(model, 5), model.model_to_string()
    free, tight, none = (TreeShap([text], most_bytes=n) for n in (1 << 30, 20_000, 0))
    assert free.nbytes == 0
    for trees in (free, tight, none):
        assert np.abs(trees.explain(X)[1] - theirs(model, X)).max() < CLOSE
    assert free.nbytes > 20_000 >= tight.nbytes > 0 == none.nbytes
    assert free.tables().n_walks < tight.tables().n_walks < none.tables().n_walks
    assert TreeShap([text], single=True).tables().nbytes == free.nbytes // 2


def test_trees_of_one_leaf_score_and_contribute_nothing():
    model = booster(0, trees=3, rows=8, min_child_samples=100)
    X = table_of(20, 0)[0]
    assert "num_leaves=1" in model.model_to_string()
    for n in (1, 20):
        score, found = TreeShap([model.model_to_string()]).explain(X[:n])
        assert score.tobytes() == model.predict(X[:n], raw_score=True).tobytes()
        assert not found[:, :-1].any() and np.abs(found[:, -1] - score).max() < CLOSE


def test_rows_of_other_layouts_and_types_are_read_alike():
    trees = TreeShap([booster(1).model_to_string()])
    X = table_of(50, 1)[0]
    expected = trees.explain(X)[1].tobytes()
    fixed = X.copy()
    fixed.flags.writeable = False
    for same in (np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], fixed):
        assert trees.explain(same)[1].tobytes() == expected
    whole = np.nan_to_num(X).astype(np.int64)
    assert trees.explain(whole)[1].tobytes() == trees.explain(whole.astype(np.float64))[1].tobytes()
    assert trees.explain(X[:0])[1].shape == (0, 7)


def test_what_is_no_boosted_tree_of_one_score_is_refused():
    X, y = table_of(300, 0)
    plain = {"verbose": -1, "num_threads": 1}
    several = lgb.train({**plain, "objective": "multiclass", "num_class": 3}, lgb.Dataset(X, y), 2)
    bagged = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5, "objective": "binary"}
    averaged = lgb.train({**plain, **bagged}, lgb.Dataset(X, y), 2)
    linear = lgb.train({**plain, "linear_tree": True}, lgb.Dataset(np.nan_to_num(X), y), 2)
    for text, why in (
        ("hello", "not a LightGBM"),
        (several.model_to_string(), "several classes"),
        (averaged.model_to_string(), "random forest"),
        (linear.model_to_string(), "linear model"),
        (STUMP.replace("internal_count=100 50", "internal_count=100 0"), "no rows"),
        (STUMP.replace("right_child=1 -3", "right_child=0 -3"), "comes after its child"),
        (STUMP.replace("right_child=1 -3", "right_child=2 -3"), "leads out of its tree"),
        (STUMP.replace("right_child=1 -3", "right_child=1 -4"), "leads out of its tree"),
        (STUMP.replace("right_child=1 -3", "right_child=1 -2"), "not the child of one node"),
        (STUMP.replace("left_child=-1 -2", "left_child=1 -2"), "not the child of one node"),
        (STUMP.replace("split_feature=0 1", "split_feature=0 2"), "none of its 2 features"),
        (STUMP.replace("split_feature=0 1", "split_feature=0"), "not all of its 2 nodes"),
        (STUMP.replace("leaf_value=-1 0 2", "leaf_value=-1 0"), "not all of its 3 leaves"),
    ):
        with pytest.raises(CorredorError, match=why):
            TreeShap([text])
    with pytest.raises(CorredorError, match="same features"):
        TreeShap([STUMP, STUMP.replace("max_feature_idx=1", "max_feature_idx=2")])
    with pytest.raises(CorredorError, match=r"2 features; the matrix is \(1, 3\)"):
        TreeShap([STUMP]).raw_score(np.zeros((1, 3)))
    with pytest.raises(CorredorError, match=r"2 features; the groups are of \(3,\)"):
        TreeShap([STUMP]).explain(np.zeros((1, 2)), np.zeros(3, int))


def test_many_rows_of_small_trees_are_looked_up_four_at_a_time_where_there_is_room_with_the_same_bits():
    models = [booster(seed, **KINDS["shallow"]) for seed in (1, 2)]
    texts, X = [model.model_to_string() for model in models], hard_rows(models[0], 4, 1_100)
    fours = TreeShap(texts)
    room = fours.tables().nbytes
    blocks = TreeShap(texts, most_bytes=room)
    for found, again in zip(fours.explain(X), blocks.explain(X), strict=True):
        assert found.tobytes() == again.tobytes()
    assert fours.nbytes > blocks.nbytes == room
