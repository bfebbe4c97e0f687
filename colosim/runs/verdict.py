"""The verdict of a run: whether the pair commits, a guest serves, the survivor could be told.

Worst wins: violated > split_brain > hung > stopped > unprotected > unfinished > failed_over >
completed.  What has lasted for the scenario's `patience` when a run is cut off is taken for ever;
when nothing is left to happen, everything that waits is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from colosim.checkers import Violation
from colosim.designs.remedied import RemediedPrimary
from colosim.host.failover import NO_FAILOVER
from colosim.runs.liveness import LATE
from colosim.runs.wording import TIMES, with_unit
from colosim.scenario.faults import StepMoment
from colosim.trace.events import OTHER, PRIMARY, SECONDARY
from colosim.trace.fields import VERDICTS
from colosim.trace.purpose import Purpose
from colosim.trace.quantities import REQUEST

if TYPE_CHECKING:
    from colosim.errors import InvariantError
    from colosim.runs.simulation import Simulation
    from colosim.scenario.faults import Planned

(
    COMPLETED,
    FAILED_OVER,
    UNFINISHED,
    UNPROTECTED,
    STOPPED,
    HUNG,
    SPLIT_BRAIN,
    VIOLATED,
    NOT_APPLICABLE,
) = VERDICTS

REACHED = "the run reached its length and the pair commits"
_HARMS = ("freeze", "kill", "vanish", "fail")
"""Kinds of faults after which a side may well be taken for lost."""

WORST_FIRST = (
    *(VIOLATED, SPLIT_BRAIN, HUNG, STOPPED, UNPROTECTED, UNFINISHED, FAILED_OVER, COMPLETED),
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, the side that it speaks of, and why in one sentence.

    `false_failover`: whether a side took over though nothing had harmed its peer.
    """

    verdict: str
    survivor: str | None
    reason: str
    false_failover: bool = False
    otherwise: Judgement | None = None
    """How the run ends with the other ``lock``, if that is another verdict."""
    warning: str | None = None
    """What a run that went well would not survive if the manager asked the monitors."""

    @property
    def depends_on(self) -> str | None:
        """The choice that the verdict hangs on: ``lock``, or None."""
        return None if self.otherwise is None else "lock"

    @property
    def sentence(self) -> str:
        """The reason, and what it would be otherwise."""
        if self.otherwise is None:
            return self.reason
        return f"{self.reason}; {self.dependence}"

    @property
    def dependence(self) -> str:
        """What the verdict would be otherwise, as a clause; empty if it hangs on nothing."""
        if self.otherwise is None:
            return ""
        return f"this depends on who gets the iothread lock next: {self.otherwise.reason}"


def _lost(simulation: Simulation, side: str) -> bool:
    """Whether `side` is frozen, dead or gone at the end."""
    host = simulation.hosts[side]
    return host.frozen or host.dead or side in simulation.injector.gone


def survivor_of(simulation: Simulation) -> str | None:
    """Return the side that outlived the fault, or that serves alone; None if nothing was lost."""
    for side in (PRIMARY, SECONDARY):
        if simulation.failovers[side].done and not _lost(simulation, side):
            return side
    lost = [side for side in (PRIMARY, SECONDARY) if _lost(simulation, side)]
    if len(lost) == 1:
        return OTHER[lost[0]]
    if lost:
        return None
    for side in (PRIMARY, SECONDARY):
        if simulation.manager.lost.get(OTHER[side]) is not None:
            return side
    return PRIMARY if simulation.injector.struck else None


def without_steps(simulation: Simulation) -> Judgement | None:
    """Return the verdict of one that cannot run: its design lacks a step that a fault names.

    None if it has them all.
    """
    missing = ", ".join(simulation.missing_steps())
    return Judgement(NOT_APPLICABLE, None, f"the design has no step {missing}") if missing else None


