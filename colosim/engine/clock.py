"""The one place where a rate or a cost turns into a duration.  Everything is an integer.

Costs come from the scenario as exact integers: femtoseconds a byte, picoseconds a page.  A
duration is rounded up, so that nothing ever finishes before it could have.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

NS_PER_S = 1_000_000_000
Number = TypeVar("Number")
PPM = 1_000_000
"""A whole, of which shares and factors are counted in millionths."""


def smaller(a: int, b: int) -> int:
    """Return the smaller of two numbers, point by point where one is a column of many points."""
    if type(a) is int is type(b):
        return a if a < b else b  # noqa: FURB136 - a call of `min` costs more
    found: int = _numpy().minimum(a, b)
    return found


def larger(a: int, b: int) -> int:
    """Return the larger of two numbers, as `smaller` does the smaller."""
    if type(a) is int is type(b):
        return a if a > b else b  # noqa: FURB136 - likewise
    found: int = _numpy().maximum(a, b)
    return found


def each(function: Callable[[int, int], int], a: int, b: int) -> int:
    """Return what a function of two numbers gives, point by point as `smaller`."""
    if type(a) is int is type(b):
        return function(a, b)
    pairs = list(zip(*(one.tolist() for one in _numpy().broadcast_arrays(a, b)), strict=True))
    known = {pair: function(*pair) for pair in dict.fromkeys(pairs)}
    of: Any = b if type(a) is int else a
    return cast("int", _numpy().array([known[pair] for pair in pairs]).view(type(of)))


def anywhere(condition: Any) -> bool:
    """Return whether a condition holds, of a column at any of its points."""
    if type(condition) is bool:
        return condition
    return bool(_numpy().count_nonzero(condition))


def everywhere(condition: Any) -> bool:
    """Return whether a condition holds, of a column at all of its points."""
    if type(condition) is bool:
        return condition
    return bool(_numpy().count_nonzero(condition) == condition.size)


def agreed(condition: bool) -> bool:  # noqa: FBT001 - of all arithmetic with conditions
    """Return a condition as one truth, of a column if its points agree, else point by point."""
    if type(condition) is bool:
        return condition
    points: Any = condition
    true = _numpy().count_nonzero(points)
    return condition if 0 < true < points.size else bool(true)


def choose(condition: Any, a: Number, b: Number) -> Number:
    """Return `a` if a condition holds and else `b`, point by point where they do not agree."""
    if type(condition) is bool:
        return a if condition else b
    found: Number = _numpy().where(condition, a, b)
    return found


def ceil_share(whole: int, part: int, of: int) -> int:
    """Return whole * part / of, rounded up; of columns in 63 bits if of * part is."""
    if part is of:
        return whole
    if type(whole) is int is type(part):
        return -(-whole * part // of)
    if _fits(whole, part):
        return -(-whole * part // of)
    times, rest = whole // of, whole % of
    return times * part - (-(rest * part) // of)


def _fits(a: Any, b: Any) -> bool:
    """Whether the products of two columns are within 63 bits: by the bits that they have at all."""
    together = _numpy().bitwise_or.reduce
    a, b = int(together(a, axis=None)), int(together(b, axis=None))
    return bool(a >= 0 <= b and a * b < 1 << 62)


@cache
def _numpy() -> Any:
    """Return numpy, which is slow to load: only columns need it."""
    import numpy  # noqa: PLC0415, ICN001

    return numpy


def duration_ns(amount: int, rate_per_s: int) -> int:
    """Return the time in ns that `amount` takes at `rate_per_s`, rounded up.

    :raises ZeroDivisionError: if the rate is zero.
    """
    return -(-amount * NS_PER_S // rate_per_s)


def per_page_ns(pages: int, cost_ps: int) -> int:
    """Return the time in ns of `pages` at `cost_ps` picoseconds each, rounded up."""
    return (pages * cost_ps + 999) // 1_000


def per_byte_ns(amount_bytes: int, cost_fs: int) -> int:
    """Return the time in ns of `amount_bytes` at `cost_fs` femtoseconds each, rounded up."""
    return (amount_bytes * cost_fs + 999_999) // 1_000_000
