"""A checkpoint's message sequence as a figure: two lifelines, time downwards, a row a step.

Rows are steps, not a scale of time: in a checkpoint that takes 100 ms half of what matters happens
within one.  The times stand beside the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import Patch, Polygon, Rectangle

from colosim.plots.sequence.lifelines import MESSAGES, PAIR, sequence_of
from colosim.plots.style import (
    BLACK,
    BLUE,
    GREY,
    SKY,
    VERMILLION,
    WHITE,
    axes_or_new,
    styled,
)
from colosim.plots.units import short_size
from colosim.trace.events import ByManager, FaultEnded, FaultsOver, FaultStruck, StreamBroken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

    from colosim.plots.sequence.lifelines import Message, Sequence, Step
    from colosim.runs.run import Run

__all__ = ["draw", "figure"]

_AT = {"primary": 0.0, "secondary": 1.0}
_OUT = {"primary": -1, "secondary": 1}
_EDGE = 1.29
"""How far from its lifeline a side's times stand."""
_TEXT_FROM = 0.1
_LETTERS = 46
"""How many letters fit beside a lifeline, with the time."""
_LOCK_HALF, _GUEST_HALF, _GUEST_OFF = 0.022, 0.010, 0.045
_SMALL = 6.5
_GUEST_COLOUR = "#595959"
_ROW_IN = 0.165


class Row(NamedTuple):
    """A row of the figure: what one side does at a moment."""

    time_ns: int
    side: str
    texts: tuple[str, ...]
    steps: tuple[Step, ...]


@styled
def draw(run: Run, checkpoint: int, axes: Axes | None = None) -> Axes:
    """Draw the message sequence of a checkpoint.

    Times are ms since the request.  An arrow goes from a message's sending to its being read, a
    band from a stream's first and last byte sent to its last byte read; what ends in a cross was
    never read.

    :raises FigureError: if the run has no such checkpoint.
    """
    axes = axes_or_new(axes)
    sequence = sequence_of(run, checkpoint)
    rows = list(_rows(sequence))
    axes.set_xlim(-_EDGE, 1 + _EDGE)
    axes.set_ylim(len(rows) + 0.4, -2.2)
    axes.set_axis_off()
    axes.set_title(f"{run.scenario.name}, {run.design}: messages of checkpoint {checkpoint}")
    _draw_heads(axes, len(rows))
    for y, row in enumerate(rows):
        _draw_row(axes, y, row)
    _draw_states(axes, rows)
    _draw_messages(axes, sequence, rows)
    _draw_legend(axes)
    return axes


@styled
def figure(run: Run, checkpoint: int) -> Figure:
    """Return the message sequence of a checkpoint as a figure.

    :raises FigureError: if the run has no such checkpoint.
    """
    count = len(list(_rows(sequence_of(run, checkpoint))))
    made = Figure(figsize=(7.2, 1.0 + _ROW_IN * (count + 2)))
    draw(run, checkpoint, made.subplots())
    return made


# ---- rows ----------------------------------------------------------------------------------------


def _rows(sequence: Sequence) -> Iterator[Row]:
    """Yield the rows: each message has its own; other steps of a moment share one if they fit."""
    row: Row | None = None
    for step in sequence.steps:
        is_message = step.kind in MESSAGES
        texts = () if is_message and step.message is not None else (step.what,)
        if is_message and step.kind in {"has sent", "has read"}:
            texts = (f"{step.what} {'sent' if step.kind == 'has sent' else 'ends'}",)
        elif is_message and step.message is None:
            texts = (f"{step.kind} {step.what}",)
        fits = (
            row is not None
            and not is_message
            and (row.time_ns, row.side) == (step.time_ns, step.side)
            and row.texts
            and row.steps[-1].kind not in MESSAGES
            and len(_ms(row.time_ns)) + len("; ".join((*row.texts, *texts))) <= _LETTERS
        )
        if row is not None and fits:
            row = row._replace(texts=(*row.texts, *texts), steps=(*row.steps, step))
            continue
        if row is not None:
            yield row
        row = Row(step.time_ns, step.side, texts, (step,))
    if row is not None:
        yield row


