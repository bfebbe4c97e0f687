"""Two sides' histories as one: on one clock, and every message sent before it is received.

QEMU prints a line after the act, so a message may be read microseconds before its sending is
printed; such a pair is put in the order of cause, each event keeping its own time.  Where messages
arrive more than `SKEW_NS` before they were sent, in one direction, the sides' clocks differ; the
difference that makes both directions equally fast is taken off the secondary's times.
"""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from colosim.trace.events import OTHER, Received, Sent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colosim.measured.history import Happening, History
    from colosim.trace.events import OnSide

__all__ = ["SKEW_NS", "SidedEvent", "clock_offset_ns", "interleave"]

SKEW_NS = 2_000_000
"""How much later than its act a line may be printed, seen in the lab: well below this."""
_AHEAD_TIMED, _AHEAD_UNTIMED = 64, 4096
"""How many events of the peer's are looked through for the sending of a message."""


class SidedEvent(NamedTuple):
    """An event of one side; `time_ns` is 0 in a run without times."""

    time_ns: int
    event: OnSide
    value: int


def _delays(sender: History, receiver: History) -> list[int]:
    """Return receive time less send time of the messages of one direction, pairs by their order."""
    sent: dict[str, list[int]] = {}
    for one in sender.happenings:
        if isinstance(one.event, Sent) and one.time_ns is not None:
            sent.setdefault(one.event.message, []).append(one.time_ns)
    read: Counter[str] = Counter()
    delays = []
    for one in receiver.happenings:
        if isinstance(one.event, Received) and one.time_ns is not None:
            message = one.event.message
            times = sent.get(message, [])
            if read[message] < len(times):
                delays.append(one.time_ns - times[read[message]])
            read[message] += 1
    return delays


def clock_offset_ns(primary: History, secondary: History) -> int:
    """Return how far the secondary's clock is ahead of the primary's; 0 if nothing shows that."""
    there, back = _delays(primary, secondary), _delays(secondary, primary)
    if not there or not back:
        return 0
    if median(there) >= -SKEW_NS and median(back) >= -SKEW_NS:
        return 0
    return (min(there) - min(back)) // 2


def interleave(
    histories: Sequence[History], *, timed: bool, offset_ns: int = 0
) -> list[SidedEvent]:
    """Return the events of both sides in one order; `offset_ns` comes off the secondary's times."""
    queues = {
        history.side: [
            SidedEvent(_time(one, history.side, offset_ns) if timed else 0, one.event, one.value)
            for one in history.happenings
        ]
        for history in histories
    }
    return _Interleaving(queues, timed=timed).order()


def _time(happening: Happening, side: str, offset_ns: int) -> int:
    time_ns = happening.time_ns or 0
    return time_ns - offset_ns if side == "secondary" else time_ns


class _Interleaving:
    """Takes events from both sides' queues, one after the other."""

    def __init__(self, queues: dict[str, list[SidedEvent]], *, timed: bool) -> None:
        self._queues = queues
        self._timed = timed
        self._next = dict.fromkeys(queues, 0)
        self._unread: Counter[OnSide] = Counter()
        self._order: list[SidedEvent] = []

    def order(self) -> list[SidedEvent]:
        """Return all events in one order."""
        while (side := self._earliest()) is not None:
            event = self._queues[side][self._next[side]]
            self._take_until(side, self._sending(event))
            self._take(side)
        return self._order

    def _earliest(self) -> str | None:
        left = [side for side, queue in self._queues.items() if self._next[side] < len(queue)]
        if not left:
            return None
        if not self._timed:
            # Without times one side goes on until it reads what the other has not sent yet.
            return left[0]
        return min(left, key=lambda side: self._queues[side][self._next[side]].time_ns)

    def _sending(self, event: SidedEvent) -> int | None:
        """Return where the peer sends what `event` receives, if that is still to come."""
        if not isinstance(event.event, Received):
            return None
        sending = Sent(OTHER[event.event.side], event.event.message)
        peer = sending.side
        if peer not in self._queues or self._unread[sending] > 0:
            return None
        begin = self._next[peer]
        end = begin + (_AHEAD_TIMED if self._timed else _AHEAD_UNTIMED)
        for index, one in enumerate(self._queues[peer][begin:end], start=begin):
            if self._timed and one.time_ns > event.time_ns + SKEW_NS:
                return None
            if one.event == sending:
                return index
        return None

    def _take_until(self, side: str, index: int | None) -> None:
        """Take the peer's events up to a sending; in them what it receives has its own sending."""
        if index is None:
            return
        peer = next(one for one in self._queues if one != side)
        while self._next[peer] <= index:
            self._take(peer)

    def _take(self, side: str) -> None:
        event = self._queues[side][self._next[side]]
        self._next[side] += 1
        match event.event:
            case Sent():
                self._unread[event.event] += 1
            case Received(_, message):
                sending = Sent(OTHER[side], message)
                self._unread[sending] -= self._unread[sending] > 0
        self._order.append(event)
