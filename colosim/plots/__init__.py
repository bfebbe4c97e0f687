"""Figures of runs, ready for a paper: one module a kind.

`memory`        memory over time by account, on both hosts, peaks marked
`gantt`         one checkpoint: guest, threads, iothread locks and wire, on one time axis
`overview`      the Gantt of several designs above their memory curves
`distribution`  how pauses and lock holds are distributed
`against`       pause and peak memory against dirty pages, bandwidth or a delay
`hang`          who holds and wants the lock, buffer levels, guests and commands around a fault
`validation`    simulated against measured pause
`heatmap`       the verdict of each fault at each protocol step
`clients`       what clients see: how latencies are distributed, and latency over time
`sweep`         a quantity over the axes of a sweep

Every module has `data`, a DataFrame of what is drawn in integers of ns and bytes; `draw`, which
takes an Axes (or makes one) and returns it; and `figure`, which lays out several.  `style.save`
writes a figure, byte for byte the same every time.  Nothing here uses pyplot or keeps a figure.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["KINDS"]

KINDS = (
    "overview",
    "memory",
    "gantt",
    "distribution",
    "against",
    "hang",
    "clients",
    "validation",
    "heatmap",
    "sweep",
)
"""Every kind of figure; each is a module of this package."""


def _svg(figure: Figure) -> str:
    from colosim.plots.notebook import svg  # noqa: PLC0415 - only where a figure is shown

    return svg(figure)


def _show_in_notebooks() -> None:
    """Let an IPython shell show figures as SVG; ``%load_ext colosim.plots.notebook`` does more."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is not None:
        formatter = shell.display_formatter.formatters["image/svg+xml"]
        formatter.for_type_by_name("matplotlib.figure", "Figure", _svg)


_show_in_notebooks()