def judge(simulation: Simulation) -> Judgement:
    """Return the verdict of a simulation that has run.

    Of one that was not live again in time, the reason says which threads did not go on.
    """
    judgement = _judge(simulation)
    simulation.judged(judgement.verdict)
    if simulation.violation is not None and judgement.verdict != VIOLATED:
        judgement = _judge(simulation)
    missed = simulation.injector.never_struck
    if missed and judgement.verdict != VIOLATED:
        named = " and ".join(_named(fault) for fault in missed)
        reason = f"{named} never came; without it {judgement.verdict}: {judgement.reason}"
        if judgement.verdict == FAILED_OVER:
            reason += "; a run ends with its failover, and no pair is made again"
        return Judgement(NOT_APPLICABLE, None, reason)
    if simulation.reason != LATE:
        return judgement
    limits = simulation.scenario.liveness
    assert limits is not None  # noqa: S101 - only a limit can be passed
    late = (
        f"; neither did the pair commit nor a survivor serve within "
        f"{with_unit(limits.within_ns, TIMES)} after the faults ended: {_idle_threads(simulation)}"
    )
    return replace(judgement, reason=judgement.reason + late)


def _named(fault: Planned) -> str:
    """Name a fault or command and its moment."""
    what = f" ({fault.concerns})" if fault.kind in {"fail", "command"} else ""
    at = fault.at
    when = at if isinstance(at, int) else None
    if isinstance(at, StepMoment):
        moment = f"{at.step} of checkpoint {at.checkpoint}"
    else:
        moment = "random" if when is None else with_unit(when, TIMES)
    return f"{fault.kind} {fault.target}{what} at {moment}"


def _judge(simulation: Simulation) -> Judgement:
    violation = simulation.violation
    broken = torn_state(simulation) if violation is None else _sentence(violation)
    if broken is not None:
        return Judgement(VIOLATED, survivor_of(simulation), broken)
    service = simulation.service
    serving = [side for side in (PRIMARY, SECONDARY) if service.serves(side)]
    done = [side for side in serving if simulation.failovers[side].done]
    survivor = survivor_of(simulation)
    if service.both_ns is not None:
        since = with_unit(service.both_ns, TIMES)
        ran = "run" if len(serving) > 1 else f"ran for a time, from {since} on"
        reason = f"both guests {ran}, each with its output going out"
        return Judgement(SPLIT_BRAIN, survivor, reason)
    if serving:
        return _of_serving(simulation, done, survivor)
    if simulation.reason == "finished" and simulation.connection.to_secondary.shuts_down:
        return Judgement(COMPLETED, None, "the guest has powered itself off, on both sides")
    stopped_ns = simulation.service.stopped_since_ns
    if not _for_ever(simulation, stopped_ns):
        return _cut_off(simulation, survivor)
    held = _lock_held_for_ever(simulation, survivor)
    if held:
        return Judgement(HUNG, survivor, held)
    whose = "both hosts are lost" if survivor is None else f"the {survivor}'s lock is free"
    if survivor is None and not simulation.disturbed:
        whose = "both locks are free"
    return Judgement(STOPPED, survivor, f"no guest serves; {whose}")


def _for_ever(simulation: Simulation, since_ns: int | None) -> bool:
    """Whether what has lasted since then is taken for ever."""
    if since_ns is None:
        return False
    if simulation.reason in {"quiet", LATE}:
        return True
    return simulation.end_ns - since_ns >= simulation.scenario.patience_ns


def _sentence(violation: InvariantError) -> str:
    """Return what broke in one line, without the events around it."""
    return violation.sentence if isinstance(violation, Violation) else str(violation)


def _of_serving(simulation: Simulation, done: list[str], survivor: str | None) -> Judgement:
    """Return the verdict of a simulation at whose end one guest serves."""
    if done:
        (side,) = done
        false = not _harmed(simulation, OTHER[side])
        why = ", though nothing had harmed its peer: a false failover" if false else ""
        return Judgement(FAILED_OVER, side, f"the {side} serves alone{why}", false)
    if simulation.reason == "finished":
        return Judgement(COMPLETED, None, REACHED)
    if simulation.design.traits.failover == NO_FAILOVER:
        return Judgement(UNPROTECTED, survivor, "the guest serves, and no checkpoint is made of it")
    stuck = _stuck(simulation)
    if stuck is not None:
        why = f": {stuck}" if stuck else ""
        lost = f"a guest serves, but no checkpoint commits any more{why}"
        return Judgement(UNPROTECTED, survivor, lost)
    return _cut_off(simulation, survivor)


