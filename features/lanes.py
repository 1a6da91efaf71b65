"""Four numbers at a time for compiled kernels: what a loop over single numbers is not turned into by itself.

In the compiler's own vectors, which every processor has or is given: the same sums, in the same order.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core.cgutils import ir  # what numba itself compiles with
from numba.extending import intrinsic

FOUR = 4
LANES_OF_INTEGERS = ir.VectorType(ir.IntType(32), FOUR)
LANES_OF_DOUBLES = ir.VectorType(ir.DoubleType(), FOUR)


@intrinsic  # type: ignore[untyped-decorator]
def add_four_weighted(typing: Any, sums: Any, to: Any, weights: Any, at: Any, number: Any) -> Any:
    """Add a number, weighed in four ways: sums[to + k] += number * weights[at + k]."""
    signature = types.void(sums, to, weights, at, types.float64)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data, whole = readers(context, builder, signature, args)
        first = builder.insert_element(
            ir.Constant(LANES_OF_DOUBLES, ir.Undefined), args[4], ir.IntType(32)(0)
        )
        every = builder.shuffle_vector(first, first, ir.Constant(LANES_OF_INTEGERS, [0] * FOUR))
        added = builder.fmul(every, load_four(builder, data(2), whole(3)))
        add_four(builder, data(0), whole(1), added)
        return context.get_dummy_value()

    return signature, codegen


def readers(context: Any, builder: Any, signature: Any, args: Any) -> tuple[Any, Any]:
    """Return how to have an argument's first element, and an argument as a whole number."""
    kinds = signature.args

    def data(k: int) -> Any:
        return context.make_array(kinds[k])(context, builder, args[k]).data

    def whole(k: int) -> Any:
        return context.cast(builder, args[k], kinds[k], types.int64)

    return data, whole


def load_four(builder: Any, numbers: Any, at: Any) -> Any:
    """Return the numbers from a place on."""
    here = builder.bitcast(builder.gep(numbers, [at]), LANES_OF_DOUBLES.as_pointer())
    return builder.load(here, align=8)


def add_four(builder: Any, sums: Any, at: Any, values: Any) -> None:
    """Add values to the sums from a place on."""
    here = builder.bitcast(builder.gep(sums, [at]), LANES_OF_DOUBLES.as_pointer())
    builder.store(builder.fadd(builder.load(here, align=8), values), here, align=8)
