"""Simulating what a measured fault run shows: who was answered, what was served, when a guest ran.

The fault strikes as it did there: in the same checkpoint, as long after the same step.  The
survivor's monitor is asked, the lost-heartbeat command is sent after the same time of waiting, and
what then had to help (an out-of-band yank, letting a frozen victim go on) is done here too.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from colosim.designs.registry import load_design
from colosim.errors import LogError
from colosim.host.failover import COMMAND
from colosim.measured import conditions
from colosim.measured.measurement import Aftermath
from colosim.runs.simulation import Simulation
from colosim.trace.events import OTHER, PRIMARY, SECONDARY
from colosim.trace.steps import CACHE_FLUSH, RAM_STREAM, RESET

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.designs.side import Side
    from colosim.host.monitor import Command
    from colosim.host.process import Thread
    from colosim.measured.measurement import FaultResult, MeasuredRun

POLLS = 4
PATIENCE_NS = 1_000_000_000
"""How long a query of the monitor is waited for."""
SIGNAL_NS = 700_000
"""From the step that a fault run waited for to the signal at the victim: the harness's own time."""
COMMAND_NS = 12_000_000
"""The same to the command, where that was sent at once."""
IDLE_NS = 78_000_000
"""How long after the end of a checkpoint a fault in the idle time struck."""
THAWED_NS = 5_000_000_000
"""How long after the last try a frozen victim was let go on."""
AFTERWARDS_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class SimulatedFault(Aftermath):
    """What the simulated survivor did, in the words of `FaultResult`; None where it did not."""

    monitor_answered: bool
    command_ns: int | None
    running_ns: int | None
    yank_running_ns: int | None
    thaw_command_ns: int | None
    thaw_running_ns: int | None


def _answer(_main_loop: Thread) -> Generator[Event, None, None]:
    """Serve query-status: it takes the lock and no time of its own."""
    return
    yield


