import pytest

from serving.batch import at_risk_list
from serving.explaining import explain_customer
from tests.test_training.shop import AS_OF, shop_config, trained_shop


@pytest.fixture(scope="module")
def shop():
    return trained_shop()


def test_a_customer_explained_is_told_as_the_list_tells_them(shop, tmp_path):
    config = shop_config(tmp_path, principality={"rule": "usage", "min_weeks_share": 0.5})
    for row in at_risk_list(shop.bundle, shop.histories, config, AS_OF).table(5).to_pylist():
        found = explain_customer(shop.bundle, shop.histories, config, row["customer_id"], AS_OF)
        two_way = found["two_way"]
        assert two_way["today"] == {"yes": "principal", "no": "secondary"}[row["principal_today"]]
        assert two_way["likely"] == row["likely"]
        assert sum(two_way["ends"].values()) == pytest.approx(1)
        assert two_way["ends"].get("silent_drift") == row["drift_probability"]
        told = [r["sentence"] for r in two_way["against"]]
        assert told[:3] == [s for k in (1, 2, 3) if (s := row[f"principality_reason_{k}"])]


def test_what_speaks_against_us_comes_with_the_heaviest_first(shop, tmp_path):
    config = shop_config(tmp_path, principality={"rule": "usage", "min_weeks_share": 0.5})
    found = explain_customer(shop.bundle, shop.histories, config, "customer-0003", AS_OF)
    weights = [reason["contribution"] for reason in found["two_way"]["against"]]
    assert weights and weights == sorted(weights) and max(weights) < 0


def test_without_principality_nothing_is_said_of_it(shop, tmp_path):
    found = explain_customer(shop.bundle, shop.histories, shop_config(tmp_path), "customer-0003", AS_OF)
    assert found["two_way"] is None
