"""The cluster manager: it hears heartbeats, and tells the survivor when they stop.

Each host's agent answers heartbeats (or, if the scenario says so, QEMU's monitor, which is deaf
while the iothread lock is held).  Heartbeats are periodic and would cost events for ever, so with
answering agents only the moments at which the answer changes are simulated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.engine.record import code_of
from colosim.failover.state import COMMAND

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from simpy.events import Event

    from colosim.engine.environment import Environment
    from colosim.engine.record import Record
    from colosim.failover.state import Failover
    from colosim.host.host import Host
    from colosim.scenario.model import Manager


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
    ) -> None:
        self.env = env
        self.record = record
        self.settings = settings
        self.hosts = hosts
        self.failovers = failovers
        self.power_off = power_off
        self.silent: dict[str, int] = {}
        self.lost: dict[str, int] = {}
        if settings.answered_by == "monitor":
            for side in hosts:
                env.process(self._ask_monitor(side))

    # ---- heartbeats answered by agents ---------------------------------------------------------

    def falls_silent(self, side: str) -> None:
        """`side` answers no heartbeat from now on."""
        if side in self.silent:
            return
        self.silent[side] = self.env.now
        if self.settings.answered_by == "agent":
            self.env.process(self._miss(side, self.env.now))

    def speaks(self, side: str) -> None:
        """`side` answers heartbeats again."""
        self.silent.pop(side, None)

    def _miss(self, side: str, since: int) -> Generator[Event, None, None]:
        settings = self.settings
        heard = since // settings.heartbeat_ns * settings.heartbeat_ns
        due = heard + settings.timeout_ns
        yield self.env.apart(max(0, due - since))
        if self.silent.get(side) == since:
            yield from self._act(side)

    # ---- heartbeats answered by QEMU's monitor -------------------------------------------------

    def _ask_monitor(self, side: str) -> Generator[Event, None, None]:
        settings, host = self.settings, self.hosts[side]
        heard = 0
        while True:
            yield self.env.tick(settings.heartbeat_ns)
            lock = host.lock
            if side not in self.silent and not host.frozen:
                free = lock.owner is None or lock.owner is host.monitor.thread
                heard = self.env.now if free else max(heard, lock.since_ns)
            if self.env.now - heard >= settings.timeout_ns:
                yield from self._act(side)
                return

    # ---- what it does --------------------------------------------------------------------------

    def _act(self, side: str) -> Generator[Event, None, None]:
        settings = self.settings
        self.lost[side] = self.env.now
        self.record.add(code_of(f"cluster manager: {side} is lost"))
        if settings.policy == "wait":
            return
        if settings.delay_ns:
            yield self.env.apart(settings.delay_ns)
        if settings.fence:
            self.record.add(code_of(f"cluster manager: powers {side} off"))
            self.power_off(side)
        survivor = "secondary" if side == "primary" else "primary"
        failover = self.failovers[survivor]
        if settings.policy == "yank-then-lost-heartbeat":
            failover.yank()
            if settings.yank_wait_ns:
                yield self.env.apart(settings.yank_wait_ns)
        self.hosts[survivor].monitor.send(COMMAND, failover.lost_heartbeat)
