"""What the events of a real run mean together: where a checkpoint begins, and how it ends.

Feeds the same projection as a simulated run's record does.  What must have happened but is in no
log (the sending of a message that the sender's log does not show, the reading of one if the
reader's log is missing) is fed too, at a time of `UNSEEN_NS`; whatever follows from such a time is
left empty in the tables, and it is no event of the record.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from colosim.qemu.history import RUNNING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from colosim.qemu.interleave import SidedEvent

__all__ = ["SEEN_LIMIT_NS", "UNSEEN_NS", "Entry", "entries"]

UNSEEN_NS = -(1 << 62)
"""The time of an event that no log shows."""
SEEN_LIMIT_NS = 1 << 60
"""No time of a log, and no duration, is as long (36 years)."""

_PEER = {"primary": "secondary", "secondary": "primary"}


class Entry(NamedTuple):
    """One event as the record of a run has it."""

    time_ns: int
    name: str
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
        self._leading = "primary" if "primary" in sides else "secondary"
        self._alone = len(sides) == 1
        self._shows_guest = shows_guest
        self._number = 0
        self._open = False
        self._loaded = False
        self._unread: Counter[tuple[str, str]] = Counter()

    def enter(self, event: SidedEvent) -> Iterator[Entry]:
        """Yield what `event` enters into the record."""
        time_ns, side, name, value = event
        verb, _, message = name.partition(" ")
        if self._leading == side and message == "CHECKPOINT_REQUEST":
            if self._open:
                yield self._close("aborted", time_ns)
            self._open, self._loaded = True, False
        if verb == "sends":
            self._unread[side, message] += 1
        elif verb == "receives":
            peer = _PEER[side]
            if self._unread[peer, message]:
                self._unread[peer, message] -= 1
            else:
                yield Entry(UNSEEN_NS, f"{peer}: sends {message}", value)
        outcome = self._outcome(name) if side == self._leading and self._open else ""
        if outcome == "aborted":
            yield self._close(outcome, time_ns)
        yield Entry(time_ns, f"{side}: {name}", value)
        if verb == "sends" and self._alone:
            yield Entry(UNSEEN_NS, f"{_PEER[side]}: receives {message}", value)
        if outcome == "committed":
            yield self._close(outcome, time_ns)

    def _outcome(self, name: str) -> str:
        """Return how `name` ends the open checkpoint, an empty text if it does not."""
        if name.startswith("COLO exit") or name == "serves alone":
            return "aborted"
        if self._leading == "secondary":
            return "committed" if name == "sends VMSTATE_LOADED" else ""
        if name == "receives VMSTATE_LOADED":
            self._loaded = True
            return "" if self._shows_guest else "committed"
        if name == RUNNING:
            return "committed" if self._loaded else "aborted"
        return ""

    def _close(self, outcome: str, time_ns: int) -> Entry:
        self._open = False
        number, self._number = self._number, self._number + 1
        return Entry(time_ns, f"checkpoint {outcome}", number)
