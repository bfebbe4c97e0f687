"""What let the survivor of a fault, or the pair, go on: read from the event record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from colosim.host.failover import COMMAND
from colosim.runs.verdict import COMPLETED, NOT_APPLICABLE
from colosim.trace.events import (
    PRIMARY,
    SECONDARY,
    CallFailed,
    CheckpointEnded,
    CommandReceived,
    CommandRefused,
    CommandServed,
    ConnectionTimedOut,
    FailoverPostponed,
    FaultEnded,
    GuestRunning,
    GuestStopped,
    JobScheduled,
    LockGot,
    LockReleased,
    LockWanted,
    MemoryLevel,
    OnSide,
    ProcessChanged,
    ServesAlone,
    StreamBegan,
    WaitBegan,
    WaitEnded,
)
from colosim.trace.steps import MAIN_LOOP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colosim.host.monitor import Command
    from colosim.runs.simulation import Simulation
    from colosim.runs.verdict import Judgement
    from colosim.trace.events import Event

__all__ = ["freed_by"]

_THAW, _HEAL, _RESET = "thaw", "heal", "reset"
_ERRORS: Final = {
    "connection reset": _RESET,
    "connection timed out": "TCP gives up",
    "send timed out": "send timeout",
    "yanked": "yank",
}
"""What ends a wait in a send or receive by an error, by the error."""
_OF_OTHERS: Final = (
    MemoryLevel,
    ProcessChanged,
    GuestRunning,
    GuestStopped,
    CommandReceived,
    CommandServed,
    CommandRefused,
    JobScheduled,
    ConnectionTimedOut,
    FailoverPostponed,
    WaitBegan,
    WaitEnded,
)
"""What is told of a side and is none of its COLO thread's doing."""


class _Cause(NamedTuple):
    at_ns: int
    word: str


def freed_by(simulation: Simulation, judgement: Judgement) -> str | None:
    """Return what let the survivor take over, or the pair go on, in the order in which it came.

    Only what ended a wait of a COLO thread counts, between the fault and the takeover: a thaw, a
    heal, a send timeout, TCP giving up, a reset, a yank.  Then the command that the survivor
    served; before it ``end of the hold`` if it waited for the lock and nothing else ended that.
    None if nobody took over, nor went on because of any of it.
    """
    if judgement.verdict == NOT_APPLICABLE:
        return None
    if judgement.verdict == COMPLETED:
        found = {
            cause for side in (PRIMARY, SECONDARY) for cause in _Waits(simulation, side).ended()
        }
        return _in_words([cause.word for cause in sorted(found) if cause.word in {_THAW, _HEAL}])
    side = judgement.survivor
    if side is None or not simulation.failovers[side].done:
        return None
    command = _command(simulation, side)
    if command is None or command.served_ns is None:
        return None
    causes = list(_Waits(simulation, side).ended())
    before = [cause for cause in causes if cause.at_ns <= command.served_ns]
    words = [cause.word for cause in before]
    held = command.served_ns > command.sent_ns
    if held and not any(cause.at_ns >= command.sent_ns for cause in before):
        words.append("end of the hold")
    return _in_words([*words, COMMAND, *(cause.word for cause in causes[len(before) :])])


def _in_words(words: list[str]) -> str | None:
    return ", ".join(dict.fromkeys(words)) or None


def _command(simulation: Simulation, side: str) -> Command | None:
    """Return the first command to take over that `side` served."""
    for command in simulation.hosts[side].monitor.commands:
        if command.name == COMMAND and command.served_ns is not None:
            return command
    return None


class _Waits:
    """Reads a record for the waits of one side's COLO thread.

    The record does not tell when a wait begins.  The thread waits for its peer wherever it has
    done something before and does nothing now, unless it sleeps between two checkpoints; an error
    in the very instant of what it did last is one that it found there and did not wait for.
    """

    def __init__(self, simulation: Simulation, side: str) -> None:
        self._record = simulation.record
        self._side = side
        struck = simulation.injector.struck
        self._from_ns = min((at_ns for at_ns, _ in struck), default=None)
        self._vanished = any(fault.kind == "vanish" for _, fault in struck)
        self._last_ns = 0
        self._last: Event | None = None

    def ended(self) -> Iterator[_Cause]:
        """Yield what ended the waits, from the first fault to this side's takeover."""
        if self._from_ns is None:
            return
        pending: list[_Cause] = []
        for at_ns, event, _ in self._record:
            if event == ServesAlone(self._side):
                return
            # Between two checkpoints the primary sleeps: it does not wait for the secondary.
            waits = at_ns >= self._from_ns and not isinstance(self._last, CheckpointEnded)
            word = self._end_of_fault(event)
            if waits and word:
                pending.append(_Cause(at_ns, word))
            if not self._is_own(event):
                continue
            why = event.why if isinstance(event, CallFailed) else ""
            error = _ERRORS.get(why)
            # A reset comes of what the thaw or the heal let through; other errors without them.
            if not why or error == _RESET:
                yield from pending
            if waits and error and at_ns > self._last_ns:
                yield _Cause(at_ns, error)
            pending.clear()
            self._last_ns, self._last = at_ns, event

    def _end_of_fault(self, event: Event) -> str:
        """Return how a fault ends by this event, if one does and it kept anybody.

        What was only slow keeps nobody but who sends much.
        """
        match event:
            case ProcessChanged(_, "thawed"):
                return _THAW
            case FaultEnded() if self._vanished or isinstance(self._last, StreamBegan):
                return _HEAL
        return ""

    def _is_own(self, event: Event) -> bool:
        """Whether an event is the COLO thread's doing."""
        match event:
            case CheckpointEnded():
                return self._side == PRIMARY
            case LockWanted() | LockGot() | LockReleased() if event.thread == MAIN_LOOP:
                return False
            case OnSide(side):
                return side == self._side and not isinstance(event, _OF_OTHERS)
        return False
