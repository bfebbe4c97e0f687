"""A column calculates as an integer does, or says that it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.arrays.column import Column, Diverged, OutOfRange, Refused, column
from colosim.engine.clock import larger, per_byte_ns, smaller
from colosim.host.staging import qsb_capacity, qsb_walked_chunks

if TYPE_CHECKING:
    from collections.abc import Callable

BYTES = st.integers(0, 1 << 33)


@given(st.lists(st.tuples(BYTES, BYTES, st.integers(0, 10**6)), min_size=1, max_size=5))
def test_prices_are_those_of_each_point(points: list[tuple[int, int, int]]) -> None:
    """Whatever the shared formulas calculate, a column has at each point what an integer gives."""
    a, b, c = (column(numbers) for numbers in zip(*points, strict=True))
    for of in (
        lambda x, y, z: smaller(x, y) - larger(y, z),
        lambda x, _, z: per_byte_ns(x, z),
        lambda x, y, _: qsb_capacity(x, y),
        lambda x, y, z: qsb_walked_chunks(y) + x % 7 - -z // 3,
    ):
        expected = [of(*point) for point in points]
        assert np.asarray(of(a, b, c)).tolist() == expected


def test_a_branch_on_which_points_differ_parts_them() -> None:
    """`if`, `while`, `min` and `range` go on where all agree, and else say who does not."""
    same, other = column([3, 3]), column([1, 5])
    assert [bool(same > 2), min(same, 7) is same, len(range(same))] == [True, True, 3]
    for ask in (
        lambda: bool(other > 2),
        lambda: min(other, same),
        lambda: range(other),
        lambda: int(other),
    ):
        with pytest.raises(Diverged) as diverged:
            ask()
        assert sorted(diverged.value.mask.tolist()) == [False, True]


def test_in_place_operators_make_new_numbers() -> None:
    """After `b = a; b //= 2` whoever has `a` still has it."""
    a = b = column([8, 9])
    b //= 2
    b += 1
    b *= 3
    assert (np.asarray(a).tolist(), np.asarray(b).tolist()) == ([8, 9], [15, 15])


def test_a_product_beyond_63_bits_is_told_apart() -> None:
    """It does not wrap around: the points of which it is too large are named."""
    with pytest.raises(OutOfRange) as beyond:
        column([5, 1 << 40]) * (1 << 30)
    assert beyond.value.mask.tolist() == [False, True]


@pytest.mark.parametrize(
    ("does", "why"),
    [
        (lambda a: isinstance(a, int), "asks for the type"),
        (lambda a: a / 2, "takes a fraction"),
        (lambda a: a * 0.5, "calculates with fractions"),
        (lambda a: f"{a}", "makes a text"),
        (lambda a: a**2, "takes a power"),
        (lambda a: a << 3, "shifts to the left"),
    ],
)
def test_what_is_not_an_integers_is_refused(does: Callable[[Column], object], why: str) -> None:
    """What a column would do otherwise than an integer is refused, not silent."""
    with pytest.raises(Refused, match=why):
        does(column([4, 6]))
