"""Simulated against measured pause, with the band of 10%."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from colosim.analysis.compare import measured_medians
from colosim.plots.look import FigureError, width_of
from colosim.plots.style import Colour, axes_or_new, legend_below, line_of, styled
from colosim.plots.units import plain_log, time_unit
from colosim.trace.fields import value_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from colosim.runs.run import Run

COLUMNS = ("design", "measured_ns", "simulated_ns")
"""What a table has to have; other columns stay."""
BAND = 0.10
"""The band that is drawn around equality: simulated within 10% of measured."""
_MARGIN = 1.25
_PAUSE = "pause_ns.p50"


def paired(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the median pauses of simulated runs beside those of the real ones among `runs`.

    A simulated run's peer is the real run that its scenario names under ``measured:``; else the one
    of its design that is called as its scenario; else the only one of its design.  Columns:
    ``run`` (its scenario's name) and `COLUMNS`.

    :raises FigureError: if a run has no peer, several, or no pause.
    """
    real = [run for run in runs if run.source is not None]
    rows = []
    for run in runs:
        if run.source is None:
            measured_ns, simulated_ns = _measured(run, real), value_of(run.summary, _PAUSE)
            if simulated_ns is None:
                raise FigureError(f"{run!r} has no pause")
            rows.append((run.scenario.name, run.design, measured_ns, simulated_ns))
    if not rows:
        raise FigureError("of simulated runs none is given: name a scenario, or a run's directory")
    return pd.DataFrame(rows, columns=["run", *COLUMNS])


def _measured(run: Run, real: Sequence[Run]) -> int:
    if (measured_ns := measured_medians(run.scenario, run.design).get(_PAUSE)) is not None:
        return measured_ns
    peers = [one for one in real if one.design == run.design]
    peers = [one for one in peers if one.scenario.name == run.scenario.name] or peers
    if len(peers) != 1:
        names = ", ".join(one.scenario.name for one in peers) or "none"
        raise FigureError(
            f"{run!r}: which real run of {run.design} it is held against is not told (there is "
            f"{names}); name it under measured:"
        )
    found = value_of(peers[0].summary, _PAUSE)
    if not isinstance(found, int):
        raise FigureError(f"{peers[0]!r} has no pause")
    return found


def data(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with ``error``, simulated/measured less 1, and ``within``, in the band.

    :raises FigureError: if it has no rows, lacks one of `COLUMNS`, or a time is not positive.
    """
    missing = [name for name in COLUMNS if name not in table]
    if missing or not len(table):
        raise FigureError(f"a validation table has rows and the columns {', '.join(COLUMNS)}")
    if (table[["measured_ns", "simulated_ns"]] <= 0).any(axis=None):
        raise FigureError("a validation table's times are larger than 0")
    made = table.reset_index(drop=True).copy()
    made["error"] = made["simulated_ns"].astype(float) / made["measured_ns"].astype(float) - 1
    made["within"] = made["error"].abs() <= BAND
    return made


@styled
def draw(table: pd.DataFrame, axes: Axes | None = None, *, quantity: str = "pause") -> Axes:
    """Draw each row as a point: measured to the right, simulated up, both logarithmic.

    `quantity`: what the times are, for the axes' labels.

    :raises FigureError: as `data`.
    """
    axes = axes_or_new(axes)
    points = data(table)
    times = points[["measured_ns", "simulated_ns"]].to_numpy(dtype=float)
    unit = time_unit(times.max())
    limits = np.array([times.min() / _MARGIN, times.max() * _MARGIN]) / unit.size
    axes.fill_between(
        limits,
        limits * (1 - BAND),
        limits * (1 + BAND),
        color="#dddddd",
        linewidth=0,
        label=f"within {BAND:.0%}",
        zorder=1,
    )
    axes.plot(limits, limits, color=Colour.GREY, linewidth=0.8, zorder=2)
    for index, (design, part) in enumerate(points.groupby("design", sort=False)):
        look = line_of(str(design), index)
        axes.plot(
            part["measured_ns"].to_numpy(dtype=float) / unit.size,
            part["simulated_ns"].to_numpy(dtype=float) / unit.size,
            linestyle="",
            marker=look.marker,
            markerfacecolor=look.colour,
            markeredgecolor=Colour.BLACK,
            markeredgewidth=0.4,
            label=str(design),
            zorder=3,
        )
    axes.set(xscale="log", yscale="log", aspect="equal")
    axes.set_xlim(*limits)
    axes.set_ylim(*limits)
    plain_log(axes.xaxis)
    plain_log(axes.yaxis)
    axes.set_xlabel(f"measured {quantity} ({unit.symbol})")
    axes.set_ylabel(f"simulated {quantity} ({unit.symbol})")
    inside, count = int(points["within"].sum()), len(points)
    axes.set_title(f"{inside} of {count} within {BAND:.0%}", weight="normal")
    legend = axes.legend(loc="lower right")
    if legend.get_window_extent().width > axes.bbox.width / 2:
        legend.remove()
        legend_below(axes, axes.get_legend_handles_labels()[0], 2, bbox_to_anchor=(0.5, -0.16))
    return axes


@styled
def figure(table: pd.DataFrame, *, quantity: str = "pause") -> Figure:
    """Return simulated against measured times.

    :raises FigureError: as `data`.
    """
    made = Figure(figsize=(width_of(3.6), 3.8))
    draw(table, made.subplots(), quantity=quantity)
    return made
