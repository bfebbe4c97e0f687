"""One checkpoint as horizontal bars: guest, threads, iothread locks and wire, on one time axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from colosim.plots.bars import LANES, bars_of, typical_checkpoint
from colosim.plots.rows import rows_of, whole
from colosim.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    WHITE,
    YELLOW,
    Fill,
    axes_or_new,
    labels,
    styled,
)
from colosim.plots.units import short_time, time_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from colosim.plots.units import Unit
    from colosim.runs.run import Run

__all__ = ["LANES", "data", "draw", "figure", "typical_checkpoint"]

_KINDS = {
    "guest stopped": Fill("#595959", ""),
    "lock held": Fill(VERMILLION, "////"),
    "waits": Fill(WHITE, ""),
    "save": Fill(ORANGE, "\\\\\\\\"),
    "send": Fill(BLUE, ""),
    "receive": Fill(SKY, "|||"),
    "load": Fill(GREEN, "xxxx"),
    "flush cache": Fill(YELLOW, "----"),
    "stop, start, other": Fill(PURPLE, ""),
    "message": Fill(GREY, ""),
}
"""Looks of the bars by their kind, in the order of the legend."""
_HEIGHT = 0.8
_HEADING = 0.9
_OPEN = 1.04
"""How far a bar without an end is drawn, of the time up to the last event."""


def data(runs: Sequence[Run], checkpoint: int | None = None) -> pd.DataFrame:
    """Return the bars of one checkpoint of each run.

    `checkpoint`: its number; None takes each run's `typical_checkpoint`.

    Columns: ``run`` (its label), ``checkpoint``, ``lane`` (one of `LANES`), ``what``, ``kind``
    (what decides on the look), ``begin_ns`` and ``end_ns`` since the request (empty: it never
    ended).

    :raises FigureError: if a run has no such checkpoint.
    """
    rows = []
    for label, run in zip(labels(runs), runs, strict=True):
        number = typical_checkpoint(run) if checkpoint is None else checkpoint
        rows += [(label, number, *bar) for bar in bars_of(run, number)]
    table = pd.DataFrame(
        rows, columns=["run", "checkpoint", "lane", "what", "kind", "begin_ns", "end_ns"]
    )
    return table.astype({"begin_ns": "Int64", "end_ns": "Int64"})


@styled
def draw(runs: Sequence[Run], axes: Axes | None = None, checkpoint: int | None = None) -> Axes:
    """Draw one checkpoint of each run, one under another, on one time axis.

    `checkpoint`: its number; None takes each run's `typical_checkpoint`.  A bar with an arrow
    never ended.  On the wire a bar is from the first byte sent to the last byte read.

    :raises FigureError: if a run has no such checkpoint.
    """
    axes = axes_or_new(axes)
    table = data(runs, checkpoint)
    last = int(pd.concat([table["begin_ns"], table["end_ns"]]).max())
    unit = time_unit(last)
    open_end = last * _OPEN
    axes.set_xlim(0, open_end / unit.size)
    ticks, y = [], 0.0
    for name, part in table.groupby("run", sort=False):
        y += _HEADING
        _head(axes, str(name), part, y - _HEIGHT)
        for lane in LANES:
            bars = list(rows_of(part[part["lane"] == lane]))
            for bar in bars:
                _bar(axes, y, bar, unit, open_end)
            _write(axes, y, bars, unit, open_end)
            ticks.append((y, lane))
            y += 1
    axes.set_ylim(y - 0.4, 0.1)
    axes.set_yticks([at for at, _ in ticks], [lane for _, lane in ticks])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"time since the checkpoint request ({unit.symbol})")
    _legend(axes, table)
    return axes


def _head(axes: Axes, name: str, part: pd.DataFrame, y: float) -> None:
    """Write a run's name above its lanes, and which checkpoint it is."""
    number = int(part["checkpoint"].iloc[0])
    axes.text(
        0.0,
        y,
        f"{name}  ",
        transform=axes.get_yaxis_transform(),
        ha="right",
        va="center",
        weight="bold",
        fontsize=8,
    )
    axes.text(
        0.002,
        y,
        f"checkpoint {number}",
        transform=axes.get_yaxis_transform(),
        va="center",
        fontsize=6.5,
        color="#404040",
    )
    axes.axhline(y - 0.1 - _HEADING / 2, color=GREY, linewidth=0.4)