def _harmed(simulation: Simulation, side: str) -> bool:
    """Whether a fault has struck that froze, killed or cut off `side`, or let it fail."""
    return any(
        fault.kind in _HARMS and fault.target != OTHER[side]
        for _, fault in simulation.injector.struck
    )


def _stuck(simulation: Simulation) -> str | None:
    """Say what keeps the pair from committing for ever while a guest serves, None if nothing."""
    for end in (simulation.primary, simulation.secondary):
        if end.exited:
            return f"COLO has ended on the {end.name}"
    if simulation.reason != "horizon":
        return ""
    for end in (simulation.primary, simulation.secondary):
        thread = end.thread
        if thread.waits_for in {"", REQUEST.message} or _lost(simulation, end.name):
            continue  # it is no wait, or one for work
        if _for_ever(simulation, thread.waits_since_ns):
            since = with_unit(thread.waits_since_ns, TIMES)
            return f"the {thread} has waited for {thread.waits_for} since {since}"
    lost_ns = simulation.injector.effects.stops_service_since_ns(0)
    return "" if simulation.disturbed and _for_ever(simulation, lost_ns) else None


def _cut_off(simulation: Simulation, survivor: str | None) -> Judgement:
    """Return the verdict of a pair of which nothing is known to be stuck when its run ends."""
    length = simulation.scenario.checkpoints
    harmed = simulation.disturbed or _exited(simulation)
    if length is None and not harmed:
        where = REACHED if simulation.service.serving else "the run ended in a checkpoint's pause"
        return Judgement(COMPLETED, None, where)
    came = "the run ended"
    if length is not None:
        came = f"the horizon came after {simulation.committed} of {length} checkpoints"
    why = ", too early to tell what becomes of the fault" if harmed else ""
    return Judgement(UNFINISHED, survivor, f"{came}{why}")


def _exited(simulation: Simulation) -> bool:
    return simulation.primary.exited or simulation.secondary.exited


def _lock_held_for_ever(simulation: Simulation, survivor: str | None) -> str:
    """Say who holds a survivor's lock and waits for what does not come, or return nothing."""
    for side in (survivor,) if survivor else (PRIMARY, SECONDARY):
        if _lost(simulation, side):
            continue
        lock = simulation.hosts[side].lock
        if lock.owner is not None and _for_ever(simulation, lock.since_ns):
            end = simulation.primary if side == PRIMARY else simulation.secondary
            step = lock.owner.waits_for
            state = f"is blocked in: {step}" if step else "is at work"
            if lock.purpose is Purpose.BUSY:
                state = "is busy with what is none of COLO's"
            elif end.exited and end.holds_lock:
                state = f"has left COLO without giving it back, and waits for {step}"
            elif lock.owner.ended:
                state = "has ended without giving it back"
            return f"the {side}'s iothread lock is held by its {lock.owner.name}, which {state}"
    return ""


def torn_state(simulation: Simulation) -> str | None:
    """Say so if a secondary serves whose RAM and device state are not of one moment."""
    if not simulation.failovers[SECONDARY].done:
        return None
    primary, secondary = simulation.primary, simulation.secondary
    epoch = secondary.ram_epoch
    if epoch != secondary.device_epoch:
        return (
            f"torn state: the secondary serves with RAM of checkpoint {epoch} and "
            f"device state of checkpoint {secondary.device_epoch}"
        )
    late = primary.late_pages(epoch) if isinstance(primary, RemediedPrimary) else 0
    if not late:
        return None
    return (
        f"torn state: the secondary serves with checkpoint {epoch}, of which {late} pages were "
        "written while the lock was free between saving RAM and device state (guest.late_writes)"
    )


def _idle_threads(simulation: Simulation) -> str:
    """Say which threads of living processes wait, and for what."""
    told = [
        f"the {thread} waits for {thread.waits_for}"
        for host in simulation.hosts.values()
        if not host.dead and not host.frozen
        for thread in host.threads
        if thread.waits_for
    ]
    return ", ".join(told) or "no thread waits for anything but work"