def _ms(time_ns: int) -> str:
    return f"{time_ns / 1e6:,.3f}"


def _draw_heads(axes: Axes, count: int) -> None:
    names = {
        "primary": "primary\ncheckpoint thread",
        "secondary": "secondary\nCOLO incoming thread",
    }
    for side, x in _AT.items():
        axes.plot([x, x], [-0.5, count], color=GREY, linewidth=0.8, zorder=1)
        axes.text(x, -0.7, names[side], ha="center", va="bottom", weight="bold", fontsize=7)
        outer = x + _OUT[side] * _EDGE
        axes.text(outer, -0.7, "ms", ha=_outer(side), va="bottom", fontsize=_SMALL, color="#404040")


def _outer(side: str) -> str:
    return "left" if side == "primary" else "right"


def _inner(side: str) -> str:
    return "right" if side == "primary" else "left"


def _draw_row(axes: Axes, y: int, row: Row) -> None:
    text = "; ".join(row.texts)
    if row.side == PAIR:
        axes.axhline(y, color=GREY, linewidth=0.5, linestyle=":", zorder=1)
        said = f"{_ms(row.time_ns)}  {text}"
        struck = isinstance(row.steps[0].event, FaultStruck | FaultEnded | FaultsOver | ByManager)
        axes.text(
            0.5,
            y,
            said,
            ha="center",
            va="center",
            fontsize=_SMALL,
            weight="bold" if struck else "normal",
            bbox={"pad": 1.2, "facecolor": WHITE, "edgecolor": GREY, "linewidth": 0.5},
            zorder=6,
        )
        return
    x, out = _AT[row.side], _OUT[row.side]
    axes.text(
        x + out * _EDGE,
        y,
        _ms(row.time_ns),
        ha=_outer(row.side),
        va="center",
        fontsize=_SMALL,
        color="#404040",
    )
    if text:
        at = x + out * _TEXT_FROM
        axes.text(at, y, text, ha=_inner(row.side), va="center", fontsize=_SMALL, zorder=5)
    else:
        ends = [x + out * _TEXT_FROM, x + out * (_EDGE - 0.24)]
        axes.plot(ends, [y, y], color="#d0d0d0", linewidth=0.4, zorder=1)


# ---- lock and guest ------------------------------------------------------------------------------


def _draw_states(axes: Axes, rows: list[Row]) -> None:
    """Draw from when to when the lock is held and the guest stopped; an open end fades out."""
    since: dict[tuple[str, str], int] = {}
    last = len(rows)
    for y, row in enumerate(rows):
        for step in row.steps:
            if step.kind == "takes":
                since[step.side, "lock"] = y
            elif step.kind == "releases":
                _bar(axes, step.side, "lock", (since.pop((step.side, "lock"), y), y))
            elif step.kind == "guest" and step.what == "guest stopped":
                since[step.side, "guest"] = y
            elif step.kind == "guest" and (step.side, "guest") in since:
                _bar(axes, step.side, "guest", (since.pop((step.side, "guest")), y))
    for (side, what), begin in since.items():
        _bar(axes, side, what, (begin, last), is_open=True)


def _bar(axes: Axes, side: str, what: str, span: tuple[int, int], *, is_open: bool = False) -> None:
    x = _AT[side] if what == "lock" else _AT[side] + _OUT[side] * _GUEST_OFF
    half = _LOCK_HALF if what == "lock" else _GUEST_HALF
    begin, end = span
    patch = Rectangle((x - half, begin), 2 * half, max(end - begin, 0.2))
    colour = VERMILLION if what == "lock" else _GUEST_COLOUR
    patch.set(facecolor=colour, hatch="//////" if what == "lock" else "", zorder=3)
    patch.set(edgecolor=BLACK, linewidth=0.35)
    axes.add_patch(patch)
    if is_open:
        axes.plot([x], [end], marker="v", color=BLACK, markersize=4, clip_on=False, zorder=5)


# ---- messages ------------------------------------------------------------------------------------


class _Band(NamedTuple):
    """Where a stream is drawn: the rows between which it is written, and those of reading it."""

    begin: int
    written: float
    reads: float
    read: int | None


