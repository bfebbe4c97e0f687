"""The liveness phase: once faults have ended, the pair must commit or a survivor serve in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.trace.events import LivenessMissed

if TYPE_CHECKING:
    from colosim.runs.simulation import Simulation
    from colosim.scenario.model import Liveness as Limits

__all__ = ["LATE", "Liveness", "idle_threads"]

LATE = "late"
"""Why a run ended that did not get live again in time."""


class Liveness:
    """Ends every fault at the scenario's ``until``, and ends the run if it is not live again.

    Live is who, within the limit, has committed a checkpoint since, or serves alone.
    """

    def __init__(self, simulation: Simulation, limits: Limits) -> None:
        self._simulation = simulation
        self._committed = 0
        self.missed = False
        env = simulation.env
        env.call_at(limits.until_ns, self._end_faults, onlooker=True)
        env.call_at(limits.until_ns + limits.within_ns, self._look, onlooker=True)

    def _end_faults(self) -> None:
        simulation = self._simulation
        simulation.injector.end_all()
        self._committed = simulation.committed

    def _look(self) -> None:
        simulation = self._simulation
        alone = any(
            failover.done and simulation.service.serves(side)
            for side, failover in simulation.failovers.items()
        )
        if alone or simulation.committed > self._committed:
            return
        self.missed = True
        simulation.record.note(LivenessMissed())
        simulation.env.finish()


def idle_threads(simulation: Simulation) -> str:
    """Say which threads of living processes wait, and for what."""
    told = [
        f"the {thread} waits for {thread.waits_for}"
        for host in simulation.hosts.values()
        if not host.dead and not host.frozen
        for thread in host.threads
        if thread.waits_for
    ]
    return ", ".join(told) or "no thread waits for anything but work"
