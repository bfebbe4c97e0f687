"""What comes after a moment of a run: it goes on as it is, or with something done at that moment.

Nothing is predicted: the run is simulated once more and watched from that moment on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from colosim.network.tcp import give_up_ns
from colosim.runs.simulation import Simulation
from colosim.scenario.faults import RandomMoment
from colosim.trace.events import COMMITTED, PRIMARY, SECONDARY, CheckpointEnded
from colosim.trace.record import typed

if TYPE_CHECKING:
    from colosim.designs.design import Design
    from colosim.scenario.faults import Fault
    from colosim.scenario.model import Scenario
    from colosim.trace.record import Timed

    Act = Callable[[Simulation], object]

HOUR_NS = 3600 * 10**9
_ENOUGH_COMMITS = 2


class _Watch:
    """Keeps a record's events from a moment on, until the pair goes on as if nothing had been."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._commits = self._met = 0
        self._begin: int | None = None
        self.events: list[Timed] = []

    def begin(self) -> None:
        self._begin = len(self._simulation.record)

    def __call__(self, chunk: list[int]) -> None:
        before, self._met = self._met, self._met + len(chunk) // 3
        if self._begin is None:
            return
        fresh = list(typed(chunk[3 * max(0, self._begin - before) :]))
        self.events += fresh
        self._commits += sum(event == CheckpointEnded(COMMITTED) for _, event, _ in fresh)
        if self._commits >= _ENOUGH_COMMITS:
            self._simulation.env.finish()


class Outlook(NamedTuple):
    """A run, and a moment of it.

    `ended_ns` is the end of the run that is being told, `struck` what struck in it: what would
    strike at random after that is no part of what comes.
    """

    scenario: Scenario
    design: str | type[Design]
    seed: int | None
    at_ns: int
    ended_ns: int
    struck: tuple[tuple[int, Fault], ...]

    def events(self, act: Act | None = None) -> list[Timed]:
        """Return what happens from that moment on, if `act` is done then."""
        watches: list[_Watch] = []

        def prepare(simulation: Simulation) -> None:
            watches.append(watch := _Watch(simulation))
            simulation.record.sinks.append(watch)

            def begin() -> None:
                watch.begin()
                if act is not None:
                    act(simulation)

            if act is not None:
                for host in simulation.hosts.values():
                    host.monitor.expects_commands = True
            simulation.env.call_at(self.at_ns, begin, onlooker=True)

        Simulation(self._longer(), self.design, seed=self.seed, keep=False, prepare=prepare).run()
        return watches[0].events

    def _longer(self) -> Scenario:
        """Return the scenario with a run that goes on long enough for every timer to expire.

        Faults are those that are planned, and of those at random the ones that struck.
        """
        scenario = self.scenario
        network, manager, liveness = scenario.network, scenario.manager, scenario.liveness
        enough_ns = (
            HOUR_NS
            + 2 * give_up_ns(network.rto_ns, network.retries2)
            + 2 * (network.user_timeout_ns or 0)
            + 2 * network.keepalive_ns
            + 2 * (network.send_timeout_ns or 0)
            + sum(sum(manager.watch(side)) for side in (PRIMARY, SECONDARY))
            + manager.delay_ns
            + manager.fence_time_ns
            + manager.yank_wait_ns
            + sum((fault.at_ns or 0) + (fault.for_ns or 0) for fault in scenario.faults)
        )
        until_ns = max(self.at_ns, self.ended_ns) + enough_ns
        planned = [one for one in scenario.faults if not isinstance(one.at, RandomMoment)]
        drawn = [
            fault.model_copy(update={"at": at_ns})
            for at_ns, fault in self.struck
            if isinstance(fault.at, RandomMoment)
        ]
        return scenario.model_copy(
            update={
                "checkpoints": None,
                "duration_ns": until_ns,
                "warmup": 0,
                "liveness": liveness and liveness.model_copy(update={"within_ns": until_ns}),
                "faults": (*planned, *drawn),
            }
        )
