"""What the events of a real run mean together: where a checkpoint begins, and how it ends.

Feeds the same projection as a simulated run's record does.  What must have happened but is in no
log (the sending of a message that the sender's log does not show, the reading of one if the
reader's log is missing) is fed too, at a time of `UNSEEN_NS`; whatever follows from such a time is
left empty in the tables, and it is no event of the record.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from colosim.trace.events import (
    ABORTED,
    COMMITTED,
    OTHER,
    PRIMARY,
    SECONDARY,
    CheckpointEnded,
    ColoExit,
    GuestRunning,
    Received,
    Sent,
    ServesAlone,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from colosim.measured.interleave import SidedEvent
    from colosim.trace.events import Event, OnSide

__all__ = ["SEEN_LIMIT_NS", "UNSEEN_NS", "Entry", "entries"]

UNSEEN_NS = -(1 << 62)
"""The time of an event that no log shows."""
SEEN_LIMIT_NS = 1 << 60
"""No time of a log, and no duration, is as long (36 years)."""


class Entry(NamedTuple):
    """One event as the record of a run has it."""

    time_ns: int
    event: Event
    value: int


def entries(
    events: Sequence[SidedEvent], *, sides: Collection[str], shows_guest: bool
) -> Iterator[Entry]:
    """Yield the record of a run from its sides' events in order.

    `sides`: those whose logs are there.  The primary's messages say where a checkpoint begins and
    ends, the secondary's if it is alone.  `shows_guest`: that log shows when its guest runs.
    """
    books = _Books(sides, shows_guest=shows_guest)
    for event in events:
        yield from books.enter(event)


class _Books:
    """Counts checkpoints, and the messages that are on their way."""

    def __init__(self, sides: Collection[str], *, shows_guest: bool) -> None:
        self._leading = PRIMARY if PRIMARY in sides else SECONDARY
        self._alone = len(sides) == 1
        self._shows_guest = shows_guest
        self._number = 0
        self._open = False
        self._loaded = False
        self._unread: Counter[Sent] = Counter()

    def enter(self, event: SidedEvent) -> Iterator[Entry]:
        """Yield what `event` enters into the record."""
        time_ns, told, value = event
        outcome = ""
        if told.side == self._leading:
            if self._is_request(told):
                if self._open:
                    yield self._close(ABORTED, time_ns)
                self._open, self._loaded = True, False
            outcome = self._outcome(told) if self._open else ""
        match told:
            case Sent():
                self._unread[told] += 1
            case Received(side, message):
                sending = Sent(OTHER[side], message)
                if self._unread[sending]:
                    self._unread[sending] -= 1
                else:
                    yield Entry(UNSEEN_NS, sending, value)
        if outcome == ABORTED:
            yield self._close(outcome, time_ns)
        yield Entry(time_ns, told, value)
        if isinstance(told, Sent) and self._alone:
            yield Entry(UNSEEN_NS, Received(OTHER[told.side], told.message), value)
        if outcome == COMMITTED:
            yield self._close(outcome, time_ns)

    def _is_request(self, event: OnSide) -> bool:
        return isinstance(event, Sent | Received) and event.message == "CHECKPOINT_REQUEST"

    def _outcome(self, event: OnSide) -> str:
        """Return how an event of the leading side ends the checkpoint, ``""`` if it does not."""
        match event:
            case ColoExit() | ServesAlone():
                return ABORTED
            case Sent("secondary", "VMSTATE_LOADED"):
                return COMMITTED
            case Received("primary", "VMSTATE_LOADED"):
                self._loaded = True
                return "" if self._shows_guest else COMMITTED
            case GuestRunning("primary"):
                return COMMITTED if self._loaded else ABORTED
        return ""

    def _close(self, outcome: str, time_ns: int) -> Entry:
        self._open = False
        number, self._number = self._number, self._number + 1
        return Entry(time_ns, CheckpointEnded(outcome), number)
