"""A fault and what became of it: who holds and wants the lock, buffers, guests and commands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from colosim.designs.remedies import conditions_of
from colosim.plots.aftermath import BUFFERS, LANES, begin_of, rows_after
from colosim.plots.lanes import fault_of
from colosim.plots.levels import end_of
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
    Fill,
    axes_or_new,
    labels,
    styled,
)
from colosim.plots.units import short_size, short_time, time_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from colosim.plots.units import Unit
    from colosim.runs.run import Run

__all__ = ["COLUMNS", "LANES", "data", "draw", "figure"]

COLUMNS = ("run", "lane", "what", "begin_ns", "end_ns", "begin_bytes", "end_bytes")
"""The columns of `data`."""

_KINDS = {
    "guest runs": Fill("#bfe3d8", ""),
    "serves alone": Fill(GREEN, "||"),
    "guest stopped": Fill("#595959", ""),
    "process frozen or killed": Fill(SKY, "xxxx"),
    "lock held": Fill(VERMILLION, "////"),
    "waits for the lock": Fill(WHITE, "\\\\\\\\"),
    "command not served yet": Fill(ORANGE, "----"),
    "buffer filled": Fill(BLUE, ""),
}
_HEIGHT = 0.72
_AFTER = 0.16
"""How much of the axis lies behind the last event: there stands what never ends."""
_BEFORE = 0.05


def data(runs: Sequence[Run]) -> pd.DataFrame:
    """Return what happens from the last request before the first fault on.

    Columns, `COLUMNS`: ``run`` (its label), ``lane`` (one of `LANES`, ``fault`` or ``cluster
    manager``), ``what``, ``begin_ns`` and ``end_ns`` since COLO was entered (empty: it never
    ended), and of the buffers the level at begin and end.  A fault, the manager's judgement and a
    command that is served at once end when they begin.

    :raises FigureError: if a run has no fault.
    """
    rows = []
    for label, run in zip(labels(runs), runs, strict=True):
        begin = begin_of(run)
        found = [row for row in rows_after(run) if row.end_ns is None or row.end_ns >= begin]
        rows += [(label, *row._replace(begin_ns=max(row.begin_ns, begin))) for row in found]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype(dict.fromkeys(COLUMNS[3:], "Int64"))


@styled
def draw(run: Run, axes: Axes | None = None) -> Axes:
    """Draw a run from the request that the first fault struck up to its last event.

    What never ends goes on to the right edge, with an arrow.  Time counts from the fault.

    :raises FigureError: if the run has no fault.
    """
    axes = axes_or_new(axes)
    table = data([run])
    lanes = [lane for lane in LANES if lane in set(table["lane"])]
    _Panel(axes, run, table, lanes, _span([run])).draw()
    axes.set_title(_title(run))
    axes.legend(handles=_handles(table), loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=4)
    return axes


def _title(run: Run) -> str:
    return f"{run.scenario.name}, {run.design}: {run.verdict.replace('_', ' ')}"


def _span(runs: Sequence[Run]) -> tuple[int, int]:
    """Return from when to when a common axis goes, since each run's first fault."""
    faults = [fault_of(run) for run in runs]
    ends = [end_of(run) - fault for run, fault in zip(runs, faults, strict=True)]
    begins = [begin_of(run) - fault for run, fault in zip(runs, faults, strict=True)]
    longest = max(*ends, 1) - min(begins)
    return int(min(begins) - _BEFORE * longest), int(max(ends) + _AFTER * longest)


