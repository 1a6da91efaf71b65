"""The page of the map: it loads nothing, hides nothing from keyboard or reader, and stays legible."""

import base64
import hashlib
import json
import re
import tomllib
from dataclasses import replace
from html import escape
from importlib.resources import files
from itertools import combinations

import pytest

from serving.map import map_html, write_map
from serving.map_layout import HEIGHT, WIDTH, choose, lay_out
from tests.test_serving.browsing import needs_chromium
from tests.test_serving.browsing import opened as opened_page
from tests.test_serving.maps import HOSTILE, TEAMS, corridor_of
from tests.test_serving.test_report import Page
from training.words import percent


@pytest.fixture(scope="module")
def maze():
    return corridor_of(10)


@pytest.fixture(scope="module")
def html(maze):
    return map_html(*maze)


def data_of(html):
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S).group(1)
    )


def test_the_page_loads_nothing_and_runs_one_script_that_its_policy_names(html):
    seen = Page(html)
    assert seen.loads == []
    assert not {"link", "iframe", "object", "img", "embed", "base", "style src"} & set(seen.tags)
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", html)
    assert "@import" not in html and not re.findall(r"url\((?!#)", html)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in html


def test_hostile_names_stay_text(html):
    seen = Page(html)
    for name in HOSTILE:
        assert name in seen.text
    assert HOSTILE[0] not in html and HOSTILE[1] not in html
    assert seen.tags.count("script") == 2
    assert {kind["label"] for kind in data_of(html)["kinds"]} >= set(HOSTILE)
    assert "<b>shop</b>" not in html


def test_the_repair_list_says_what_is_blocked_and_since_when(maze, html):
    corridor, _ = maze
    text = Page(html).text
    first = corridor.repairs.repairs[0]
    assert corridor.map.pair(first.stretch)[0] == "kind 3 of a rather long name"
    assert first.nature == "blocked"
    assert "had not gone on 5 days (the deadline) after kind 3 of a rather long name" in text
    assert re.search(r"2025-0[56]-\d\d", text), "made worse on 31 May"
    assert "association, not an effect" in text


def test_every_number_of_the_map_is_in_a_table(maze, html):
    corridor, _ = maze
    data = data_of(html)
    assert html.count("<tr data-row=") == len(data["edges"]) == len(corridor.map.stretches)
    drawn = {int(row) for row in re.findall(r'<g class="edge[^"]*" data-row="(\d+)"', html)}
    assert drawn <= set(range(len(data["edges"]))) and len(drawn) >= 15
    whole = data["slices"]["-1,-1"]
    assert whole["volume"] == corridor.map.whole.measured.volume.tolist()
    assert whole["contacts"] == corridor.map.nodes.contacts.tolist()
    for stage in range(4):
        parts = [data["slices"][f"{stage},{channel}"]["volume"] for channel in range(3)]
        assert [sum(v) for v in zip(*parts, strict=True)] == data["slices"][f"{stage},-1"]["volume"]


def test_teams_are_told_by_where_matters_wait_after_them_and_small_ones_together(maze, html):
    corridor, _ = maze
    assert set(corridor.teams) == {*TEAMS, None}
    assert sum(p.contacts for p in corridor.teams.values()).tolist() == corridor.map.nodes.contacts.tolist()
    ordered = [name for name in corridor.teams if name is not None]
    heading = "After which team it waits"
    section = next(s for s in html.split("<section>") if heading in s)
    heads = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', section)
    assert heads == ["stretch", *map(escape, ordered), "other teams"]
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th>(.*?)</tr>", section)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for _, row in rows]
    first = corridor.repairs.repairs[0]
    place = corridor.map.stretches.tolist().index(first.stretch)
    told = [corridor.teams[name].held[place] for name in ordered]
    assert cells[0] == [*(percent(share, "en") for share in told), "·"]
    assert "tiny" not in html


def test_where_no_team_is_named_none_is_told(maze):
    corridor, config = maze
    none = replace(corridor, teams={})
    assert "After which team" not in map_html(none, config)


def test_in_spanish_no_english_word_of_the_template_is_left():
    corridor, config = corridor_of(6, language="es", customers=60)
    html = map_html(corridor, config)
    said = re.sub(r"<(style|script).*?</\1>| (class|value)=\"[^\"]*\"", "", html, flags=re.S)
    words = tomllib.loads(files("serving").joinpath("templates/map.toml").read_text(encoding="utf-8"))
    assert '<html lang="es">' in html
    for key, english in words["en"].items():
        if len(english) > 9 and "{" not in english and english != words["es"][key]:
            assert english not in said, key


def test_both_languages_have_the_same_words_with_the_same_blanks_and_all_that_are_asked_for():
    folder = files("serving").joinpath("templates")
    words = tomllib.loads(folder.joinpath("map.toml").read_text(encoding="utf-8"))
    assert words["en"].keys() == words["es"].keys()
    for key, english in words["en"].items():
        blanks = [set(re.findall(r"{(\w+)}", text)) for text in (english, words["es"][key])]
        assert blanks[0] == blanks[1], key
    page = folder.joinpath("map.html").read_text(encoding="utf-8")
    script = folder.joinpath("map.js").read_text(encoding="utf-8")
    asked = set(re.findall(r"\bw\.(\w+)", page)) | set(re.findall(r"\bwords\.(\w+)", script))
    assert asked <= words["en"].keys()


