"""What a checkpoint's time goes into, as bars on lanes: guest, threads, locks and wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from colosim.plots.lanes import events_of, request_of, states, thread_steps
from colosim.plots.rows import rows_of, whole
from colosim.plots.style import FigureError
from colosim.trace.events import OTHER, Event, GuestRunning, GuestStopped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colosim.runs.run import Run

__all__ = ["LANES", "Bar", "bars_of", "typical_checkpoint"]

LANES = (
    "primary guest",
    "primary thread",
    "primary lock",
    "wire",
    "secondary thread",
    "secondary lock",
)
"""The lanes of one checkpoint, from top to bottom."""


class Bar(NamedTuple):
    """Something that takes time, on a lane; `end_ns` is None if it never ended."""

    lane: str
    what: str
    kind: str
    begin_ns: int
    end_ns: int | None


def typical_checkpoint(run: Run) -> int:
    """Return the committed checkpoint after the warm-up whose pause is the median (nearest rank).

    A run that committed none has its first checkpoint as the typical one.

    :raises FigureError: if it began none.
    """
    rows = run.checkpoints
    if not len(rows):
        raise FigureError(f"{run!r} began no checkpoint")
    committed = rows[rows["outcome"] == "committed"]
    warm = committed[committed["checkpoint"] >= run.scenario.warmup]
    chosen = warm if len(warm) else committed
    if not len(chosen):
        return int(rows["checkpoint"].iloc[0])
    ordered = chosen.sort_values("pause_ns", kind="stable")
    return int(ordered["checkpoint"].iloc[(len(ordered) - 1) // 2])


def bars_of(run: Run, checkpoint: int) -> list[Bar]:
    """Return a checkpoint's bars, lane by lane, since its request.

    :raises FigureError: if the run has no such checkpoint.
    """
    begin = request_of(run, checkpoint)
    events, end = events_of(run, begin)
    columns = frozenset(run.checkpoints.columns)
    found = [("primary guest", one) for one in states(events, _stopped, "guest stopped")]
    for side in OTHER:
        found += [(f"{side} thread", one) for one in thread_steps(events, side, columns)]
    bars = [
        *(Bar(lane, *one) for lane, one in found),
        *_lock_bars(run, begin, end),
        *_wire_bars(run, begin, end),
    ]
    shifted = [
        bar._replace(
            begin_ns=bar.begin_ns - begin,
            end_ns=None if bar.end_ns is None else bar.end_ns - begin,
        )
        for bar in bars
    ]
    return sorted(shifted, key=lambda bar: (LANES.index(bar.lane), bar.begin_ns))


def _stopped(event: Event) -> str | None:
    match event:
        case GuestStopped("primary"):
            return "guest stopped"
        case GuestRunning("primary"):
            return ""
    return None


def _lock_bars(run: Run, begin: int, end: int | None) -> Iterator[Bar]:
    locks = run.locks
    taken = locks[locks["got_ns"].notna() & (locks["got_ns"] >= begin)]
    if end is not None:
        taken = taken[taken["got_ns"] < end]
    for row in rows_of(taken.sort_values("got_ns", kind="stable")):
        released = whole(row.released_ns)
        yield Bar(f"{row.side} lock", row.purpose, "lock held", int(row.got_ns), released)


def _wire_bars(run: Run, begin: int, end: int | None) -> Iterator[Bar]:
    messages = run.messages
    sent = messages[messages["sent_ns"] >= begin]
    if end is not None:
        sent = sent[sent["sent_ns"] < end]
    for row in rows_of(sent):
        kind = "message" if row.name.isupper() else "send"
        yield Bar("wire", row.name, kind, int(row.sent_ns), whole(row.received_ns))
