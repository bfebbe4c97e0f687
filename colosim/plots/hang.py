"""A fault and what became of it: who holds and wants the lock, buffers, guests and commands."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from colosim.designs.remedies import conditions_of
from colosim.plots.bars import Bar, draw_lane, fits, frame_lanes, write_in
from colosim.plots.curves import end_of
from colosim.plots.lanes import BUFFERS, Lanes, events_of, fault_of
from colosim.plots.look import PAGE_IN, at_least, width_of
from colosim.plots.style import (
    SMALL_PT,
    Colour,
    Fill,
    axes_or_new,
    handles,
    labels,
    legend_below,
    styled,
    write_title,
)
from colosim.plots.units import short_size, short_time, time_unit
from colosim.trace.events import OTHER

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from colosim.runs.run import Run

COLUMNS = ("run", "lane", "what", "begin_ns", "end_ns", "begin_bytes", "end_bytes")
"""The columns of `data`."""

LANES = (
    "primary guest",
    "primary process",
    "primary lock",
    "waits for primary lock",
    "command to primary",
    *BUFFERS,
    "secondary guest",
    "secondary process",
    "secondary lock",
    "waits for secondary lock",
    "command to secondary",
)
"""The lanes that there can be, from top to bottom; one in which nothing happens is left out."""
_MARKS = ("fault", "cluster manager")
"""What is no lane: lines across all of them."""

_COMMAND, _FILLED, _PROCESS = "command not served yet", "buffer filled", "process frozen or killed"
_FILLS = {
    "guest runs": Fill("#bfe3d8", ""),
    "serves alone": Fill(Colour.GREEN, "||"),
    "guest stopped": Fill(Colour.DARK_GREY, "", is_dark=True),
    _PROCESS: Fill(Colour.SKY, "xxxx"),
    "lock held": Fill(Colour.VERMILLION, "////"),
    "waits for the lock": Fill(Colour.WHITE, "\\\\\\\\"),
    _COMMAND: Fill(Colour.ORANGE, "----"),
    _FILLED: Fill(Colour.BLUE, "", is_dark=True),
}
_HEIGHT = 0.72
_NAMES_IN = 1.5
"""How much of the width the names of lanes take."""
_NEEDS_IN = 4.7
_AFTER = 0.16
"""How much of the axis lies behind the last event: there stands what never ends."""
_BEFORE = 0.05


class Row(NamedTuple):
    """Something that takes time, on a lane; `end_ns` is None if it never ended.

    The levels are of socket buffers, in bytes, a straight line from begin to end.
    """

    lane: str
    what: str
    kind: str
    begin_ns: int
    end_ns: int | None
    begin_bytes: int | None = None
    end_bytes: int | None = None


def _begin_of(run: Run) -> int:
    """Return when the checkpoint was requested that the first fault struck."""
    struck = fault_of(run)
    requests = run.checkpoints["primary_request_at_ns"].dropna()
    return int(requests[requests <= struck].max()) if (requests <= struck).any() else struck


def _rows(run: Run) -> list[Row]:
    """Return what the figure shows: all that is not over when it begins.

    :raises FigureError: if no fault struck.
    """
    begin = _begin_of(run)
    return [
        row._replace(begin_ns=max(row.begin_ns, begin))
        for row in _all_rows(Lanes(run, list(events_of(run))), begin)
        if row.end_ns is None or row.end_ns >= begin
    ]


def _all_rows(lanes: Lanes, begin_ns: int) -> Iterator[Row]:
    marks = sorted(lanes.marks(), key=lambda mark: _MARKS.index(mark[0]))
    yield from (Row(lane, what, lane, at_ns, at_ns) for lane, at_ns, what in marks)
    for side in OTHER:
        yield from (Row(f"{side} guest", *one) for one in lanes.guest(side))
        for one in lanes.process(side):
            yield Row(f"{side} process", *one._replace(kind=_PROCESS))
        for thread, purpose, waits, held in lanes.lock(side):
            who = f"{thread}, to {purpose}"
            if waits is not None:
                yield Row(f"waits for {side} lock", who, "waits for the lock", *waits[2:])
            if held is not None:
                yield Row(f"{side} lock", who, held.kind, *held[2:])
        for one in lanes.commands(side):
            yield Row(f"command to {side}", *one._replace(kind=_COMMAND))
    for lane in BUFFERS:
        yield from (Row(lane, "filled", _FILLED, *level) for level in lanes.buffer(lane, begin_ns))


def data(runs: Sequence[Run]) -> pd.DataFrame:
    """Return what happens from the last request before the first fault on.

    Columns, `COLUMNS`: ``run`` (its label), ``lane`` (one of `LANES`, ``fault`` or ``cluster
    manager``), ``what``, ``begin_ns`` and ``end_ns`` since COLO was entered (empty: it never
    ended), and of the buffers the level at begin and end.  A fault, the manager's judgement and a
    command that is served at once end when they begin.

    :raises FigureError: if a run has no fault.
    """
    named = zip(labels(runs), runs, strict=True)
    rows = [(label, *row) for label, run in named for row in _rows(run)]
    table = pd.DataFrame(rows, columns=["run", *Row._fields]).drop(columns="kind")
    return table.astype(dict.fromkeys(COLUMNS[3:], "Int64"))


@styled
def draw(run: Run, axes: Axes | None = None) -> Axes:
    """Draw a run from the request that the first fault struck up to its last event.

    What never ends goes on to the right edge, with an arrow.  Time counts from the fault.

    :raises FigureError: if the run has no fault.
    """
    axes = axes_or_new(axes)
    rows = _rows(run)
    _Panel(axes, run, rows, _lanes_of(rows), _span([run])).draw()
    shown = handles(_FILLS, {row.kind for row in rows})
    legend_below(axes, shown, 4, bbox_to_anchor=(0.5, -0.14))
    return axes


@styled
def figure(runs: Sequence[Run]) -> Figure:
    """Return the runs one under another, on one time axis.

    :raises FigureError: if a run has no fault.
    """
    at_least(_NEEDS_IN, "what a fault became of")
    rows = [_rows(run) for run in runs]
    every = [row for own in rows for row in own]
    lanes = _lanes_of(*rows)
    made = Figure(figsize=(width_of(), 0.7 + (0.65 + 0.21 * len(lanes)) * len(runs)))
    panels = made.subplots(len(runs), 1, sharex=True, squeeze=False)[:, 0]
    span = _span(runs)
    for axes, run, own in zip(panels, runs, rows, strict=True):
        _Panel(axes, run, own, lanes, span).draw()
        axes.label_outer()
    shown = handles(_FILLS, {row.kind for row in every})
    legend_below(made, shown, 4)
    return made


def _commands_a_line() -> int:
    return 2 if width_of() >= PAGE_IN else 1


def _lanes_of(*runs: list[Row]) -> list[str]:
    """Return the lanes that are used, those of many commands with room below for their words."""
    used = [Counter(row.lane for row in rows) for rows in runs]
    lanes = []
    for lane in LANES:
        most = max(rows[lane] for rows in used)
        lanes += [lane] * (most > 0)
        if lane.startswith("command"):
            lanes += [""] * ((most - 1) // _commands_a_line())
    return lanes


def _span(runs: Sequence[Run]) -> tuple[int, int]:
    """Return from when to when a common axis goes, since each run's first fault."""
    faults = [fault_of(run) for run in runs]
    ends = [end_of(run) - fault for run, fault in zip(runs, faults, strict=True)]
    begins = [_begin_of(run) - fault for run, fault in zip(runs, faults, strict=True)]
    longest = max(*ends, 1) - min(begins)
    return int(min(begins) - _BEFORE * longest), int(max(ends) + _AFTER * longest)


