"""How pauses and lock holds are distributed: empirical distribution functions with p50 and p99."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.lines import Line2D

from colosim.plots.lanes import counted
from colosim.plots.look import FigureError
from colosim.plots.style import Colour, axes_or_new, labels, legend_below, looks, panels, styled
from colosim.plots.units import time_unit

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from colosim.runs.run import Run

QUANTITIES = {
    "pause_ns": "guest pause",
    "lock_hold_primary_ns": "primary's lock held to save",
    "lock_hold_secondary_ns": "secondary's lock held to load",
}
"""The columns of ``checkpoints`` whose distribution is drawn, and their names."""

_MARKS = {50: ("p50", "o"), 99: ("p99", "D")}
_WHOLE = 100


def data(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the sorted values of every quantity of each run's committed checkpoints.

    The warm-up is left out.  Columns: ``run`` (its label), ``quantity`` (one of `QUANTITIES`),
    ``value_ns`` and ``share``, the share of values that are not larger.
    """
    parts = []
    for label, run in zip(labels(runs), runs, strict=True):
        kept = counted(run)
        for quantity in QUANTITIES:
            values = kept[quantity].dropna().sort_values().reset_index(drop=True)
            parts.append(
                pd.DataFrame(
                    {
                        "run": label,
                        "quantity": quantity,
                        "value_ns": values,
                        "share": (values.index + 1) / max(1, len(values)),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def quantile(values: pd.Series[int], percent: int) -> int:
    """Return the nearest-rank quantile of sorted values: the one that the summary has."""
    rank = max(1, -(-len(values) * percent // _WHOLE))
    return int(values.iloc[rank - 1])


@styled
def draw(runs: Sequence[Run], quantity: str = "pause_ns", axes: Axes | None = None) -> Axes:
    """Draw the distribution of one of `QUANTITIES`, a step curve a run, p50 and p99 marked.

    :raises FigureError: if no run has a committed checkpoint after the warm-up.
    """
    axes = axes_or_new(axes)
    _curves(axes, runs, quantity)
    handles = _legend(axes)
    legend_below(axes, handles, len(handles), bbox_to_anchor=(0.5, -0.16))
    return axes


def _curves(axes: Axes, runs: Sequence[Run], quantity: str) -> None:
    table = data(runs)
    table = table[table["quantity"] == quantity]
    if not len(table):
        raise FigureError(f"no run committed a checkpoint after its warm-up: no {quantity}")
    unit = time_unit(int(table["value_ns"].max()))
    for name, _, look in looks(runs):
        part = table[table["run"] == name]
        if not len(part):
            continue
        values = part["value_ns"].to_numpy() / unit.size
        axes.step(
            [values[0], *values],
            [0, *part["share"]],
            where="post",
            color=look.colour,
            linestyle=look.dashes,
            label=name,
        )
        for percent, (_, marker) in _MARKS.items():
            at = quantile(part["value_ns"], percent) / unit.size
            axes.plot(at, percent / _WHOLE, marker, color=look.colour, markersize=5)
    for percent in _MARKS:
        axes.axhline(percent / _WHOLE, color=Colour.GREY, linewidth=0.5, linestyle=":", zorder=1)
    axes.set_xlim(0, float(table["value_ns"].max()) / unit.size * 1.08)
    axes.set_ylim(0, 1.03)
    axes.set_xlabel(f"{QUANTITIES[quantity]} ({unit.symbol})")
    axes.set_ylabel("share of checkpoints")


def _legend(axes: Axes) -> list[Artist]:
    marks = [
        Line2D([], [], color=Colour.GREY, marker=marker, linestyle="", label=text)
        for text, marker in _MARKS.values()
    ]
    return [*axes.get_legend_handles_labels()[0], *marks]


@styled
def figure(runs: Sequence[Run]) -> Figure:
    """Return the distributions of pause and of either side's lock hold.

    A real log may not have them all: then only those that it has.

    :raises FigureError: if no run has a committed checkpoint after the warm-up.
    """
    seen = data(runs)["quantity"]
    shown = [quantity for quantity in QUANTITIES if (seen == quantity).any()] or ["pause_ns"]
    usual_in = max(3.6, 2.4 * len(shown))
    made, places = panels(len(shown), (2.4, 2.9), usual_in, sharey=True)
    for axes, quantity in zip(places, shown, strict=True):
        _curves(axes, runs, quantity)
        spec = axes.get_subplotspec()
        if spec is not None and not spec.is_first_col():
            axes.set_ylabel("")
    handles = _legend(places[0])
    legend_below(made, handles, len(handles))
    return made