def _draw_messages(axes: Axes, sequence: Sequence, rows: list[Row]) -> None:
    at: dict[tuple[int, str], int] = {}
    for y, row in enumerate(rows):
        for step in row.steps:
            if step.message is not None:
                at[step.message, step.kind] = y
    for number, message in enumerate(sequence.messages):
        begin = at.get((number, "sends"), at.get((number, "begins to send")))
        end = at.get((number, "receives"), at.get((number, "has read")))
        if begin is None:
            continue
        if message.is_stream:
            band = _band(rows, message, (begin, at.get((number, "has sent")), end))
            crossed = [y for y, row in enumerate(rows) if row.side == PAIR]
            _draw_stream(axes, message, band, crossed)
        else:
            _draw_message(axes, message, begin, end)


def _band(rows: list[Row], message: Message, ends: tuple[int, int | None, int | None]) -> _Band:
    begin, sent, read = ends
    broken = next(
        (
            y
            for y, row in enumerate(rows)
            if y > begin
            and row.side == message.sender
            and isinstance(row.steps[0].event, StreamBroken)
        ),
        len(rows),
    )
    written = broken if sent is None else sent
    if read is None:
        return _Band(begin, written, (begin + written) / 2, None)
    before = [y for y in range(begin, read) if rows[y].side == message.receiver]
    return _Band(begin, written, max([begin, *before]) + 0.4, read)


def _edge_of(side: str) -> float:
    """Return where an arrow meets a lifeline, beside the bar of the lock."""
    return _AT[side] - _OUT[side] * _LOCK_HALF


def _draw_message(axes: Axes, message: Message, begin: int, end: int | None) -> None:
    left, right = _edge_of(message.sender), _edge_of(message.receiver)
    if end is None:
        right, end = (left + 2 * right) / 3, begin + 1
        axes.plot([right], [end], marker="x", color=BLACK, markersize=6, zorder=5)
    axes.annotate(
        "",
        (right, end),
        (left, begin),
        arrowprops={
            "arrowstyle": "-|>",
            "color": BLACK,
            "linewidth": 0.8,
            "shrinkA": 0,
            "shrinkB": 0,
        },
        zorder=4,
    )
    _write(axes, message.name, (left + right) / 2, (begin + end) / 2)


def _draw_stream(axes: Axes, message: Message, band: _Band, crossed: list[int]) -> None:
    """Draw a stream as a band; its name keeps clear of the rows that are written across it."""
    left, right = _edge_of(message.sender), _edge_of(message.receiver)
    if band.read is None:
        right, low = (left + 2 * right) / 3, band.written
        axes.plot([right], [low], marker="x", color=BLACK, markersize=6, clip_on=False, zorder=5)
    else:
        low = band.read
    points = [(left, band.begin), (left, band.written), (right, low), (right, band.reads)]
    patch = Polygon(points, closed=True, facecolor=SKY, edgecolor=BLUE, linewidth=0.6)
    patch.set(alpha=0.55, zorder=2)
    axes.add_patch(patch)
    middle = (band.begin + band.written + band.reads + low) / 4
    places = [middle, *(half / 2 for half in range(2 * band.begin + 1, int(2 * low)))]
    clear = [y for y in places if all(abs(y - other) >= 1 for other in crossed)] or places
    y = min(clear, key=lambda y: abs(y - middle))
    text = f"{message.name}, {short_size(message.size_bytes)}"
    _write(axes, text, (left + right) / 2, y)


def _write(axes: Axes, text: str, x: float, y: float) -> None:
    box = {"pad": 0.6, "facecolor": WHITE, "linewidth": 0}
    axes.text(x, y, text, ha="center", va="center", fontsize=_SMALL, bbox=box, zorder=5)


def _draw_legend(axes: Axes) -> None:
    handles = [
        Patch(
            facecolor=VERMILLION,
            edgecolor=BLACK,
            linewidth=0.35,
            hatch="//////",
            label="iothread lock held",
        ),
        Patch(facecolor=_GUEST_COLOUR, edgecolor=BLACK, linewidth=0.35, label="guest stopped"),
        Patch(facecolor=SKY, edgecolor=BLUE, linewidth=0.6, alpha=0.55, label="stream"),
    ]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=3)
