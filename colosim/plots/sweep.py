"""A sweep, drawn: lines with a band over seeds, small multiples of them, a map of two axes.

An axis of the sweep that is not named gets panels of its own, so that nothing but seeds is ever
mixed: a line is the median over them, its band goes from the least to the most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import rcParams
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from colosim.plots.look import FigureError, columns_of, width_of
from colosim.plots.style import (
    broken,
    legend_below,
    line_of,
    styled,
    write_small,
    write_title,
)
from colosim.plots.units import plain_log, size_unit, time_unit
from colosim.scenario.model import Scenario
from colosim.scenario.section import all_keys, measure_in
from colosim.scenario.units import BANDWIDTH, SHARE, SIZE, TIME, meant
from colosim.trace.fields import BYTES, NS, PPM, SUMMARY_KEYS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANELS_MAX, _COLUMNS = 12, 3
_LOG_FROM = 8
"""From what ratio of largest and smallest on an axis is logarithmic."""
_COLUMNS_SAID = 4
"""Up to how many columns a map says its numbers."""
_NUMBERS_IN = 0.6
"""How much of a panel's width the numbers beside it take."""
_TICK_IN = 1.0
"""How long a name beside an axis may be."""
_SEED = "seed"


class _Scale(NamedTuple):
    """What an axis shows: a label, and how much of the base unit one of its units is."""

    label: str
    size: float


def axes_of(table: pd.DataFrame) -> list[str]:
    """Return the axes of a sweep's table that take several values, seeds left out."""
    names = list(table.columns)
    return [name for name in names[: names.index(_SEED)] if len(table[name].unique()) > 1]


def data(table: pd.DataFrame, x: str, y: str, by: Sequence[str] = ()) -> pd.DataFrame:
    """Return what is drawn: a row for each point of the axes, over its seeds.

    Columns: `x`, the other axes, ``low``, ``median``, ``high`` (empty if no run has the quantity),
    and ``runs``.

    :param y: a quantity, or an axis: then `by` is the quantity, shown as colour.
    :raises FigureError: if there is no such axis or quantity.
    """
    axes = axes_of(table)
    quantity = _quantity(table, axes, x, y, by)
    others = [name for name in axes if name != x]
    grouped = table.groupby([x, *others], sort=False, dropna=False)[quantity]
    return grouped.agg(low="min", median=_middle, high="max", runs="count").reset_index()