class _Panel:
    """One run's lanes on one Axes."""

    def __init__(
        self, axes: Axes, run: Run, table: pd.DataFrame, lanes: list[str], span: tuple[int, int]
    ) -> None:
        self.axes = axes
        self.run = run
        self.table = table
        self.lanes = lanes
        self.fault_ns = fault_of(run)
        self.span = span
        self.unit: Unit = time_unit(span[1] - span[0])
        network = conditions_of(run.scenario, run.design).network
        self.capacity = {
            "primary send buffer": network.send_buffer_bytes,
            "secondary receive buffer": network.receive_buffer_bytes,
        }

    def draw(self) -> None:
        """Draw lanes, bars, levels and marks."""
        axes = self.axes
        axes.set_xlim(self.span[0] / self.unit.size, self.span[1] / self.unit.size)
        axes.set_ylim(len(self.lanes) - 0.4, -1.75)
        axes.set_yticks(range(len(self.lanes)), self.lanes)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"time since the fault ({self.unit.symbol})")
        for y, lane in enumerate(self.lanes):
            rows = self.table[self.table["lane"] == lane]
            if lane in BUFFERS:
                self._levels(y, lane, rows)
                continue
            for row in rows_of(rows):
                self._bar(y, lane, row.what, int(row.begin_ns), whole(row.end_ns))
            if lane.startswith("command") and len(rows):
                self._said(y, rows)
        self._marks()

    def _x(self, time_ns: float) -> float:
        return (time_ns - self.fault_ns) / self.unit.size

    @property
    def _right(self) -> float:
        return self.span[1] / self.unit.size

    def _bar(self, y: int, lane: str, what: str, begin_ns: int, end_ns: int | None) -> None:
        kind = _kind(lane, what)
        fill = _KINDS[kind]
        left = self._x(begin_ns)
        right = self._right if end_ns is None else self._x(end_ns)
        self.axes.broken_barh(
            [(left, right - left)],
            (y - _HEIGHT / 2, _HEIGHT),
            facecolors=fill.colour,
            edgecolors=BLACK,
            hatch=fill.hatch,
            linewidth=0.35,
            zorder=3,
        )
        if end_ns is None and kind != "guest runs":
            self.axes.plot(
                [right], [y], marker=">", markersize=5, color=BLACK, clip_on=False, zorder=5
            )
        if lane.startswith("command"):
            self._command(y, begin_ns, end_ns)
            return
        text = _text(lane, what, None if end_ns is None else end_ns - begin_ns)
        for shown in (text, text.partition(",")[0]):
            if self._fits(shown, right - left):
                self._write((left + right) / 2, y, shown, kind)
                break

    def _fits(self, text: str, width: float) -> bool:
        low, high = self.axes.get_xlim()
        width_pt = self.axes.bbox.width / self.axes.figure.dpi * _POINTS_AN_INCH
        return len(text) * _POINTS_A_LETTER < width / (high - low) * width_pt

    def _write(self, x: float, y: float, text: str, kind: str) -> None:
        fill = _KINDS[kind]
        box = {"pad": 1.4, "facecolor": fill.colour, "linewidth": 0} if fill.hatch else None
        self.axes.text(
            x,
            y,
            text,
            ha="center",
            va="center",
            fontsize=6.5,
            color=WHITE if kind in {"guest stopped", "buffer filled"} else BLACK,
            bbox=box,
            zorder=6,
        )

    def _command(self, y: int, begin_ns: int, end_ns: int | None) -> None:
        """Mark a command's coming in, and its being served."""
        self.axes.plot([self._x(begin_ns)], [y], marker="v", color=BLACK, zorder=5)
        x = self._right if end_ns is None else self._x(end_ns)
        self.axes.plot(
            [x],
            [y],
            marker="X" if end_ns is None else "o",
            markersize=6 if end_ns is None else 5,
            markerfacecolor=VERMILLION if end_ns is None else GREEN,
            markeredgecolor=BLACK,
            markeredgewidth=0.5,
            clip_on=False,
            zorder=6,
        )

    def _said(self, y: int, rows: pd.DataFrame) -> None:
        """Say of the commands in a lane whether they were served, where there is room."""
        said = []
        for row in rows_of(rows):
            end_ns = whole(row.end_ns)
            waited = None if end_ns is None else end_ns - int(row.begin_ns)
            after = f"served after {short_time(waited)}" if waited else "served at once"
            said.append(f"{row.what}: {'never served' if waited is None else after}")
        text = "; ".join(said)
        left = self._x(int(rows["begin_ns"].min()))
        ended = rows["end_ns"].notna().all()
        right = self._x(int(rows["end_ns"].max())) if ended else self._right
        if len(rows) == 1 and self._fits(text, right - left):
            self._write((left + right) / 2, y, text, "command not served yet")
            return
        before = left - self.axes.get_xlim()[0] > self._right - right
        self.axes.annotate(
            text,
            (left if before else right, y),
            xytext=(-6 if before else 6, 0),
            textcoords="offset points",
            ha="right" if before else "left",
            va="center",
            fontsize=6.5,
            zorder=7,
        )

    def _levels(self, y: int, lane: str, rows: pd.DataFrame) -> None:
        """Draw how full a buffer is: the lane's height is its capacity."""
        capacity = self.capacity[lane]
        base = y + _HEIGHT / 2
        xs, ys = [], []
        for row in rows_of(rows):
            end_ns = whole(row.end_ns)
            right = self._right if end_ns is None else self._x(end_ns)
            xs += [self._x(int(row.begin_ns)), right]
            ys += [
                base - _HEIGHT * int(level) / capacity for level in (row.begin_bytes, row.end_bytes)
            ]
        self.axes.fill_between(xs, base, ys, color=_KINDS["buffer filled"].colour, linewidth=0)
        self.axes.hlines(
            [base, base - _HEIGHT],
            self.span[0] / self.unit.size,
            self._right,
            colors=GREY,
            linewidth=0.4,
        )
        begin_ns, end_ns, level = _longest_stand(rows)
        left = self._x(begin_ns)
        right = self._right if end_ns is None else self._x(end_ns)
        state = "full" if level >= capacity else f"{level / capacity:.0%} full"
        text = f"{state}: {short_size(level)}"
        if level > capacity / 2 and self._fits(text, right - left):
            self._write((left + right) / 2, y, text, "buffer filled")

    def _marks(self) -> None:
        """Draw faults and the manager's judgements as lines across all lanes, named on top."""
        rows = self.table[self.table["lane"].isin(["fault", "cluster manager"])]
        low, high = self.span
        for row in rows_of(rows):
            fault = row.lane == "fault"
            x = self._x(int(row.begin_ns))
            self.axes.axvline(
                x, color=PURPLE if fault else BLACK, linestyle="--" if fault else ":", linewidth=0.9
            )
            late = (int(row.begin_ns) - self.fault_ns - low) > (high - low) / 2
            self.axes.annotate(
                str(row.what) if fault else f"manager: {row.what}",
                (x, -1.4 if fault else -0.75),
                xytext=(-2 if late else 2, 0),
                textcoords="offset points",
                ha="right" if late else "left",
                va="center",
                fontsize=6.5,
                bbox={"pad": 0.6, "facecolor": WHITE, "linewidth": 0},
                zorder=7,
            )


