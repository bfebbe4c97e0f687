"""What let the survivor of a fault, or the pair, go on: read from the event record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from colosim.failover.state import COMMAND
from colosim.network.connection import PRIMARY, SECONDARY
from colosim.runs.verdict import COMPLETED, NOT_APPLICABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colosim.host.monitor import Command
    from colosim.runs.simulation import Simulation
    from colosim.runs.verdict import Judgement

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
    "memory ",
    "process ",
    "guest ",
    "monitor ",
    "main loop ",
    "connection ",
    "refuses ",
    "failover postponed",
)
"""What is told of a side and is none of its COLO thread's doing, by how it begins."""
_ASLEEP: Final = ("checkpoint committed", "checkpoint aborted")
"""After these the primary sleeps: it does not wait for the secondary."""


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
        self._own = f"{side}: "
        self._sleeps = _ASLEEP if side == PRIMARY else ()
        struck = simulation.injector.struck
        self._from_ns = min((at_ns for at_ns, _ in struck), default=None)
        self._vanished = any(fault.kind == "vanish" for _, fault in struck)
        self._last_ns = 0
        self._last = ""

    def ended(self) -> Iterator[_Cause]:
        """Yield what ended the waits, from the first fault to this side's takeover."""
        if self._from_ns is None:
            return
        pending: list[_Cause] = []
        for at_ns, event, _ in self._record:
            name = str(event)
            if name == f"{self._own}serves alone":
                return
            waits = at_ns >= self._from_ns and self._last not in _ASLEEP
            word = self._end_of_fault(name)
            if waits and word:
                pending.append(_Cause(at_ns, word))
            if not self._is_own(name):
                continue
            error = _ERRORS.get(name.partition(" fails (")[2].removesuffix(")"))
            # A reset comes of what the thaw or the heal let through; other errors without them.
            if " fails (" not in name or error == _RESET:
                yield from pending
            if waits and error and at_ns > self._last_ns:
                yield _Cause(at_ns, error)
            pending.clear()
            self._last_ns, self._last = at_ns, name

    def _end_of_fault(self, name: str) -> str:
        """Return how a fault ends by this event, if one does and it kept anybody.

        What was only slow keeps nobody but who sends much.
        """
        if name.endswith(": process thawed"):
            return _THAW
        kept = self._vanished or self._last.endswith(" begins")
        return _HEAL if kept and name.startswith("fault ends: ") else ""

    def _is_own(self, name: str) -> bool:
        """Whether an event is the COLO thread's doing."""
        if name in self._sleeps:
            return True
        text = name.removeprefix(self._own)
        return text != name and not text.startswith(_OF_OTHERS) and " by main loop for " not in text
