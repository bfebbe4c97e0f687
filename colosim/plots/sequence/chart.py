"""A checkpoint's message sequence as a figure: two lifelines, time downwards, a row a step.

Rows are steps, not a scale of time: in a checkpoint that takes 100 ms half of what matters happens
within one.  The times stand beside the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from colosim.plots.lanes import named
from colosim.plots.look import at_least, width_of
from colosim.plots.sequence.lifelines import MESSAGES, PAIR, sequence_of
from colosim.plots.style import (
    Colour,
    Fill,
    axes_or_new,
    handles,
    legend_below,
    styled,
    write_small,
    write_title,
)
from colosim.plots.units import short_size
from colosim.trace.events import ByManager, FaultEnded, FaultsOver, FaultStruck, StreamBroken

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from colosim.plots.sequence.lifelines import Message, Sequence, Step
    from colosim.runs.run import Run

_AT = {"primary": 0.0, "secondary": 1.0}
_OUT = {"primary": -1, "secondary": 1}
_EDGE = 1.29
"""How far from its lifeline a side's times stand."""
_TEXT_FROM = 0.1
_LETTERS = 46
"""How many letters fit beside a lifeline, with the time."""
_GUEST_OFF = 0.045
_ROW_IN = 0.165
_NEEDS_IN = 6.5
_FILLS = {
    "iothread lock held": Fill(Colour.VERMILLION, "//////"),
    "guest stopped": Fill(Colour.DARK_GREY, ""),
    "stream": Fill("#56b4e98c", "", edge=Colour.BLUE),
}
_HALF = {"iothread lock held": 0.022, "guest stopped": 0.010}
"""Half of how wide a state's bar is."""
_BOXED = {"pad": 0.6, "facecolor": Colour.WHITE, "linewidth": 0}


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
    title = f"{run.scenario.name}, {run.design}: messages of {named(run, checkpoint)}"
    write_title(axes, title, width_of())
    _draw_heads(axes, len(rows))
    for y, row in enumerate(rows):
        _draw_row(axes, y, row)
    _draw_states(axes, rows)
    _draw_messages(axes, sequence, rows)
    legend_below(axes, handles(_FILLS, _FILLS), 3, bbox_to_anchor=(0.5, 0.0))
    return axes


@styled
def figure(run: Run, checkpoint: int) -> Figure:
    """Return the message sequence of a checkpoint as a figure.

    :raises FigureError: if the run has no such checkpoint.
    """
    at_least(_NEEDS_IN, "a message sequence")
    count = len(list(_rows(sequence_of(run, checkpoint))))
    made = Figure(figsize=(width_of(), 1.0 + _ROW_IN * (count + 2)))
    draw(run, checkpoint, made.subplots())
    return made


# ---- rows ----------------------------------------------------------------------------------------


def _rows(sequence: Sequence) -> Iterator[Row]:
    """Yield the rows: each message has its own; other steps of a moment share one if they fit."""
    row: Row | None = None
    for step in sequence.steps:
        texts = _texts(step)
        if row is not None and row.texts and _is_shared(row, step, texts):
            row = row._replace(texts=(*row.texts, *texts), steps=(*row.steps, step))
            continue
        if row is not None:
            yield row
        row = Row(step.time_ns, step.side, texts, (step,))
    if row is not None:
        yield row


def _texts(step: Step) -> tuple[str, ...]:
    """Return what is written beside the lifeline: nothing where an arrow says it."""
    is_end = step.kind in {"sends", "receives", "begins to send"}
    return () if is_end and step.message is not None else (step.text,)


def _is_shared(row: Row, step: Step, texts: tuple[str, ...]) -> bool:
    kinds = {step.kind, row.steps[-1].kind}
    letters = len(_ms(row.time_ns)) + len("; ".join((*row.texts, *texts)))
    same = (row.time_ns, row.side) == (step.time_ns, step.side)
    return same and not kinds & MESSAGES and letters <= _LETTERS


def _ms(time_ns: int) -> str:
    return f"{time_ns / 1e6:,.3f}"


def _draw_heads(axes: Axes, count: int) -> None:
    names = {"primary": "checkpoint thread", "secondary": "COLO incoming thread"}
    for side, x in _AT.items():
        axes.plot([x, x], [-0.5, count], color=Colour.GREY, linewidth=0.8, zorder=1)
        head = f"{side}\n{names[side]}"
        write_small(axes, x, -0.7, head, va="bottom", weight="bold", fontsize=7)
        _beside(axes, side, -0.7, _EDGE, "ms", va="bottom", color=Colour.INK)


def _beside(axes: Axes, side: str, y: float, far: float, text: str, **look: str) -> None:
    """Write text so `far` outside of a lifeline that it ends (far out) or begins there."""
    out = _OUT[side]
    right = (out > 0) == (far == _EDGE)
    write_small(axes, _AT[side] + out * far, y, text, ha="right" if right else "left", **look)


