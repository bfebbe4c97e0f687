"""One simulation: pair, network, faults and manager, put together from a scenario."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from colosim.checkers import Checks
from colosim.checkers.checker import Pair
from colosim.checkers.violation import Broken
from colosim.cluster.manager import ClusterManager
from colosim.designs.disk import Disk, connect
from colosim.designs.foreign import blame, own_names
from colosim.designs.frame import primary_thread, secondary_thread
from colosim.designs.registry import OWN, design_of
from colosim.designs.remedies import with_remedies
from colosim.designs.sides import sides_of
from colosim.engine.environment import Environment
from colosim.engine.streams import Streams
from colosim.errors import DesignError, InvariantError, WriteError
from colosim.faults.effects import CHANNEL, Effects
from colosim.faults.injection import Injector
from colosim.faults.steps import Step, StepList, moment
from colosim.host.failover import STEPS, PrimaryFailover, SecondaryFailover
from colosim.host.guest import dirty_pages
from colosim.host.host import hosts_of
from colosim.host.lock import IothreadLock
from colosim.host.reference_lock import ReferenceLock
from colosim.host.spread import Spread
from colosim.network.connection import Connection, ack_phase_ns
from colosim.network.direction import Direction
from colosim.network.ends import CHARDEV
from colosim.network.reference import ReferenceDirection
from colosim.runs.liveness import LATE, Liveness
from colosim.runs.peaks import Peaks
from colosim.runs.service import Service
from colosim.runs.statistics import Quantiles
from colosim.runs.tally import Tally
from colosim.runs.taps import taps
from colosim.scenario.disk import DISK
from colosim.scenario.presets import spread_of
from colosim.scenario.service import COMPARED, SOCKETS
from colosim.scenario.spread import MEASURED
from colosim.trace.dispatch import Dispatcher
from colosim.trace.events import ABORTED, COMMITTED, PRIMARY, SECONDARY, CheckpointEnded
from colosim.trace.record import BATCH, Record, code_of
from colosim.trace.steps import misspelt

if TYPE_CHECKING:
    from colosim.designs.design import Design
    from colosim.host.failover import Failover
    from colosim.network.ends import Ends
    from colosim.runs.clients import Clients
    from colosim.runs.taps import Tap
    from colosim.scenario.model import Scenario
    from colosim.service.sockets import ProxySockets

SIDES = (PRIMARY, SECONDARY)
MODELS: dict[str, tuple[type[IothreadLock], type[Ends]]] = {
    "fast": (IothreadLock, Direction),
    "reference": (ReferenceLock, ReferenceDirection),
}
"""Lock and direction of each `model`."""


class Simulation:
    """One design under one scenario.

    `keep`: whether the event record stays in memory for tables; `prepare` is called with the
    simulation before it runs (sinks, watches).
    """

    def __init__(
        self,
        scenario: Scenario,
        design: str | type[Design],
        *,
        seed: int | None = None,
        keep: bool = True,
        prepare: Callable[[Simulation], None] | None = None,
    ) -> None:
        self.design = design_of(design)()
        self.scenario = scenario = with_remedies(scenario, self.design.traits.remedies)
        self.seed = scenario.seed if seed is None else seed
        self.env = env = Environment()
        self.record = record = Record(env, keep=keep, own=own_names(type(self.design)))
        lock, direction = MODELS[scenario.model]
        self.hosts = hosts_of(scenario, env, record, lock)
        drawn = scenario.spread == MEASURED
        for side, host in self.hosts.items():
            host.guest.dirty_after = dirty_pages(scenario.guest, Streams(self.seed), drawn=drawn)
            if drawn:
                preset = getattr(scenario.hosts, side).preset
                host.spread = Spread(side, self.seed, spread_of(preset))
        self._connect(direction)
        self.starts_apart = self.design.traits.starts_apart(kvm=self.hosts[SECONDARY].kvm)
        """Whether the first checkpoint is COLO's start, a transaction of its own."""
        self.tally = Tally(max(scenario.warmup, self.starts_apart))
        self.peaks = Peaks(self.taps())
        self._dispatcher = Dispatcher(self.tally.on, self.peaks.on)
        self._unsettled = 0
        record.readers.append(self._read)
        self._staff()
        self.clients: Clients | None = None
        if scenario.service is not None:
            from colosim.runs.clients import Clients  # noqa: PLC0415 - numpy, which most need not

            self.clients = Clients(
                scenario,
                self._output_mode,
                self.seed,
                primary=self.primary,
                secondary=self.secondary,
                connection=self.connection,
                effects=self.injector.effects,
                guests=self.service,
            )
            self.clients.sockets = self.sockets
        self.committed = 0
        self._checkpoints = scenario.checkpoints
        self.end_ns = 0
        self.reason = ""
        self.violation: InvariantError | None = None
        self.checks: Checks | None = None
        self._code_commit = code_of(CheckpointEnded(COMMITTED))
        self._code_abort = code_of(CheckpointEnded(ABORTED))
        if prepare is not None:
            prepare(self)

    # ---- putting together ----------------------------------------------------------------------

    def _connect(self, direction: type[Ends]) -> None:
        network = self.scenario.network
        phase = ack_phase_ns(network, self.seed)
        traits = self.design.traits
        self.connection = Connection(
            self.env, self.record, network, phase, direction, traits.channels
        )
        self.disk: Disk | None = None
        self.writes = Quantiles()
        """What the guest's writes took until they were answered."""
        if self.scenario.disk is not None:
            disk = self.scenario.disk
            linked = connect(self.env, self.record, network, disk, phase, direction)
            self.disk = Disk(disk, self.hosts, linked, self.writes.add_times)
        self.failovers: dict[str, Failover] = {
            PRIMARY: PrimaryFailover(self.hosts[PRIMARY], self.connection, self.disk),
            SECONDARY: SecondaryFailover(
                self.hosts[SECONDARY],
                self.connection,
                self.disk,
                joins_under_lock=traits.joins_under_lock,
                frees_cache=traits.main_loop_frees_cache,
            ),
        }
        parts = {} if self.disk is None else {DISK: self.disk.connection}
        self.sockets: ProxySockets | None = None
        if self.scenario.service is not None and self._output_mode == COMPARED:
            from colosim.service.sockets import ProxySockets  # noqa: PLC0415 - few runs have them

            self.sockets = ProxySockets(self.scenario, self.hosts, parts, (phase, direction))
        drops, pair = traits.drops_commands, (self.hosts, self.connection)
        effects = Effects(self.env, self.record, *pair, parts, drops_commands=drops)
        if self.sockets is not None:
            effects.reopen = self.sockets.reopen
        self.injector = Injector(self.env, self.record, effects)
        self.service = Service(self.env, self.hosts, self.failovers, effects)
        if self.disk is not None and self.disk.writes is not None:
            self.disk.writes.follow()
        self.injector.on_fault = self.service.fault
        self.injector.after_fault = self._look_again
        self.injector.on_command = lambda side, command: self.failovers[side].serve(command)
        for failover in self.failovers.values():
            failover.on_takeover = self._look_again
            failover.by = traits.failover
            if self.sockets is not None:
                failover.instances[CHARDEV] = self.sockets
        self.manager = ClusterManager(
            self.env,
            self.record,
            self.scenario.manager,
            self.hosts,
            self.failovers,
            self._power_off,
            effects.gone,
        )
        effects.manager = self.manager
        for side, failover in self.failovers.items():
            failover.on_error_exit = partial(self.manager.hears_exit, side)

    def _power_off(self, side: str) -> None:
        self.injector.effects.power_off(side)
        self._look_again()

    def _look_again(self) -> None:
        """Look again at who serves, and what that is to clients."""
        self.service.update()
        if self.clients is not None:
            self.clients.update()

    def _staff(self) -> None:
        """Make both sides, and enter COLO."""
        self.primary, self.secondary = sides_of(
            self.design.traits,
            self.scenario,
            self.seed,
            self.hosts,
            self.connection,
            self.failovers,
        )
        self.primary.disk = self.secondary.disk = self.disk
        self.primary.on_end = self._transaction_ends

    @property
    def _output_mode(self) -> str:
        return self.scenario.mode_of(self.design.name.partition("+")[0])

    def taps(self) -> tuple[Tap, ...]:
        """Listen from now on to every direction that has levels to tell of."""
        return taps(self.connection, None if self.disk is None else self.disk.connection)

    # ---- running -------------------------------------------------------------------------------

    def missing_steps(self) -> list[str]:
        """Return the steps that faults name and this design does not have.

        Likewise a channel that is cut off, and a guest's power-off that it does not pass on.  Each
        in quotes, with the step that is meant if it is misspelt.
        """
        planned = (*self.scenario.faults, *self.scenario.commands)
        traits = self.design.traits
        lacks = {CHANNEL: not traits.channels, "shutdown": not traits.sends_guest_shutdown}
        lacks |= dict.fromkeys(SOCKETS, self.sockets is None)
        missing = [
            f"'{one.kind}: {one.target}'"
            for one in planned
            if lacks.get(one.target) or lacks.get(one.kind)
        ]
        named = [one.at_step for one in planned if one.at_step is not None]
        if not named:
            return missing
        have = set(steps_of(type(self.design), self.scenario))
        have |= {(side, step) for side, steps in STEPS.items() for step in steps}
        for text in named:
            at = moment(text)
            if (at.side, at.step) not in have:
                meant = misspelt(at.step, sorted(step for side, step in have if side == at.side))
                missing.append(f"{text!r}" + (f" (did you mean {meant!r}?)" if meant else ""))
        return missing

    def check(self, replay: str | None = None) -> Checks:
        """Let every checker watch the run; a violation ends it, and tells the command `replay`."""
        if replay is None:
            replay = f"colosim run {self.scenario.name} --design {self.design.name}"
            if self.seed != self.scenario.seed:
                replay += f" --seed {self.seed}"
        pair = Pair(
            hosts=self.hosts,
            failovers=self.failovers,
            connection=self.connection,
            primary=self.primary,
            secondary=self.secondary,
            ram_cache=self.design.traits.ram_cache,
            resumes_first=self.design.traits.resumes_first,
            fences=self.scenario.manager.fence,
        )
        self.checks = checks = Checks(pair, replay=replay)
        checks.on_violation = self.env.finish
        self.record.sinks.append(checks.feed)
        return checks

    def run(self) -> Simulation:
        """Run to the end; a broken safety rule ends the run and is kept in `violation`."""
        scenario = self.scenario
        self._arm()
        self.hosts[PRIMARY].guest.run()
        if self.design.traits.secondary_runs:
            self.hosts[SECONDARY].guest.run()
        if self.clients is not None:
            self.clients.enter()
        self.primary.thread.start(primary_thread(self.design, self.primary))
        self.secondary.thread.start(secondary_thread(self.design, self.secondary))
        liveness = None
        if scenario.liveness is not None:
            liveness = Liveness(
                self.env,
                self.record,
                scenario.liveness,
                self.injector.end_all,
                lambda: self.committed,
                self._serves_alone,
            )
        try:
            self.reason = self.env.drive(scenario.end_ns)
        except InvariantError as error:
            self.violation = error
            self.reason = "violated"
        except (Exception, SystemExit) as error:
            foreign = type(self.design) not in OWN and not isinstance(error, WriteError)
            if isinstance(error, DesignError) or foreign:
                raise blame(type(self.design), error) from error
            raise
        if liveness is not None and liveness.missed:
            self.reason = LATE
        ended = self.reason in {"finished", "violated", LATE}
        self.end_ns = self.env.now if ended else scenario.end_ns
        self.record.close()
        self._finish_checks()
        self.service.close(self.end_ns)
        if self.clients is not None:
            self.clients.close(self.end_ns)
        self.record.flush()
        self.tally.finish(self.end_ns)
        self.peaks.finish(self.end_ns)
        return self

    def _arm(self) -> None:
        """Plan what goes wrong and what is commanded, and let the steps be watched for it."""
        scenario = self.scenario
        self.injector.arm((*scenario.faults, *scenario.commands), Streams(self.seed))
        if scenario.faults or scenario.commands or scenario.manager.answered_by == "monitor":
            for host in self.hosts.values():
                host.monitor.expects_commands = True
        if self.injector.by_step:
            for side in (self.primary, self.secondary):
                side.watch = self.injector
                side.failover.reached = partial(self.injector.reached, side)

    def _read(self, flat: Sequence[int]) -> None:
        """Count what a part of the record says."""
        self._dispatcher.feed(flat)
        self._unsettled += len(flat)
        if self._unsettled >= BATCH:
            self._unsettled = 0
            self.peaks.settle(flat[-3])

    def _serves_alone(self) -> bool:
        """Whether a side that has taken over serves."""
        return any(
            failover.done and self.service.serves(side) for side, failover in self.failovers.items()
        )

    def _finish_checks(self) -> None:
        """Let the checkers look at the end of the run; what they saw broken is its violation."""
        checks = self.checks
        if checks is None:
            return
        error = self.violation
        if error is not None:
            checks.report(error.rule, error.at_ns, Broken(error.thread, error.detail))
        else:
            checks.finish(self.end_ns)
        self._take_violation(checks)

    def _take_violation(self, checks: Checks) -> None:
        if checks.violation is not None:
            self.violation = checks.violation
            self.reason = "violated"

    def judged(self, verdict: str) -> None:
        """Tell the checkers the verdict, which must not hide what they saw."""
        if self.checks is not None and self.violation is None:
            self.checks.judged(verdict, self.end_ns)
            self._take_violation(self.checks)

    def _transaction_ends(self) -> None:
        """Record the end of a transaction, committed or not."""
        primary = self.primary
        requested = primary.begun_ns
        if requested < 0:
            return
        primary.begun_ns = -1
        # One that begins as soon as the last has ended is not committed by that one's end.
        commits = primary.committed_ns > requested
        self.record.add(self._code_commit if commits else self._code_abort, primary.checkpoint)
        self.record.close()
        if commits:
            self.committed += 1
            if self.committed == self._checkpoints:
                self.env.finish()

    # ---- afterwards ----------------------------------------------------------------------------

    @property
    def disturbed(self) -> bool:
        """Whether a side is frozen, dead or gone, or the link down, at the end."""
        return (
            any(host.frozen or host.dead for host in self.hosts.values())
            or self.connection.down
            or (self.disk is not None and self.disk.connection.down)
            or (self.sockets is not None and any(one.stands for one in self.sockets.both))
            or bool(self.injector.gone)
        )


def protocol_of(design: type[Design], scenario: Scenario, checkpoint: int = 0) -> tuple[Step, ...]:
    """Return the protocol steps of `design` in its undisturbed `checkpoint`, as they begin."""
    steps = StepList(checkpoint)
    quiet = scenario.model_copy(
        update={
            "faults": (),
            "commands": (),
            "liveness": None,
            "service": None,
            "output": None,
            "checkpoints": checkpoint + 1,
            "duration_ns": None,
            "warmup": 0,
        }
    )
    simulation = Simulation(quiet, design, keep=False)
    simulation.primary.watch = steps
    simulation.secondary.watch = steps
    simulation.run()
    return steps.found


def steps_of(design: type[Design], scenario: Scenario) -> list[tuple[str, str]]:
    """Return the protocol steps of `design`, (side, step) in the order of one checkpoint."""
    return [(step.side, step.name) for step in protocol_of(design, scenario)]
