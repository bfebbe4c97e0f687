"""The verdict of a run: whether the pair commits, a guest serves, the survivor could be told.

Worst wins: violated > split_brain > hung > stopped > unprotected > failed_over > completed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from colosim.checkers import Violation
from colosim.designs.remedied import RemediedPrimary
from colosim.runs.liveness import LATE
from colosim.runs.wording import TIMES, with_unit
from colosim.scenario.model import StepMoment
from colosim.trace.events import OTHER, PRIMARY, SECONDARY
from colosim.trace.fields import VERDICTS
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from colosim.errors import InvariantError
    from colosim.runs.simulation import Simulation
    from colosim.scenario.model import Planned

(
    COMPLETED,
    FAILED_OVER,
    UNPROTECTED,
    STOPPED,
    HUNG,
    SPLIT_BRAIN,
    VIOLATED,
    NOT_APPLICABLE,
) = VERDICTS

WORST_FIRST = (VIOLATED, SPLIT_BRAIN, HUNG, STOPPED, UNPROTECTED, FAILED_OVER, COMPLETED)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, the side that it speaks of, and why in one sentence."""

    verdict: str
    survivor: str | None
    reason: str
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
        return Judgement(NOT_APPLICABLE, None, reason)
    if simulation.reason != LATE:
        return judgement
    limits = simulation.scenario.liveness
    assert limits is not None  # noqa: S101 - only a limit can be passed
    late = (
        f"; neither did the pair commit nor a survivor serve within "
        f"{with_unit(limits.within_ns, TIMES)} after the faults ended: {_idle_threads(simulation)}"
    )
    return Judgement(judgement.verdict, judgement.survivor, judgement.reason + late)


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
    if simulation.reason == "horizon" and not simulation.disturbed and not _exited(simulation):
        return Judgement(COMPLETED, None, "the run ended in the middle of a checkpoint")
    held = _lock_held_for_ever(simulation, survivor)
    if held:
        return Judgement(HUNG, survivor, held)
    whose = "both hosts are lost" if survivor is None else f"the {survivor}'s lock is free"
    return Judgement(STOPPED, survivor, f"no guest serves; {whose}")


def _sentence(violation: InvariantError) -> str:
    """Return what broke in one line, without the events around it."""
    return violation.sentence if isinstance(violation, Violation) else str(violation)


def _of_serving(simulation: Simulation, done: list[str], survivor: str | None) -> Judgement:
    """Return the verdict of a simulation at whose end one guest serves."""
    if done:
        return Judgement(FAILED_OVER, done[0], f"the {done[0]} serves alone")
    commits = simulation.reason == "finished" or (
        simulation.reason == "horizon" and not simulation.disturbed and not _exited(simulation)
    )
    if commits:
        return Judgement(COMPLETED, None, "the run reached its length and the pair commits")
    return Judgement(UNPROTECTED, survivor, "a guest serves, but no checkpoint commits any more")


def _exited(simulation: Simulation) -> bool:
    return simulation.primary.exited or simulation.secondary.exited


def _lock_held_for_ever(simulation: Simulation, survivor: str | None) -> str:
    """Say who holds a survivor's lock and waits for what does not come, or return nothing."""
    for side in (survivor,) if survivor else (PRIMARY, SECONDARY):
        if _lost(simulation, side):
            continue
        lock = simulation.hosts[side].lock
        if lock.owner is not None:
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
