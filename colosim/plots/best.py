"""Which design is best where: regions of two axes, and the lines at which the best one changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Patch

from colosim.plots.look import FigureError
from colosim.plots.style import Colour, legend_below, line_of, panels, styled
from colosim.plots.sweep import scale_of_axis, scale_of_quantity
from colosim.plots.units import plain_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_EVEN = 1.01
"""A design is as good as the best within a hundredth."""
_CONTOURS = 6
_EDGE = 0.04


def data(table: pd.DataFrame, x: str, y: str, quantity: str) -> pd.DataFrame:
    """Return the best design at each point of two axes: `x`, `y`, ``design``, `quantity`.

    Of designs that are even (within 1%) it is the first in the table.

    :raises FigureError: if the table has no such column.
    """
    if missing := [name for name in (x, y, quantity, "design") if name not in table]:
        raise FigureError(f"{missing[0]!r} is no column of the table")
    known = table.dropna(subset=[quantity])
    least = known.groupby([x, y])[quantity].transform("min")
    even = known[known[quantity].astype(float) <= least.astype(float) * _EVEN]
    best = even.groupby([x, y], sort=True)[["design", quantity]].first()
    return best.reset_index()


@styled
def figure(table: pd.DataFrame, x: str, y: str, quantities: Sequence[str]) -> Figure:
    """Draw a map for each quantity of which less is better: regions, and lines of equal value.

    `table`: rows of a grid or a sweep, for every design at every point of both axes.

    :raises FigureError: as `data`.
    """
    maps = [data(table, x, y, quantity) for quantity in quantities]
    designs = list(dict.fromkeys(table["design"]))
    made, places = panels(len(maps), (3.4, 3.3), sharey=True)
    for place, best, quantity in zip(places, maps, quantities, strict=True):
        _map(place, best, (x, y), quantity, designs)
    places[0].set_ylabel(scale_of_axis(y, table[y]).label)
    used = [name for name in designs if any((best["design"] == name).any() for best in maps)]
    patches = [
        Patch(facecolor=line_of(name, designs.index(name)).colour, alpha=0.5, label=name)
        for name in used
    ]
    legend_below(made, patches, len(patches))
    return made


def _map(
    place: Axes, best: pd.DataFrame, axes: tuple[str, str], quantity: str, designs: list[str]
) -> None:
    x, y = axes
    across, up = (np.sort(best[name].unique().astype(float)) for name in axes)
    along, upward = scale_of_axis(x, best[x]), scale_of_axis(y, best[y])
    which = best.assign(design=best["design"].map(designs.index)).pivot_table("design", y, x)
    cells = which.to_numpy(dtype=float)
    worth = best.astype({quantity: float}).pivot_table(quantity, y, x).to_numpy(dtype=float)
    scale = scale_of_quantity(quantity, best[quantity])
    place.set_xscale("log")  # before any number stands on a line
    place.set_yscale("log")
    named: list[Any] = []
    at: tuple[Any, Any] = (across / along.size, up / upward.size)
    for number, name in enumerate(designs):
        own = np.where(cells == number, 1.0, 0.0)
        if own.any():
            colour = line_of(name, number).colour
            place.contourf(*at, own, levels=[0.5, 1.5], colors=[colour], alpha=0.5)
            place.contour(*at, own, levels=[0.5], colors=[Colour.BLACK], linewidths=0.8)
    if np.nanmax(worth) > 2 * max(np.nanmin(worth), 1):
        levels = np.geomspace(max(np.nanmin(worth), 1), np.nanmax(worth), _CONTOURS + 2)[1:-1]
        thin: dict[str, Any] = {"colors": [Colour.INK], "linewidths": 0.5, "linestyles": ":"}
        lines = place.contour(*at, worth / scale.size, levels=levels / scale.size, **thin)
        named = place.clabel(lines, fmt="%.3g", fontsize=6)
    plain_log(place.xaxis)
    plain_log(place.yaxis)
    for text in named:  # one at the edge would stand among the numbers of an axis
        shown = place.transData.transform(text.get_position())
        inside = place.transAxes.inverted().transform(shown)
        text.set_visible(bool(_EDGE <= min(inside) <= max(inside) <= 1 - _EDGE))
    place.set_xlabel(along.label)
    place.set_title(f"least {scale.label}")
