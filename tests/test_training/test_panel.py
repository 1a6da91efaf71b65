import numpy as np
import pytest

from features.catalog import fit_features
from tests.literals import DAY
from tests.test_training.shop import AS_OF, shop_config, shop_rows, to_histories
from training.labels import churn_labels, eligible
from training.panel import build_panel, panel_dates

HORIZON = 30 * DAY


@pytest.fixture(scope="module")
def shop():
    from pathlib import Path

    config = shop_config(Path(), principality={"rule": "usage", "min_weeks_share": 0.5})
    histories = to_histories(shop_rows(customers=80))
    dates = np.sort(panel_dates(histories, config, AS_OF))
    fitted = fit_features(histories, config, config.activity, fit_before=int(dates[0]), until=AS_OF)
    return config, histories, dates, fitted


def test_dates_are_mature_a_step_apart_and_newest_first(shop):
    config, histories, _, _ = shop
    dates = panel_dates(histories, config, AS_OF)
    assert dates[0] == AS_OF - HORIZON
    assert (np.diff(dates) == -14 * DAY).all()
    assert len(dates) <= config.training.max_dates


def test_dates_end_with_the_data_however_late_they_are_asked_for(shop):
    config, histories, _, _ = shop
    newest = panel_dates(histories, config, AS_OF + 10_000 * DAY)[0]
    churn_labels(histories, config, int(newest))
    assert newest + HORIZON <= histories.span()[1] + DAY


def test_a_history_shorter_than_a_horizon_and_its_look_back_has_no_dates(shop):
    config, histories, _, _ = shop
    first = histories.span()[0]
    assert len(panel_dates(histories, config, first + 59 * DAY)) == 0
    assert len(panel_dates(histories, config, first + 61 * DAY)) == 1


def test_rows_are_the_eligible_customers_with_their_outcomes_and_features(shop):
    config, histories, dates, fitted = shop
    panel = build_panel(histories, config, fitted, dates)
    for date in dates.tolist():
        rows = panel.as_of == date
        who = np.flatnonzero(eligible(histories, config, date))
        assert panel.customer[rows].tolist() == who.tolist()
        assert (panel.churned[rows] == churn_labels(histories, config, date).value[who]).all()
        alone = fitted.snapshots(histories, [date], who)[:, 0]
        assert panel.X[rows].tobytes() == alone.tobytes()
    assert set(panel.principal[panel.churned == 0].tolist()) == {0, 1}
    assert (panel.principal[panel.churned == 1] == -1).all()  # of those who left it is not asked


def test_snapshots_do_not_change_when_the_future_does(shop):
    config, histories, dates, fitted = shop
    until = int(dates[-1])
    whole = build_panel(histories, config, fitted, dates, labelled=False)
    cut = build_panel(histories.known_before(until), config, fitted, dates, labelled=False)
    assert whole.X.tobytes() == cut.X.tobytes()
    assert whole.customer.tolist() == cut.customer.tolist()
    assert (whole.was_principal == cut.was_principal).all()
    assert (whole.churned == -1).all()


def test_a_panel_that_is_too_large_keeps_whole_customers(shop):
    config, histories, dates, fitted = shop
    whole = build_panel(histories, config, fitted, dates)
    part = build_panel(histories, config, fitted, dates, most_rows=len(whole) // 2)
    assert 0 < len(part) <= len(whole) // 2
    for customer in np.unique(part.customer):
        assert (part.customer == customer).sum() == (whole.customer == customer).sum()
    again = build_panel(histories, config, fitted, dates, most_rows=len(whole) // 2)
    assert again.customer.tolist() == part.customer.tolist()
