"""Two sides' histories as one record: on one clock, messages sent before they are received.

QEMU prints a line after the act, so a message may be read microseconds before its sending is
printed; such a pair is put in the order of cause, each event keeping its own time.  Where messages
arrive more than `SKEW_NS` before they were sent, in one direction, the sides' clocks differ; the
difference that makes both directions equally fast is taken off the secondary's times.

In the record, checkpoints end.  Of a monitor's events alone each stop of the guest in COLO begins
one, and its running again ends it.  What must have happened but is in no log (the sending of a
message that the sender's log does not show, the reading of one if the reader's log is missing) is
in it too, at a time of `UNKNOWN`; so is a value that no log has.  Whatever follows from either is
left empty in the tables.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from colosim.measured.events import MONITOR, REQUEST, STAGES
from colosim.measured.log import KNOWN_LIMIT
from colosim.measured.rows import Rows
from colosim.trace.events import (
    ABORTED,
    COMMITTED,
    OTHER,
    PRIMARY,
    CheckpointEnded,
    ColoExit,
    GuestRunning,
    GuestStopped,
    LockGot,
    OnSide,
    Received,
    Sent,
    ServesAlone,
    StepDone,
    StreamBegan,
    StreamEnded,
    WaitEnded,
)
from colosim.trace.record import code_of
from colosim.trace.steps import PROTOCOL_THREADS

if TYPE_CHECKING:
    from colosim.measured.events import History, SideEvent
    from colosim.trace.events import Event

UNKNOWN: Final = -(1 << 60)
"""A time or a value that no log shows; several in one sum still show that it is unknown."""
SKEW_NS: Final = 2_000_000
"""How much later than its act a line may be printed, seen in the lab: well below this."""
_FLAT: Final = 3 << 16
"""How many numbers of a record are made at a time."""
_AHEAD_TIMED, _AHEAD_UNTIMED = 64, 4096
"""How many events of the peer's are looked through for the sending of a message."""


class Entry(NamedTuple):
    """One event as the record of a run has it."""

    time_ns: int
    event: Event
    value: int


def entered(entries: Iterable[Entry] = ()) -> Rows[Entry]:
    """Return entries in little memory."""
    return Rows(Entry, ("time_ns", "value"), entries)


def flat_of(entries: Iterable[Entry]) -> Iterator[array[int]]:
    """Yield entries flat, as a record has them: time, code, value, time, ...; some at a time."""
    flat = array("q")
    for time_ns, event, value in entries:
        flat.extend((time_ns, code_of(event), value))
        if len(flat) >= _FLAT:
            yield flat
            flat = array("q")
    yield flat


# ---- one clock -----------------------------------------------------------------------------------


def clock_offset_ns(primary: History, secondary: History) -> int:
    """Return how far the secondary's clock is ahead of the primary's; 0 if nothing shows that."""
    there, back = _delays(primary, secondary), _delays(secondary, primary)
    if not there or not back:
        return 0
    if median(there) >= -SKEW_NS and median(back) >= -SKEW_NS:
        return 0
    return (min(there) - min(back)) // 2


def _delays(sender: History, receiver: History) -> list[int]:
    """Return receive time less send time of the messages of one direction, pairs by their order."""
    sent: dict[str, list[int | None]] = {}
    for one in sender.events:
        if isinstance(one.event, Sent):
            sent.setdefault(one.event.message, []).append(one.time_ns)
    read: Counter[str] = Counter()
    delays = []
    for one in receiver.events:
        if isinstance(one.event, Received):
            message = one.event.message
            times = sent.get(message, [])
            if read[message] < len(times):
                at_ns = times[read[message]]
                if at_ns is not None and one.time_ns is not None:
                    delays.append(one.time_ns - at_ns)
            read[message] += 1
    return delays


# ---- one order -----------------------------------------------------------------------------------


def interleave(histories: Sequence[History], *, timed: bool, offset_ns: int = 0) -> Rows[Entry]:
    """Return the events of both sides in one order; `offset_ns` comes off the secondary's times.

    Of logs without times every time is 0.  A clock that ran backwards tells no order, nor do
    events without a time.
    """
    queues = {
        history.side: entered(
            _entry(one, 0 if history.side == PRIMARY else offset_ns, timed=timed)
            for one in history.events
        )
        for history in histories
    }
    steady = timed and all(history.steady for history in histories)
    return _Interleaving(queues, timed=steady).order()


def _entry(one: SideEvent, offset_ns: int, *, timed: bool) -> Entry:
    _, time_ns, event, value = one
    at_ns = 0 if not timed else UNKNOWN if time_ns is None else time_ns - offset_ns
    return Entry(at_ns, event, UNKNOWN if value is None else min(value, KNOWN_LIMIT - 1))


class _Interleaving:
    """Takes events from both sides' queues, one after the other."""

    def __init__(self, queues: dict[str, Rows[Entry]], *, timed: bool) -> None:
        self._queues = queues
        self._timed = timed
        self._next = dict.fromkeys(queues, 0)
        self._unread: Counter[Event] = Counter()
        self._order = entered()

    def order(self) -> Rows[Entry]:
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

    def _sending(self, entry: Entry) -> int | None:
        """Return where the peer sends what `entry` receives, if that is still to come."""
        if not isinstance(entry.event, Received):
            return None
        sending = Sent(OTHER[entry.event.side], entry.event.message)
        peer = sending.side
        if peer not in self._queues or self._unread[sending] > 0:
            return None
        begin = self._next[peer]
        end = begin + (_AHEAD_TIMED if self._timed else _AHEAD_UNTIMED)
        for index, one in enumerate(self._queues[peer][begin:end], start=begin):
            if self._timed and one.time_ns > entry.time_ns + SKEW_NS:
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
        entry = self._queues[side][self._next[side]]
        self._next[side] += 1
        match entry.event:
            case Sent():
                self._unread[entry.event] += 1
            case Received(_, message):
                sending = Sent(OTHER[side], message)
                self._unread[sending] -= self._unread[sending] > 0
        self._order.append(entry)


