"""What happens from a fault on, as rows: guests, processes, locks, commands, socket buffers."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from colosim.plots.levels import curve_of, end_of
from colosim.plots.rows import rows_of, whole
from colosim.plots.style import FigureError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colosim.runs.run import Run

__all__ = ["BUFFERS", "LANES", "Row", "begin_of", "fault_of", "rows_after"]

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

_STATES = {"stopped": "guest stopped", "running": "guest runs", "alone": "serves alone"}


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


def fault_of(run: Run) -> int:
    """Return when the first fault struck, in ns.

    :raises FigureError: if none did.
    """
    events = run.events
    faults = events.loc[events["event"].str.contains("fault", regex=False), "time_ns"]
    if not len(faults):
        raise FigureError(f"no fault struck in {run!r}: there is nothing to wait for")
    return int(faults.iloc[0])


def begin_of(run: Run) -> int:
    """Return when the checkpoint was requested that the first fault struck."""
    struck = fault_of(run)
    requests = run.checkpoints["primary_request_at_ns"].dropna()
    return int(requests[requests <= struck].max()) if (requests <= struck).any() else struck


def rows_after(run: Run) -> Iterator[Row]:
    """Yield everything that the lanes show, of the whole run.

    :raises FigureError: if no fault struck.
    """
    yield from _marks(run)
    for side in ("primary", "secondary"):
        yield from _guest(run, side)
        yield from _process(run, side)
        yield from _locks(run, side)
        yield from _commands(run, side)
    for lane, (side, account) in BUFFERS.items():
        yield from _buffer(run, lane, side, account)


def _said(run: Run, side: str) -> Iterator[tuple[int, str, int]]:
    """Yield time, text and value of the events of one side."""
    for at_ns, name, value in rows_of(run.events):
        who, _, what = name.partition(": ")
        if who == side:
            yield int(at_ns), what, int(value)


def _marks(run: Run) -> Iterator[Row]:
    for who in ("fault", "cluster manager"):
        for at_ns, what, _ in _said(run, who):
            yield Row(who, what, at_ns, at_ns)
    for side in ("primary", "secondary"):
        for at_ns, what, _ in _said(run, side):
            if what.startswith("fault "):
                yield Row("fault", f"{side}: {what.removeprefix('fault ')}", at_ns, at_ns)


def _guest(run: Run, side: str) -> Iterator[Row]:
    state, since = None, 0
    for at_ns, what, _ in _said(run, side):
        new = {"guest stopped": "stopped", "guest running": "running", "serves alone": "alone"}.get(
            what
        )
        if new is None or new == state:
            continue
        if state is not None and at_ns > since:
            yield Row(f"{side} guest", _STATES[state], since, at_ns)
        state, since = new, at_ns
    if state is not None:
        yield Row(f"{side} guest", _STATES[state], since, None)


def _process(run: Run, side: str) -> Iterator[Row]:
    state, since = None, 0
    for at_ns, what, _ in _said(run, side):
        new = what.removeprefix("process ") if what.startswith("process ") else None
        if new is None:
            continue
        if state is not None and at_ns > since:
            yield Row(f"{side} process", state, since, at_ns)
        state, since = (None if new == "thawed" else new), at_ns
    if state is not None:
        yield Row(f"{side} process", state, since, None)


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


def _commands(run: Run, side: str) -> Iterator[Row]:
    """Yield the monitor's commands from their coming in to their being served."""
    waiting: dict[str, int] = {}
    for at_ns, what, _ in _said(run, side):
        words = what.split()
        if words[:2] == ["monitor", "receives"]:
            waiting[words[2]] = at_ns
        elif words[:2] == ["monitor", "serves"]:
            yield Row(f"command to {side}", words[2], waiting.pop(words[2], at_ns), at_ns)
    for command, since in waiting.items():
        yield Row(f"command to {side}", command, since, None)


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
