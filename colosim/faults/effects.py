"""What faults do to hosts, link and monitors, while they last; model code knows nothing of it.

Several may be in effect at once: what is lost to two of them is back when both have ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from colosim.engine.clock import PPM
from colosim.scenario.disk import DISK
from colosim.scenario.faults import HealFault, ThawFault
from colosim.scenario.service import COMPARE, MIRROR, SOCKETS
from colosim.trace.events import OTHER, PRIMARY, SECONDARY, FaultEnded

if TYPE_CHECKING:
    from colosim.cluster.manager import ClusterManager
    from colosim.engine.environment import Environment
    from colosim.host.host import Host
    from colosim.network.connection import Connection
    from colosim.scenario.faults import Fault
    from colosim.trace.record import Record

NETWORK, CHANNEL = "network", "channel"
_STOPS_SERVICE = ("freeze", "kill", "vanish", "power-off")
_THAWS, _HEALS, _CONNECTS, _OPENS = ThawFault.ends, HealFault.ends, ("disconnect",), ("close",)
_READERS = {MIRROR: SECONDARY, COMPARE: PRIMARY}


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """A fault in effect: its kind, what it strikes, since when (ns), and what it multiplies."""

    kind: str
    where: str
    since_ns: int
    what: str | None = None
    factor_ppm: int = PPM


class Effects:
    """The faults in effect."""

    def __init__(
        self,
        env: Environment,
        record: Record,
        hosts: dict[str, Host],
        connection: Connection,
        parts: dict[str, Connection],
        *,
        drops_commands: bool,
    ) -> None:
        self.env = env
        self.record = record
        self.hosts = hosts
        self._connection, self._others = connection, parts
        """The migration's, and other connections that a fault can strike apart."""
        self._channels = dict(zip((CHANNEL,), connection.channels, strict=False))
        self.reopen: Callable[[str], None] | None = None
        """Connects a socket of the proxy anew."""
        self.drops_commands = drops_commands
        """Whether a monitor that loses its client loses what that has sent too."""
        self.manager: ClusterManager | None = None
        self.gone: list[str] = []
        """Hosts that nothing comes back from."""
        self._active: list[Effect] = []

    @property
    def _connections(self) -> tuple[Connection, ...]:
        return self._connection, *self._others.values()

    @property
    def _parts(self) -> dict[str, Connection]:
        """What a fault can strike apart from the rest of the link."""
        return self._channels | self._others

    def stops_service_since_ns(self, after_ns: int) -> int | None:
        """Since when something is in effect that may stop a guest's service, None if nothing is.

        Of what struck at `after_ns` or later: what struck before has had its consequence.
        """
        if not self._active:
            return None
        since = [one.since_ns for one in self._active if one.kind in _STOPS_SERVICE]
        return min((at_ns for at_ns in since if at_ns >= after_ns), default=None)

    def _in_effect(self, kinds: tuple[str, ...], where: str | None = None) -> list[Effect]:
        return [one for one in self._active if one.kind in kinds and where in {None, one.where}]

    def is_dead(self, where: str) -> bool:
        """Whether what a fault is to strike is a process that was killed, or has aborted."""
        host = self.hosts.get(where)
        return host is not None and host.dead

    # ---- beginning and ending ------------------------------------------------------------------

    def begin(self, fault: Fault) -> Effect | None:
        """Let `fault` happen now; what it ends, such as a freeze by its thaw, ends.

        Returns what is in effect from now on, None if it is over at once or ends by itself.
        """
        kind, where = fault.kind, fault.target
        if fault.ends:
            self._end(self._in_effect(fault.ends, where))
        elif kind == "panic":
            self._panic()
        elif kind == "shutdown":
            self.hosts[PRIMARY].guest.powers_off = True
        elif kind == "busy":
            self.hosts[where].monitor.keep_busy(fault.for_ns or 0)
        else:
            effect = Effect(kind, where, self.env.now, fault.concerns, fault.factor_ppm or PPM)
            self._active.append(effect)
            begins: dict[str, Callable[[str], None]] = {
                "freeze": self._freeze,
                "kill": self._kill,
                "vanish": self._vanish,
                "slow": self._set_factors,
                "disconnect": self._disconnect,
                "close": self._close,
            }
            begins[kind](where)
            return effect
        return None

    def end(self, effect: Effect) -> None:
        """Let one fault end, if nothing has ended it before."""
        if effect in self._active:
            self._end([effect])

    def end_all(self) -> None:
        """Let every fault end that can: thaw, heal, connect, be idle."""
        for side in self.hosts:
            self._end(self._in_effect((*_THAWS, *_CONNECTS), side))
            self.hosts[side].monitor.be_idle()
        for where in SOCKETS:
            self._end(self._in_effect((*_THAWS, *_OPENS), where))
        for where in (NETWORK, CHANNEL, DISK, *SOCKETS, *self.hosts):
            self._end(self._in_effect(_HEALS, where))

    def _end(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._active.remove(effect)
        for effect in effects:
            if effect.kind in _HEALS:
                self._heal(effect)
            elif not self._in_effect((effect.kind,), effect.where):
                backs = {"freeze": self._thaw, "disconnect": self._connect, "close": self._open}
                backs[effect.kind](effect.where)

    # ---- processes -----------------------------------------------------------------------------

    def _freeze(self, side: str) -> None:
        if side in _READERS:
            self._freeze_ends(_READERS[side])
            return
        self.hosts[side].freeze()
        self._freeze_ends(side)
        self._silence(side)

    def _thaw(self, side: str) -> None:
        if side in _READERS:
            self._freeze_ends(_READERS[side])
            self.record.note(FaultEnded(side))
            return
        host = self.hosts[side]
        if host.dead:
            return
        host.thaw()
        self._freeze_ends(side)
        self._speak(side)

    def _kill(self, side: str) -> None:
        host = self.hosts[side]
        if host.dead:
            return
        host.kill()
        self._freeze_ends(side)
        self._silence(side)
        for connection in self._connections:
            gone = partial(connection.process_gone, side)
            self.env.call_at(self.env.now + host.teardown_ns, gone)

    def power_off(self, side: str) -> None:
        """Let the cluster manager fence `side`: the host is gone for good, without a reset."""
        host = self.hosts[side]
        if not host.dead:
            host.kill()
        self._active.append(Effect("power-off", side, self.env.now))
        self._freeze_ends(side)
        self._cut()
        if side not in self.gone:
            self.gone.append(side)

    def _panic(self) -> None:
        """Stop the guest where it runs; its QEMU aborts when a checkpoint is to stop it.

        runstate_set has no way from guest-panicked to colo (read in v13).
        """
        for side, host in self.hosts.items():
            if host.guest.running:
                host.guest.panicked = True
                host.abort = partial(self._kill, side)
                host.guest.stop()

    def _freeze_ends(self, side: str) -> None:
        """Let the ends at `side` stand or go on with its process, a socket's with its reader."""
        for connection in self._connections:
            connection.freeze(side, frozen=self._stands_at(side, connection))

    def _stands_at(self, side: str, connection: Connection) -> bool:
        alone = (one.where for one in self._in_effect(_THAWS) if _READERS.get(one.where) == side)
        return self.hosts[side].frozen or any(self._others[one] is connection for one in alone)

    def _close(self, where: str) -> None:
        self._others[where].shutdown(_READERS[where])
        self._others[where].shutdown(OTHER[_READERS[where]])

    def _open(self, where: str) -> None:
        """Connect a closed socket anew, if both processes live; what else strikes it lasts."""
        if self.reopen is None or any(host.dead for host in self.hosts.values()):
            return
        self.reopen(where)
        self.record.note(FaultEnded(where))
        connection = self._others[where]
        for side in self.hosts:
            if self._stands_at(side, connection):
                connection.freeze(side, frozen=True)
        if self._in_effect(("vanish", "power-off"), where) or self._connection.down:
            connection.cut()

    # ---- host and link -------------------------------------------------------------------------

    def _cut(self) -> None:
        for connection in self._connections:
            connection.cut()

    def _vanish(self, where: str) -> None:
        if where in self._parts:
            self._parts[where].cut()
            return
        self._cut()
        # At one moment the secondary is missed first: a manager that fences keeps the primary.
        for side in reversed(self.hosts) if where == NETWORK else (where,):
            self._silence(side)
        if where != NETWORK and where not in self.gone:
            self.gone.append(where)

    def _heal(self, ended: Effect) -> None:
        """Let `where` be as before, as far as nothing else keeps it from that."""
        where = ended.where
        if ended.kind == "slow":
            self._set_factors(where)
        others = self._in_effect((ended.kind, "power-off"), where)
        if any(one.kind != "slow" or one.factor_ppm != PPM for one in others):
            return
        if not self._in_effect(("vanish",), where):
            self.record.note(FaultEnded(where))
        if ended.kind == "slow":
            return
        if where in self.gone:
            self.gone.remove(where)
        self._mend()
        if where in self._parts:
            return
        for side in self.hosts if where == NETWORK else (where,):
            self._speak(side)

    def _mend(self) -> None:
        """Let the link carry again, but for those parts that something still keeps silent."""
        silent = {one.where for one in self._in_effect(("vanish", "power-off"))}
        if silent <= self._parts.keys():
            for connection in self._connections:
                connection.mend()
            for part in sorted(silent):
                self._parts[part].cut()

    def _set_factors(self, _where: str) -> None:
        """Multiply the link's rate and latency; of what is in effect at once the worst counts."""
        for connection in self._connections:
            of_disk = connection is self._parts.get(DISK)
            slow = [one for one in self._in_effect(("slow",)) if of_disk or one.where != DISK]
            rates = [one.factor_ppm for one in slow if one.what == "bandwidth"]
            latencies = [one.factor_ppm for one in slow if one.what == "latency"]
            connection.set_factors(min(rates, default=PPM), max(latencies, default=PPM))

    # ---- cluster manager -----------------------------------------------------------------------

    def _silence(self, side: str) -> None:
        if self.manager is not None:
            self.manager.falls_silent(side)

    def _speak(self, side: str) -> None:
        """Let `side` answer heartbeats again, if nothing keeps it from that."""
        host = self.hosts[side]
        mute = host.frozen or host.dead or side in self.gone
        if self.manager is not None and not (mute or self._in_effect(("vanish",), NETWORK)):
            self.manager.speaks(side)

    def _disconnect(self, side: str) -> None:
        if self.manager is not None:
            self.manager.disconnected(side, drops=self.drops_commands)

    def _connect(self, side: str) -> None:
        if self.manager is not None:
            self.manager.connected(side)