def leader_of(histories: Collection[History]) -> History:
    """Return whose events say where checkpoints begin and end: the primary's, if it has messages.

    Else the secondary's, if that has; else the primary's, or the one that there is.
    """
    return min(histories, key=lambda history: (history.kind == MONITOR, history.side))


# ---- one record ----------------------------------------------------------------------------------


def entries(events: Iterable[Entry], histories: Collection[History]) -> Iterator[Entry]:
    """Yield the record of a run from its sides' events in order.

    What `leader_of` them shows says where a checkpoint begins and ends.
    """
    checkpoints = _Checkpoints(histories)
    for event in events:
        yield from checkpoints.enter(event)


def with_waits(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield entries, and with them the ends of waits, which no log of QEMU's shows.

    A thread of the protocol that reads a message, or a stream to its end, has waited for it since
    it last did something.
    """
    acted: dict[str, int] = {}
    written: set[tuple[str, str]] = set()
    for entry in entries:
        if entry.time_ns == UNKNOWN:
            yield entry
            continue
        match entry.event:
            case StreamBegan(side, step):
                written.add((side, step))
            case Received(side, what) | StreamEnded(side, what) if (side, what) not in written:
                lasted = entry.time_ns - acted.get(side, entry.time_ns)
                if lasted > 0:
                    yield entry._replace(
                        event=WaitEnded(side, PROTOCOL_THREADS[side], what), value=lasted
                    )
            case StreamEnded(side) | Sent(side) | StepDone(side):
                pass
            case LockGot(side, thread) if thread == PROTOCOL_THREADS[side]:
                pass
            case _:
                yield entry
                continue
        acted[side] = entry.time_ns
        yield entry


class _Checkpoints:
    """Counts checkpoints, and the messages that are on their way."""

    def __init__(self, histories: Collection[History]) -> None:
        leader = leader_of(histories)
        shows = {one.side: one.kind == STAGES or "guest" in one.shows for one in histories}
        self._leading = leader.side
        self._silent = leader.kind == MONITOR
        self._alone = sum(one.kind != MONITOR for one in histories) == 1
        self._resumes = PRIMARY if shows.get(PRIMARY) else ""
        """The side whose guest's running commits a checkpoint; none if its log does not show it."""
        if self._silent:
            self._resumes = leader.side
        self._number = 0
        self._open = False
        self._loaded = False
        self._unread: Counter[Sent] = Counter()

    def enter(self, entry: Entry) -> Iterator[Entry]:
        """Yield what an event enters into the record."""
        time_ns, event, value = entry
        outcome = ""
        if isinstance(event, OnSide):
            if event.side == self._leading and self._begins(event):
                if self._open:
                    yield self._close(ABORTED, time_ns)
                self._open, self._loaded = True, self._silent
                if self._silent:
                    yield Entry(UNKNOWN, Sent(PRIMARY, REQUEST), UNKNOWN)
            outcome = self._outcome(event) if self._open else ""
        yield from self._sending(event, value)
        if outcome == ABORTED:
            yield self._close(outcome, time_ns)
        yield entry
        if isinstance(event, Sent) and self._alone:
            yield Entry(UNKNOWN, Received(OTHER[event.side], event.message), value)
        if outcome == COMMITTED:
            yield self._close(outcome, time_ns)

    def _sending(self, event: Event, value: int) -> Iterator[Entry]:
        """Yield the sending of a message that is read, if no log shows it."""
        match event:
            case Sent():
                self._unread[event] += 1
            case Received(side, message):
                sending = Sent(OTHER[side], message)
                if self._unread[sending]:
                    self._unread[sending] -= 1
                else:
                    yield Entry(UNKNOWN, sending, value)

    def _begins(self, event: OnSide) -> bool:
        """Return whether an event of the leading side begins a checkpoint."""
        if self._silent:
            return isinstance(event, GuestStopped)
        return isinstance(event, Sent | Received) and event.message == REQUEST

    def _outcome(self, event: OnSide) -> str:
        """Return how an event ends the checkpoint, ``""`` if it does not."""
        match event:
            case GuestRunning(side) if side == self._resumes:
                if self._loaded:
                    return COMMITTED
                self._loaded = side != self._leading  # its peer prints a line after the act
                return "" if self._loaded else ABORTED
            case OnSide(side) if side != self._leading:
                return ""
            case ColoExit() | ServesAlone():
                return ABORTED
            case Sent("secondary", "VMSTATE_LOADED") | Received("primary", "VMSTATE_LOADED"):
                ended, self._loaded = self._loaded or not self._resumes, True
                return COMMITTED if ended else ""
        return ""

    def _close(self, outcome: str, time_ns: int) -> Entry:
        self._open = False
        number, self._number = self._number, self._number + 1
        return Entry(time_ns, CheckpointEnded(outcome), number)
