import re
import tomllib
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from serving.batch import at_risk_list
from serving.report import report_html, write_report
from tests.test_serving.browsing import needs_chromium
from tests.test_serving.browsing import opened as opened_page
from tests.test_training.shop import AS_OF, shop_config, to_histories, trained_shop
from training.config import Value
from training.curves import curves
from training.ideas import dark_ideas
from training.preflight import Learnable, Preflight
from training.regularity import regularity

HOSTILE = "<img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """What a page is made of: its tags, its text, what it would load or run."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.loads, self.text = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "action", "data", "poster") or name.startswith("on"):
                self.loads.append((tag, name, value))

    def handle_data(self, data):
        self.text += data


def report_of(language="en", rename=None, **sections):
    shop = trained_shop()
    config = shop_config(
        Path(), project={"name": "shop", "timezone": "Europe/Madrid", "language": language}, **sections
    )
    rng = np.random.default_rng(0)
    p = rng.beta(0.5, 3, 4000)
    drawn = curves(rng.random(4000) < p, p, Value(), value=rng.gamma(2, 100, 4000))
    measured = {
        "auc": {"value": 0.86, "interval": [0.85, 0.87]},
        "log_loss": {"value": 0.28, "interval": [0.27, 0.29]},
    }
    weights = [
        {"moment": key, "weight": 0.5 / (k + 1), "direction": (-1) ** k}
        for k, key in enumerate(shop.bundle.moment_keys)
    ]
    bundle = replace(
        shop.bundle,
        measures={
            "churn": {
                "models": {
                    "corredor": measured,
                    "recency": {"auc": {"value": 0.75, "interval": [0.74, 0.76]}},
                },
                "curves": drawn,
                "dates": ["2021-01-03"],
            }
        },
        moments={
            "churn": {
                "overall": weights,
                "lifecycle": {"new": weights[:3], "settled": weights[2:5]},
                "stages": [weighed(key) for key in shop.bundle.moment_keys[:12]],
            },
            "principality": {"overall": weights[1:4]},
        },
    )
    rows = [{**r, "customer_id": (rename or {}).get(r["customer_id"], r["customer_id"])} for r in shop.rows]
    histories = to_histories(rows)
    found = at_risk_list(bundle, histories, config, AS_OF)
    checked = Preflight(
        project="shop",
        first="2020-09-13",
        last="2021-10-18",
        customers=histories.n_customers,
        touchpoints=histories.n_touchpoints,
        intake={
            "touchpoints": {"rows": 9700, "kept": 9662, "duplicates": 30, "quarantined": 8, "reasons": {}}
        },
        columns=(),
        dark=dark_ideas({"touchpoints.kind"}),
        regularity=regularity(histories, config),
        learnable=Learnable(),
        suspects=(),
        problems=(),
        warnings=("touchpoints: 8 of 9700 rows were put aside.",),
    )
    return report_html(found, checked), found, checked


@pytest.fixture(scope="module")
def page():
    return report_of()


