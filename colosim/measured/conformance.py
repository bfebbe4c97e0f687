"""A log held against a design's protocol: which design can have written it, and where it could not.

A log may begin in the middle of a checkpoint and end anywhere; a checkpoint may be broken off
there.  Once a failover is under way, or COLO is left, what remains of the checkpoint may still
come, in order and with gaps, and the guest may be stopped and run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from colosim.designs.registry import load_design
from colosim.measured.events import READY, REQUEST, STAGES
from colosim.measured.protocol import Protocol, protocol_of, protocols
from colosim.trace.events import (
    PRIMARY,
    SECONDARY,
    ColoExit,
    CommandServed,
    FailoverChanged,
    FailoverPostponed,
    GuestRunning,
    GuestStopped,
    OnSide,
    Received,
    Sent,
    StepDone,
    StreamEnded,
)
from colosim.trace.steps import BITMAP_SYNC, CACHE_FLUSH, RAM_LOAD

if TYPE_CHECKING:
    from colosim.measured.events import History, SideEvent

_RELEASED = ("qemu-5.1", "qemu-11", "qemu-3.1", "flat")
"""Designs of QEMU's releases, the likeliest first; the others were series of patches."""
_REPEATED = StepDone(PRIMARY, BITMAP_SYNC)
"""What a version of QEMU may do more than once in a row."""
_SKIPPED = StepDone(SECONDARY, CACHE_FLUSH)
"""What is left out where there is nothing to do: a checkpoint without dirty pages."""
_GUEST = (GuestRunning, GuestStopped)
_MESSAGE = (Sent, Received)


