"""The charts of the report, as SVG that stands alone: nothing is loaded when a page shows them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

INK, MUTED, GRID = "#1f2937", "#5b6472", "#e6e8ec"
OURS, OTHER, ALARM, CALM, AMBER = "#0f5c5c", "#a3acb8", "#c2410c", "#0f766e", "#d99a1c"
WIDTH, HEIGHT = 400, 250

Rows = Sequence[Mapping[str, Any]]


def reliability(bins: Rows, words: Mapping[str, str]) -> str:
    """Return the chart of predicted against observed churn, one point for each tenth of the customers."""
    import altair as alt

    rows = [dict(b) for b in bins]
    top = max((max(b["predicted"], b["high"]) for b in rows), default=0.1) * 1.05
    scale = alt.Scale(domain=[0, top], nice=False)
    x = alt.X("predicted:Q", title=words["predicted"], scale=scale, axis=alt.Axis(format="%"))
    ideal = _layer([{"predicted": 0, "observed": 0}, {"predicted": top, "observed": top}])
    line = ideal.mark_line(color=OTHER, strokeDash=[5, 4], strokeWidth=1.5).encode(
        x, y=alt.Y("observed:Q", scale=scale)
    )
    base = _layer(rows)
    whiskers = base.mark_rule(color=OURS, opacity=0.45, strokeWidth=2).encode(
        x, y=alt.Y("low:Q", title=words["observed"], scale=scale, axis=alt.Axis(format="%")), y2="high:Q"
    )
    points = base.mark_circle(color=OURS, size=62, opacity=1).encode(x, y=alt.Y("observed:Q", scale=scale))
    return _svg(line + whiskers + points, words)


def gains(rows: Rows, words: Mapping[str, str]) -> str:
    """Return the chart of the churners, and their value, reached by contacting the riskiest first."""
    import altair as alt

    series = [{"share": r["share"], "y": r["captured"], "who": words["churners"]} for r in rows]
    if any(r["value_captured"] is not None for r in rows):
        series += [{"share": r["share"], "y": r["value_captured"], "who": words["value"]} for r in rows]
    series += [{"share": r["share"], "y": r["share"], "who": words["random"]} for r in rows]
    names = list(dict.fromkeys(s["who"] for s in series))
    colors = [{words["churners"]: OURS, words["value"]: ALARM}.get(name, OTHER) for name in names]
    dashes = [[5, 4] if name == words["random"] else [1, 0] for name in names]
    chart = (
        _layer(series)
        .mark_line(strokeWidth=2.5)
        .encode(
            x=alt.X("share:Q", title=words["contacted"], axis=alt.Axis(format="%")),
            y=alt.Y("y:Q", title=words["reached"], axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("who:N", scale=alt.Scale(domain=names, range=colors), legend=_legend()),
            strokeDash=alt.StrokeDash("who:N", scale=alt.Scale(domain=names, range=dashes), legend=None),
        )
    )
    return _svg(chart, words)


def profit(rows: Rows, words: Mapping[str, str]) -> str:
    """Return the chart of the expected profit by the share of customers contacted, its best point marked."""
    import altair as alt

    best = max(rows, key=lambda r: r["profit"])
    x = alt.X("share:Q", title=words["contacted"], axis=alt.Axis(format="%"))
    y = alt.Y("profit:Q", title=words["profit"])
    zero = _layer([{"profit": 0}]).mark_rule(color=MUTED, strokeWidth=1).encode(y="profit:Q")
    line = _layer(rows).mark_line(color=OURS, strokeWidth=2.5).encode(x, y)
    mark = _layer([best])
    dot = mark.mark_circle(color=ALARM, size=90, opacity=1).encode(x, y)
    label = mark.mark_text(
        align="left",
        dx=10,
        dy=-6,
        color=ALARM,
        fontSize=12,
        fontWeight=600,
        text=f"{100 * best['share']:.0f}%",
    ).encode(x, y)
    return _svg(zero + line + dot + label, words)


def comparison(rows: Rows, words: Mapping[str, str]) -> str:
    """Return a measure and its interval by model: rows of `model`, `value`, `low`, `high`, `ours`."""
    import altair as alt

    y = alt.Y(
        "model:N", sort=[r["model"] for r in rows], title=None, axis=alt.Axis(labelLimit=260, grid=False)
    )
    color = alt.condition("datum.ours", alt.value(OURS), alt.value(OTHER))
    x = alt.X("low:Q", title=words["measure"], scale=alt.Scale(zero=False, padding=18))
    base = _layer(rows)
    whiskers = base.mark_rule(strokeWidth=3, opacity=0.7).encode(x, x2="high:Q", y=y, color=color)
    points = base.mark_circle(size=110, opacity=1).encode(x="value:Q", y=y, color=color)
    labels = base.mark_text(dy=-13, fontSize=12, fontWeight=600).encode(
        x="value:Q", y=y, color=color, text=alt.Text("value:Q", format=".3f")
    )
    return _svg(whiskers + points + labels, words, width=760, height=max(50 * len(rows), 90))


def bars(rows: Rows, words: Mapping[str, str]) -> str:
    """Return bars of weight by moment, coloured by direction: rows of `moment`, `weight`, `direction`."""
    import altair as alt

    shown = [{**r, "side": words["raises"] if r["direction"] > 0 else words["lowers"]} for r in rows]
    y = alt.Y(
        "moment:N", sort=[r["moment"] for r in rows], title=None, axis=alt.Axis(labelLimit=320, grid=False)
    )
    color = alt.Color(
        "side:N",
        scale=alt.Scale(domain=[words["raises"], words["lowers"]], range=[ALARM, CALM]),
        legend=_legend(title=words["on average"]),
    )
    chart = (
        _layer(shown)
        .mark_bar(cornerRadiusEnd=3, height=15)
        .encode(x=alt.X("weight:Q", title=words["weight"]), y=y, color=color)
    )
    return _svg(chart, words, width=700, height=26 * len(rows))


def spread(rows: Rows, words: Mapping[str, str]) -> str:
    """Return how many customers have which risk: rows of `low`, `high`, `customers`, `band`."""
    import altair as alt

    colors = alt.Scale(domain=["low", "elevated", "high"], range=[OTHER, AMBER, ALARM])
    chart = (
        _layer(rows)
        .mark_bar()
        .encode(
            x=alt.X("low:Q", title=words["risk"], axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            x2="high:Q",
            y=alt.Y("customers:Q", title=words["customers"]),
            y2=alt.datum(0),
            color=alt.Color("band:N", scale=colors, legend=None),
        )
    )
    return _svg(chart, words)


def silences(rows: Rows, words: Mapping[str, str], *, marked: int | None = None) -> str:
    """Return the share of silences of n days that end in a return: rows of `days`, `returned`."""
    import altair as alt

    x = alt.X("days:Q", title=words["days"])
    y = alt.Y(
        "returned:Q", title=words["returned"], axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])
    )
    chart: Any = (
        _layer(rows)
        .mark_line(color=OURS, strokeWidth=2.5, point=alt.OverlayMarkDef(color=OURS, size=40))
        .encode(x, y)
    )
    if marked is not None:
        rule = _layer([{"days": marked}]).mark_rule(color=ALARM, strokeDash=[4, 4], strokeWidth=1.5)
        chart = chart + rule.encode(x="days:Q")
    return _svg(chart, words, width=760)


def _layer(rows: Rows) -> Any:
    import altair as alt

    return alt.Chart(alt.Data(values=[dict(r) for r in rows]))


def _legend(**more: Any) -> Any:
    import altair as alt

    look = {"title": None, "orient": "top", "labelFontSize": 12, "symbolStrokeWidth": 3, "columnPadding": 24}
    return alt.Legend(**{**look, **more})


def _svg(chart: Any, words: Mapping[str, str], *, width: int = WIDTH, height: int = HEIGHT) -> str:
    import vl_convert

    fonts = "Arial, Helvetica, sans-serif"  # widths are measured here, so no font that only the page has
    text = {"labelFont": fonts, "titleFont": fonts, "labelFontSize": 12, "titleFontSize": 12}
    axis = {
        **text,
        "labelColor": MUTED,
        "titleColor": INK,
        "titleFontWeight": 500,
        "gridColor": GRID,
        "tickColor": GRID,
    }
    config = {
        "background": "transparent",
        "padding": {"left": 36, "right": 12, "top": 6, "bottom": 6},  # where the page's font is wider
        "font": fonts,
        "view": {"stroke": None},
        "axis": {
            **axis,
            "domain": False,
            "ticks": False,
            "tickCount": 6,
            "labelOverlap": True,
            "labelPadding": 6,
            "titlePadding": 10,
        },
        "legend": {**text, "labelColor": INK, "titleColor": MUTED},
    }
    spec = chart.properties(width=width, height=height).configure(**config).to_dict()
    locale: Any = words.get("numbers_as", "en-US")
    svg = str(vl_convert.vegalite_to_svg(spec, format_locale=locale))
    return _own_names(svg, hashlib.sha256(repr(spec).encode()).hexdigest()[:8])


def _own_names(svg: str, own: str) -> str:
    """Return the SVG with ids of its own, the same each time: several charts share a page."""
    for k, name in enumerate(dict.fromkeys(re.findall(r' id="([^"]+)"', svg))):
        svg = svg.replace(f'id="{name}"', f'id="c{own}-{k}"').replace(f"url(#{name})", f"url(#c{own}-{k})")
    return svg
