"""Who serves, and since when: the guest's service as clients see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from colosim.engine.environment import Environment
    from colosim.faults.effects import Effects
    from colosim.host.failover import Failover
    from colosim.host.host import Host


class Service:
    """Follows whether any guest serves, and the times when none does.

    The primary's guest serves while it runs and its process is not frozen or gone; the
    secondary's only after its failover: before, its output is not released.
    """

    def __init__(
        self,
        env: Environment,
        hosts: dict[str, Host],
        failovers: dict[str, Failover],
        effects: Effects,
    ) -> None:
        self._env = env
        self._hosts = hosts
        self._failovers = failovers
        self._primary = hosts["primary"]
        self._secondary_failover = failovers["secondary"]
        self._effects = effects
        self.serving = False
        self._since_ns = 0
        self.stopped_longest_ns = 0
        self.stopped_open = False
        """Whether that lasts to the end of the run."""
        self.served_ns = 0
        """For how long a guest has served, up to its last stop."""
        self.both_ns: int | None = None
        """When two guests served at once for the first time."""
        self.fault_ns: int | None = None
        """When the first fault struck."""
        self._origin_ns: int | None = None
        self._lost_ns: int | None = None
        self._back_ns = 0
        hosts["primary"].guest.on_change = self.update

    def serves(self, side: str) -> bool:
        """Whether `side`'s guest serves now."""
        host = self._hosts[side]
        if not host.guest.running or host.frozen or host.dead or side in self._effects.gone:
            return False
        return side == "primary" or self._failovers[side].done

    def update(self) -> None:
        """Look again at who serves."""
        # Most often the primary's guest has stopped or runs again, and that is all.
        primary = self._primary
        serving = primary.guest.running and not (
            primary.frozen or primary.dead or "primary" in self._effects.gone
        )
        if self._secondary_failover.done:
            # From here on its guest counts.
            self._hosts["secondary"].guest.on_change = self.update
            if self.serves("secondary"):
                if serving and self.both_ns is None:
                    self.both_ns = self._env.now
                serving = True
        if serving is self.serving:
            return
        now = self._env.now
        self.serving = serving
        if serving:
            stopped = now - self._since_ns
            self.stopped_longest_ns = max(self.stopped_longest_ns, stopped)
            if self._origin_ns is not None:
                if self._lost_ns is None:
                    self._lost_ns = now - self._origin_ns
                self._origin_ns = None
                self._back_ns = now
        else:
            self.served_ns += now - self._since_ns
            if self.fault_ns is not None and not self._taking_over:
                self._origin_ns = self._effects.stops_service_since_ns(self._back_ns)
        self._since_ns = now

    @property
    def _taking_over(self) -> bool:
        """Whether the primary's own failover has stopped its guest, to let it run alone."""
        failover = self._failovers["primary"]
        return failover.requested and not failover.done

    def fault(self) -> None:
        """A fault strikes now; if no guest serves just then, the wait for service begins here."""
        self.update()
        if self.fault_ns is None:
            self.fault_ns = self._env.now
        if not self.serving and self._origin_ns is None:
            self._origin_ns = self._env.now

    def close(self, end_ns: int) -> None:
        """The run is over at `end_ns`: what lasts counts up to there."""
        lasts_ns = end_ns - self._since_ns
        if self.serving:
            self.served_ns += lasts_ns
        elif lasts_ns and lasts_ns >= self.stopped_longest_ns:
            self.stopped_longest_ns, self.stopped_open = lasts_ns, True

    @property
    def stopped_since_ns(self) -> int | None:
        """Since when no guest has served, None if one does."""
        return None if self.serving else self._since_ns

    @property
    def time_to_guest_ns(self) -> int | None:
        """From the first fault that took the guest away until one serves again.

        A fault that strikes while a guest serves takes it away when that guest stops while the
        fault is in effect, but for the stop of a failover that lets it go on alone; one that
        strikes during a checkpoint's pause does as it strikes.  0 if none took it; None without a
        fault, or if none serves any more.
        """
        if self.fault_ns is None:
            return None
        lost = self._origin_ns is not None or self._lost_ns is None or self.stopped_open
        if not self.serving and lost:
            return None
        return self._lost_ns or 0
