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

from colosim.network.connection import OTHER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from colosim.qemu.history import Happening, History

__all__ = ["SKEW_NS", "SidedEvent", "clock_offset_ns", "interleave"]

SKEW_NS = 2_000_000
"""How much later than its act a line may be printed, seen in the lab: well below this."""
_AHEAD_TIMED, _AHEAD_UNTIMED = 64, 4096
"""How many events of the peer's are looked through for the sending of a message."""


class SidedEvent(NamedTuple):
    """An event of one side; `time_ns` is 0 in a run without times."""

    time_ns: int
    side: str
    name: str
    value: int


def _delays(sender: History, receiver: History) -> list[int]:
    """Return receive time less send time of the messages of one direction, pairs by their order."""
    sent: dict[str, list[int]] = {}
    for one in sender.happenings:
        if one.name.startswith("sends ") and one.time_ns is not None:
            sent.setdefault(one.name.removeprefix("sends "), []).append(one.time_ns)
    read: Counter[str] = Counter()
    delays = []
    for one in receiver.happenings:
        if one.name.startswith("receives ") and one.time_ns is not None:
            name = one.name.removeprefix("receives ")
            times = sent.get(name, [])
            if read[name] < len(times):
                delays.append(one.time_ns - times[read[name]])
            read[name] += 1
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
            SidedEvent(_time(one, history.side, offset_ns) if timed else 0, history.side, *one[2:])
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
        self._unread: Counter[tuple[str, str]] = Counter()
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
        verb, _, name = event.name.partition(" ")
        peer = next((side for side in self._queues if side != event.side), None)
        if verb != "receives" or peer is None or self._unread[peer, name] > 0:
            return None
        begin = self._next[peer]
        end = begin + (_AHEAD_TIMED if self._timed else _AHEAD_UNTIMED)
        for index, one in enumerate(self._queues[peer][begin:end], start=begin):
            if self._timed and one.time_ns > event.time_ns + SKEW_NS:
                return None
            if one.name == f"sends {name}":
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
        verb, _, name = event.name.partition(" ")
        if verb == "sends":
            self._unread[side, name] += 1
        elif verb == "receives":
            peer = OTHER[side]
            self._unread[peer, name] -= self._unread[peer, name] > 0
        self._order.append(event)