@dataclass(frozen=True, slots=True)
class Deviation:
    """The first event of a log that a design cannot produce.

    ``expected`` has what it could have done instead; ``could`` the designs that can have written
    the log up to and including this line.
    """

    design: str
    source: str
    side: str
    line: int
    event: OnSide
    expected: tuple[str, ...]
    could: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it as one line for people."""
        expected = " or ".join(self.expected) or "nothing more"
        could = ", ".join(self.could) or "no design"
        what = self.event.what
        said = what if isinstance(self.event, _MESSAGE) else f"shows '{what}'"
        return (
            f"{self.source}:{self.line}: {self.design} cannot produce this: the {self.side} "
            f"{said}; expected: {expected}; could have: {could}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "source": self.source,
            "line": self.line,
            "side": self.side,
            "event": self.event.what,
            "expected": list(self.expected),
            "could": list(self.could),
        }


class _At(NamedTuple):
    """Where a side may be: the events of this checkpoint that are behind it, and how it goes on.

    `ending`: a failover is under way or COLO was left.  `again`: the request that followed a
    broken checkpoint, and must fail.
    """

    position: int
    ending: bool = False
    again: SideEvent | None = None


class _Follower:
    """Follows one side's log through one design's checkpoint."""

    def __init__(self, protocol: Protocol, history: History) -> None:
        self._sequence = protocol.seen_by(history)
        self._requests_again = protocol.requests_again and history.side == "primary"
        self._stages = history.kind == STAGES
        self._stages_ram = StepDone(history.side, RAM_LOAD) in protocol.events[history.side]
        self._begun = False
        count = len(self._sequence)
        self._at = {_At(0)} if history.entered else {_At(index) for index in range(count)}
        self._entered = history.entered

    def follow(self, one: SideEvent) -> tuple[SideEvent, tuple[str, ...]] | None:
        """Take an event; return the one that cannot be, and what could, if there is one."""
        event = one.event
        if isinstance(event, FailoverChanged | FailoverPostponed | ColoExit | CommandServed):
            ending = {_At(at.position, ending=True) for at in self._at}
            # A yank shuts connections down, but maybe not that of the migration.
            may_go_on = isinstance(event, CommandServed) and event.command == "yank"
            self._at = self._at | ending if may_go_on else ending
            return None
        if not self._concerns(event):
            return None
        if isinstance(event, _MESSAGE) and event.message == READY:
            return self._ready(one)
        if not self._begun and self._entered and not isinstance(event, _MESSAGE):
            return None  # between the entry into COLO and the first request the guest is started
        after = {then for at in self._at for then in self._next(at, one)}
        if after:
            self._at = after
            self._begun = True
            return None
        again = next((at.again for at in self._at if at.again is not None), None)
        return again or one, self._expected()

    def _concerns(self, event: OnSide) -> bool:
        """Tell whether an event is one that the check looks at."""
        if isinstance(event, (*_MESSAGE, *_GUEST)) or event in self._sequence:
            return True
        if event == StreamEnded(SECONDARY, RAM_LOAD):
            # Of a staged checkpoint RAM is loaded under the lock, beside the order of messages.
            return self._stages or not self._stages_ram
        return event in {_REPEATED, _SKIPPED}

    def _ready(self, one: SideEvent) -> tuple[SideEvent, tuple[str, ...]] | None:
        """COLO is entered: at the beginning, or again after a failover."""
        if self._begun and not any(at.ending for at in self._at):
            return one, self._expected()
        self._at = {_At(0)}
        self._begun = False
        self._entered = True
        return None

    def _next(self, at: _At, one: SideEvent) -> Iterable[_At]:
        """Yield where a side that was `at` may be after `one`."""
        event, sequence = one.event, self._sequence
        count = len(sequence)
        if at.ending:
            yield from self._next_ending(at, event)
            return
        if at.again is not None:
            return
        if count and sequence[at.position] == event:
            yield _At((at.position + 1) % count)
        elif count and sequence[at.position] == _SKIPPED:
            yield from self._next(_At((at.position + 1) % count), one)
        if event == _REPEATED and count and sequence[at.position - 1] == event:
            yield at
        if self._shuts_down(at, event):
            yield _At(at.position, ending=True)
        if event == Sent(PRIMARY, REQUEST) and self._requests_again and self._after_send(at):
            yield _At(at.position, again=one)

    def _next_ending(self, at: _At, event: OnSide) -> Iterable[_At]:
        if isinstance(event, _GUEST):
            yield at
        for index in range(at.position, len(self._sequence)):
            if self._sequence[index] == event:
                yield _At(index + 1, ending=True)

    def _shuts_down(self, at: _At, event: OnSide) -> bool:
        """The primary says so after VMSTATE_LOADED, the secondary reads it instead of a request."""
        match event:
            case Received(_, "GUEST_SHUTDOWN"):
                return at.position == 0
            case Sent(_, "GUEST_SHUTDOWN"):
                before = self._sequence[at.position - 1] if self._sequence else None
                return isinstance(before, _GUEST) or before == Received(PRIMARY, "VMSTATE_LOADED")
        return False

    def _after_send(self, at: _At) -> bool:
        """Tell whether the RAM stream may have begun: then its error is lost."""
        sequence = self._sequence
        sends: OnSide = Sent(PRIMARY, "VMSTATE_SEND")
        mark = sends if sends in sequence else _REPEATED
        return mark in sequence and at.position > sequence.index(mark)

    def _expected(self) -> tuple[str, ...]:
        if len(self._at) == len(self._sequence) and not self._begun:
            return ("an event of a checkpoint",)
        names = [
            self._sequence[at.position].what
            for at in sorted(self._at, key=lambda at: at.position)
            if at.again is None and at.position < len(self._sequence)
        ]
        return tuple(dict.fromkeys(names))


def deviation(protocol: Protocol, history: History) -> Deviation | None:
    """Return the first event of a log that a design cannot produce, None if it can produce all."""
    follower = _Follower(protocol, history)
    for one in history.events:
        wrong = follower.follow(one)
        if wrong is not None:
            what, expected = wrong
            return Deviation(
                design=protocol.design,
                source=history.log.source,
                side=history.side,
                line=what.line,
                event=what.event,
                expected=expected,
            )
    return None


@dataclass(frozen=True, slots=True)
class Identification:
    """Which designs a log (or a pair of logs) can come from, and where the others part from it."""

    designs: tuple[str, ...]
    excluded: dict[str, Deviation]

    def nearest(self) -> str:
        """Return the likeliest design: of several one that a release of QEMU had.

        If none can have written the logs, the one that they follow for longest.
        """
        if self.designs:
            released = [design for design in _RELEASED if design in self.designs]
            return (*released, *self.designs)[0]
        return max(self.excluded, key=lambda design: self.excluded[design].line)


def identify(histories: Sequence[History]) -> Identification:
    """Return the designs that can have written all of these logs, of multifd those that have it."""
    first = {protocol.design: _parted(protocol, histories) for protocol in protocols()}
    excluded = {}
    for design, found in first.items():
        if not found:
            continue
        index = min(found)
        wrong = found[index]
        could = tuple(
            other
            for other, its in first.items()
            if other != design and (index not in its or its[index].line > wrong.line)
        )
        excluded[design] = replace(wrong, could=could)
    possible = [design for design in first if not first[design]]
    if any(history.log.multifd for history in histories):
        possible = [name for name in possible if "multifd" in load_design(name).traits.may_have]
    return Identification(tuple(possible), excluded)


def parts_from(design: str, histories: Sequence[History]) -> Deviation | None:
    """Return where logs part from a design, also one with options behind its name; None: nowhere.

    :raises colosim.errors.DesignError: if there is no such design.
    """
    found = _parted(protocol_of(design), histories)
    return found[min(found)] if found else None


def _parted(protocol: Protocol, histories: Sequence[History]) -> dict[int, Deviation]:
    """Return the first deviation of each log that has one, by the log's number."""
    shown = frozenset().union(*(history.shows for history in histories))
    found = ((k, deviation(protocol, _showing(one, shown))) for k, one in enumerate(histories))
    return {index: wrong for index, wrong in found if wrong is not None}


def _showing(history: History, shown: frozenset[str]) -> History:
    """Return a history that shows the guest's state if the peer's does: one QEMU, one -trace."""
    if "guest" in shown and "guest" not in history.shows and history.kind != STAGES:
        return replace(history, shows=history.shows | {"guest"})
    return history
