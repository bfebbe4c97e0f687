"""What the record of a pair says at each point: the keys of a summary, a column each.

The quantities are those of `colosim.trace.quantities`.  What the primary does belongs to the
checkpoint that its thread is in; what the secondary does, to the one in whose time it falls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colosim.arrays.column import Refused, everywhere, some
from colosim.trace.dispatch import Dispatcher
from colosim.trace.events import (
    OTHER,
    PRIMARY,
    CheckpointEnded,
    GuestRunning,
    GuestStopped,
    LockGot,
    LockReleased,
    MemoryLevel,
)
from colosim.trace.purpose import Purpose
from colosim.trace.quantities import HOLDS, PAUSE, REQUEST, SPANS, WIRE_BYTES, is_sent
from colosim.trace.steps import POINTS

if TYPE_CHECKING:
    from colosim.arrays.column import Ints, Masks
    from colosim.arrays.pair import Pair
    from colosim.trace.events import Event

    Handler = Callable[[Any, Any], None]

TIE: Final = "both ends act in one instant"
OVERLAPS: Final = "a checkpoint that overlaps the next"
NONE: Final = -1
"""What a quantity is where there is none."""
PPM: Final = 10**6
DEAF: Final = "monitor_deaf_ns"
_DEAF: Final = {side: f"{DEAF} of the {side}" for side in OTHER}
_SUMMED_UP: Final = {
    **{name: name for name in SPANS},
    **{of: f"lock_hold_ns.{side}" for side, of in HOLDS.items()},
    WIRE_BYTES: "wire_bytes_per_checkpoint",
    DEAF: DEAF,
}
"""How a summary calls a quantity."""
_SPANNED: Final = {point for begin, ends in SPANS.values() for point in (begin, *ends)}
_POINTS: Final = tuple(point for point in POINTS if point.full_name in _SPANNED)


class Summary:
    """Reads the record of a pair that has run."""

    def __init__(self, pair: Pair) -> None:
        self.env = pair.env
        self._shape = (pair.checkpoints, len(pair.env.begin))
        self.peaks: dict[str, Any] = {}
        self.sent: Any = 0
        self.begins: list[Any] = []
        self.ends: list[Any] = []
        self._stops: list[Any] = []
        self._runs: list[Any] = []
        self._wire: list[Any] = []
        self._sent_before: Any = 0
        # What a side does, with the primary's checkpoint, None if it is not the primary that does.
        self._reached: list[tuple[str, int | None, Any, Any]] = []
        self._after: dict[Event, Any] = {}
        self._held: dict[str, tuple[Purpose, Any]] = {}
        self._holds: list[tuple[str, int | None, Purpose, Any, Any]] = []
        self._first = 0
        self.deaf: Any = 0
        """The longest time in which a monitor was deaf."""
        Dispatcher(self._on).feed(pair.record.pending)
        self.sent = self.sent + pair.sent_at_end
        if not len(self._stops) == len(self.begins) == len(self.ends) == pair.checkpoints:
            raise Refused("a checkpoint without one request and one pause")

    # ---- reading -------------------------------------------------------------------------------

    def _on(self, event: Event) -> list[Handler]:
        """Return what is done with an event."""
        found: list[Handler] = [self._begin] if event == REQUEST else []
        if is_sent(event):
            found.append(self._send)
        for point in _POINTS:
            if event in point.events:
                found.append(self._reach(point.side, point.full_name, point.after))
            if event == point.after:
                found.append(lambda at, _: self._after.update({event: at}))
        handler = self._of_type(event)
        return found if handler is None else [*found, handler]

    def _of_type(self, event: Event) -> Handler | None:
        match event:
            case CheckpointEnded():
                return self._end
            case GuestStopped("primary"):
                return lambda at, _: self._stops.append(at)
            case GuestRunning("primary"):
                return lambda at, _: self._runs.append(at)
            case MemoryLevel(side, account):
                return self._grow(f"memory_peak_bytes.{side}.{account}")
            case LockGot(side, _, purpose):
                return lambda at, _: self._held.update({side: (purpose, at)})
            case LockReleased(side):
                return lambda at, _: self._release(side, at)
        return None

    def _number(self, side: str) -> int | None:
        """Return which checkpoint the primary is in, -1 if in none."""
        if side != PRIMARY:
            return None
        return len(self.ends) if len(self.begins) > len(self.ends) else NONE

    def _begin(self, at: Any, _value: Any) -> None:
        if len(self.ends) < self._shape[0]:
            self.begins.append(at)
            self._sent_before = self.sent

    def _end(self, at: Any, _value: Any) -> None:
        self.ends.append(at)
        self._wire.append(self.sent - self._sent_before)

    def _send(self, _at: Any, amount: Any) -> None:
        self.sent = self.sent + amount

    def _grow(self, account: str) -> Handler:
        def grow(_at: Any, level: Any) -> None:
            self.peaks[account] = np.maximum(self.peaks.get(account, 0), level)

        return grow

    def _reach(self, side: str, name: str, after: Event | None) -> Handler:
        def reach(at: Any, _value: Any) -> None:
            if after is None or after in self._after:
                since = at if after is None else self._after[after]
                self._reached.append((name, self._number(side), since, at))

        return reach

    def _release(self, side: str, at: Any) -> None:
        purpose, since = self._held.pop(side)
        self._holds.append((side, self._number(side), purpose, since, at))

    # ---- what it comes to ----------------------------------------------------------------------

    def _where(self, number: int | None, at: Ints) -> Iterator[tuple[int, Masks | bool]]:
        """Yield the checkpoints in which something happens, and at which points.

        Of the secondary it is asked in the order of time: none is before `_first` any more.
        """
        if number is not None:
            if number != NONE:
                yield number, True
            return
        for place in range(self._first, len(self.ends)):
            begin, end = self.begins[place], self.ends[place]
            before, after = at <= begin, at >= end
            if everywhere(before):
                return
            if not everywhere(after):
                self.env.refuse((at == begin) | (at == end), TIE)
                yield place, ~(before | after)
            elif place == self._first:
                self._first += 1

    def quantities(self) -> dict[str, Ints]:
        """Return (checkpoint, point) of each quantity; what is open at the end is a row more."""
        count, points = self._shape
        names = [*_SUMMED_UP, *_SPANNED, *_DEAF.values()]
        found = dict(zip(names, np.full((len(names), count + 1, points), NONE), strict=True))
        self._first = 0
        for name, number, since, at in self._reached:
            for place, here in self._where(number, at):
                row = found[name][place]
                np.copyto(row, at, where=here & (row == NONE) & (since >= self.begins[place]))
        for name, (begin, ends) in SPANS.items():
            for end in reversed(ends):
                spent = found[end] - found[begin]
                known = (found[begin] != NONE) & (found[end] != NONE)
                self.env.refuse((known & (spent < 0)).any(axis=0), OVERLAPS)
                np.copyto(found[name], spent, where=known)
        for place, (stopped, ran) in enumerate(zip(self._stops, self._runs[1:], strict=True)):
            found[PAUSE][place] = ran - stopped
        for place, sent in enumerate(self._wire):
            found[WIRE_BYTES][place] = sent
        self._put_holds(found)
        for side in _DEAF.values():
            found[DEAF][:] = np.maximum(found[DEAF], found[side])
        return {name: found[name] for name in _SUMMED_UP}

    def _put_holds(self, found: dict[str, Ints]) -> None:
        """Put the longest hold of each checkpoint, and behind them what is held at the end."""
        last = self.ends[-1]
        for side, (purpose, since) in self._held.items():
            self._holds.append((side, NONE, purpose, since, np.maximum(since, last + 1)))
        for side in _DEAF.values():
            found[side][:-1] = 0
        self._first = 0
        for side, number, purpose, since, until in self._holds:
            hears = purpose is Purpose.MONITOR
            longest = [found[HOLDS[side]]] if purpose.moves_state else []
            longest += [] if hears else [found[_DEAF[side]]]
            for place, here in self._where(number, until):
                for rows in longest:
                    np.maximum(rows[place], until - since, out=rows[place], where=here)
            if not hears:
                self.deaf = np.maximum(self.deaf, np.minimum(until, last) - since)
            if some(until > last):
                if side != PRIMARY:
                    self.env.refuse(since == last, TIE)
                is_open = (since <= last) & (until > last)
                for rows in longest:
                    np.maximum(rows[-1], last - since, out=rows[-1], where=is_open)

    def keys(self, warmup: int) -> Iterator[tuple[str, Any]]:
        """Yield what a summary says of a run without faults, in whole numbers."""
        quantities, count = self.quantities(), self._shape[0]
        rows = np.stack([*quantities.values()])[:, warmup:]
        for statistic, values in _distributions(rows):
            for name, of in zip(_SUMMED_UP.values(), values, strict=True):
                yield f"{name}.{statistic}", of
        pauses, end = quantities[PAUSE][:count], self.ends[-1]
        yield "checkpoints.completed", count
        yield "checkpoints.aborted", 0
        yield "wire_bytes", self.sent
        yield "end_ns", end
        yield "guest_stopped_ns_longest", pauses.max(axis=0)
        yield "guest_running_share", (end - pauses.sum(axis=0)) * PPM // np.maximum(end, 1)
        yield "monitor_deaf_ns_longest", self.deaf
        yield from self.peaks.items()


def _distributions(values: Ints) -> Iterator[tuple[str, Ints]]:
    """Yield what `colosim.runs.statistics.Quantiles.summary` says, of (quantity, row, point)."""
    there = values != NONE
    count = there.sum(axis=1)
    ordered = np.sort(values, axis=1)
    total = np.where(there, values, 0).sum(axis=1)
    yield "count", count
    yield "mean", (2 * total + count) // np.maximum(2 * count, 1)
    rows = values.shape[1]
    for percent in (50, 90, 99):
        rank = np.maximum(1, -(-count * percent // 100))
        row = np.minimum(rows - count + rank, rows) - 1
        yield f"p{percent}", np.maximum(np.take_along_axis(ordered, row[:, None], 1)[:, 0], 0)
    yield "max", np.maximum(ordered[:, -1], 0)