class _Panel:
    """One run's lanes on one Axes."""

    def __init__(
        self, axes: Axes, run: Run, rows: list[Row], lanes: list[str], span: tuple[int, int]
    ) -> None:
        self.axes = axes
        self.rows = rows
        self.lanes = lanes
        self.title = f"{run.scenario.name}, {run.design}: {run.verdict.replace('_', ' ')}"
        self.fault_ns = fault_of(run)
        self.unit = time_unit(span[1] - span[0])
        self.left, self.right = (end / self.unit.size for end in span)
        conditions = conditions_of(run.scenario, run.design)
        networks = [conditions.network]
        if conditions.disk is not None:
            networks.append(conditions.disk.over(conditions.network))
        sizes = [(one.send_buffer_bytes, one.receive_buffer_bytes) for one in networks]
        self.capacity = dict(zip(BUFFERS, chain(*sizes), strict=False))

    def draw(self) -> None:
        """Draw lanes, bars, levels and marks."""
        axes = self.axes
        write_title(axes, self.title, width_of() - _NAMES_IN)
        axes.set_xlim(self.left, self.right)
        axes.set_ylim(len(self.lanes) - 0.4, -1.75)
        frame_lanes(axes, enumerate(self.lanes))
        axes.set_xlabel(f"time since the fault ({self.unit.symbol})")
        for y, lane in enumerate(self.lanes):
            rows = [row for row in self.rows if row.lane == lane]
            if lane in BUFFERS:
                self._levels(y, self.capacity[lane], rows)
                continue
            draw_lane(axes, y, [self._drawn(row) for row in rows], _HEIGHT)
            if lane.startswith("command") and rows:
                self._commands(y, rows)
        for row in self.rows:
            if row.lane in _MARKS:
                self._mark(row)

    def _x(self, time_ns: int | None) -> float:
        """Return where a time stands; None, what never ends, at the right edge."""
        return self.right if time_ns is None else (time_ns - self.fault_ns) / self.unit.size

    def _drawn(self, row: Row) -> Bar:
        """Return how a row looks; what it says of a command is written apart."""
        left, right = self._x(row.begin_ns), self._x(row.end_ns)
        text = _text(row)
        texts = () if row.kind == _COMMAND else (text, text.partition(",")[0])
        is_open = row.end_ns is None and row.kind != "guest runs"
        return Bar(left, right, _FILLS[row.kind], texts, is_open)

    def _commands(self, y: int, rows: list[Row]) -> None:
        """Mark commands' coming in and being served, and say whether they were."""
        for row in rows:
            never = row.end_ns is None
            self.axes.plot(self._x(row.begin_ns), y, "v", color=Colour.BLACK, zorder=5)
            self.axes.plot(
                self._x(row.end_ns),
                y,
                "X" if never else "o",
                markersize=6 if never else 5,
                markerfacecolor=Colour.VERMILLION if never else Colour.GREEN,
                markeredgecolor=Colour.BLACK,
                markeredgewidth=0.5,
                clip_on=False,
                zorder=6,
            )
        words = [f"{row.what}: {_served(row)}" for row in rows]
        bars = [self._drawn(row) for row in rows]
        left, right = min(bar.left for bar in bars), max(bar.right for bar in bars)
        if len(bars) == 1 and fits(self.axes, words[0], right - left):
            write_in(self.axes, bars[0], y, words[0])
            return
        before = left - self.left > self.right - right
        count = _commands_a_line()
        for line, first in enumerate(range(0, len(words), count)):
            text = "; ".join(words[first : first + count])
            self._beside((left if before else right, y + line), text, 6, before=before)

    def _beside(self, place: tuple[float, float], text: str, gap_pt: int, *, before: bool) -> None:
        """Write text before or behind a place."""
        self.axes.annotate(
            text,
            place,
            xytext=(-gap_pt if before else gap_pt, 0),
            textcoords="offset points",
            ha="right" if before else "left",
            va="center",
            fontsize=SMALL_PT,
            bbox={"pad": 0.6, "facecolor": Colour.WHITE, "linewidth": 0},
            zorder=7,
        )

    def _levels(self, y: int, capacity: int, rows: list[Row]) -> None:
        """Draw how full a buffer is: the lane's height is its capacity."""
        base = y + _HEIGHT / 2
        ends = [
            (self._x(at_ns), base - _HEIGHT * (level or 0) / capacity)
            for row in rows
            for at_ns, level in ((row.begin_ns, row.begin_bytes), (row.end_ns, row.end_bytes))
        ]
        xs, ys = zip(*ends, strict=True)
        self.axes.fill_between(xs, base, ys, color=_FILLS[_FILLED].colour, linewidth=0)
        edges = [base, base - _HEIGHT]
        self.axes.hlines(edges, self.left, self.right, colors=Colour.GREY, linewidth=0.4)
        begin_ns, end_ns, level = _longest_stand(rows)
        bar = Bar(self._x(begin_ns), self._x(end_ns), _FILLS[_FILLED])
        state = "full" if level >= capacity else f"{level / capacity:.0%} full"
        text = f"{state}: {short_size(level)}"
        if level > capacity / 2 and fits(self.axes, text, bar.right - bar.left):
            write_in(self.axes, bar, y, text)

    def _mark(self, row: Row) -> None:
        """Draw a fault or a judgement of the manager as a line across all lanes, named on top."""
        fault = row.kind == "fault"
        x = self._x(row.begin_ns)
        self.axes.axvline(
            x,
            color=Colour.PURPLE if fault else Colour.BLACK,
            linestyle="--" if fault else ":",
            linewidth=0.9,
        )
        late = x - self.left > (self.right - self.left) / 2
        text = row.what if fault else f"manager: {row.what}"
        self._beside((x, -1.4 if fault else -0.75), text, 2, before=late)


def _longest_stand(rows: list[Row]) -> tuple[int, int | None, int]:
    """Return from when to when a buffer stood longest at one level above zero, and that level."""
    best: tuple[int, int | None, int] = (0, 0, 0)
    longest = -1.0
    begin, held = 0, -1
    for row in rows:
        level = row.begin_bytes or 0
        if row.end_bytes != level or not level:
            held = -1
            continue
        if level != held:
            begin, held = row.begin_ns, level
        lasted = math.inf if row.end_ns is None else float(row.end_ns - begin)
        if lasted > longest:
            longest, best = lasted, (begin, row.end_ns, level)
    return best


def _text(row: Row) -> str:
    lasts = "for good" if row.end_ns is None else short_time(row.end_ns - row.begin_ns)
    if row.kind in {"guest runs", "serves alone", _PROCESS}:
        return row.what
    return f"{row.what.replace(', to ', ' to ')}, {lasts}"


def _served(row: Row) -> str:
    if row.end_ns is None:
        return "never served"
    waited = row.end_ns - row.begin_ns
    return f"served after {short_time(waited)}" if waited else "served at once"
