"""What is not known strictly before `as_of` changes no bit: added, changed or removed, in any table."""

import numpy as np
import pyarrow as pa
import pytest

from features.histories import build_histories
from tests.companies import BEGIN, FIT_BEFORE, MOMENT, UNTIL, bits, company, fitted, known_from, rows_of
from tests.literals import DAY, at, typed

AS_OF = at("2025-11-03") + 11 * 3_600_000_000
BASE = company(1)
FEATURES = fitted(BASE)
IDS = build_histories(BASE).customer_ids.to_pylist()


def snapshot(tables, as_of=AS_OF):
    history = build_histories({**tables, "everyone": typed({"customer_id": IDS})})
    return bits(FEATURES.snapshots(history, [as_of], rows_of(history, IDS)))


def add(name, table, as_of, seed):
    other = company(seed, customers=60)[name]
    late = other.filter(pa.array(known_from(name, other) >= as_of))
    return pa.concat_tables([late, table, late.slice(0, 5)])


def remove(name, table, as_of, seed):
    return table.filter(pa.array(known_from(name, table) < as_of))


def change(name, table, as_of, seed):
    """Give the rows that are not known other times (not known either) and another row's content."""
    rng = np.random.default_rng(seed)
    unknown = known_from(name, table) >= as_of
    source = np.arange(table.num_rows)
    source[unknown] = rng.permutation(source[unknown])
    shuffled = table.take(pa.array(source))
    for column in {MOMENT[name], "recorded_at"} & set(table.column_names):
        place = table.column_names.index(column)
        times = shuffled.column(column).cast(pa.int64()).to_pylist()
        moved = [
            as_of + int(rng.integers(0, 50)) * DAY if u else t for u, t in zip(unknown, times, strict=True)
        ]
        shuffled = shuffled.set_column(
            place, column, pa.array(moved, pa.int64()).cast(table.schema.field(column).type)
        )
    return shuffled


@pytest.mark.parametrize("spoil", [add, remove, change], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", sorted(BASE))
def test_what_is_not_known_yet_changes_no_bit(name, spoil):
    truth = snapshot(BASE)
    for seed in (2, 3):
        spoilt = spoil(name, BASE[name], AS_OF, seed)
        assert not spoilt.equals(BASE[name])
        assert snapshot({**BASE, name: spoilt}) == truth


def test_everything_unknown_at_once_changes_no_bit_at_any_date():
    for as_of in (BEGIN, BEGIN + 40 * DAY, AS_OF, AS_OF + 1, UNTIL + 30 * DAY):
        truth = snapshot(BASE, as_of)
        for spoil in (add, remove, change):
            assert snapshot({n: spoil(n, t, as_of, 4) for n, t in BASE.items()}, as_of) == truth


def test_the_leak_test_sees_what_is_known():
    """The same spoiling one microsecond into the known past does show."""
    for name in BASE:
        spoilt = remove(name, BASE[name], BEGIN + 60 * DAY, 0)
        assert snapshot({**BASE, name: spoilt}) != snapshot(BASE), name


def test_an_end_that_has_not_come_yet_changes_no_bit():
    tables = {
        "touchpoints": typed({"customer_id": ["000"], "occurred_at": [BEGIN], "kind": ["purchase"]}),
        "relationships": typed(
            {
                **dict(customer_id=["000"] * 3, product=["loan", "card", "account"]),
                "started_at": [BEGIN, BEGIN + DAY, BEGIN + 2 * DAY],
                "ended_at": [AS_OF, AS_OF + 30 * DAY, AS_OF - DAY],
            }
        ),
    }
    open_ended = tables["relationships"].set_column(
        3, "ended_at", pa.array([None, None, AS_OF - DAY], pa.timestamp("us", tz="UTC"))
    )
    found = [
        bits(FEATURES.snapshots(build_histories({**tables, "relationships": t}), [AS_OF]))
        for t in (tables["relationships"], open_ended)
    ]
    assert found[0] == found[1]


def test_a_since_that_has_not_come_yet_is_as_good_as_none():
    def since(day):
        tables = {
            "touchpoints": typed({"customer_id": ["000"], "occurred_at": [BEGIN], "kind": ["purchase"]}),
            "customers": typed({"customer_id": ["000"], "since": [day], "age": [44]}),
        }
        return bits(FEATURES.snapshots(build_histories(tables), [AS_OF]))

    assert since(None) == since(AS_OF) == since(AS_OF + 90 * DAY) != since(AS_OF - DAY)


def test_a_line_recorded_later_does_not_close_the_contact_that_was_known():
    def purchase(items):
        rows = {"customer_id": ["000"] * len(items), "occurred_at": [BEGIN] * len(items)}
        rows |= {"recorded_at": [BEGIN if item == "tea" else AS_OF for item in items], "item": items}
        rows |= {"kind": ["purchase"] * len(items), "touchpoint_id": ["a"] * len(items)}
        return bits(FEATURES.snapshots(build_histories({"touchpoints": typed(rows)}), [AS_OF]))

    assert purchase(["tea"]) == purchase(["milk", "tea"]) == purchase(["tea", "tea", "zinc"][1:])


def rename(name, table, as_of, seed):
    """Add rows that are not known, of names never seen, and a column never seen."""
    late = company(seed, customers=60)[name]
    late = late.filter(pa.array(known_from(name, late) >= as_of))
    if late.num_rows == 0:
        return table
    for place, column in enumerate(late.column_names):
        if column in (
            "kind",
            "channel",
            "item",
            "outcome",
            "product",
            "facet",
            "action",
            "segment",
            "provider",
        ):
            late = late.set_column(place, column, pa.array([f"new {column}"] * late.num_rows, pa.string()))
    extra = {"touchpoints": "tangibles", "customers": "city"}.get(name)
    if extra:
        late = late.append_column(extra, typed({extra: ["7"] * late.num_rows}).column(extra))
    return pa.concat_tables([table, late], promote_options="default")


@pytest.mark.parametrize("spoil", [add, remove, change, rename], ids=lambda f: f.__name__)
def test_what_is_fitted_does_not_know_what_comes_at_or_after_until(spoil):
    spoilt = {name: spoil(name, table, UNTIL, 5) for name, table in BASE.items()}
    assert fitted(spoilt).to_dict() == FEATURES.to_dict()


@pytest.mark.parametrize("spoil", [add, remove, change], ids=lambda f: f.__name__)
def test_the_population_does_not_know_what_comes_at_or_after_fit_before(spoil):
    spoilt = {name: spoil(name, table, FIT_BEFORE, 6) for name, table in BASE.items()}
    assert fitted(spoilt).context.population == FEATURES.context.population


def test_customers_who_come_at_or_after_until_do_not_make_names_rarer():
    few = typed(
        {
            "customer_id": ["a", "b", "c", "d"],
            "occurred_at": [BEGIN] * 4,
            "kind": ["purchase", "purchase", "claim", "purchase"],
        }
    )
    crowd = typed(
        {
            "customer_id": [f"new {i}" for i in range(500)],
            "occurred_at": [UNTIL] * 500,
            "kind": ["purchase"] * 500,
        }
    )
    kinds = [
        fitted({"touchpoints": t}).context.vocabulary.kinds for t in (few, pa.concat_tables([few, crowd]))
    ]
    assert kinds[0] == kinds[1] == ("purchase", "claim")
