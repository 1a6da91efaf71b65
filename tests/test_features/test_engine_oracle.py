"""Random histories, ever new: the engine and the slow oracle agree."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.engine import Plan
from features.expressions import (
    ACTIVITY,
    AS_OF_DAYS,
    Rows,
    above,
    coalesce,
    exp,
    gamma_sf,
    larger,
    log,
    log1p,
    normal_sf,
    smaller,
    sqrt,
    step,
    unknown,
    where,
)
from features.gaps import LONG_GAPS
from features.histories import build_histories
from tests.literals import ANY, DAY, at, tags, typed
from tests.oracle import Oracle

START = at("2026-01-01")
WINDOWS = (None, 1, 2, 7, 30)
modest = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
PEOPLE = ("ana", "bo", "007", "7")
LAGS = (None, None, 0, -DAY, 1, DAY // 2, 3 * DAY, 40 * DAY)
rows = st.lists(st.binary(min_size=14, max_size=14), max_size=25)
"""A row is drawn as bytes, a byte or two a cell: much quicker than a draw a cell, and it shrinks."""


def moment(high, low):
    """Return a moment on a grid of quarters of days, so that many are equal; one in eight is far off."""
    return START + (low % 161) * DAY // 4 if high < 224 else START + (low * 5 - 900) * DAY + 17


def scaled(byte, most):
    """Return an amount with two decimals, or none."""
    return None if byte % 5 == 0 else round((byte - 40) * most / 200) / 100


def pick(byte, *choices):
    return choices[byte % len(choices)]


def columns(cells):
    """Return rows given as dictionaries as a table."""
    return typed({name: [row[name] for row in cells] for name in cells[0]}) if cells else None


def recorded(when, byte):
    lag = pick(byte, *LAGS)
    return None if lag is None else when + lag


@st.composite
def touchpoints(draw):
    cells = [
        {
            "customer_id": pick(b[0], *PEOPLE),
            "occurred_at": moment(b[1], b[2]),
            "recorded_at": recorded(moment(b[1], b[2]), b[3]),
            "kind": pick(b[4], "purchase", "purchase", "call", "mail", "ñandú"),
            "channel": pick(b[5], None, "web", "store"),
            "direct": pick(b[6], None, None, True, False),
            "outcome": pick(b[7], None, None, "done"),
            "item": pick(b[8], None, "milk", "tea", "z"),
            "touchpoint_id": pick(b[9], None, "t1", "t2"),
            "amount": scaled(b[10], 9_999),
            "wait_minutes": scaled(b[11], 500),
            "satisfaction": scaled(b[12], 200),
        }
        for b in draw(rows)
    ]
    if not cells:
        return EMPTY
    table = columns(cells)
    absent = draw(st.sets(st.sampled_from(table.column_names), max_size=2))
    return table.drop_columns(sorted(absent - {"customer_id", "occurred_at", "kind"}))


@st.composite
def relationships(draw):
    cells = []
    for b in draw(rows):
        start = moment(0, b[1] % 8)
        end, until = (None if byte < 100 else start + (byte - 90) * DAY // 4 for byte in (b[3], b[4]))
        cells.append(
            {
                "customer_id": pick(b[0], "ana", "bo"),
                "product": pick(b[5], "loan", "card"),
                "started_at": start,
                "recorded_at": start + (b[2] % 64 - 20) * DAY // 4,
                "ended_at": end,
                "committed_until": until,
                "amount": scaled(b[6], 9_999),
                "autopay": pick(b[7], None, True, False),
                "exit_fee": scaled(b[7], 99),
                "accrued_benefit": scaled(b[1], 99),
                "benefit_until": None if b[6] < 90 else start + (b[6] - 90) * DAY // 4,
                "market_amount": scaled(b[2], 9_999),
            }
        )
    versions = {
        tuple(row[n] for n in ("customer_id", "product", "started_at", "recorded_at")): row for row in cells
    }
    return columns(list(versions.values())) or typed({n: [] for n in RELATIONSHIP_COLUMNS})


RELATIONSHIP_COLUMNS = ("customer_id", "product", "started_at", "recorded_at", "ended_at", "committed_until")
EMPTY = typed({"customer_id": [], "occurred_at": [], "kind": []})


@st.composite
def others(draw):
    """Return small tables of attributes, surveys and treatments."""
    tables = {"customers": [], "switching_costs": [], "treatments": []}
    for b in draw(rows):
        when = moment(b[1], b[2])
        base = {"customer_id": pick(b[0], *PEOPLE), "recorded_at": recorded(when, b[3])}
        valid = None if b[5] % 4 == 0 else when
        tables["customers"].append(
            {
                **base,
                "recorded_at": None if valid is None else base["recorded_at"],
                "valid_from": valid,
                "since": when - 30 * DAY if b[6] % 2 else None,
                "segment": pick(b[7], "gold", "basic", None),
                "age": scaled(b[8], 500),
            }
        )
        asked = {
            "asked_at": when,
            "facet": pick(b[11], "learning", "economic"),
            "value": scaled(b[12], 1_000),
        }
        tables["switching_costs"].append({**base, **asked, "scale_min": 0, "scale_max": pick(b[13], 10, 20)})
        treated = {
            "assigned_at": when,
            "action": pick(b[9], "call", "gift"),
            "arm": pick(b[10], "treated", None),
        }
        tables["treatments"].append({**base, **treated})
    return {name: columns(cells) for name, cells in tables.items() if cells}


dates = st.lists(
    st.one_of(
        st.integers(0, 160).map(lambda quarter: START + quarter * DAY // 4),
        st.integers(-20, 1600).map(lambda hour: START + hour * DAY // 24),
        st.just(START + 30 * DAY),
    ),
    min_size=1,
    max_size=4,
)


def touchpoint_facts():
    rows = [
        ANY,
        ACTIVITY,
        Rows("touchpoints", ("channel", "web"), ("kind", "purchase")),
        Rows("touchpoints", ("item", "tea")),
    ]
    rows += [
        Rows("touchpoints", ("kind", "ñandú")),
        Rows("touchpoints", ("outcome", "done"), ("direct", "false")),
    ]
    exact = [AS_OF_DAYS]
    for some in rows:
        for window in WINDOWS:
            exact += [some.count(window), some.lines(window), some.total("amount", window)]
            exact += [some.answered("satisfaction", window), some.mean("wait_minutes", window)]
            exact += [some.answered("said", window)]
            exact += [some.distinct(field, window) for field in ("kind", "channel", "item")]
            exact += [some.total("log_amount", window), some.total("log_amount_squared", window)]
        exact += [
            some.days_since_last(),
            some.days_since_first(),
            some.last("amount"),
            some.last("satisfaction"),
            some.answer("satisfaction"),
            some.answer("wait_minutes", "least"),
            some.answer("amount", "most"),
            some.days_since_answer("satisfaction"),
            some.days_since_answer("said"),
        ]
    for window in WINDOWS:
        exact += [ACTIVITY.days(window), ACTIVITY.weeks(window)]
    exact += [
        ACTIVITY.pace(s)
        for s in ("n", "longest", "last", "median", "share_as_long", "as_long", "silence", "age")
    ]
    exact += [ACTIVITY.pace("since_gap_over", g) for g in LONG_GAPS]
    near = [
        ACTIVITY.pace(s) for s in ("mean", "variance", "log_mean", "log_variance", "weekday_concentration")
    ]
    for some in rows:
        near += [some.decayed("contacts", 7.0), some.decayed("amount", 90.0), some.decayed("lines", 1.0)]
        near += [some.decayed("has:satisfaction", 30.0)]
    near += [
        ACTIVITY.decayed(m, h) for m in ("days", "gaps", "gap_logs", "gap_log_squares") for h in (3.0, 1e6)
    ]
    return exact, near


def arithmetic():
    """Return expressions of every operation on facts that are known and not known."""
    n, amount, silence = ANY.count(), ANY.mean("amount", 30), ANY.days_since_last()
    exact = [
        n + amount,
        amount - n,
        n * amount,
        amount / n,
        -amount,
        smaller(n, silence),
        larger(amount, 3.0),
    ]
    exact += [above(amount, 50.0), unknown(amount), coalesce(amount, n), where(amount, n, silence)]
    exact += [where(above(silence, 3.0), amount, 1.0), step(silence, (1.0, 3.0, 9.0), (0.0, 1.0, 2.0, 3.0))]
    near = [
        log(amount),
        log1p(n),
        exp(-silence),
        sqrt(amount),
        normal_sf(silence - 5.0),
        gamma_sf(n + 0.5, silence),
    ]
    return exact, near


def disagreement(plan, tables, when, expressions, rtol):
    history = build_histories(tables)
    ids = history.customer_ids.to_pylist()
    found = plan.run(history, np.array(when, np.int64))
    with np.errstate(over="ignore"):
        truth = Oracle(tables, tags, plan.day_offset).matrix(expressions, ids, when).astype(np.float32)
    same = (found == truth) | (np.isnan(found) & np.isnan(truth))
    if rtol:
        same |= np.isclose(found, truth, rtol=rtol, atol=1e-5)
    return [
        (ids[c], when[d], expressions[f], found[c, d, f], truth[c, d, f])
        for c, d, f in np.argwhere(~same)[:3]
    ]


EXACT, NEAR = touchpoint_facts()
EXACT_SUMS, NEAR_SUMS = arithmetic()
PLANS = {
    offset: (
        Plan(EXACT + EXACT_SUMS, tags, day_offset=offset),
        Plan(NEAR + NEAR_SUMS, tags, day_offset=offset),
    )
    for offset in (0, 5 * DAY // 24)
}


@modest
@given(touchpoints(), dates, st.sampled_from([0, 5 * DAY // 24]))
def test_reductions_of_touchpoints(table, when, offset):
    whole, rounded = PLANS[offset]
    tables = {"touchpoints": table}
    assert not disagreement(whole, tables, when, EXACT + EXACT_SUMS, 0)
    assert not disagreement(rounded, tables, when, NEAR + NEAR_SUMS, 2e-6)


def relationship_facts():
    found = []
    for product in ((), (("product", "loan"),)):
        held, committed = (Rows("relationships", ("change", c), *product) for c in ("held", "committed"))
        found += [held.total(m) for m in ("held", "amount", "autopay", "exit_fee", "accrued_benefit")]
        found += [committed.total("committed"), committed.total("committed_days")]
        if not product:  # the ends of all that run, which are not those of a product
            found += [committed.total("next_end"), committed.total("last_end")]
        for change in ("started", "ended"):
            rows = Rows("relationships", ("change", change), *product)
            found += [rows.count(w) for w in WINDOWS] + [rows.days_since_last()]
    return found


RELATIONSHIPS = relationship_facts()
RELATIONSHIP_PLAN = Plan(RELATIONSHIPS, tags)


@modest
@given(relationships(), dates)
def test_relationships_as_changes_are_the_state_of_the_date(table, when):
    tables = {"touchpoints": EMPTY, "relationships": table}
    assert not disagreement(RELATIONSHIP_PLAN, tables, when, RELATIONSHIPS, 1e-6)


def other_facts():
    found = []
    for stream, key, names, measure in (
        ("attributes", "attribute", ("age", "segment", "since"), "number"),
        ("switching_costs", "facet", ("learning", "economic"), "value"),
        ("treatments", "action", ("call", "gift"), None),
    ):
        for rows in (Rows(stream, (key, name)) for name in names):
            found += [rows.days_since_last(), rows.days_since_first(), rows.count(30), rows.count()]
            found += [rows.last(measure), rows.answered(measure, 30)] if measure else []
    found += [Rows("attributes", ("attribute", "segment"), ("level", "gold")).days_since_last()]
    return found + [Rows("treatments", ("arm", "treated")).count(w) for w in WINDOWS]


OTHERS = other_facts()
OTHER_PLAN = Plan(OTHERS, tags)


@modest
@given(others(), dates)
def test_attributes_surveys_and_treatments(tables, when):
    assert not disagreement(OTHER_PLAN, {"touchpoints": EMPTY, **tables}, when, OTHERS, 0)
