import re
from xml.etree import ElementTree

import pytest

from serving import charts

WORDS = dict.fromkeys(
    [*"predicted observed churners value random contacted reached profit measure".split()]
    + ["raises", "lowers", "weight", "days", "returned", "on average"],
    "<words> & more",
)
GAINS = [{"share": s, "captured": min(2 * s, 1), "value_captured": s} for s in (0, 0.5, 1)]
DRAWN = {
    "reliability": lambda: charts.reliability(
        [{"predicted": 0.2, "observed": 0.3, "low": 0.2, "high": 0.4}], WORDS
    ),
    "gains": lambda: charts.gains(GAINS, {**WORDS, "value": "value", "random": "random"}),
    "gains without value": lambda: charts.gains([{**r, "value_captured": None} for r in GAINS], WORDS),
    "profit": lambda: charts.profit([{"share": 0.0, "profit": 0.0}, {"share": 1.0, "profit": -3.0}], WORDS),
    "comparison": lambda: charts.comparison(
        [{"model": "a <b>", "value": 0.8, "low": 0.7, "high": 0.9, "ours": True}], WORDS
    ),
    "bars": lambda: charts.bars([{"moment": "silence", "weight": 0.5, "direction": -0.1}], WORDS),
    "silences": lambda: charts.silences(
        [{"days": 7, "returned": 0.9}, {"days": 14, "returned": 0.5}], WORDS, marked=14
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_chart_is_svg_that_loads_nothing_and_runs_nothing(name):
    svg = DRAWN[name]()
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    addresses = set(re.findall(r"https?://[^\s\"'<]+", svg))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "<script" not in svg and "<image" not in svg and " onload" not in svg


def test_words_are_escaped():
    assert "<words>" not in DRAWN["reliability"]()
    assert "&lt;words&gt; &amp; more" in DRAWN["reliability"]()


def test_charts_on_one_page_share_no_name_and_the_same_chart_is_the_same():
    drawn = {name: draw() for name, draw in DRAWN.items()}
    ids = [found for svg in drawn.values() for found in re.findall(r' id="([^"]+)"', svg)]
    assert len(ids) == len(set(ids))
    assert {name: draw() for name, draw in DRAWN.items()} == drawn


def test_numbers_are_written_as_the_language_does():
    rows = [{"moment": "silence", "weight": 0.5, "direction": 1}]
    assert "0,1" in charts.bars(rows, {**WORDS, "numbers_as": "es-ES"})
