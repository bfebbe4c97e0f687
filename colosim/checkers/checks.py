"""All checkers of one run, as a sink of its event record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from colosim.checkers.bytes_kept import BytesKept
from colosim.checkers.checkpoints import MonotoneEpochs, OutputCommit, TornState
from colosim.checkers.processes import FrozenProcess, LockDiscipline, OnePrimary
from colosim.checkers.violation import Broken, Violation
from colosim.trace.events import ProcessChanged
from colosim.trace.record import event_of, typed

if TYPE_CHECKING:
    from colosim.checkers.checker import Checker, Handler, Pair

RULES: Final[tuple[type[Checker], ...]] = (
    LockDiscipline,
    BytesKept,
    MonotoneEpochs,
    TornState,
    OutputCommit,
    OnePrimary,
    FrozenProcess,
)
"""Every rule that is checked."""

EVENTS_BEFORE: Final = 6
EVENTS_AFTER: Final = 3
_INTS: Final = 3


class Checks:
    """The checkers of one run.

    Give `feed` to the record's sinks; call `finish` when the run is over and `judged` with its
    verdict.  The first violation is kept in `violation`; `on_violation` is called then, and nothing
    is watched any more.  `replay` is the command that a violation tells.
    """

    on_violation: Callable[[], None] | None = None

    def __init__(
        self, pair: Pair, *, replay: str = "", rules: Sequence[type[Checker]] = RULES
    ) -> None:
        self.replay = replay
        self.violation: Violation | None = None
        self.checkers = tuple(rule(pair) for rule in rules)
        self._handlers: dict[int, tuple[tuple[Checker, Handler], ...]] = {}
        self._calls: dict[int, tuple[Handler, ...]] = {}
        self._before: list[int] = []

    def feed(self, chunk: list[int]) -> None:
        """Watch a closed chunk of the record, flat: time, code, value, time, ...

        Event by event, up to the first that breaks a rule.
        """
        if self.violation is not None:
            return
        calls = self._calls
        flat = iter(chunk)
        place = 0
        handler: Handler | None = None
        try:
            for place, (at_ns, code, value) in enumerate(zip(flat, flat, flat, strict=True)):  # noqa: B007
                if code not in calls:
                    self._meet(code)
                for handler in calls[code]:
                    handler(at_ns, value)
        except Broken as broken:
            self._keep(self._violation(chunk, place * _INTS, handler, broken))
        self._before = chunk[-EVENTS_BEFORE * _INTS :]

    def _meet(self, code: int) -> None:
        """Ask every checker what it does with an event.

        They are asked when it is met for the first time, and anew after a process was frozen,
        thawed or killed: what a thread does may break a rule from then on.
        """
        event = event_of(code)
        found = [(checker, checker.on(event)) for checker in self.checkers]
        kept = tuple((checker, handler) for checker, handler in found if handler is not None)
        self._handlers[code] = kept
        self._calls[code] = tuple(handler for _, handler in kept)
        if isinstance(event, ProcessChanged):
            self._calls[code] += (self._forget,)

    def _forget(self, _at_ns: int, _value: int) -> None:
        self._calls.clear()

    def _violation(
        self, chunk: Sequence[int], at: int, handler: Handler | None, broken: Broken
    ) -> Violation:
        watching = self._handlers[chunk[at + 1]]
        checker = next(checker for checker, its in watching if its is handler)
        around = [*self._before, *chunk[max(0, at - EVENTS_BEFORE * _INTS) : at]]
        around = around[-EVENTS_BEFORE * _INTS :]
        place = len(around) // _INTS
        around += chunk[at : at + (1 + EVENTS_AFTER) * _INTS]
        return Violation(
            checker.rule,
            chunk[at],
            broken,
            events=list(typed(around)),
            at=place,
            replay=self.replay,
        )

    def finish(self, end_ns: int) -> None:
        """Hold the state of the pair at the end of the run against what was watched."""
        self._ask(lambda checker: checker.finish(), end_ns)

    def judged(self, verdict: str, end_ns: int) -> None:
        """Hear the verdict: it must not hide what was seen."""
        self._ask(lambda checker: checker.judged(verdict), end_ns)

    def _ask(self, question: Callable[[Checker], None], end_ns: int) -> None:
        """Ask every checker something that breaks its rule or does not."""
        for checker in self.checkers if self.violation is None else ():
            try:
                question(checker)
            except Broken as broken:
                self.report(checker.rule, end_ns, broken)
                return

    def report(self, rule: str, at_ns: int, broken: Broken) -> None:
        """Take a rule that broke at `at_ns`, by the state of the pair, for the violation."""
        if self.violation is None:
            self._keep(
                Violation(rule, at_ns, broken, events=list(typed(self._before)), replay=self.replay)
            )

    def _keep(self, violation: Violation) -> None:
        self.violation = violation
        if self.on_violation is not None:
            self.on_violation()