def _draw_row(axes: Axes, y: int, row: Row) -> None:
    text = "; ".join(row.texts)
    if row.side == PAIR:
        axes.axhline(y, color=Colour.GREY, linewidth=0.5, linestyle=":", zorder=1)
        struck = isinstance(row.steps[0].event, FaultStruck | FaultEnded | FaultsOver | ByManager)
        box = {"pad": 1.2, "facecolor": Colour.WHITE, "edgecolor": Colour.GREY, "linewidth": 0.5}
        weight = "bold" if struck else "normal"
        write_small(axes, 0.5, y, f"{_ms(row.time_ns)}  {text}", weight=weight, bbox=box, zorder=6)
        return
    _beside(axes, row.side, y, _EDGE, _ms(row.time_ns), color=Colour.INK)
    if text:
        _beside(axes, row.side, y, _TEXT_FROM, text)
    else:
        ends = [_AT[row.side] + _OUT[row.side] * far for far in (_TEXT_FROM, _EDGE - 0.24)]
        axes.plot(ends, [y, y], color="#d0d0d0", linewidth=0.4, zorder=1)


# ---- lock and guest ------------------------------------------------------------------------------


def _draw_states(axes: Axes, rows: list[Row]) -> None:
    """Draw from when to when the lock is held and the guest stopped; an open end fades out."""
    since: dict[tuple[str, str], int] = {}
    for y, step in ((y, step) for y, row in enumerate(rows) for step in row.steps):
        lock, guest = (step.side, "iothread lock held"), (step.side, "guest stopped")
        if step.kind == "takes":
            since[lock] = y
        elif step.kind == "releases":
            _bar(axes, *lock, (since.pop(lock, y), y))
        elif step.kind == "guest" and step.what == "guest stopped":
            since[guest] = y
        elif step.kind == "guest" and guest in since:
            _bar(axes, *guest, (since.pop(guest), y))
    for (side, what), begin in since.items():
        x = _bar(axes, side, what, (begin, len(rows)))
        _mark(axes, x, len(rows), "v", 4)


def _bar(axes: Axes, side: str, what: str, span: tuple[int, int]) -> float:
    """Draw a state beside or on a lifeline, and return where."""
    x = _AT[side] + (_OUT[side] * _GUEST_OFF if what == "guest stopped" else 0)
    begin, end = span
    fill, half = _FILLS[what], _HALF[what]
    patch = Rectangle((x - half, begin), 2 * half, max(end - begin, 0.2))
    patch.set(facecolor=fill.colour, hatch=fill.hatch, zorder=3)
    patch.set(edgecolor=fill.edge, linewidth=0.35)
    axes.add_patch(patch)
    return x


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


def _ends_of(message: Message, *, is_read: bool) -> tuple[float, float]:
    """Return where an arrow leaves and meets a lifeline, beside the bar of the lock."""
    inner = _HALF["iothread lock held"]
    left, right = (_AT[side] - _OUT[side] * inner for side in (message.sender, message.receiver))
    return left, right if is_read else (left + 2 * right) / 3


def _mark(axes: Axes, x: float, y: float, marker: str, size: int) -> None:
    axes.plot([x], [y], marker, color=Colour.BLACK, markersize=size, clip_on=False, zorder=5)


def _draw_message(axes: Axes, message: Message, begin: int, end: int | None) -> None:
    left, right = _ends_of(message, is_read=end is not None)
    if end is None:
        end = begin + 1
        _mark(axes, right, end, "x", 6)
    arrow = {"arrowstyle": "-|>", "color": Colour.BLACK, "linewidth": 0.8}
    arrow |= {"shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (right, end), (left, begin), arrowprops=arrow, zorder=4)
    write_small(axes, (left + right) / 2, (begin + end) / 2, message.name, bbox=_BOXED, zorder=5)


def _draw_stream(axes: Axes, message: Message, band: _Band, crossed: list[int]) -> None:
    """Draw a stream as a band; its name keeps clear of the rows that are written across it."""
    left, right = _ends_of(message, is_read=band.read is not None)
    low = band.written if band.read is None else band.read
    if band.read is None:
        _mark(axes, right, low, "x", 6)
    points = [(left, band.begin), (left, band.written), (right, low), (right, band.reads)]
    fill = _FILLS["stream"]
    axes.add_patch(
        Polygon(points, facecolor=fill.colour, edgecolor=fill.edge, linewidth=0.6, zorder=2)
    )
    middle = (band.begin + band.written + band.reads + low) / 4
    places = [middle, *(half / 2 for half in range(2 * band.begin + 1, int(2 * low)))]
    clear = [y for y in places if all(abs(y - other) >= 1 for other in crossed)] or places
    y = min(clear, key=lambda y: abs(y - middle))
    text = f"{message.name}, {short_size(message.size_bytes)}"
    write_small(axes, (left + right) / 2, y, text, bbox=_BOXED, zorder=5)
