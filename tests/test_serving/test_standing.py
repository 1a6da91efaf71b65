"""Where customers stand, as lists, answers and reports say it: on a company with every table."""

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from features.catalog import fit_features
from features.histories import build_histories
from features.settings import COSTS
from serving.answers import Told, scored_customer
from serving.batch import at_risk_list
from serving.explaining import explain_customer
from serving.quarters import quarters_section
from serving.report import report_words
from serving.requests import Reading
from tests.companies import company, configuration
from tests.literals import DAY, at
from tests.test_training.shop import shop_config, train
from training.bundle import Bands, Bundle, Window, draw_sample, load_bundle, save_bundle
from training.calibration import Calibrator
from training.labels import eligible
from training.quarters import QUARTERS
from training.scoring import score, standings

AS_OF = at("2026-01-01")
FIRST = at("2025-09-01")


@lru_cache
def trained():
    tables = company(11, customers=240)
    histories = build_histories(tables)
    said = configuration()
    config = shop_config(Path()).model_copy(
        update={"touchpoints": said.touchpoints, "features": said.features}
    )
    fitted = fit_features(histories, config, config.activity, fit_before=FIRST, until=AS_OF)
    X = fitted.snapshots(histories, [FIRST])[:, 0]
    happened = np.random.default_rng(0).random(len(X)) < 0.4
    predictors = {"churn": train(X, happened, fitted.names, 1, 0, Calibrator())}
    bundle = Bundle(
        fitted=fitted,
        predictors=predictors,
        config=config,
        bands=Bands(0.2, 0.5),
        window=Window(AS_OF, FIRST, FIRST, 1, len(X), len(X)),
        sample=draw_sample(X, predictors),
    )
    return bundle, histories, config


@pytest.fixture(scope="module")
def everyone():
    return at_risk_list(*trained(), AS_OF, everyone=True)


@lru_cache
def far_sighted():
    """Return the list with a horizon of half a year."""
    bundle, histories, config = trained()
    longer = config.model_copy(update={"churn": config.churn.model_copy(update={"horizon_days": 181})})
    return at_risk_list(bundle, histories, longer, AS_OF)


@pytest.fixture(scope="module")
def rows(everyone):
    return everyone.table().to_pylist()


def test_customers_stand_in_all_quarters_and_some_in_none(rows):
    here = [r for r in rows if r["lifecycle_stage"] != "left"]
    assert {r["quarter"] for r in here} == set(QUARTERS)
    assert all(r["quarter"] is None for r in rows if r["lifecycle_stage"] == "left")


def test_a_quarter_before_is_the_quarter_of_the_list_a_step_before(rows):
    bundle, histories, config = trained()
    step = config.training.step_days * DAY
    before = at_risk_list(bundle, histories, config, AS_OF - step, everyone=True).table().to_pylist()
    quarter = {r["customer_id"]: r["quarter"] for r in before}
    told = {r["customer_id"]: r["quarter_before"] for r in rows if r["quarter_before"] is not None}
    assert told and all(quarter[name] == q for name, q in told.items())


def test_a_list_and_an_explanation_say_the_same(rows):
    bundle, histories, config = trained()
    committed = 0
    for row in rows[:100]:
        told = explain_customer(bundle, histories, config, row["customer_id"], AS_OF)
        assert told["hostage_probability"] == row["hostage_probability"] or row["quarter"] is None
        assert row["quarter"] in (None, told["quarter"])
        for name in ("uncommitted_on", "all_uncommitted_on"):
            assert told[name] == row[name]
        for cost in COSTS:
            of = told["switching_costs"][cost]
            assert of["provenance"] == row[f"{cost}_cost_source"]
            assert of["value"] == pytest.approx(row[f"{cost}_cost"], abs=0.051, nan_ok=True)
            assert of["coverage"] == pytest.approx(row[f"{cost}_cost_coverage"], abs=0.001)
        ends = sorted(lock["committed_until"] for lock in told["locks"] if lock["committed_until"])
        assert [told["uncommitted_on"], told["all_uncommitted_on"]] == (
            [ends[0], ends[-1]] if ends else [None] * 2
        )
        committed += bool(ends)
    assert committed > 5