def test_it_is_written_whole(maze, html, tmp_path):
    assert write_map(*maze, tmp_path / "map.html").read_text(encoding="utf-8") == html
    assert [p.name for p in tmp_path.iterdir()] == ["map.html"]


def test_a_chain_stands_from_left_to_right_and_a_circle_runs_back():
    layout = lay_out(4, [(0, 1), (1, 2), (2, 0)], [], [])
    x = [layout.center[k][0] for k in range(3)]
    assert x[0] < x[1] < x[2]
    assert layout.center[3][1] > max(layout.center[k][1] for k in range(3)), "what has no stretch is below"
    begins, ends = (re.findall(r"-?[\d.]+", layout.ways[2, 0])[i] for i in (0, -2))
    assert (float(begins), float(ends)) == (x[2] - WIDTH / 2, x[0] + WIDTH / 2)


def test_ways_to_and_fro_do_not_bear_the_layout_but_what_leads_one_way_does():
    volume = {(0, 1): 100, (1, 0): 98, (1, 2): 40, (2, 3): 30, (3, 3): 9}
    bearing, others = choose(4, volume, [], 10)
    assert bearing == [(0, 1), (1, 2), (2, 3)], "the first kind hangs on its busiest stretch"
    assert others == [(3, 3), (1, 0)]
    assert choose(4, volume, [(1, 0)], 10)[0] == [(1, 0), (1, 2), (2, 3)]


@pytest.mark.parametrize("kinds", [10, 60])
def test_no_box_overlaps_another_and_no_bearing_way_runs_through_one(kinds):
    corridor, _ = corridor_of(kinds, customers=120)
    n = len(corridor.map.steps.kinds)
    pairs = [divmod(int(s), n) for s in corridor.map.stretches]
    volume = dict(zip(pairs, corridor.map.whole.measured.volume.tolist(), strict=True))
    bearing, others = choose(n, volume, [], 4 * n)
    layout = lay_out(n, bearing, others, [])
    assert len(layout.center) == n
    for (ax, ay), (bx, by) in combinations(layout.center.values(), 2):
        assert abs(ax - bx) >= WIDTH or abs(ay - by) >= HEIGHT
    for edge in bearing:
        # between curves, where a way passes a column, it is level: there it keeps clear of the boxes
        points = [float(v) for v in re.findall(r"-?[\d.]+", layout.ways[edge])]
        ends = list(zip(points[::2], points[1::2], strict=True))[::3][1:-1]
        for x, y in ends:
            for kind, (bx, by) in layout.center.items():
                inside = abs(x - bx) < WIDTH / 2 - 1 and abs(y - by) < HEIGHT / 2
                assert not inside, (edge, kind)


@needs_chromium
@pytest.mark.parametrize(("kinds", "width"), [(10, 1300), (60, 1300), (10, 390)])
def test_in_a_browser_it_zooms_filters_and_tells_and_complains_of_nothing(tmp_path, kinds, width):
    path = write_map(*corridor_of(kinds, customers=150), tmp_path / "map.html")
    with opened_page(path, width) as seen:
        tab = seen.tab
        found = tab.evaluate(LOOK)
        view = lambda: tab.get_attribute("#map", "viewBox")  # noqa: E731
        tab.click("#zoom-fit")
        whole = view()
        tab.focus("#frame")
        tab.keyboard.press("+")
        nearer = view()
        tab.keyboard.press("ArrowRight")
        moved = view()
        tab.keyboard.press("0")
        again = view()
        tab.locator("tr[data-row] button").first.focus()
        tab.keyboard.press("Enter")
        told = tab.inner_text("#details")
        chosen = tab.locator("tr.chosen").count()
        everything = tab.inner_text("tr[data-row='0'] td:nth-of-type(1)")
        tab.select_option("#stage", "0")
        tab.select_option("#channel", "1")
        sliced = tab.evaluate("document.querySelector(\"tr[data-row='0'] td\").textContent")
        counts = tab.evaluate(COUNTS)
        wide = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert seen.asked == [path.as_uri()]
    assert seen.complaints == []
    assert wide <= 0
    assert found["boxes"] == kinds and found["overlaps"] == 0 and found["outside"] == 0
    assert found["letters"] >= 9, "names can be read as the page opens"
    assert float(nearer.split()[2]) < float(whole.split()[2]) and moved != nearer and again == whole
    assert chosen == 1 and "passages" in told and everything in told
    assert counts["volume"] == counts["shown"] == sliced != everything


LOOK = """() => {
  const boxes = [...document.querySelectorAll("g.node .box")].map(e => e.getBoundingClientRect());
  let overlaps = 0, outside = 0, letters = Infinity;
  for (const a of boxes) for (const b of boxes)
    if (a !== b && a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom) overlaps++;
  for (const g of document.querySelectorAll("g.node")) {
    const box = g.querySelector(".box").getBoundingClientRect();
    for (const t of g.querySelectorAll("text")) if (t.getBoundingClientRect().right > box.right) outside++;
    letters = Math.min(letters, 14.5 * box.height / Number(g.querySelector(".box").getAttribute("height")));
  }
  return { boxes: boxes.length, overlaps, outside, letters };
}"""
COUNTS = """() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const row = document.querySelector("tr[data-row='0'] td").textContent;
  return { volume: data.slices["0,1"].volume[0].toLocaleString("en-US"), shown: row };
}"""
