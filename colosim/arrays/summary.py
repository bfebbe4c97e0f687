"""What the record of a pair says at each point: the keys of a summary, a column each.

The quantities are those of `colosim.trace.quantities`.  What the primary does belongs to the
checkpoint that its thread is in; what the secondary does, to the one in whose time it falls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colosim.arrays.column import Refused, everywhere, plain, some
from colosim.arrays.direction import TIE
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
        self._checkpoints = pair.checkpoints
        self._none = np.full(len(pair.env.begin), NONE)
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
                return lambda at, _: self._stops.append(plain(at))
            case GuestRunning("primary"):
                return lambda at, _: self._runs.append(plain(at))
            case MemoryLevel(side, account):
                return self._grow(f"memory_peak_bytes.{side}.{account}")
            case LockGot(side, _, purpose):
                return lambda at, _: self._held.update({side: (purpose, plain(at))})
            case LockReleased(side):
                return lambda at, _: self._release(side, at)
        return None

    def _number(self, side: str) -> int | None:
        """Return which checkpoint the primary is in, -1 if in none."""
        if side != PRIMARY:
            return None
        return len(self.ends) if len(self.begins) > len(self.ends) else NONE

    def _begin(self, at: Any, _value: Any) -> None:
        if len(self.ends) < self._checkpoints:
            self.begins.append(plain(at))
            self._sent_before = self.sent

    def _end(self, at: Any, _value: Any) -> None:
        self.ends.append(plain(at))
        self._wire.append(plain(self.sent - self._sent_before + self._none) - NONE)

    def _send(self, _at: Any, amount: Any) -> None:
        self.sent = self.sent + amount

    def _grow(self, account: str) -> Handler:
        def grow(_at: Any, level: Any) -> None:
            self.peaks[account] = np.maximum(self.peaks.get(account, 0), level)

        return grow

    def _reach(self, side: str, name: str, after: Event | None) -> Handler:
        def reach(at: Any, _value: Any) -> None:
            if after is None or after in self._after:
                since = plain(at if after is None else self._after[after])
                self._reached.append((name, self._number(side), since, plain(at)))

        return reach

    def _release(self, side: str, at: Any) -> None:
        purpose, since = self._held.pop(side)
        self._holds.append((side, self._number(side), purpose, since, plain(at)))

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
            inside = (at > begin) & (at < end)
            if everywhere(inside):
                yield place, True
                return
            self.env.refuse((at == begin) | (at == end), TIE)
            if some(inside):
                yield place, inside
            elif everywhere(at < end):
                return
            elif place == self._first:
                self._first += 1

    def quantities(self) -> dict[str, list[Ints]]:
        """Return each quantity by checkpoint, a column each, and of what is open at the end."""
        rows = len(self.ends) + 1
        found: dict[str, list[Ints]] = {
            name: [self._none] * rows for name in (*_SUMMED_UP, *_SPANNED, *_DEAF.values())
        }
        self._first = 0
        for name, number, since, at in self._reached:
            for place, here in self._where(number, at):
                row = found[name][place]
                fresh = here & (row == NONE) & (since >= self.begins[place])
                found[name][place] = _put(fresh, at, row)
        for name, (begin, ends) in SPANS.items():
            for end in reversed(ends):
                self._span(found[name], found[begin], found[end])
        pauses = zip(self._stops, self._runs[1:], strict=True)
        found[PAUSE][:-1] = [ran - stopped for stopped, ran in pauses]
        found[WIRE_BYTES][:-1] = self._wire
        self._put_holds(found)
        both = zip(*(found[side] for side in _DEAF.values()), strict=True)
        found[DEAF] = [np.maximum(*held) for held in both]
        return {name: found[name] for name in _SUMMED_UP}

    def _span(self, rows: list[Ints], begins: list[Ints], ends: list[Ints]) -> None:
        """Put what is from one point to another, where a checkpoint has reached both."""
        for place, (begin, end) in enumerate(zip(begins, ends, strict=True)):
            known = (begin != NONE) & (end != NONE)
            if some(known):
                self.env.refuse(known & (end < begin), OVERLAPS)
                rows[place] = _put(known, end - begin, rows[place])

    def _put_holds(self, found: dict[str, list[Ints]]) -> None:
        """Put the longest hold of each checkpoint, and behind them what is held at the end."""
        last = self.ends[-1]
        for side, (purpose, since) in self._held.items():
            self._holds.append((side, NONE, purpose, since, np.maximum(since, last + 1)))
        for side in _DEAF.values():
            found[side][:-1] = [self._none + 1] * len(self.ends)
        self._first = 0
        for side, number, purpose, since, until in self._holds:
            longest = [found[HOLDS[side]]] if purpose.moves_state else []
            if purpose is not Purpose.MONITOR:
                longest.append(found[_DEAF[side]])
                self.deaf = np.maximum(self.deaf, np.minimum(until, last) - since)
            is_open = (since <= last) & (until > last)
            if side != PRIMARY:
                self.env.refuse(since == last, TIE)
            for rows in longest:
                for place, here in self._where(number, until):
                    rows[place] = _put(here, np.maximum(rows[place], until - since), rows[place])
                if some(is_open):
                    rows[-1] = _put(is_open, np.maximum(rows[-1], last - since), rows[-1])

    def keys(self, warmup: int, *, starts_apart: bool) -> Iterator[tuple[str, Any]]:
        """Yield what a summary says of a run without faults, in whole numbers."""
        quantities = self.quantities()
        if starts_apart:
            warmup = max(warmup, 1)
            yield "start_pause_ns", quantities[PAUSE][0]
        for of, name in _SUMMED_UP.items():
            for statistic, values in _distribution(np.array(quantities[of][warmup:])):
                yield f"{name}.{statistic}", values
        pauses, end = np.array(quantities[PAUSE][:-1]), self.ends[-1]
        yield "checkpoints.completed", self._checkpoints
        yield "checkpoints.aborted", 0
        yield "wire_bytes", self.sent
        yield "end_ns", end
        yield "guest_stopped_ns_longest", pauses.max(axis=0)
        yield "guest_running_share", (end - pauses.sum(axis=0)) * PPM // np.maximum(end, 1)
        yield "monitor_deaf_ns_longest", self.deaf
        yield from self.peaks.items()


def _put(where: Any, new: Any, old: Any) -> Any:
    """Return the new number where there is one, else the old."""
    return new if where is True or everywhere(where) else np.where(where, new, old)


def _distribution(values: Ints) -> Iterator[tuple[str, Ints]]:
    """Yield what `colosim.runs.statistics.Quantiles.summary` says, at each point."""
    there = values != NONE
    count = there.sum(axis=0)
    ordered = np.sort(values, axis=0)
    total = np.where(there, values, 0).sum(axis=0)
    yield "count", count
    yield "mean", (2 * total + count) // np.maximum(2 * count, 1)
    rows, places = len(values), np.arange(values.shape[1])
    for percent in (50, 90, 99):
        rank = np.maximum(1, -(-count * percent // 100))
        row = np.minimum(rows - count + rank, rows) - 1
        yield f"p{percent}", np.maximum(ordered[row, places], 0)
    yield "max", np.maximum(ordered[-1], 0)