class _Harness:
    """What stood around a fault run: the trigger, the fault, polls, the command, yank or thaw."""

    def __init__(self, run: MeasuredRun, fault: FaultResult, simulation: Simulation) -> None:
        self._checkpoint = sum(one.complete for one in run.checkpoints)
        self._released = conditions.is_released(run)
        self._fault = fault
        self._due = True
        self._simulation = simulation
        self.survivor = OTHER[fault.victim]
        """The side that was asked."""
        self._monitor = simulation.hosts[self.survivor].monitor
        self._failover = simulation.failovers[self.survivor]
        self.polls: list[Command] = []
        self.command: Command | None = None
        self.running_at_ns: int | None = None
        self.yanked_ns: int | None = None
        self.thawed_ns: int | None = None
        self._wait_for_the_step()

    def _wait_for_the_step(self) -> None:
        """Wait for the step at which the fault is to strike."""
        simulation, failover = self._simulation, self._failover
        self._monitor.expects_commands = True
        told = failover.on_takeover

        def took_over() -> None:
            self.running_at_ns = simulation.env.now
            if told is not None:
                told()

        failover.on_takeover = took_over
        if self._fault.when == "idle":
            self._wait_for_the_end(simulation)
        else:
            simulation.primary.watch = self
            simulation.secondary.watch = self

    def _wait_for_the_end(self, simulation: Simulation) -> None:
        books = simulation.primary.on_end

        def ends() -> None:
            books()
            if simulation.committed >= self._checkpoint:
                self._trigger(IDLE_NS)

        simulation.primary.on_end = ends

    # ---- as a watch of both sides --------------------------------------------------------------

    def reached(self, side: Side, step: str, when: str, duration_ns: int) -> bool:
        """Whether the awaited step is there; nothing strikes at this very instant."""
        del duration_ns
        if side.checkpoint == self._checkpoint and (side.name, step, when) in self._awaited():
            self._trigger(SIGNAL_NS)
        return False

    def _awaited(self) -> tuple[tuple[str, str, str], ...]:
        """Return the steps of which the first to come is awaited."""
        when = self._fault.when
        if when == "load":
            return (SECONDARY, RESET, "before"), (SECONDARY, CACHE_FLUSH, "before")
        if when == "reply":
            return ((PRIMARY, "CHECKPOINT_REQUEST", "after"),)
        if self._released:
            return ((PRIMARY, "VMSTATE_SEND", "after"),)
        return ((PRIMARY, RAM_STREAM, "before"),)

    def streaming(self, side: Side, step: str, what: str) -> None:
        """Nothing waits for a share of a stream."""

    def error_of(self, side: Side, what: str) -> None:
        """No function returns an error."""

    # ---- what is done --------------------------------------------------------------------------

    def _at(self, delay_ns: int, act: Callable[[], None]) -> None:
        env = self._simulation.env
        env.call_at(env.now + delay_ns, act)

    def _trigger(self, own_ns: int) -> None:
        if self._due:
            self._due = False
            strikes = self._fault.fault != "none"
            own_ns = own_ns if strikes else COMMAND_NS
            self._at(self._fault.offset_ns + own_ns, self._strike)

    def _strike(self) -> None:
        fault = self._fault
        if fault.fault != "none":
            model = _fault_model(self._simulation, fault.fault, fault.victim)
            self._simulation.injector.strike(model)
        hands_off = fault.hands_off_ns
        for k in range(POLLS if fault.polls else 0):
            self._at(hands_off * (2 * k + 1) // (2 * POLLS), self._poll)
        self._at(hands_off, self._send_command)

    def _poll(self) -> None:
        self.polls.append(self._monitor.send("query-status", _answer))

    def _send_command(self) -> None:
        fault = self._fault
        self.command = self._monitor.send(COMMAND, self._failover.lost_heartbeat)
        if fault.yank_running_ns is not None:
            self._at(fault.patience_ns, self._yank)
        elif fault.fault == "freeze" and not fault.command_served:
            self._at(fault.patience_ns + THAWED_NS, self._thaw)

    def _yank(self) -> None:
        if self.running_at_ns is None:
            self.yanked_ns = self._simulation.env.now
            self._failover.yank()

    def _thaw(self) -> None:
        if self.running_at_ns is None:
            self.thawed_ns = self._simulation.env.now
            simulation = self._simulation
            simulation.hosts[self._fault.victim].thaw()
            simulation.connection.freeze(self._fault.victim, frozen=False)

    # ---- what came of it -----------------------------------------------------------------------

    def result(self, dispatch_ns: int) -> SimulatedFault:
        """Return what the survivor did; `dispatch_ns` is what a served command takes to reply."""
        command, ran = self.command, self.running_at_ns
        answered = all(
            poll.served_ns is not None and poll.served_ns - poll.sent_ns <= PATIENCE_NS
            for poll in self.polls
        )
        if command is None:
            return SimulatedFault(answered, None, None, None, None, None)
        replied = None if command.served_ns is None else command.served_ns + dispatch_ns
        helped = self.yanked_ns if self.yanked_ns is not None else self.thawed_ns
        in_time = replied is not None and (helped is None or replied < helped)
        thaw = self.thawed_ns
        return SimulatedFault(
            answered,
            replied - command.sent_ns if replied is not None and in_time else None,
            ran - command.sent_ns if ran is not None and in_time else None,
            _since(self.yanked_ns, ran),
            _since(thaw, replied),
            _since(thaw, ran),
        )


def _since(begin: int | None, end: int | None) -> int | None:
    return None if begin is None or end is None or end < begin else end - begin


def _fault_model(simulation: Simulation, kind: str, victim: str) -> Any:
    fault = {"vanish": "channel"} if kind == "channel" else {kind: victim}
    data = {"name": "fault", "faults": [{**fault, "at": "0 s"}]}
    return type(simulation.scenario).model_validate(data).faults[0]


def simulate_fault(run: MeasuredRun, costs: Mapping[str, Any] | None = None) -> SimulatedFault:
    """Return what the simulated survivor of a fault run does.

    :raises ValueError: if no fault struck in the run.
    :raises LogError: if a channel was cut off and its design has none.
    """
    fault = run.fault
    if fault is None:
        raise ValueError(f"no fault struck in {run.name}")
    if fault.fault == "channel" and not load_design(run.design).traits.channels:
        raise LogError(f"{run.name}: a channel was cut off, and {run.design} has none")
    last = run.checkpoints[-1].request_ns if run.checkpoints else 0
    duration = last + fault.hands_off_ns + fault.patience_ns + AFTERWARDS_NS
    scenario = conditions.scenario(
        run,
        conditions.dirty_model(run),
        None,
        costs,
        faulty=True,
        duration_ns=duration,
        manager={"policy": "wait", "fence": False},
    )
    harnesses: list[_Harness] = []

    def prepare(simulation: Simulation) -> None:
        harnesses.append(_Harness(run, fault, simulation))

    simulation = Simulation(scenario, run.design, keep=False, prepare=prepare).run()
    (harness,) = harnesses
    dispatch = simulation.hosts[harness.survivor].costs.lost_heartbeat_ns
    return harness.result(dispatch)
