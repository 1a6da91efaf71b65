"""One snapshot has one value: whatever the order of rows, the other customers, dates and chunks."""

import json

import numpy as np
import pyarrow as pa
import pytest

from features.catalog import FittedFeatures
from features.histories import build_histories
from tests.companies import BEGIN, FIT_BEFORE, UNTIL, bits, company, fitted, of_customers, rows_of
from tests.literals import DAY

TABLES = company(11, customers=50)
HISTORY = build_histories(TABLES)
FEATURES = fitted(TABLES)
DATES = [
    UNTIL - 3 * DAY,
    FIT_BEFORE + 7_200_000_000,
    UNTIL + 60 * DAY,
    BEGIN - DAY,
    FIT_BEFORE,
    UNTIL - 3 * DAY,
]
BATCH = FEATURES.snapshots(HISTORY, DATES)
IDS = HISTORY.customer_ids.to_pylist()


def test_the_snapshots_are_worth_comparing():
    assert BATCH.shape == (50, len(DATES), len(FEATURES.names))
    known = ~np.isnan(BATCH[:, [0, 1, 2, 4]])
    assert known.mean() > 0.7 and known.any(axis=(0, 1)).mean() > 0.99
    varied = [len(np.unique(BATCH[:, 0, f])) > 1 for f in range(BATCH.shape[2])]
    assert np.mean(varied) > 0.9


def test_the_order_of_rows_never_matters():
    rng = np.random.default_rng(0)
    for _ in range(3):
        shuffled = {n: t.take(pa.array(rng.permutation(t.num_rows))) for n, t in TABLES.items()}
        assert bits(FEATURES.snapshots(build_histories(shuffled), DATES)) == bits(BATCH)


def test_a_date_has_the_same_bits_alone_and_in_a_panel():
    for place, date in enumerate(DATES):
        assert bits(FEATURES.snapshots(HISTORY, [date])[:, 0]) == bits(BATCH[:, place])


def test_a_panel_of_every_week_agrees_with_its_dates():
    weeks = UNTIL - np.arange(52) * 7 * DAY
    panel = FEATURES.snapshots(HISTORY, weeks)
    for place in (0, 1, 17, 51):
        assert bits(FEATURES.snapshots(HISTORY, weeks[place : place + 1])[:, 0]) == bits(panel[:, place])


@pytest.mark.parametrize("days", [0, 1, 45])
def test_what_is_read_so_many_days_before_has_the_bits_of_a_date_then(days):
    some = [*FEATURES.features[::3], FEATURES.features[0]]
    now, before = FEATURES.plan_of(FEATURES.features, some, days).run_with_before(HISTORY, np.array(DATES))
    then = FEATURES.snapshots(HISTORY, np.array(DATES) - days * DAY)
    assert bits(now) == bits(BATCH)
    assert before.shape == (50, len(DATES), len(some))
    assert bits(before) == bits(then[:, :, [*range(0, then.shape[2], 3), 0]])


def test_a_plan_may_read_of_before_only_what_it_does_not_read_now():
    later, sooner = FEATURES.features[:5], FEATURES.features[-5:]
    now, before = FEATURES.plan_of(later, sooner, 30).run_with_before(HISTORY, np.array(DATES[:1]))
    assert bits(now) == bits(BATCH[:, :1, :5])
    then = FEATURES.snapshots(HISTORY, [DATES[0] - 30 * DAY])
    assert bits(before) == bits(then[:, :, -5:])


@pytest.mark.parametrize("chunk", [1, 7, 8, 9, 64, 100_000])
def test_the_size_of_chunks_never_matters(chunk):
    assert bits(FEATURES.plan.run(HISTORY, np.array(DATES), chunk=chunk)) == bits(BATCH)


def test_chunks_follow_each_other_without_gap_or_overlap():
    seen = []
    for first, part in FEATURES.plan.iterate(HISTORY, np.array(DATES), chunk=40):
        assert first == len(seen)
        seen.extend(part.copy())
    assert bits(np.array(seen)) == bits(BATCH)


def test_some_customers_have_the_same_bits_as_among_all():
    chosen = np.array([31, 4, 4, 49, 0])
    assert bits(FEATURES.snapshots(HISTORY, DATES, chosen)) == bits(BATCH[chosen])


@pytest.mark.parametrize("compact", [True, False])
def test_a_customer_alone_has_the_same_bits_as_in_the_batch(compact):
    for place, name in enumerate(IDS):
        alone = build_histories(of_customers(TABLES, [name]), compact=compact)
        assert alone.customer_ids.to_pylist() == [name]
        assert bits(FEATURES.snapshots(alone, DATES)) == bits(BATCH[place : place + 1]), name


def test_a_customer_alone_has_the_same_bits_at_one_date():
    """As a request asks: one customer, one date, only what is known by then."""
    for place, name in enumerate(IDS[::5]):
        alone = build_histories(of_customers(TABLES, [name]), compact=False).known_before(DATES[0])
        assert bits(FEATURES.snapshots(alone, DATES[:1])) == bits(BATCH[5 * place : 5 * place + 1, :1]), name


def test_partitions_of_customers_agree_with_the_whole():
    for part in (IDS[:17], IDS[17:20], IDS[20:]):
        history = build_histories(of_customers(TABLES, part))
        assert bits(FEATURES.snapshots(history, DATES)) == bits(BATCH[rows_of(HISTORY, part)])


def test_compact_integers_are_the_integers():
    loose = build_histories(TABLES, compact=False)
    assert loose.touchpoints.nbytes > 2 * HISTORY.touchpoints.nbytes
    assert bits(FEATURES.snapshots(loose, DATES)) == bits(BATCH)


def test_a_history_cut_at_a_date_has_the_same_bits_at_that_date():
    """Relationships too: their rows are changes, each dated by when it was known."""
    cut = HISTORY.known_before(DATES[1])
    assert cut.n_touchpoints < HISTORY.n_touchpoints
    assert bits(FEATURES.snapshots(cut, DATES[1:2])) == bits(BATCH[:, 1:2])


def test_features_written_as_json_and_read_again_are_the_same():
    read = FittedFeatures.from_dict(json.loads(json.dumps(FEATURES.to_dict())))
    assert read.to_dict() == FEATURES.to_dict() and read.fingerprint == FEATURES.fingerprint
    assert bits(read.snapshots(HISTORY, DATES)) == bits(BATCH)


def test_fitting_is_the_same_twice_and_in_any_order_of_rows():
    rng = np.random.default_rng(1)
    shuffled = {n: t.take(pa.array(rng.permutation(t.num_rows))) for n, t in TABLES.items()}
    assert fitted(shuffled).fingerprint == fitted(TABLES).fingerprint == FEATURES.fingerprint


def test_the_engine_keeps_nothing_from_one_call_to_the_next():
    other = build_histories(company(12, customers=9))
    FEATURES.snapshots(other, DATES[::-1])
    FEATURES.snapshots(HISTORY.select([3]), DATES[:1])
    assert bits(FEATURES.snapshots(HISTORY, DATES)) == bits(BATCH)
