"""Pause and peak memory against dirty pages, bandwidth or a delay: a small sweep, drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from os import PathLike
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from colosim.plots.look import FigureError
from colosim.plots.style import axes_or_new, legend_below, line_of, panels, styled
from colosim.plots.units import plain_log, size_unit, time_unit
from colosim.runs.run import as_scenario, simulate
from colosim.scenario.guest import FixedDirty
from colosim.scenario.units import PAGE_BYTES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from colosim.runs.simulation import Simulation
    from colosim.scenario import Scenario


class Parameter(NamedTuple):
    """What a sweep varies.

    `key` is the scenario's key; an axis shows values, in the key's base unit, divided by `scale`,
    under `label`; `usual` values are taken if none are given.
    """

    key: str
    label: str
    scale: float
    usual: tuple[int, ...]


PARAMETERS = {
    "dirty-pages": Parameter(
        "guest.dirty.pages",
        "dirty pages (thousands)",
        1e3,
        (500, 1000, 2000, 4000, 8000, 16000, 32000, 64000),
    ),
    "bandwidth": Parameter(
        "network.bandwidth",
        "bandwidth (Gbit/s)",
        125e6,
        tuple(mbit * 125_000 for mbit in (200, 500, 1000, 2500, 5000, 10_000, 25_000, 40_000)),
    ),
    "latency": Parameter(
        "network.latency",
        "one-way delay (ms)",
        1e6,
        tuple(us * 1000 for us in (10, 50, 100, 500, 1000, 2000, 5000, 10_000)),
    ),
    "checkpoint-delay": Parameter(
        "checkpoint_delay",
        "checkpoint delay (ms)",
        1e6,
        tuple(ms * 1_000_000 for ms in (20, 50, 100, 200, 500, 1000, 2000)),
    ),
}
"""What can be varied, and the values that are taken if none are given."""

QUANTITIES = {
    "pause_ns": "guest pause, median",
    "primary_peak_bytes": "primary's peak memory",
    "secondary_peak_bytes": "secondary's peak memory",
}
"""The columns of `data` that are drawn, and their names."""


def data(
    scenario: str | PathLike[str] | Scenario,
    parameter: str = "dirty-pages",
    values: Sequence[int] | None = None,
    *,
    designs: Sequence[str] | None = None,
    seeds: Iterable[int] = (),
    prepare: Callable[[Simulation], None] | None = None,
) -> pd.DataFrame:
    """Run every design with every value of one parameter.

    :param scenario: a file, the name of a shipped one, or a `Scenario`; everything but the
        parameter stays as it says.
    :param parameter: one of `PARAMETERS`.
    :param values: in pages, bytes a second or ns; None takes the parameter's own, of dirty pages
        those that the guest has.
    :param designs: instead of the scenario's.
    :param seeds: instead of the scenario's one: a line is their median, its band all of them.
    :param prepare: called with each simulation before it runs.

    Columns: ``design``, ``parameter``, ``value``, ``seed``, ``verdict``, ``pause_ns`` (median,
    empty if no checkpoint was committed), and ``primary_peak_bytes`` and ``secondary_peak_bytes``,
    beyond the guest's own RAM.

    :raises FigureError: if there is no such parameter; if it would replace how the guest writes.
    :raises ScenarioError: if the scenario is wrong with a value.
    """
    if parameter not in PARAMETERS:
        raise FigureError(f"{parameter!r} is none of {', '.join(PARAMETERS)}")
    key = PARAMETERS[parameter].key
    base = as_scenario(scenario)
    if parameter == "dirty-pages" and not isinstance(base.guest.dirty, FixedDirty):
        raise FigureError(
            f"{base.name} says how its guest writes, not how many pages are dirty; for a curve "
            "against these, set a number: --set guest.dirty.pages=4000"
        )
    chosen = PARAMETERS[parameter].usual if values is None else values
    if values is None and parameter == "dirty-pages":
        chosen = [pages for pages in chosen if pages * PAGE_BYTES <= base.guest.ram_bytes]
    each = tuple(seeds) or (base.seed,)
    rows = []
    for value in chosen:
        varied = base.vary({key: value})
        for design, seed in product(designs or base.designs, each):
            summary = simulate(varied, design, seed=seed, tables=False, prepare=prepare).summary
            peaks = summary["memory_peak_bytes"]
            rows.append(
                {
                    "design": design,
                    "parameter": parameter,
                    "value": value,
                    "seed": seed,
                    "verdict": summary["verdict"],
                    "pause_ns": summary["pause_ns"]["p50"] or None,
                    "primary_peak_bytes": peaks["primary"]["extra_total"],
                    "secondary_peak_bytes": peaks["secondary"]["extra_total"],
                }
            )
    return pd.DataFrame(rows).astype(dict.fromkeys(("value", *QUANTITIES), "Int64"))


@styled
def draw(table: pd.DataFrame, quantity: str = "pause_ns", axes: Axes | None = None) -> Axes:
    """Draw one of `QUANTITIES` of a table from `data`, a line a design, both axes logarithmic."""
    axes = axes_or_new(axes)
    _curves(axes, table, quantity)
    legend_below(axes, axes.get_legend_handles_labels()[0], 5, bbox_to_anchor=(0.5, -0.16))
    return axes


def _curves(axes: Axes, table: pd.DataFrame, quantity: str) -> None:
    parameter = PARAMETERS[str(table["parameter"].iloc[0])]
    chosen_unit = time_unit if quantity == "pause_ns" else size_unit
    unit = chosen_unit(float(table[quantity].dropna().max()))
    for index, (design, whole) in enumerate(table.groupby("design", sort=False)):
        over_seeds = whole.dropna(subset=[quantity]).groupby("value", sort=False)[quantity]
        look, at = line_of(str(design), index), np.array([*over_seeds.groups], dtype=float)
        low, middle, high = (
            over_seeds.quantile(share, interpolation="lower").to_numpy(dtype=float) / unit.size
            for share in (0, 0.5, 1)
        )
        axes.plot(
            at / parameter.scale,
            middle,
            color=look.colour,
            linestyle=look.dashes,
            marker=look.marker,
            label=str(design),
        )
        if (low < high).any():
            axes.fill_between(
                at / parameter.scale, low, high, color=look.colour, alpha=0.2, linewidth=0
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain_log(axes.xaxis)
    plain_log(axes.yaxis)
    axes.set_xlabel(parameter.label)
    axes.set_ylabel(f"{QUANTITIES[quantity]} ({unit.symbol})")


@styled
def figure(table: pd.DataFrame) -> Figure:
    """Return pause and peak memory of either side of a table from `data`."""
    made, places = panels(len(QUANTITIES), (2.4, 2.9))
    for axes, quantity in zip(places, QUANTITIES, strict=True):
        _curves(axes, table, quantity)
    curves = places[0].get_legend_handles_labels()[0]
    legend_below(made, curves, len(curves))
    return made