def test_the_page_loads_nothing_and_runs_nothing(page):
    html, _, _ = page
    seen = Page(html)
    assert seen.loads == []
    assert not {"script", "link", "iframe", "object", "img", "embed", "base"} & set(seen.tags)
    assert set(re.findall(r"https?://[^\s\"'<)]+", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "@import" not in html and not re.findall(r"url\((?!#)", html)


def test_it_shows_the_first_customers_with_their_reasons(page):
    html, found, _ = page
    text = Page(html).text
    for row in found.table(15).to_pylist():
        assert row["customer_id"] in text
        assert row["reason_1"] in text


def weighed(moment):
    """Return a moment's weight at two stages, as a training stores it."""
    new = {"weight": 0.4124, "interval": [0.3, 0.5], "direction": 0.1}
    return {
        "moment": moment,
        "weight": 0.3,
        "interval": [0.25, 0.35],
        "stages": {"new": new, "settled": {**new, "weight": 0.1234}},
    }


def test_what_moments_weigh_at_each_stage_is_told_with_intervals(page):
    table = page[0].split("What each moment weighs at each stage")[1].split("</table>")[0]
    assert table.count("0.412 (0.300 – 0.500)") == table.count("0.123 (0.300 – 0.500)") == 10


def test_every_chart_has_a_name_and_a_table_with_its_numbers(page):
    html, _, _ = page
    charts = html.count('role="img"')
    assert charts == html.count("<details>") == html.count("</svg>") >= 6
    assert html.count("aria-label=") >= charts


def test_it_says_what_became_of_every_row_and_what_stays_dark(page):
    text = Page(page[0]).text
    for number in ("9,700", "9,662", "30", "8"):
        assert number in text
    assert "congestion: waits and promises not kept" in text


def test_it_puts_the_model_beside_the_baselines(page):
    text = Page(page[0]).text
    assert "better than every baseline" in text
    assert "0.860 (0.850 – 0.870)" in text
    assert "recency only" in text


def test_it_joins_leaving_with_silent_drift_and_says_what_goes_with_it():
    html, found, _ = report_of(principality={"rule": "usage", "min_weeks_share": 0.5})
    text = Page(html).text
    for row in found.summary["two_way"]:
        share = row["customers"] / found.summary["customers"]
        assert f"{row['customers']} customers ({share:.0%})" in text
    assert "silent drift" in text and "leaves secondary" in text
    assert "What speaks against us where we are the main provider today" in text


def test_without_principality_no_two_way_table_is_shown(page):
    assert page[1].summary["two_way"] is None
    assert "silent drift" not in Page(page[0]).text


def test_hostile_names_stay_text():
    shop = trained_shop()
    first = (
        at_risk_list(shop.bundle, shop.histories, shop_config(Path()), AS_OF)
        .table(1)["customer_id"][0]
        .as_py()
    )
    html, _, _ = report_of(rename={first: HOSTILE})
    assert HOSTILE not in html
    assert HOSTILE in Page(html).text


def test_in_spanish_no_english_word_of_the_template_is_left():
    html, _, _ = report_of("es")
    text = Page(html).text
    words = tomllib.loads(files("serving").joinpath("templates/report.toml").read_text(encoding="utf-8"))
    assert '<html lang="es">' in html
    for key, english in words["en"].items():
        if len(english) > 14 and "{" not in english and english != words["es"][key]:
            assert english not in text, key


def test_both_languages_have_the_same_words_with_the_same_blanks():
    words = tomllib.loads(files("serving").joinpath("templates/report.toml").read_text(encoding="utf-8"))
    assert words["en"].keys() == words["es"].keys()
    for key, english in words["en"].items():
        blanks = [set(re.findall(r"{(\w+)}", text)) for text in (english, words["es"][key])]
        assert blanks[0] == blanks[1], key


def test_every_word_the_page_asks_for_is_there():
    template = files("serving").joinpath("templates/report.html").read_text(encoding="utf-8")
    words = tomllib.loads(files("serving").joinpath("templates/report.toml").read_text(encoding="utf-8"))[
        "en"
    ]
    asked = set(re.findall(r"\bw\.(\w+)", template)) - {"leaving_is"}
    assert asked <= words.keys()


def test_it_is_written_whole(page, tmp_path):
    html, found, checked = page
    assert write_report(found, checked, tmp_path / "report.html").read_text(encoding="utf-8") == html
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


@needs_chromium
@pytest.mark.parametrize("width", [390, 1200])
def test_in_a_browser_it_fits_asks_the_network_for_nothing_and_complains_of_nothing(page, tmp_path, width):
    _, found, checked = page
    path = write_report(found, checked, tmp_path / "report.html")
    with opened_page(path, width) as seen:
        tab = seen.tab
        wide = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        charts = tab.locator("svg.marks")
        sizes = [charts.nth(i).bounding_box() for i in range(charts.count())]
        tab.locator("summary").first.click()
        opened = tab.locator("details[open] td").first.is_visible()
    assert seen.asked == [path.as_uri()]
    assert seen.complaints == []
    assert wide <= 0
    assert len(sizes) >= 6 and all(box and box["width"] > 200 and box["height"] > 60 for box in sizes)
    assert opened
