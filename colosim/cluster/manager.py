"""The cluster manager: it hears heartbeats, and tells the survivor when they stop.

Each host's agent answers heartbeats (or, if the scenario says so, QEMU's monitor, which is deaf
while the iothread lock is held).  Heartbeats are periodic and would cost events for ever, so with
answering agents only the moments at which the answer changes are simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from colosim.cluster.agent import Deafness, LocalAgent
from colosim.host.failover import BY_CONNECTION, COMMAND, YANK
from colosim.trace import events as ev
from colosim.trace.events import OTHER

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.engine.environment import Environment
    from colosim.host.failover import Failover
    from colosim.host.host import Host
    from colosim.scenario.manager import Manager
    from colosim.trace.record import Record


class ClusterManager:
    """One manager that watches both hosts and speaks to the survivor's monitor."""

    def __init__(
        self,
        env: Environment,
        record: Record,
        settings: Manager,
        hosts: dict[str, Host],
        failovers: dict[str, Failover],
        power_off: Callable[[str], None],
        gone: list[str],
    ) -> None:
        self.env = env
        self.record = record
        self.settings = settings
        self.hosts = hosts
        self.failovers = failovers
        self.power_off = power_off
        self.gone = gone
        """Hosts that it cannot reach."""
        self.silent: dict[str, int] = {}
        self.lost: dict[str, int] = {}
        self.acted_on: list[str] = []
        """Sides whose peer it has told that they are lost, or is about to."""
        self.telling: list[str] = []
        self.fenced: list[str] = []
        """Sides that it powers off: it never lets both go."""
        self.exit_heard = False
        self.unsaid: dict[str, list[str]] = {}
        """What it could not tell a side, because its connection to that monitor was lost."""
        if settings.answered_by == "monitor":
            env.pending_timeouts.append(self._misses_an_answer)
            for side in hosts:
                env.process(self._ask_monitor(side))

        if settings.local_yank_after_ns is not None:
            for side, host in hosts.items():
                period_ns, _ = settings.watch(side)
                after_ns = settings.local_yank_after_ns
                LocalAgent(host, failovers[side], period_ns, after_ns, settings.yank)

    # ---- heartbeats answered by agents ---------------------------------------------------------

    def falls_silent(self, side: str) -> None:
        """`side` answers no heartbeat from now on."""
        if side in self.silent:
            return
        self.silent[side] = self.env.now
        if self.settings.answered_by == "agent":
            self.env.process(self._miss(side, self.env.now))

    def speaks(self, side: str) -> None:
        """`side` answers heartbeats again; if nothing was done about it, it is lost no more."""
        self.silent.pop(side, None)
        if side not in self.acted_on:
            self.lost.pop(side, None)
        if side in self.unsaid:
            self._say_again(side)

    def _missing(self, side: str) -> bool:
        """Whether `side` does not answer just now."""
        if self.settings.answered_by == "monitor":
            return not (self._asks(side) and Deafness(self.hosts[side]).answers)
        return side in self.silent

    def due_ns(self, side: str) -> int:
        """Return when `side`, silent now, is taken for lost unless it speaks again."""
        since = self.silent[side]
        heartbeat_ns, timeout_ns = self.settings.watch(side)
        return max(since, since // heartbeat_ns * heartbeat_ns + timeout_ns)

    def _miss(self, side: str, since: int) -> Generator[Event, None, None]:
        yield self.env.onlooker(self.due_ns(side) - since)
        if self.silent.get(side) == since:
            yield from self._act(side)

    # ---- heartbeats answered by QEMU's monitor -------------------------------------------------

    def _asks(self, side: str) -> bool:
        """Whether `side`'s monitor can be asked: then its answer waits for the lock alone."""
        host = self.hosts[side]
        return side not in self.silent and not host.frozen and host.monitor.has_client

    def _misses_an_answer(self) -> bool:
        """Whether a side that is not lost yet would not answer now."""
        return any(side not in self.lost and self._missing(side) for side in self.hosts)

    def _ask_monitor(self, side: str) -> Generator[Event, None, None]:
        heartbeat_ns, timeout_ns = self.settings.watch(side)
        deafness = Deafness(self.hosts[side])
        while True:
            yield self.env.tick(heartbeat_ns)
            if self._asks(side):
                deafness.ask()
            if self.env.now - deafness.heard_ns >= timeout_ns:
                yield from self._act(side)
                if self.settings.policy == "wait" or side in self.acted_on:
                    return
                deafness.heard_ns = self.env.now  # it is watched anew

    # ---- COLO_EXIT events ----------------------------------------------------------------------

    def hears_exit(self, side: str) -> None:
        """Hear that COLO has ended with an error on `side`; let the primary go on alone.

        Assumed of a manager that listens.  Only the primary may: what runs there is the newest
        state, and a secondary whose load has failed has none.  If the primary is dead this is in
        vain, and the secondary is told when the primary is taken for lost.
        """
        heard = self.hosts[side].monitor.has_client and side not in self.silent
        if not self.settings.hears_exit or self.exit_heard or self.lost or not heard:
            return
        self.exit_heard = True
        self.record.note(ev.ExitHeard(side))
        if self.settings.policy != "wait":
            self.env.process(self._act_on_exit())

    def _act_on_exit(self) -> Generator[Event, None, None]:
        if self.settings.delay_ns:
            yield self.env.onlooker(self.settings.delay_ns)
        if not self.lost:
            yield from self._tell("primary")

    # ---- what it does --------------------------------------------------------------------------

    def _act(self, side: str) -> Generator[Event, None, None]:
        """Act on the loss of `side`, unless it answers again before that has begun."""
        settings = self.settings
        self.lost[side] = self.env.now
        self.record.note(ev.PeerLost(side))
        if settings.policy == "wait" or OTHER[side] in self.fenced:
            return
        if self.failovers[side].done:
            return  # it served alone: what the other has is older than what clients have seen
        if settings.delay_ns:
            yield self.env.onlooker(settings.delay_ns)
            if not self._missing(side):
                return
        self.acted_on.append(side)
        if settings.fence:
            self.fenced.append(side)
            if settings.fence_time_ns:
                yield self.env.onlooker(settings.fence_time_ns)
            self.record.note(ev.PoweredOff(side))
            self.power_off(side)
        yield from self._tell(OTHER[side])

    def _tell(self, side: str) -> Generator[Event, None, None]:
        """Tell `side`'s monitor that its peer is lost.

        A design that goes by its connection asks nobody: the manager's timeout stands for that of
        its own stream (Remus, NSDI'08), after which it gives the connection up.
        """
        if side in self.telling:
            return
        if self.failovers[side].by == BY_CONNECTION:
            self.failovers[side].channels.shutdown(side)
            return
        self.telling.append(side)
        settings, failover = self.settings, self.failovers[side]
        if settings.policy == "yank-then-lost-heartbeat":
            if self._reaches(side, YANK):
                failover.yank(settings.yank)
            if settings.yank_wait_ns:
                yield self.env.onlooker(settings.yank_wait_ns)
        if self._reaches(side, COMMAND):
            documented = failover.documented if settings.failover == "documented" else ()
            for command in (*documented, COMMAND):
                failover.send(command)
        self.telling.remove(side)

    def _reaches(self, side: str, command: str) -> bool:
        if self.hosts[side].monitor.has_client and side not in self.gone:
            return True
        self.unsaid.setdefault(side, []).append(command)
        self.record.note(ev.CommandUnsent(side, command))
        return False

    # ---- its connection to a monitor -----------------------------------------------------------

    def disconnected(self, side: str, *, drops: bool) -> None:
        """Lose the connection to `side`'s monitor, with the commands that wait if `drops`."""
        monitor = self.hosts[side].monitor
        if not monitor.has_client:
            return
        self.record.note(ev.MonitorLost(side))
        for command in monitor.lose_client(drops=drops):
            self.record.note(ev.CommandDropped(side, command.name))

    def connected(self, side: str) -> None:
        """Be connected to `side`'s monitor again."""
        monitor = self.hosts[side].monitor
        if monitor.has_client or self.hosts[side].dead:
            return
        monitor.has_client = True
        self.record.note(ev.MonitorRegained(side))
        self._say_again(side)

    def _say_again(self, side: str) -> None:
        """Say anew what `side` was not told or has lost, if that still holds."""
        monitor = self.hosts[side].monitor
        unanswered = self.unsaid.pop(side, []) or [
            one.name
            for one in monitor.commands
            if one.name == COMMAND and one.dropped_ns is not None
        ]
        if unanswered and self._missing(OTHER[side]) and not self.failovers[side].requested:
            self.env.process(self._tell(side))