def _bar(axes: Axes, y: float, bar: Any, unit: Unit, open_end: float) -> None:
    kind, begin, end = bar.kind, int(bar.begin_ns), whole(bar.end_ns)
    never = end is None
    stop = open_end if end is None else end
    fill = _KINDS[kind]
    axes.broken_barh(
        [(begin / unit.size, (stop - begin) / unit.size)],
        (y - _HEIGHT / 2, _HEIGHT),
        facecolors=fill.colour,
        edgecolors=GREY if kind == "waits" else BLACK,
        hatch=fill.hatch,
        linewidth=0.35,
        linestyle="--" if kind == "waits" else "-",
        zorder=2 if kind in {"message", "waits"} else 3,
    )
    if never:
        axes.plot([stop / unit.size], [y], marker=">", color=BLACK, clip_on=False, zorder=5)


def _label(bar: Any) -> tuple[str, ...]:
    """Return what may stand in a bar, the longest text first."""
    end = whole(bar.end_ns)
    lasts = "for good" if end is None else short_time(end - int(bar.begin_ns))
    if end is None and bar.lane == "wire":
        lasts = "never read"
    what = f"held to {bar.what}" if bar.kind == "lock held" else bar.what
    return (what,) if bar.kind == "waits" else (f"{what}, {lasts}", what, lasts)


def _write(axes: Axes, y: float, bars: list[Any], unit: Unit, open_end: float) -> None:
    """Write into a lane's bars what they are, the longest first, where there is room."""
    low, high = axes.get_xlim()
    letter = _POINTS_A_LETTER / (axes.bbox.width / axes.figure.dpi * _POINTS_AN_INCH) * (high - low)
    written: list[tuple[float, float]] = []

    def spans(bar: Any) -> tuple[float, float]:
        end = whole(bar.end_ns)
        return int(bar.begin_ns) / unit.size, (open_end if end is None else end) / unit.size

    for bar in sorted(bars, key=lambda bar: spans(bar)[0] - spans(bar)[1]):
        left, right = spans(bar)
        middle = (left + right) / 2
        for text in _label(bar):
            half = len(text) * letter / 2
            free = all(end <= middle - half or middle + half <= begin for begin, end in written)
            if 2 * half < right - left and free:
                written.append((middle - half, middle + half))
                _text(axes, middle, y, text, bar.kind)
                break


def _text(axes: Axes, x: float, y: float, text: str, kind: str) -> None:
    fill = _KINDS[kind]
    axes.text(
        x,
        y,
        text,
        ha="center",
        va="center",
        fontsize=6.5,
        color=WHITE if kind in {"guest stopped", "send"} else BLACK,
        style="italic" if kind == "waits" else "normal",
        bbox={"pad": 1.4, "facecolor": fill.colour, "linewidth": 0} if fill.hatch else None,
        zorder=4,
    )


_POINTS_A_LETTER = 3.9
_POINTS_AN_INCH = 72


def _legend(axes: Axes, table: pd.DataFrame) -> None:
    used = set(table["kind"])
    handles = []
    for kind, fill in _KINDS.items():
        if kind in used:
            patch = Patch(facecolor=fill.colour, hatch=fill.hatch, label=kind)
            patch.set(edgecolor=GREY if kind == "waits" else BLACK, linewidth=0.35)
            handles.append(patch)
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=5, borderaxespad=3.2
    )


@styled
def figure(runs: Sequence[Run], checkpoint: int | None = None) -> Figure:
    """Return the Gantt chart of one checkpoint of each run, one under another.

    :raises FigureError: if a run has no such checkpoint.
    """
    made = Figure(figsize=(7.2, 1.0 + 1.3 * len(runs)))
    draw(runs, made.subplots(), checkpoint)
    return made