_POINTS_A_LETTER = 3.9
_POINTS_AN_INCH = 72


def _longest_stand(rows: pd.DataFrame) -> tuple[int, int | None, int]:
    """Return from when to when a buffer stood longest at one level above zero, and that level."""
    best: tuple[int, int | None, int] = (0, 0, 0)
    longest = -1.0
    begin, held = 0, -1
    for row in rows_of(rows):
        level = int(row.begin_bytes)
        if int(row.end_bytes) != level or not level:
            held = -1
            continue
        if level != held:
            begin, held = int(row.begin_ns), level
        end = whole(row.end_ns)
        lasted = math.inf if end is None else float(end - begin)
        if lasted > longest:
            longest, best = lasted, (begin, end, level)
    return best


def _kind(lane: str, what: str) -> str:
    if lane.endswith("guest"):
        return what
    if lane.endswith("process"):
        return "process frozen or killed"
    if lane.startswith("waits"):
        return "waits for the lock"
    return "lock held" if lane.endswith("lock") else "command not served yet"


def _text(lane: str, what: str, duration_ns: int | None) -> str:
    lasts = "for good" if duration_ns is None else short_time(duration_ns)
    if lane.endswith("guest"):
        return what if what != "guest stopped" else f"{what}, {lasts}"
    if lane.endswith("process"):
        return what
    return f"{what}: {lasts}".replace(", to ", " to ").replace(": ", ", ", 1)


def _handles(table: pd.DataFrame) -> list[Patch]:
    rows = table[~table["lane"].isin(["fault", "cluster manager"])]
    used = {
        "buffer filled" if row.lane in BUFFERS else _kind(str(row.lane), str(row.what))
        for row in rows_of(rows)
    }
    handles = []
    for kind, fill in _KINDS.items():
        if kind in used:
            patch = Patch(facecolor=fill.colour, hatch=fill.hatch, label=kind)
            patch.set(edgecolor=BLACK, linewidth=0.35)
            handles.append(patch)
    return handles


@styled
def figure(runs: Sequence[Run]) -> Figure:
    """Return the runs one under another, on one time axis.

    :raises FigureError: if a run has no fault.
    """
    table = data(runs)
    lanes = [lane for lane in LANES if lane in set(table["lane"])]
    made = Figure(figsize=(7.2, 0.7 + (0.65 + 0.21 * len(lanes)) * len(runs)))
    panels = made.subplots(len(runs), 1, sharex=True, squeeze=False)[:, 0]
    span = _span(runs)
    for axes, run, label in zip(panels, runs, labels(runs), strict=True):
        _Panel(axes, run, table[table["run"] == label], lanes, span).draw()
        axes.set_title(_title(run))
        axes.label_outer()
    made.legend(handles=_handles(table), loc="outside lower center", ncols=4)
    return made