def _middle(values: pd.Series[Any]) -> Any:
    """Return the median, nearest rank."""
    known = sorted(values.dropna())
    return known[(len(known) - 1) // 2] if known else pd.NA


def _quantity(table: pd.DataFrame, axes: Sequence[str], x: str, y: str, by: Sequence[str]) -> str:
    """Return the quantity among what was named, all of which has to be there."""
    for name in (x, *by, y):
        if name not in table:
            raise FigureError(f"{name!r} is no column of the sweep{meant(name, table.columns)}")
    if x not in axes:
        raise FigureError(f"{x!r} is no axis with several values; there are {', '.join(axes)}")
    quantity = y
    if y in axes:
        if len(by) != 1 or by[0] in axes:
            raise FigureError(f"{y!r} is an axis too; name with --by the quantity of the map")
        (quantity,) = by
    elif wrong := [name for name in by if name not in axes]:
        raise FigureError(f"{wrong[0]!r} is no axis with several values: {', '.join(axes)}")
    if not pd.api.types.is_numeric_dtype(table[quantity]):
        raise FigureError(f"{quantity!r} has no numbers that could be drawn")
    return quantity


@styled
def figure(table: pd.DataFrame, x: str, y: str, by: Sequence[str] = ()) -> Figure:
    """Draw a quantity against an axis, or (where `y` is an axis) over two.

    :param by: an axis whose values are lines, and others of which each gets panels; of a map, the
        quantity. Axes that are not named get panels.
    :raises FigureError: as `data`, and if there would be more than 12 panels.
    """
    drawn, axes = data(table, x, y, by), axes_of(table)
    is_map = y in axes
    quantity = by[0] if is_map else y
    lined = None if is_map else (by[0] if by else "design" if "design" in axes else None)
    kept = {x, y if is_map else None, lined if lined != x else None}
    apart = [name for name in axes if name not in kept]
    panels = list(_panels(drawn, apart))
    columns = columns_of(min(_COLUMNS, len(panels)), 2.9)
    rows = -(-len(panels) // columns)
    made = Figure(figsize=(width_of(max(3.5, 2.9 * columns)), 2.5 * rows + 0.3))
    places = list(made.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    scale = scale_of_quantity(quantity, drawn["high"])
    panel_in = made.get_figwidth() / columns
    for place, (title, part) in zip(places, panels, strict=False):
        if is_map:
            _map(place, part, x, y, scale, drawn)
        else:
            _lines(place, part, x, lined if lined != x else None, scale, panel_in)
        write_title(place, title, panel_in - _NUMBERS_IN)
    for place in places[len(panels) :]:
        place.set_visible(False)
    if is_map:
        bar = made.colorbar(places[0].collections[0], ax=places, label=scale.label)
        bar.formatter = FuncFormatter(lambda value, _: f"{value:g}")
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
        made.supylabel(y, fontsize=rcParams["axes.labelsize"])
        return made
    if _is_wide(drawn["median"]):
        places[0].set_yscale("log")
        plain_log(places[0].yaxis)
    else:
        places[0].set_ylim(bottom=0)
    made.supylabel(scale.label, fontsize=rcParams["axes.labelsize"])
    curves = places[0].get_legend_handles_labels()[0]
    if lined not in {None, x}:
        legend_below(made, curves, len(curves))
    return made


def _panels(drawn: pd.DataFrame, apart: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield a title and the rows of each panel."""
    values = [list(dict.fromkeys(drawn[name])) for name in apart]
    count = int(np.prod([len(own) for own in values]))
    if count > _PANELS_MAX:
        raise FigureError(
            f"{count} panels, one for each value of {', '.join(apart)}; name one of them with --by"
        )
    for chosen in product(*values):
        part = drawn
        for name, value in zip(apart, chosen, strict=True):
            part = part[part[name] == value]
        words = (_text(name, value) for name, value in zip(apart, chosen, strict=True))
        yield ", ".join(words), part


def _lines(
    place: Axes, part: pd.DataFrame, x: str, lined: str | None, scale: _Scale, panel_in: float
) -> None:
    groups: list[tuple[Any, pd.DataFrame]] = (
        [("", part)]
        if lined is None
        else [(value, part[part[lined] == value]) for value in dict.fromkeys(part[lined])]
    )
    along, has_numbers = scale_of_axis(x, part[x]), pd.api.types.is_integer_dtype(part[x])
    for index, (value, rows) in enumerate(groups):
        own = rows.dropna(subset=["median"])
        if has_numbers:
            own = own.sort_values(x)
        look = line_of(str(value), index) if lined == "design" else _nth_line(index)
        at = own[x].to_numpy(dtype=float) / along.size if has_numbers else own[x].astype(str)
        low, middle, high = (
            own[name].to_numpy(dtype=float) / scale.size for name in ("low", "median", "high")
        )
        label = "" if lined is None else _text(lined, value)
        style: dict[str, Any] = {"color": look.colour, "linestyle": look.dashes}
        place.plot(at, middle, marker=look.marker, label=label, **style)
        if (low < high).any():
            place.fill_between(at, low, high, color=look.colour, alpha=0.2, linewidth=0)
    if has_numbers and _is_wide(part[x]):
        place.set_xscale("log")
        plain_log(place.xaxis)
    elif not has_numbers:
        named = [str(value) for value in dict.fromkeys(part[x])]
        room_in = panel_in / len(named) - 0.2
        tall = [broken(name, room_in, "xtick.labelsize") for name in named]
        place.set_xticks(range(len(named)), tall)
    place.set_xlabel(along.label)


def _map(
    place: Axes,
    part: pd.DataFrame,
    x: str,
    y: str,
    scale: _Scale,
    every: pd.DataFrame,
) -> None:
    """Draw one map; rows, columns and colours are those of all of them."""
    columns, rows = (list(dict.fromkeys(every[name])) for name in (x, y))
    cells = np.full((len(rows), len(columns)), np.nan)
    for _, one in part.iterrows():
        if not pd.isna(one["median"]):
            cells[rows.index(one[y]), columns.index(one[x])] = float(one["median"]) / scale.size
    known = every["median"].dropna().to_numpy(dtype=float) / scale.size
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    norm = (
        {"norm": LogNorm(low, high)} if _is_wide(every["median"]) else {"vmin": low, "vmax": high}
    )
    drawn = place.pcolormesh(cells, cmap="viridis", **norm)
    place.set_xticks(np.arange(len(columns)) + 0.5, [_tick(x, one) for one in columns], rotation=90)
    place.set_yticks(np.arange(len(rows)) + 0.5, [_tick(y, one) for one in rows])
    place.set_xlabel(x)
    if len(columns) <= _COLUMNS_SAID:
        shades = np.asarray(drawn.norm(cells))
        for (row, column), cell in np.ndenumerate(cells):
            if not np.isnan(cell):
                is_dark = shades[row, column] < 0.5  # noqa: PLR2004 - half way
                look = {"color": "white" if is_dark else "black"}
                write_small(place, column + 0.5, row + 0.5, f"{cell:.3g}", **look)


def _tick(key: str, value: Any) -> str:
    return broken(_text(key, value), _TICK_IN, "xtick.labelsize")


def _is_wide(values: pd.Series[Any]) -> bool:
    known = values.dropna()
    return len(known) > 1 and bool(0 < known.min() <= known.max() / _LOG_FROM)


def _nth_line(index: int) -> Any:
    """Return how the curve of the n-th value of an axis looks."""
    names = ("split", "qsb", "qemu-5.1", "flat", "device-first", "qemu-11")
    return line_of(names[index % len(names)])


def scale_of_quantity(key: str, values: pd.Series[Any]) -> _Scale:
    """Return what an axis of a quantity shows."""
    unit = SUMMARY_KEYS[key].unit if key in SUMMARY_KEYS else BYTES
    most = float(values.dropna().max()) if values.notna().any() else 1.0
    if unit in {NS, BYTES}:
        chosen = time_unit(most) if unit == NS else size_unit(most)
        return _Scale(f"{key} ({chosen.symbol})", chosen.size)
    return _Scale(f"{key} (%)", 1e4) if unit == PPM else _Scale(key, 1)


def _measure(key: str) -> Any:
    path = tuple(part for part in key.split(".") if not part.isdecimal())
    reads = all_keys(Scenario).get(path)
    return None if reads is None else measure_in(reads)


def scale_of_axis(key: str, values: pd.Series[Any]) -> _Scale:
    """Return what an axis of the sweep shows."""
    measure = _measure(key)
    kind = None if measure is None else measure.kind
    if kind in {TIME, SIZE}:
        most = float(values.dropna().max())
        chosen = time_unit(most) if kind == TIME else size_unit(most)
        return _Scale(f"{key} ({chosen.symbol})", chosen.size)
    if kind == BANDWIDTH:
        return _Scale(f"{key} (Gbit/s)", 125e6)
    if kind == SHARE:
        return _Scale(f"{key} (%)", 1e4)
    base = f" ({kind.base})" if kind is not None and kind.base else ""
    return _Scale(f"{key}{base}", 1)


def _text(key: str, value: Any) -> str:
    """Return a value of an axis as a scenario writes it."""
    measure = _measure(key)
    if measure is None or isinstance(value, str):
        return str(value)
    return str(measure.text(None if pd.isna(value) else int(value)))
