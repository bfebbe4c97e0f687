"""One checkpoint as horizontal bars: guest, threads, iothread locks and wire, on one time axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from colosim.plots.bars import NAMES_IN, Bar, draw_lane, frame_lanes
from colosim.plots.lanes import (
    HELD_BACK,
    WAITS,
    Lanes,
    named,
    request_of,
    typical_checkpoint,
    window_of,
)
from colosim.plots.look import PAGE_IN, width_of
from colosim.plots.style import (
    Colour,
    Fill,
    axes_or_new,
    broken,
    handles,
    labels,
    legend_below,
    styled,
    write_small,
)
from colosim.plots.units import short_time, time_unit
from colosim.trace.events import CheckpointEnded
from colosim.trace.steps import PROTOCOL_THREADS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from colosim.plots.lanes import Interval
    from colosim.plots.units import Unit
    from colosim.runs.run import Run

LANES = (
    "primary guest",
    "primary thread",
    "primary lock",
    "wire",
    "secondary thread",
    "secondary lock",
)
"""The lanes of one checkpoint, from top to bottom."""

_FILLS = {
    "guest stopped": Fill(Colour.DARK_GREY, "", is_dark=True),
    "lock held": Fill(Colour.VERMILLION, "////"),
    WAITS: Fill(Colour.WHITE, "", edge=Colour.GREY),
    "save": Fill(Colour.ORANGE, "\\\\\\\\"),
    "send": Fill(Colour.BLUE, "", is_dark=True),
    "receive": Fill(Colour.SKY, "|||"),
    "load": Fill(Colour.GREEN, "xxxx"),
    "flush cache": Fill(Colour.YELLOW, "----"),
    "stop, start, other": Fill(Colour.PURPLE, ""),
    "message": Fill(Colour.GREY, ""),
}
"""Looks of the bars by their kind, in the order of the legend."""
_HEIGHT = 0.8
_HEADING, _LINE, _HEAD_PT = 0.9, 0.75, 8
"""How many lanes a heading takes, and a further line of it; its letters."""
_LINE_IN, _LANES_IN, _COLUMNS = 0.13, 0.85, 5
_SHORT = max(map(len, LANES))
"""Up to how long a name stands beside the lanes."""
_OPEN = 1.04
"""How far a bar without an end is drawn, of the time up to the last event."""


class Row(NamedTuple):
    """Something that takes time, on one of `LANES`, since the request; without end: for good."""

    lane: str
    what: str
    kind: str
    begin_ns: int
    end_ns: int | None


def _rows(run: Run, checkpoint: int) -> list[Row]:
    """Return a checkpoint's bars, lane by lane.

    A wait that is not over when the checkpoint is committed is for the next one.

    :raises FigureError: if the run has no such checkpoint.
    """
    begin = request_of(run, checkpoint)
    events, end = window_of(run, begin)
    lanes = Lanes(run, events)
    committed = [at for at, event, _ in events if event == CheckpointEnded("committed")]
    found = [
        ("primary guest", one) for one in lanes.guest("primary") if one.kind == "guest stopped"
    ]
    for side, thread in PROTOCOL_THREADS.items():
        for one in lanes.thread(side, thread):
            late = committed and (one.end_ns is None or one.end_ns > committed[0])
            if one.begin_ns >= begin and not (late and one.kind == WAITS):
                found.append((f"{side} thread", one))
        held = [one for _, _, _, one in lanes.lock(side) if one is not None]
        found += [(f"{side} lock", one) for one in _within(held, begin, end)]
    found += [("wire", one) for one in _within(lanes.wire(), begin, end)]
    bars = [
        Row(lane, what, kind, since - begin, None if until is None else until - begin)
        for lane, (what, kind, since, until) in found
    ]
    return sorted(bars, key=lambda bar: (LANES.index(bar.lane), bar.begin_ns))


def _within(
    found: Iterator[Interval] | list[Interval], begin: int, end: int | None
) -> list[Interval]:
    return [one for one in found if one.begin_ns >= begin and (end is None or one.begin_ns < end)]


def data(runs: Sequence[Run], checkpoint: int | None = None) -> pd.DataFrame:
    """Return the bars of one checkpoint of each run.

    `checkpoint`: its number; None takes each run's `typical_checkpoint`.

    Columns: ``run`` (its label), ``checkpoint``, ``lane`` (one of `LANES`), ``what``, ``kind``
    (what decides on the look), ``begin_ns`` and ``end_ns`` since the request (empty: it never
    ended).

    :raises FigureError: if a run has no such checkpoint.
    """
    rows = [
        (label, number, *bar) for label, number, bars in _charts(runs, checkpoint) for bar in bars
    ]
    table = pd.DataFrame(rows, columns=["run", "checkpoint", *Row._fields])
    return table.astype({"begin_ns": "Int64", "end_ns": "Int64"})


def _charts(runs: Sequence[Run], checkpoint: int | None) -> Iterator[tuple[str, int, list[Row]]]:
    for label, run in zip(labels(runs), runs, strict=True):
        number = typical_checkpoint(run) if checkpoint is None else checkpoint
        yield label, number, _rows(run, number)


@styled
def draw(runs: Sequence[Run], axes: Axes | None = None, checkpoint: int | None = None) -> Axes:
    """Draw one checkpoint of each run, one under another, on one time axis.

    `checkpoint`: its number; None takes each run's `typical_checkpoint`.  A bar with an arrow
    never ended.  On the wire a bar is from the first byte sent to the last byte read.

    :raises FigureError: if a run has no such checkpoint.
    """
    axes = axes_or_new(axes)
    charts = list(_charts(runs, checkpoint))
    every = [bar for _, _, bars in charts for bar in bars]
    last = max(max(bar.begin_ns, bar.end_ns or 0) for bar in every)
    unit = time_unit(last)
    right = last * _OPEN / unit.size
    axes.set_xlim(0, right)
    ticks, y = [], 0.0
    for run, (label, number, bars) in zip(runs, charts, strict=True):
        lines = _head(axes, label, named(run, number), y + _HEADING - _HEIGHT)
        y += _HEADING + _LINE * (lines - 1)
        for lane in LANES:
            own = [bar for bar in bars if bar.lane == lane]
            draw_lane(axes, y, [_drawn(bar, unit, right) for bar in own], _HEIGHT)
            ticks.append((y, lane))
            y += 1
    axes.set_ylim(y - 0.4, 0.1)
    frame_lanes(axes, ticks)
    axes.set_xlabel(f"time since the checkpoint request ({unit.symbol})")
    shown = handles(_FILLS, {bar.kind for bar in every})
    is_page = width_of() >= PAGE_IN
    middle = 0.5 if is_page else 0.5 - NAMES_IN / 2 / (width_of() - NAMES_IN)
    legend_below(axes, shown, _COLUMNS, bbox_to_anchor=(middle, -0.02), borderaxespad=3.2)
    return axes


def _head(axes: Axes, name: str, checkpoint: str, y: float) -> int:
    """Write a run's name above its lanes' names if it fits there, and which checkpoint it is.

    Returned is how many lines that are.
    """
    axes.axhline(y - 0.1 - _HEADING / 2, color=Colour.GREY, linewidth=0.4)
    beside: dict[str, Any] = {"transform": axes.get_yaxis_transform()}
    bold = {**beside, "weight": "bold", "fontsize": _HEAD_PT}
    head = _heading(name, checkpoint)
    if len(name) <= _SHORT:
        write_small(axes, 0, y, f"{name}  ", ha="right", **bold)
        write_small(axes, 0.002, y, head, ha="left", color=Colour.INK, **beside)
        return 1
    more = head.count("\n")
    to_left = ScaledTranslation(-_left_in(), 0, axes.figure.dpi_scale_trans)
    bold["transform"] += to_left
    write_small(axes, 0, y + _LINE * more / 2, head, ha="left", in_layout=False, **bold)
    return more + 1


def _heading(name: str, checkpoint: str) -> str:
    """Return the words above a run's lanes; a long name is among them."""
    words = checkpoint.replace(" ", "\N{NO-BREAK SPACE}", 1)
    if len(name) <= _SHORT:
        return checkpoint
    return broken(f"{name}, {words}", width_of() - NAMES_IN + _left_in(), _HEAD_PT, "bold")


