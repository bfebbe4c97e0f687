"""Designs at a glance: one checkpoint of each as a Gantt chart, above their memory curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from colosim.plots import gantt, memory
from colosim.plots.look import columns_of, width_of
from colosim.plots.style import styled
from colosim.plots.units import short_size

if TYPE_CHECKING:
    from colosim.runs.run import Run


def data(runs: Sequence[Run], checkpoint: int | None = None) -> pd.DataFrame:
    """Return what is drawn: the rows of `gantt.data`, then those of `memory.totals`.

    The column ``panel`` is ``gantt`` or ``memory``; columns that the other panel has are empty.

    :raises FigureError: if a run has no such checkpoint.
    """
    bars = gantt.data(runs, checkpoint)
    if not _show_memory(runs):
        bars.insert(0, "panel", "gantt")
        return bars
    curves = memory.totals(memory.data(runs), cache=not _same_cache(runs))
    bars.insert(0, "panel", "gantt")
    curves.insert(0, "panel", "memory")
    whole = {"time_ns": "Int64", "level_bytes": "Int64"}
    both = [bars.astype({"checkpoint": "Int64"}), curves.astype(whole)]
    return pd.concat(both, ignore_index=True)


def _show_memory(runs: Sequence[Run]) -> bool:
    """Whether every run shows memory; a real log may not."""
    return all(len(run.memory) for run in runs)


def _same_cache(runs: Sequence[Run]) -> int | None:
    """Return the bytes of the RAM cache that all runs' secondaries have, None if they differ."""
    caches = {run.summary["memory_peak_bytes"]["secondary"].get(memory.CACHE, 0) for run in runs}
    return caches.pop() or None if len(caches) == 1 else None


@styled
def figure(runs: Sequence[Run], checkpoint: int | None = None) -> Figure:
    """Return the Gantt chart of one checkpoint of each run above the memory of both hosts.

    A RAM cache that all runs have alike is left out of the curves, and the panel's title says so.
    Where a real log shows no memory, only the Gantt chart is drawn.

    :raises FigureError: if a run has no such checkpoint.
    """
    if not _show_memory(runs):
        return gantt.figure(runs, checkpoint)
    beside = columns_of(2, 3.0)
    below_in = 1.9 + 0.08 * len(runs) + memory.legend_in(runs)
    heights = (gantt.height_in(runs, 0.9, 1.2), below_in * 2 / beside)
    made = Figure(figsize=(width_of(), sum(heights)))
    top, bottom = made.subfigures(2, 1, height_ratios=heights, squeeze=False).flat
    gantt.draw(runs, top.subplots(), checkpoint)
    cache = _same_cache(runs)
    panels = bottom.subplots(2 // beside, beside, sharey=cache is not None, squeeze=False).flat
    for axes, side in zip(panels, memory.SIDES, strict=True):
        memory.lines(runs, side, axes, cache=cache is None)
        left_out = cache is not None and side == "secondary"
        note = f", without its RAM cache ({short_size(cache or 0)})" if left_out else ""
        axes.set_title(f"{side}{note}")
    if cache is not None and beside > 1:
        panels[1].set_ylabel("")
    made.draw_without_rendering()  # the layout settles: taller panels have more ticks
    return made
