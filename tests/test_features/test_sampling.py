import numpy as np
import pyarrow as pa
import pytest

from features.buckets import buckets_of
from features.errors import CorredorError
from features.sampling import check_share, drawn

IDS = pa.array([f"customer-{i}" for i in range(20_000)])


def test_a_share_of_the_customers_is_drawn_whatever_their_order():
    chosen = drawn(IDS, 0.1)
    error = np.sqrt(0.1 * 0.9 / len(IDS))
    assert abs(chosen.mean() - 0.1) < 4 * error
    np.testing.assert_array_equal(drawn(IDS.take(pa.array(np.arange(len(IDS))[::-1])), 0.1), chosen[::-1])


def test_who_is_in_a_smaller_sample_is_in_every_larger_one_and_all_are_in_the_whole():
    small, large = drawn(IDS, 0.02), drawn(IDS, 0.3)
    assert small.any() and not (small & ~large).any()
    assert drawn(IDS, 1.0).all()


def test_the_sample_has_nothing_to_do_with_the_buckets():
    share = np.bincount(buckets_of(IDS, 8), weights=drawn(IDS, 0.25)) / np.bincount(buckets_of(IDS, 8))
    assert (np.abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / (len(IDS) / 8))).all()


def test_ids_that_differ_in_their_last_letter_alone_are_drawn_apart():
    """A hash whose upper bits the last letter hardly reaches would draw whole families of ids."""
    tens = drawn(IDS, 0.5).reshape(-1, 10).sum(axis=1)
    assert abs(tens.var() - 2.5) < 4 * 2.5 * np.sqrt(2 / len(tens))


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5, float("nan")])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(CorredorError, match="above 0 and at most 1"):
        check_share(share)