def _left_in() -> float:
    """Return how far left of its lanes a long name begins: in a column above their names."""
    return 0 if width_of() >= PAGE_IN else _LANES_IN


def _drawn(row: Row, unit: Unit, right: float) -> Bar:
    """Return how a row looks; without end it goes on up to `right`."""
    lasts = "for good" if row.end_ns is None else short_time(row.end_ns - row.begin_ns)
    if row.end_ns is None and row.lane == "wire":
        lasts = "never read"
    what = f"held to {row.what}" if row.kind == "lock held" else row.what
    texts = (what,) if row.kind == WAITS else (f"{what}, {lasts}", what, lasts)
    if HELD_BACK in what:
        texts = (f"{what}, {lasts}", f"{HELD_BACK}, {lasts}", HELD_BACK)
    end = right if row.end_ns is None else row.end_ns / unit.size
    zorder = 2 if row.kind in {"message", WAITS} else 3
    return Bar(row.begin_ns / unit.size, end, _FILLS[row.kind], texts, row.end_ns is None, zorder)


def height_in(runs: Sequence[Run], frame_in: float, run_in: float) -> float:
    """Return how high the chart is: axis and legend, runs, and more where it is narrow."""
    lines = sum(_heading(name, "checkpoint 0").count("\n") for name in labels(runs))
    legend = max(0.0, PAGE_IN / width_of() - 1) * len(_FILLS) / _COLUMNS
    return frame_in + run_in * len(runs) + _LINE_IN * (lines + legend)


@styled
def figure(runs: Sequence[Run], checkpoint: int | None = None) -> Figure:
    """Return the Gantt chart of one checkpoint of each run, one under another.

    :raises FigureError: if a run has no such checkpoint.
    """
    made = Figure(figsize=(width_of(), height_in(runs, 1.0, 1.3)))
    draw(runs, made.subplots(), checkpoint)
    return made
