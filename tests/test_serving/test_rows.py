from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import CorredorError
from serving.batch import at_risk_list, rank
from serving.rows import SCHEMA, score_chunks, score_rows
from tests.test_training.shop import AS_OF, DAY, START, shop_config, to_histories, trained_shop
from training.config import Principality
from training.principality import staples_of
from training.scoring import BOTH_QUESTIONS, score
from training.sentences import Sentences
from training.telling import tell_reasons

ASKED = Principality(rule="usage", min_weeks_share=0.5, min_items=2)
CUSTOMERS = 60


@pytest.fixture(scope="module")
def shop():
    trained = trained_shop()
    asked = shop_config(Path()).model_copy(update={"principality": ASKED})
    staples = staples_of(trained.histories, asked, trained.bundle.window.first_as_of)
    return replace(trained, bundle=replace(trained.bundle, staples=staples))


@pytest.fixture(scope="module")
def some(shop):
    """Some of the shop, of whom a few have not come yet on the day of the list."""
    late = [{**r, "occurred_at": r["occurred_at"] + 500 * DAY} for r in shop.rows[:40]]
    late = [{**r, "customer_id": "customer-0000-later"} for r in late]
    return to_histories([*late, *(r for r in shop.rows if r["customer_id"] < f"customer-{CUSTOMERS:04d}")])


@pytest.fixture(scope="module")
def config():
    return shop_config(Path()).model_copy(update={"principality": ASKED})


@pytest.fixture(scope="module")
def whole(shop, some, config):
    return score_rows(shop.bundle, some, config, AS_OF)


def assert_same(one, other):
    assert one.schema == other.schema
    for name in one.column_names:
        if pa.types.is_floating(one.schema.field(name).type):
            np.testing.assert_array_equal(one[name].to_numpy(), other[name].to_numpy(), err_msg=name)
        else:
            assert one[name].to_pylist() == other[name].to_pylist(), name


def test_there_is_one_row_for_each_customer_and_nothing_is_null(some, whole):
    assert whole.schema == SCHEMA
    assert whole["customer_id"].to_pylist() == some.customer_ids.to_pylist()
    assert [c.null_count for c, f in zip(whole.columns, SCHEMA, strict=True) if f.name != "unseen_kinds"] == (
        [0] * (len(SCHEMA) - 1)
    )


def test_who_is_not_known_yet_has_a_row_and_is_in_no_list(shop, whole, config):
    known = dict(zip(whole["customer_id"].to_pylist(), whole["known"].to_pylist(), strict=True))
    assert not known.pop("customer-0000-later") and all(known.values())
    listed = rank(pa.table(whole), shop.bundle, config, AS_OF, everyone=True).table()
    assert sorted(listed["customer_id"].to_pylist()) == sorted(known)


@settings(max_examples=8, deadline=None)
@given(size=st.integers(1, CUSTOMERS + 5))
def test_the_size_of_a_chunk_changes_no_row(shop, some, config, whole, size):
    chunks = score_chunks(shop.bundle, some, config, AS_OF, size=size)
    assert_same(pa.Table.from_batches([c.rows for c in chunks]), pa.table(whole))


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), parts=st.integers(1, 5))
def test_any_parts_of_the_company_in_any_order_make_the_same_list(shop, some, config, seed, parts):
    expected = at_risk_list(shop.bundle, some, config, AS_OF, everyone=True)
    random = np.random.default_rng(seed)
    found = []
    for who in np.array_split(random.permutation(some.n_customers), parts):
        part = replace(some.select(who), partial=True)
        found.append(score_rows(shop.bundle, part, config, AS_OF))
    listed = rank(pa.Table.from_batches(found), shop.bundle, config, AS_OF, everyone=True)
    assert listed.table() == expected.table()
    assert listed.summary == expected.summary


def test_a_part_that_lacks_the_kind_asked_about_is_scored_and_a_whole_company_that_does_is_refused(
    shop, config
):
    only = [{"customer_id": "c", "occurred_at": AS_OF - DAY, "kind": "complaint"}]
    histories = to_histories(only)
    part = replace(histories, partial=True)
    rows = score_rows(shop.bundle, part, config, AS_OF)
    assert rows["active"].to_pylist() == [False]
    with pytest.raises(Exception, match="purchase"):
        score_rows(shop.bundle, histories, config, AS_OF)


def test_the_kinds_that_the_model_has_not_seen_are_told_of_whom_they_were_seen(shop, config):
    row = {"kind": "purchase", "occurred_at": AS_OF - 9 * DAY, "item": "item 1"}
    strange = [{**row, "kind": kind, "occurred_at": AS_OF - DAY} for kind in ("visit", "séance", "visit")]
    rows = [{**row, "customer_id": "a"}, *({**r, "customer_id": "b"} for r in [row, *strange])]
    rows.append({**row, "customer_id": "a", "kind": "later", "occurred_at": AS_OF})
    found = score_rows(shop.bundle, to_histories(rows), config, AS_OF)
    assert [sorted(kinds or ()) for kinds in found["unseen_kinds"].to_pylist()] == [[], ["séance", "visit"]]
    listed = rank(pa.table(found), shop.bundle, config, AS_OF, everyone=True)
    assert listed.summary["unseen_kinds"] == ["séance", "visit"]


def test_a_model_without_the_staples_that_the_rule_counts_is_refused_with_what_to_do(shop, some, config):
    without = replace(shop.bundle, staples=())
    with pytest.raises(CorredorError, match="trained without any. Train again, name them in `staples`"):
        score_rows(without, some, config, AS_OF)
    named = config.model_copy(update={"principality": ASKED.model_copy(update={"staples": ("item 1",)})})
    assert score_rows(without, some, named, AS_OF).num_rows == some.n_customers


def test_nobody_at_all_makes_no_rows(shop, config):
    nobody = shop.histories.select(np.array([], np.int64))
    assert score_rows(shop.bundle, nobody, config, AS_OF).num_rows == 0


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("question", ["churn", "principality"])
def test_a_list_tells_each_reason_as_an_explanation_of_the_customer_does(shop, language, question):
    scores = score(shop.bundle, shop.histories, AS_OF, reasons=9, explain=BOTH_QUESTIONS)
    top = scores.explained[question].top
    by = shop.bundle.tellers.told_by(scores.X, top.moment, top.feature)
    sentences = Sentences(shop.bundle, AS_OF, language)
    for element in range(0, len(scores), 7):
        alone = tell_reasons(shop.bundle, scores, element, question)
        one = type(by)(by.feature[element], by.value[element], by.usual[element])
        assert sentences.of(top.moment[element], one).to_pylist() == [
            getattr(r.sentence, language) for r in alone
        ]
        told = [sentences.labels[m] for m in top.moment[element]]
        assert told == [getattr(r.label, language) for r in alone]


def test_the_day_before_the_data_tells_no_one(shop, config):
    found = score_rows(shop.bundle, shop.histories, config, START - DAY)
    assert not any(found["known"].to_pylist())
