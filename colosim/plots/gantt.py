"""One checkpoint as horizontal bars: guest, threads, iothread locks and wire, on one time axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from colosim.plots.bars import draw_bar, frame_lanes, letter_width, write_in
from colosim.plots.lanes import (
    PROTOCOL_THREADS,
    WAITS,
    Lanes,
    request_of,
    typical_checkpoint,
    window_of,
)
from colosim.plots.style import Colour, Fill, axes_or_new, handles, labels, say, styled
from colosim.plots.units import short_time, time_unit
from colosim.trace.events import CheckpointEnded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes

    from colosim.plots.lanes import Interval
    from colosim.runs.run import Run

__all__ = ["LANES", "Bar", "data", "draw", "figure"]

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
_HEADING = 0.9
_OPEN = 1.04
"""How far a bar without an end is drawn, of the time up to the last event."""


class Bar(NamedTuple):
    """Something that takes time, on one of `LANES`, since the request; without end: for good."""

    lane: str
    what: str
    kind: str
    begin_ns: int
    end_ns: int | None


def bars_of(run: Run, checkpoint: int) -> list[Bar]:
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
        Bar(lane, what, kind, since - begin, None if until is None else until - begin)
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
    table = pd.DataFrame(rows, columns=["run", "checkpoint", *Bar._fields])
    return table.astype({"begin_ns": "Int64", "end_ns": "Int64"})


def _charts(runs: Sequence[Run], checkpoint: int | None) -> Iterator[tuple[str, int, list[Bar]]]:
    for label, run in zip(labels(runs), runs, strict=True):
        number = typical_checkpoint(run) if checkpoint is None else checkpoint
        yield label, number, bars_of(run, number)


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
    for label, number, bars in charts:
        y += _HEADING
        _head(axes, label, number, y - _HEIGHT)
        for lane in LANES:
            spans = [
                (
                    bar,
                    bar.begin_ns / unit.size,
                    right if bar.end_ns is None else bar.end_ns / unit.size,
                )
                for bar in bars
                if bar.lane == lane
            ]
            for bar, left, stop in spans:
                draw_bar(
                    axes,
                    y,
                    (left, stop),
                    _FILLS[bar.kind],
                    _HEIGHT,
                    is_open=bar.end_ns is None,
                    zorder=2 if bar.kind in {"message", WAITS} else 3,
                )
            _write(axes, y, spans)
            ticks.append((y, lane))
            y += 1
    axes.set_ylim(y - 0.4, 0.1)
    frame_lanes(axes, ticks)
    axes.set_xlabel(f"time since the checkpoint request ({unit.symbol})")
    axes.legend(
        handles=handles(_FILLS, {bar.kind for bar in every}),
        loc="upper center",
        bbox_to_anchor=(0.5, -0.02),
        ncols=5,
        borderaxespad=3.2,
    )
    return axes


def _head(axes: Axes, name: str, checkpoint: int, y: float) -> None:
    """Write a run's name above its lanes, and which checkpoint it is."""
    beside = axes.get_yaxis_transform()
    say(axes, 0, y, f"{name}  ", transform=beside, ha="right", weight="bold", fontsize=8)
    text = f"checkpoint {checkpoint}"
    say(axes, 0.002, y, text, transform=beside, ha="left", color=Colour.INK)
    axes.axhline(y - 0.1 - _HEADING / 2, color=Colour.GREY, linewidth=0.4)


def _texts(bar: Bar) -> tuple[str, ...]:
    """Return what may stand in a bar, the longest text first."""
    lasts = "for good" if bar.end_ns is None else short_time(bar.end_ns - bar.begin_ns)
    if bar.end_ns is None and bar.lane == "wire":
        lasts = "never read"
    what = f"held to {bar.what}" if bar.kind == "lock held" else bar.what
    return (what,) if bar.kind == WAITS else (f"{what}, {lasts}", what, lasts)


def _write(axes: Axes, y: float, spans: list[tuple[Bar, float, float]]) -> None:
    """Write into a lane's bars what they are, the longest first, where there is room."""
    letter = letter_width(axes)
    written: list[tuple[float, float]] = []
    for bar, left, right in sorted(spans, key=lambda span: span[1] - span[2]):
        middle = (left + right) / 2
        for text in _texts(bar):
            half = len(text) * letter / 2
            free = all(end <= middle - half or middle + half <= begin for begin, end in written)
            if 2 * half < right - left and free:
                written.append((middle - half, middle + half))
                write_in(axes, middle, y, text, _FILLS[bar.kind])
                break


@styled
def figure(runs: Sequence[Run], checkpoint: int | None = None) -> Figure:
    """Return the Gantt chart of one checkpoint of each run, one under another.

    :raises FigureError: if a run has no such checkpoint.
    """
    made = Figure(figsize=(7.2, 1.0 + 1.3 * len(runs)))
    draw(runs, made.subplots(), checkpoint)
    return made
