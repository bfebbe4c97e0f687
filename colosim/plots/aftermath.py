"""What happens from a fault on, as rows: guests, processes, locks, commands, socket buffers."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from colosim.plots.lanes import (
    Timed,
    commands,
    failure_of,
    fault_of,
    of_side,
    process_of,
    states,
)
from colosim.plots.levels import curve_of, end_of
from colosim.plots.rows import rows_of, whole
from colosim.trace.events import (
    OTHER,
    ByManager,
    Event,
    FailureInjected,
    FaultStruck,
    GuestRunning,
    GuestStopped,
    ServesAlone,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colosim.runs.run import Run

__all__ = ["BUFFERS", "LANES", "Row", "begin_of", "rows_after"]

BUFFERS = {
    "primary send buffer": ("primary", "socket_send_buffer"),
    "secondary receive buffer": ("secondary", "socket_receive_buffer"),
}
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


class Row(NamedTuple):
    """Something that takes time, on a lane; `end_ns` is None if it never ended.

    The levels are of socket buffers, in bytes, a straight line from begin to end.
    """

    lane: str
    what: str
    begin_ns: int
    end_ns: int | None
    begin_bytes: int | None = None
    end_bytes: int | None = None


def begin_of(run: Run) -> int:
    """Return when the checkpoint was requested that the first fault struck."""
    struck = fault_of(run)
    requests = run.checkpoints["primary_request_at_ns"].dropna()
    return int(requests[requests <= struck].max()) if (requests <= struck).any() else struck


def rows_after(run: Run) -> Iterator[Row]:
    """Yield everything that the lanes show, of the whole run.

    :raises FigureError: if no fault struck.
    """
    events = [Timed(*one) for one in run.iter_events()]
    yield from sorted(_marks(events), key=lambda row: row.lane == "cluster manager")
    for side in OTHER:
        own = list(of_side(events, side))
        for lane, found in (
            (f"{side} guest", states(own, _guest_of)),
            (f"{side} process", states(own, process_of)),
        ):
            yield from (Row(lane, one.what, one.begin_ns, one.end_ns) for one in found)
        yield from _locks(run, side)
        for one in commands(own):
            yield Row(f"command to {side}", one.what, one.begin_ns, one.end_ns)
    for lane, (side, account) in BUFFERS.items():
        yield from _buffer(run, lane, side, account)


def _marks(events: list[Timed]) -> Iterator[Row]:
    for at_ns, event, _ in events:
        match event:
            case FaultStruck(kind, target):
                yield Row("fault", f"{kind} {target}", at_ns, at_ns)
            case FailureInjected():
                yield Row("fault", failure_of(event), at_ns, at_ns)
            case ByManager():
                yield Row("cluster manager", event.what, at_ns, at_ns)


def _guest_of(event: Event) -> str | None:
    match event:
        case GuestStopped():
            return "guest stopped"
        case GuestRunning():
            return "guest runs"
        case ServesAlone():
            return "serves alone"
    return None


def _locks(run: Run, side: str) -> Iterator[Row]:
    locks = run.locks
    for row in rows_of(locks[locks["side"] == side]):
        wanted = int(row.wanted_ns)
        got = whole(row.got_ns)
        who = f"{row.thread}, to {row.purpose}"
        if got is None or got > wanted:
            yield Row(f"waits for {side} lock", who, wanted, got)
        if got is not None:
            yield Row(f"{side} lock", who, got, whole(row.released_ns))


def _buffer(run: Run, lane: str, side: str, account: str) -> Iterator[Row]:
    """Yield a buffer's straight pieces from the beginning of the figure on."""
    curve = curve_of(run.memory, side, account)
    if not len(curve.times_ns):
        return
    begin, last = begin_of(run), max(end_of(run), int(curve.times_ns[-1]))
    inner = curve.times_ns[(curve.times_ns > begin) & (curve.times_ns < last)]
    times = np.array([begin, *inner, last], dtype=np.int64)
    lows = np.rint(curve.at(times)).astype(int)
    highs = np.rint(curve.at(times, before=True)).astype(int)
    for index, (since, until) in enumerate(pairwise(times)):
        low, high = int(lows[index]), int(highs[index + 1])
        yield Row(lane, "filled", int(since), int(until), low, high)
    if lows[-1]:
        yield Row(lane, "filled", last, None, int(lows[-1]), int(lows[-1]))
