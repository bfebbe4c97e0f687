"""The agents on both hosts: each asks its own QEMU, and yanks it when its monitor is deaf.

As COLO's resource agent for Pacemaker does (qemu-devel, version 4, 7 February 2021): a query on the
local QMP socket that stays unanswered for `yank_timeout` is followed by a yank of its own QEMU.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from colosim.trace.events import AgentYanks
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.host.failover import Failover
    from colosim.host.host import Host


class Deafness:
    """Since when a monitor has not answered whoever asks it every so often."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.heard_ns = 0
        """When it was last heard, or could have been."""

    @property
    def answers(self) -> bool:
        """Whether the process is not frozen, and the main loop has its lock or could have it."""
        lock = self._host.lock
        free = lock.owner is None or lock.purpose is Purpose.MONITOR
        return free and not self._host.frozen

    def ask(self) -> int:
        """Ask now; return for how many ns it has not answered."""
        host, now = self._host, self._host.env.now
        if not host.frozen:
            self.heard_ns = now if self.answers else max(self.heard_ns, host.lock.since_ns)
        return now - self.heard_ns


class LocalAgent:
    """The agent of one host; it yanks once, and again when the monitor has answered meanwhile."""

    def __init__(
        self,
        host: Host,
        failover: Failover,
        period_ns: int,
        after_ns: int,
        instances: Sequence[str] = ("migration",),
    ) -> None:
        self._host = host
        self._failover = failover
        self._after_ns = after_ns
        self._instances = instances
        self._yanked = False
        host.env.pending_timeouts.append(self._will_yank)
        host.env.process(self._ask(period_ns))

    def _will_yank(self) -> bool:
        return not (self._yanked or self._host.dead or Deafness(self._host).answers)

    def _ask(self, period_ns: int) -> Generator[Event, None, None]:
        host = self._host
        deafness = Deafness(host)
        while not host.dead:
            yield host.env.tick(period_ns)
            deaf_ns = deafness.ask()
            if not deaf_ns or host.dead:
                self._yanked = False
            elif deaf_ns >= self._after_ns and not self._yanked:
                self._yanked = True
                host.record.note(AgentYanks(host.side), deaf_ns)
                self._failover.yank(self._instances)