def test_an_index_is_the_mean_percentile_of_the_signals_that_are_told(rows):
    bundle, histories, config = trained()
    checked = 0
    for row in rows[:30]:
        for of in explain_customer(bundle, histories, config, row["customer_id"], AS_OF)[
            "switching_costs"
        ].values():
            known = [s["percentile"] for s in of["signals"] if s["percentile"] is not None]
            if of["value"] is None:
                assert not known and of["provenance"] == "unknown"
                continue
            assert of["value"] == pytest.approx(np.mean(known), abs=1e-3)
            assert of["coverage"] == pytest.approx(len(known) / len(of["signals"]))
            surveyed = any(s["surveyed"] and s["percentile"] is not None for s in of["signals"])
            assert of["provenance"] == ("surveyed" if surveyed else "observed")
            checked += 1
    assert checked > 30


def test_everybody_with_us_is_counted_once_in_the_quarters_and_in_the_movement(everyone):
    s = everyone.summary
    assert sum(of["customers"] for of in s["quarters"]["counts"].values()) == s["customers"]
    assert sum(m["customers"] for m in s["quarters"]["movement"]) == s["customers"]


def test_hostages_whose_commitment_ends_within_the_horizon_are_named_with_the_date(rows):
    told = far_sighted().summary["quarters"]
    named = {h["customer_id"]: h["uncommitted_on"] for h in told["freed_hostages"]}
    hostages = {r["customer_id"]: r["uncommitted_on"] for r in rows if r["quarter"] == "hostage"}
    assert named == {name: ends for name, ends in hostages.items() if ends and ends <= "2026-06-30"}
    assert named and told["freed_hostages_total"] == len(named)
    assert list(named.values()) == sorted(named.values())


def test_an_answer_of_the_service_says_it_and_in_full_tells_signals_and_locks():
    bundle, histories, _ = trained()
    scores = score(bundle, histories, AS_OF, np.arange(5), reasons=1)
    reading = Reading("000", AS_OF, {"touchpoints": {"kind": []}})
    brief, full = (
        scored_customer(bundle, histories, scores, 2, reading, Told("es", 0, full), today=None)
        for full in (False, True)
    )
    assert brief["quarter"] == full["quarter"] in QUARTERS
    assert "locks" not in brief and "signals" not in brief["switching_costs"]["economic"]
    assert full["switching_costs"]["economic"]["label"] == "coste de cambio económico"
    assert "penalización por irse" in [s["label"] for s in full["switching_costs"]["economic"]["signals"]]
    json.dumps(full, allow_nan=False)


def test_a_standing_is_the_same_with_and_without_a_score(tmp_path):
    bundle, histories, _ = trained()
    scored = score(bundle, histories, AS_OF).standing
    save_bundle(bundle, tmp_path / "b")
    alone = standings(bundle, histories, AS_OF)
    again = standings(load_bundle(tmp_path / "b", verify=False), histories, AS_OF)
    for name in scored.__dataclass_fields__:
        assert getattr(scored, name).tobytes() == getattr(alone, name).tobytes(), name
        assert getattr(again, name).tobytes() == getattr(alone, name).tobytes(), name


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_report_shows_four_cells_who_moved_and_who_is_free_soon(language):
    words = report_words(language)
    section = quarters_section(far_sighted(), words, language)
    (loyal, hostage), (mercenary, defector) = section["cells"]
    names = [c["name"] for c in (loyal, hostage, mercenary, defector)]
    assert (
        names
        == {
            "en": ["Loyal", "Hostage", "Mercenary", "Defector"],
            "es": ["Leal", "Rehén", "Mercenario", "Desertor"],
        }[language]
    )
    named = far_sighted().summary["quarters"]["freed_hostages"]
    assert named and [row[0] for row in section["freed"]] == [h["customer_id"] for h in named[:15]]
    assert all(row[0] != row[1] for row in section["moved"])
    assert section["unknown"]
    mean = np.nanmean(standings(*trained()[:2], AS_OF).indices[here(), 0])
    assert section["costs"][0][:2] == [words_of_emotional(language), f"{mean:.0f}"]


def here():
    """Return who is with the company at `AS_OF`."""
    _, histories, config = trained()
    return eligible(histories, config, AS_OF)


def words_of_emotional(language):
    return {"en": "emotional switching cost", "es": "coste de cambio emocional"}[language]


def test_without_answers_the_report_has_no_quarters():
    from tests.test_training.shop import AS_OF as TODAY
    from tests.test_training.shop import trained_shop

    shop = trained_shop()
    found = at_risk_list(shop.bundle, shop.histories, shop_config(Path()), TODAY)
    assert quarters_section(found, report_words("en"), "en") is None
