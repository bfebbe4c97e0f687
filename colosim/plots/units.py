"""Integers of ns and bytes: from a table, as text, and in the unit that fits an axis."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

if TYPE_CHECKING:
    from matplotlib.axis import Axis

_DIGITS = 3
_SPAN_MIN, _SPAN_FINE = 8, 300
"""How far a logarithmic axis goes at least, and up to where 1, 2 and 5 are labelled."""
_DIGIT = 0.75
"""How wide a digit is, of the size of its letters, with its part of the gap to the next label."""


class Unit(NamedTuple):
    """A unit: its symbol, and how many ns or bytes it has."""

    symbol: str
    size: int


_TIMES = (Unit("s", 10**9), Unit("ms", 10**6), Unit("µs", 10**3), Unit("ns", 1))
_SIZES = (Unit("GiB", 1 << 30), Unit("MiB", 1 << 20), Unit("KiB", 1 << 10), Unit("B", 1))


def rows_of(table: pd.DataFrame) -> Iterator[Any]:
    """Yield a table's rows as named tuples."""
    yield from table.itertuples(index=False)


def int_or_none(value: Any) -> int | None:
    """Return an integer of a table, None if it is empty."""
    return None if pd.isna(value) else int(value)


def time_unit(longest_ns: float) -> Unit:
    """Return the unit for an axis that goes up to `longest_ns`: at least 2 of it are shown."""
    return next((unit for unit in _TIMES if longest_ns >= 2 * unit.size), _TIMES[-1])


def size_unit(largest_bytes: float) -> Unit:
    """Return the unit for an axis that goes up to `largest_bytes`: at least 2 of it are shown."""
    return next((unit for unit in _SIZES if largest_bytes >= 2 * unit.size), _SIZES[-1])


def _short(value: float, units: tuple[Unit, ...]) -> str:
    unit = next((unit for unit in units if abs(value) >= unit.size), units[-1])
    scaled = value / unit.size
    places = max(0, _DIGITS - len(str(int(abs(scaled)))))
    return f"{scaled:.{places if unit.size > 1 else 0}f} {unit.symbol}"


def short_time(time_ns: float) -> str:
    """Return a duration in three digits: ``87.6 ms``."""
    return _short(time_ns, _TIMES)


def short_size(amount: float) -> str:
    """Return an amount of bytes in three digits: ``64.3 MiB``."""
    return _short(amount, _SIZES)


def plain_log(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers (0.1, 1, 2, 5, 10), not with powers of ten."""
    low, high = sorted(axis.get_view_interval())
    if high / low < _SPAN_MIN:
        wider = math.sqrt(_SPAN_MIN * low / high)
        low, high = low / wider, high * wider
        axes = axis.axes
        (axes.set_xlim if axis is axes.xaxis else axes.set_ylim)(low, high)
    fine = LogLocator(subs=(1, 2, 5))
    widest = max(len(f"{tick:g}") for tick in fine.tick_values(low, high) if low <= tick <= high)
    is_fine = high / low < _SPAN_FINE and widest <= _letters_between(axis, 2, high / low)
    axis.set_major_locator(fine if is_fine else LogLocator(subs=(1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _letters_between(axis: Axis, ratio: float, span: float) -> float:
    """Return how many digits have room on a logarithmic axis for each `ratio` of its `span`."""
    axes = axis.axes
    if axis is axes.yaxis:
        return math.inf
    long_pt = 72 * axes.bbox.width / axes.figure.dpi
    letters: Any = axis.get_major_ticks(1)[0].label1
    return float(long_pt * math.log(ratio, span) / (_DIGIT * letters.get_fontsize()))
