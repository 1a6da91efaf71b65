import json

from tests.test_training.shop import shop_rows, to_histories
from training.fingerprints import fingerprints

ROWS = shop_rows(customers=20, days=100)


def test_the_order_of_rows_does_not_matter():
    assert fingerprints(to_histories(ROWS)) == fingerprints(to_histories(ROWS[::-1]))


def test_any_change_of_any_row_is_seen():
    before = fingerprints(to_histories(ROWS))
    for change in ({"amount": 0.01}, {"channel": "phone"}, {"customer_id": "someone else"}):
        assert fingerprints(to_histories([{**ROWS[0], **change}, *ROWS[1:]])) != before
    assert fingerprints(to_histories(ROWS[1:])) != before


def test_it_names_no_customer():
    assert "customer-00" not in json.dumps(fingerprints(to_histories(ROWS)))
