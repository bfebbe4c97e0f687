"""Fault injection: strikes at its time or at a protocol step; model code knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from colosim.designs.side import VmstateError
from colosim.engine.clock import PPM
from colosim.engine.streams import exponential_ns
from colosim.faults.steps import BEFORE, DURING, Moment, moment
from colosim.host.failover import STEPS
from colosim.network.ends import READ, WRITE
from colosim.scenario.faults import FailFault, Fault, RandomMoment
from colosim.trace.events import FailureInjected, FaultsOver, FaultStruck
from colosim.trace.steps import DISK_STEPS

if TYPE_CHECKING:
    from colosim.designs.side import Side
    from colosim.engine.environment import Environment
    from colosim.engine.streams import Streams
    from colosim.faults.effects import Effect, Effects
    from colosim.network.ends import Ends
    from colosim.scenario.faults import Planned
    from colosim.trace.events import Event
    from colosim.trace.record import Record

SAVE_BEGIN, LOAD_BEGIN = "savevm_state_begin", "loadvm_state_begin"
_ERRORS = {SAVE_BEGIN: "save vm state begin error", LOAD_BEGIN: "load vm state begin error"}
"""What QEMU says of an error, where it has words of its own (colo.c of v13)."""


class _Armed:
    """A fault that waits for its protocol step."""

    __slots__ = ("checkpoint", "fault", "moment", "struck")

    def __init__(self, fault: Planned, checkpoint: int, at: Moment) -> None:
        self.fault = fault
        self.checkpoint = checkpoint
        self.moment = at
        self.struck = False

    def is_at(self, side: Side, step: str, when: str) -> bool:
        """Whether this is the moment."""
        at = self.moment
        if self.struck or (at.step, at.when, at.side) != (step, when, side.name):
            return False
        if step in STEPS[side.name]:  # of a failover: from this checkpoint on
            return side.checkpoint >= self.checkpoint
        return side.checkpoint == self.checkpoint


class Injector:
    """The faults of one run."""

    def __init__(self, env: Environment, record: Record, effects: Effects) -> None:
        self.env = env
        self.record = record
        self.effects = effects
        self.timed: list[Planned] = []
        self.armed: list[_Armed] = []
        self.by_step = False
        """Whether any fault waits for a protocol step or lets a function fail."""
        self.failing: list[tuple[Fault, int | None]] = []
        self.struck: list[tuple[int, Fault]] = []
        self.on_fault: Callable[[], None] | None = None
        self.on_command: Callable[[str, str], None] | None = None
        """Is told the side and the name of an operator's command."""
        self.after_fault: Callable[[], None] | None = None
        self._before_stream: list[tuple[_Armed, Ends]] = []
        self._quiet = False
        self._missed: list[Planned] = []

    def arm(self, planned: Sequence[Planned], streams: Streams) -> None:
        """Plan every fault and command; random moments are drawn from `streams`."""
        for fault in planned:
            self.by_step = self.by_step or fault.at_step is not None or fault.kind == "fail"
            if fault.at_ns is not None:
                self.timed.append(fault)
                self.env.call_at(fault.at_ns, partial(self._at_its_time, fault))
            elif isinstance(fault.at, RandomMoment):
                stream = fault.stream
                assert stream is not None  # noqa: S101 - it is random
                gaps = exponential_ns(streams.endless(stream), fault.at.mean_ns)
                self._at_random(fault, gaps)
            elif isinstance(fault, FailFault):
                self.failing.append((fault, fault.at_checkpoint))
            else:
                assert fault.at_step is not None  # noqa: S101 - the model has one or the other
                at = moment(fault.at_step, fault.progress_ppm)
                self.armed.append(_Armed(fault, fault.at_checkpoint or 0, at))

    def _at_its_time(self, fault: Planned) -> None:
        if not self._quiet:
            self.timed.remove(fault)
            self.strike(fault)

    def _at_random(self, fault: Planned, gaps: Iterator[int]) -> None:
        """Strike after the next gap, and so on if the fault ends by itself."""

        def strike() -> None:
            if self._quiet:
                return
            self.strike(fault)
            if fault.for_ns is not None:
                self._at_random(fault, gaps)

        self.env.call_at(self.env.now + next(gaps), strike, onlooker=True)

    @property
    def never_struck(self) -> list[Planned]:
        """What never had its moment, or whose victim was dead by then.

        That there was nothing to thaw or heal is no matter.
        """
        armed = [armed.fault for armed in self.armed if not armed.struck]
        failing = [fault for fault, _ in self.failing]
        waiting = self.timed + armed + failing
        return self._missed + [fault for fault in waiting if not fault.ends]

    @property
    def gone(self) -> list[str]:
        """Hosts that nothing comes back from."""
        return self.effects.gone

    # ---- as a watch of both sides --------------------------------------------------------------

    def reached(self, side: Side, step: str, when: str, duration_ns: int) -> bool:
        """`side` begins or ends `step`; return whether a fault strikes at this instant."""
        now = False
        for armed in self.armed:
            if armed.is_at(side, step, when):
                self._later(armed, self.env.now)
                now = True
            elif when == BEFORE and armed.is_at(side, step, DURING):
                if duration_ns:
                    at = self.env.now + duration_ns * armed.moment.progress_ppm // PPM
                    self._later(armed, at)
                elif step.isupper() or step in {LOAD_BEGIN, *DISK_STEPS}:
                    self._once_waiting(armed, side, step)
        return now

    def _once_waiting(self, armed: _Armed, side: Side, message: str) -> None:
        """Strike as soon as `side` waits for `message`; not at all if it is there already."""

        def look() -> None:
            if not armed.struck and side.thread.waits_for == message:
                armed.struck = True
                self.strike(armed.fault)

        self.env.call_at(self.env.now + 1, look)

    def streaming(self, side: Side, step: str, what: str) -> None:
        """`side` is writing or reading a stream: plan what strikes in its middle.

        A reader that comes before its stream has begun has no share of it to wait for yet.
        """
        direction = side.bulk_out if what == WRITE else side.bulk_in
        for armed in self.armed:
            if not armed.is_at(side, step, DURING):
                continue
            if what == READ and direction.price is not None:
                self._before_stream.append((armed, direction))
            else:
                self._when_passed(armed, direction, what)
        if what == WRITE:
            begun = [armed for armed, waits_on in self._before_stream if waits_on is direction]
            self._before_stream = [
                waits for waits in self._before_stream if waits[1] is not direction
            ]
            for armed in begun:
                self._when_passed(armed, direction, READ)

    def _when_passed(self, armed: _Armed, direction: Ends, what: str) -> None:
        direction.when_passed(what, armed.moment.progress_ppm, lambda at: self._later(armed, at))

    def error_of(self, side: Side, what: str) -> VmstateError | None:
        """Return the error of `what` if it fails on `side` now."""
        for entry in self.failing:
            fault, checkpoint = entry
            here = getattr(fault, "fail", None) == side.name and fault.concerns == what
            if here and (checkpoint is None or checkpoint == side.checkpoint):
                self.failing.remove(entry)
                leaks = getattr(fault, "leaks_lock", False)
                self._note(fault, FailureInjected(side.name, what, leaks))
                return VmstateError(_ERRORS.get(what, f"{what} failed"), leaks_lock=leaks)
        return None

    def _later(self, armed: _Armed, at_ns: int) -> None:
        if not armed.struck:
            armed.struck = True
            self.env.call_at(at_ns, lambda: self._strike_unless_over(armed.fault))

    def _strike_unless_over(self, fault: Planned) -> None:
        if not self._quiet:
            self.strike(fault)

    # ---- striking ------------------------------------------------------------------------------

    def _note(self, fault: Fault, event: Event) -> None:
        self.struck.append((self.env.now, fault))
        self.record.note(event)
        if self.on_fault is not None and not fault.ends:
            self.on_fault()

    def strike(self, planned: Planned) -> None:
        """Let a fault, or a command, happen now; a fault whose victim is dead never comes."""
        if not isinstance(planned, Fault):
            if self.on_command is not None:
                self.on_command(planned.target, planned.concerns or "")
        elif planned.ends or not self.effects.is_dead(planned.target):
            self._strike(planned)
        elif not isinstance(planned.at, RandomMoment):
            self._missed.append(planned)

    def _strike(self, fault: Fault) -> None:
        self._note(fault, FaultStruck(fault.kind, fault.target))
        if fault.kind == "fail":
            self.failing.append((fault, None))
            return
        effect = self.effects.begin(fault)
        if fault.for_ns is not None and effect is not None:
            self.env.call_at(self.env.now + fault.for_ns, partial(self._end, effect))
        self._after()

    def _end(self, effect: Effect) -> None:
        self.effects.end(effect)
        self._after()

    def _after(self) -> None:
        if self.after_fault is not None:
            self.after_fault()

    def end_all(self) -> None:
        """Let every fault end that can, and nothing strike from now on."""
        self._quiet = True
        self._missed = self.never_struck
        self.timed.clear()
        self.armed.clear()
        self.failing.clear()
        self._before_stream.clear()
        self.record.note(FaultsOver())
        self.effects.end_all()
        self._after()
