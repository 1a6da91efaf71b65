"""What four rows find in tables, looked up and added together; see `features.lanes`."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core.cgutils import ir  # what numba itself compiles with
from numba.extending import intrinsic

from features.lanes import FOUR, LANES_OF_DOUBLES, LANES_OF_INTEGERS, add_four, load_four, readers

_I32, _I64 = ir.IntType(32), ir.IntType(64)


@intrinsic  # type: ignore[untyped-decorator]
def add_four_columns(
    typing: Any,
    values: Any,  # float64[n]
    place: Any,  # uint32[rows]
    shift: Any,  # bits to drop from a place, and how many are its own
    bits: Any,
    row: Any,  # the first of four rows
    sums: Any,  # float64[n], added to
    to0: Any,  # where each column begins
    to1: Any,
    to2: Any,
    to3: Any,
) -> Any:
    """Add four values that lie together, for each of four rows: value k at sums[to_k + row]."""
    signature = types.void(values, place, shift, bits, row, sums, to0, to1, to2, to3)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data, whole = readers(context, builder, signature, args)
        found, total, first = data(0), data(5), whole(4)
        rows = [load_four(builder, found, at) for at in _places(builder, data(1), first, whole(2), whole(3))]

        def mixed(a: Any, b: Any, *which: int) -> Any:
            return builder.shuffle_vector(a, b, ir.Constant(LANES_OF_INTEGERS, list(which)))

        even = [mixed(rows[k], rows[k + 1], 0, 4, 2, 6) for k in (0, 2)]  # values 0 and 2 of two rows
        odd = [mixed(rows[k], rows[k + 1], 1, 5, 3, 7) for k in (0, 2)]
        columns = [mixed(*pair, *half) for half in ((0, 1, 4, 5), (2, 3, 6, 7)) for pair in (even, odd)]
        for k, column in enumerate(columns):
            add_four(builder, total, builder.add(whole(6 + k), first), column)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic  # type: ignore[untyped-decorator]
def add_four_rows(
    typing: Any, values: Any, place: Any, shift: Any, bits: Any, row: Any, sums: Any, to: Any
) -> Any:
    """Add one value for each of four rows at sums[to + row]."""
    signature = types.void(values, place, shift, bits, row, sums, to)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data, whole = readers(context, builder, signature, args)
        found, first = data(0), whole(4)
        column = ir.Constant(LANES_OF_DOUBLES, ir.Undefined)
        for k, at in enumerate(_places(builder, data(1), first, whole(2), whole(3))):
            column = builder.insert_element(column, builder.load(builder.gep(found, [at])), _I32(k))
        add_four(builder, data(5), builder.add(whole(6), first), column)
        return context.get_dummy_value()

    return signature, codegen


def _places(builder: Any, place: Any, first: Any, shift: Any, bits: Any) -> list[Any]:
    """Return four rows' places: some bits of a number each."""
    mask = builder.sub(builder.shl(_I64(1), bits), _I64(1))
    rows = [builder.add(first, _I64(k)) for k in range(FOUR)]
    packed = [builder.zext(builder.load(builder.gep(place, [row]), align=4), _I64) for row in rows]
    return [builder.and_(builder.lshr(number, shift), mask) for number in packed]
