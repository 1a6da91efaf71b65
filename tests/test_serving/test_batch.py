import csv
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import CorredorError
from features.histories import build_histories
from serving.batch import PRINCIPAL_COLUMNS, at_risk_list
from serving.list_files import FORMULA_STARTS, csv_rows, harmless, write_list
from tests.test_training.shop import AS_OF, DAY, START, shop_config, to_histories, trained_shop
from training.config import Principality
from training.labels import eligible
from training.scoring import score


@pytest.fixture(scope="module")
def shop():
    return trained_shop()


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return shop_config(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def everyone(shop, config):
    return at_risk_list(shop.bundle, shop.histories, config, AS_OF, everyone=True)


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_everyone_lists_each_known_customer_once_with_the_probability_that_scoring_gives(shop, everyone):
    table = everyone.table()
    assert sorted(table["customer_id"].to_pylist()) == shop.histories.customer_ids.to_pylist()
    scores = score(shop.bundle, shop.histories, AS_OF)
    alone = dict(zip(shop.histories.customer_ids.to_pylist(), scores.churn_probability.tolist(), strict=True))
    assert {r["customer_id"]: r["churn_probability"] for r in table.to_pylist()} == alone


def test_the_list_has_only_those_with_us_whose_risk_is_not_low(shop, config):
    table = at_risk_list(shop.bundle, shop.histories, config, AS_OF).table()
    with_us = eligible(shop.histories, config, AS_OF)
    listed = shop.histories.position(table["customer_id"].to_pylist())
    assert with_us[listed].all()
    assert set(table["risk"].to_pylist()) <= {"elevated", "high"}
    assert 0 < len(table) < with_us.sum()


def test_the_first_row_has_most_at_stake_and_those_who_left_come_last(everyone):
    rows = everyone.table().to_pylist()
    assert [r["rank"] for r in rows] == list(range(1, len(rows) + 1))
    here = [r for r in rows if r["lifecycle_stage"] != "left"]
    assert rows[: len(here)] == here
    stakes = [r["churn_probability"] * r["value"] for r in here]
    assert all(a >= b - 0.01 for a, b in zip(stakes, stakes[1:], strict=False))


def test_sorted_by_risk_the_first_row_is_the_most_likely_to_leave(shop, config):
    table = at_risk_list(shop.bundle, shop.histories, config, AS_OF, order="risk", top=7).table()
    risks = table["churn_probability"].to_pylist()
    assert len(risks) == 7
    assert risks == sorted(risks, reverse=True)


def test_the_value_is_said_to_be_spend_when_none_is_given(everyone):
    assert set(everyone.table()["value_source"].to_pylist()) == {"spend"}


def test_every_row_tells_three_moments_with_sentences(everyone):
    for row in everyone.table(50).to_pylist():
        for k in (1, 2, 3):
            assert row[f"moment_{k}"] and row[f"reason_{k}"]
            assert 0 <= row[f"risk_without_{k}"] <= 1


def test_the_reasons_are_told_in_the_language_of_the_project(shop, config):
    spanish = config.model_copy(update={"project": config.project.model_copy(update={"language": "es"})})
    told = at_risk_list(shop.bundle, shop.histories, spanish, AS_OF, top=30).table()["reason_1"].to_pylist()
    assert any("compra" in sentence for sentence in told)


def test_the_summary_counts_all_with_us_listed_or_not(shop, config):
    short = at_risk_list(shop.bundle, shop.histories, config, AS_OF, top=1)
    with_us = eligible(shop.histories, config, AS_OF)
    assert short.summary["customers"] == with_us.sum()
    probability = score(shop.bundle, shop.histories, AS_OF).churn_probability
    assert short.summary["expected_leavers"] == pytest.approx(probability[with_us].sum())


def test_a_chunk_at_a_time_gives_the_same_rows(shop, config, everyone, monkeypatch):
    monkeypatch.setattr("serving.batch.CHUNK", 7)
    assert at_risk_list(shop.bundle, shop.histories, config, AS_OF, everyone=True).table() == everyone.table()


def test_what_came_at_or_after_as_of_changes_nothing(shop, config):
    early = START + 250 * DAY
    before = at_risk_list(shop.bundle, shop.histories, config, early, everyone=True).table()
    only_past = to_histories([row for row in shop.rows if row["occurred_at"] < early])
    after = at_risk_list(shop.bundle, only_past, config, early, everyone=True).table()
    assert before == after


def test_before_all_data_the_list_is_refused_with_the_dates_there_are(shop, config):
    with pytest.raises(CorredorError, match="The touchpoints run from 2020-09-13 to"):
        at_risk_list(shop.bundle, shop.histories, config, START - DAY)


def test_csv_and_parquet_hold_the_same_rows(everyone, tmp_path):
    rows = read_csv(write_list(everyone, tmp_path / "list.csv"))
    table = pq.read_table(write_list(everyone, tmp_path / "list.parquet"))
    assert list(rows[0]) == table.column_names == everyone.schema.names
    assert [r["customer_id"] for r in rows] == table["customer_id"].to_pylist()
    assert [float(r["churn_probability"]) for r in rows] == table["churn_probability"].to_pylist()


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_a_spreadsheet_runs_no_cell_and_the_id_can_be_read_back(shop, config, tmp_path, start):
    hostile = f"{start}HYPERLINK(1)"
    rows = [{**r, "customer_id": hostile} if r["customer_id"] == "customer-0001" else r for r in shop.rows]
    found = at_risk_list(shop.bundle, to_histories(rows), config, AS_OF, everyone=True)
    written = [r["customer_id"] for r in read_csv(write_list(found, tmp_path / "list.csv"))]
    assert not any(cell.startswith(FORMULA_STARTS) for cell in written)
    assert hostile in [cell.removeprefix("'") for cell in written]
    assert hostile in pq.read_table(write_list(found, tmp_path / "list.parquet"))["customer_id"].to_pylist()


def test_an_id_that_begins_with_an_apostrophe_is_read_back_too():
    assert [harmless(i).removeprefix("'") for i in ("'=1", "'a", "''", "=1")] == ["'=1", "'a", "''", "=1"]


def test_numbers_stay_numbers_even_below_zero():
    assert csv_rows([["-0.5", harmless("-0.5")]]) == "-0.5,'-0.5\n"


def test_a_list_that_cannot_be_finished_leaves_the_old_one(everyone, tmp_path, monkeypatch):
    path = tmp_path / "list.csv"
    path.write_text("the old one")

    def full(self):
        yield self._batch(0, 5)
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(type(everyone), "batches", full)
    with pytest.raises(OSError, match="No space left"):
        write_list(everyone, path)
    assert path.read_text() == "the old one"
    assert [p.name for p in tmp_path.iterdir()] == ["list.csv"]


def test_another_ending_is_refused(everyone, tmp_path):
    with pytest.raises(CorredorError, match=r"written as \.csv or \.parquet"):
        write_list(everyone, tmp_path / "list.xlsx")


def test_a_customer_without_a_value_has_none_and_comes_after_those_who_have_one(shop, config):
    ids = shop.histories.customer_ids.to_pylist()
    values = pa.table(
        {
            "customer_id": ids,
            "value": pa.array([100.0 if i % 2 else None for i in range(len(ids))], pa.float64()),
        }
    )
    columns = {
        name: pa.array([r.get(name) for r in shop.rows], kind)
        for name, kind in (
            ("customer_id", pa.string()),
            ("occurred_at", pa.timestamp("us", tz="UTC")),
            ("kind", pa.string()),
            ("amount", pa.float64()),
        )
    }
    histories = build_histories({"touchpoints": pa.table(columns), "customers": values})
    rows = at_risk_list(shop.bundle, histories, config, AS_OF).table().to_pylist()
    valued = [r["value"] is not None for r in rows]
    assert valued == sorted(valued, reverse=True)
    assert not all(valued)
    assert np.isfinite([r["churn_probability"] for r in rows]).all()


@pytest.fixture(scope="module")
def two_way(shop, config):
    asked = config.model_copy(update={"principality": Principality(rule="usage", min_weeks_share=0.5)})
    return at_risk_list(shop.bundle, shop.histories, asked, AS_OF, everyone=True)


def test_where_principality_is_asked_the_list_joins_it_with_leaving(two_way):
    table = two_way.table()
    names = [name for name, _ in PRINCIPAL_COLUMNS]
    assert [name for name in table.column_names if name in names] == names
    for row in table.to_pylist():
        churn, principal = row["churn_probability"], row["principality_probability"]
        if row["principal_today"] == "yes":
            assert row["drift_probability"] == pytest.approx((1 - churn) * (1 - principal))
            ends = ((1 - churn) * principal, (1 - churn) * (1 - principal), churn)
            ways = ("stays_principal", "silent_drift", "leaves_principal")
            assert row["likely"] == ways[int(np.argmax(ends))]
        else:
            assert row["drift_probability"] is None
            assert row["likely"] in ("becomes_principal", "stays_secondary", "leaves_secondary")
    assert {row["principal_today"] for row in table.to_pylist()} == {"yes", "no"}


def test_the_reasons_of_principality_are_what_speaks_against_it(two_way):
    table = two_way.table().to_pylist()
    told = [row for row in table if row["principality_reason_1"]]
    assert len(told) > len(table) / 2
    for row in told:
        assert row["principality_without_1"] >= row["principality_probability"]
        without = [row[f"principality_without_{k}"] for k in (1, 2, 3)]
        known = [w for w in without if w is not None]
        assert known == sorted(known, reverse=True)


def test_the_two_way_summary_adds_up(two_way):
    summary = two_way.summary
    rows = summary["two_way"]
    assert sum(row["customers"] for row in rows) == summary["customers"]
    for row in rows:
        assert sum(cell["customers"] for cell in row["ends"].values()) == pytest.approx(row["customers"])
    leaves = sum(row["ends"]["leaves"]["customers"] for row in rows)
    assert leaves == pytest.approx(summary["expected_leavers"])
    kept = sum(row["ends"]["principal"]["customers"] for row in rows)
    assert kept == pytest.approx(summary["expected_principal"])


def test_where_principality_is_not_asked_the_list_is_the_plain_one(everyone):
    assert everyone.summary["two_way"] is None
    assert not {name for name, _ in PRINCIPAL_COLUMNS} & set(everyone.schema.names)
