"""What would release a survivor that waits, for its peer for the disk or for the proxy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from colosim.analysis.recovery import YANKED
from colosim.analysis.timeline import place
from colosim.analysis.wait_for import SIDES
from colosim.analysis.ways_out import NEVER, End, Release, Ways, time_of
from colosim.network.ends import BLOCK_NODE, CHARDEV, MIGRATION
from colosim.scenario.disk import DISK
from colosim.scenario.faults import ThawFault
from colosim.scenario.service import COMPARE, MIRROR
from colosim.trace.events import PRIMARY, ServesAlone, SocketFailed, WaitEnded
from colosim.trace.steps import DISK_STEPS, PROXY_WRITE

if TYPE_CHECKING:
    from colosim.analysis.graph import WaitForGraph
    from colosim.analysis.outlook import Outlook
    from colosim.analysis.wait_for import Loss
    from colosim.network.connection import Connection
    from colosim.network.ends import Ends
    from colosim.runs.simulation import Simulation
    from colosim.trace.record import Timed


def releases(
    simulation: Simulation, graph: WaitForGraph, lost: Mapping[str, Loss], outlook: Outlook
) -> tuple[Release, ...]:
    """Return what releases the sides that live and wait, and what does not."""
    ways = [_kind_of(simulation, side)(simulation, graph, lost, outlook, side) for side in SIDES]
    waiting = [one for one in ways if one.side not in lost and one.waits]
    if not waiting:
        return ()
    coming = outlook.events()
    return tuple(way for one in waiting for way in one.found(coming))


def _kind_of(simulation: Simulation, side: str) -> type[Ways]:
    """Return the ways out for a side, by what a thread of it waits for with the lock."""
    waits_for = {one.waits_for for one in simulation.hosts[side].threads}
    return next((kind for kind in (_DiskWays, _ProxyWays) if waits_for & set(kind.steps)), Ways)


class _OtherWays(Ways):
    """The ways out for a side of which a thread waits, with the lock, for another connection.

    `steps`: what it waits for; `instance`: what is to be yanked, `called` so.
    """

    steps: ClassVar[tuple[str, ...]]
    instance: ClassVar[str]
    called: ClassVar[str]
    waits = True
    held = True

    def __init__(self, simulation: Simulation, *rest: Any) -> None:
        super().__init__(simulation, *rest)
        thread = next(one for one in self.host.threads if one.waits_for in self.steps)
        self.thread, self.blocked_in = thread.name, thread.waits_for

    @property
    def _where(self) -> str:
        """What of the link is silent if this connection is alone."""
        raise NotImplementedError

    @property
    def _connection(self) -> Connection:
        raise NotImplementedError

    @property
    def _outgoing(self) -> Ends:
        return self._connection.of(self.side)[0]

    @property
    def _silent(self) -> str:
        only_this = self._connection.down and not self.simulation.connection.down
        return self._where if only_this else super()._silent

    def _end_in(self, events: Sequence[Timed]) -> End | None:
        """Return how the wait ends in `events`."""
        for at_ns, event, _ in events:
            match event:
                case SocketFailed(self.side, _, why):
                    return End(at_ns, why)
                case WaitEnded(self.side, self.thread):
                    return End(at_ns, None)
        return None

    def _effect(self, end: End, events: Sequence[Timed], first: str = "") -> str:
        said = super()._effect(end, events, first)
        runs = time_of(events, ServesAlone(self.side)) is not None
        return f"{said}, the guest runs" if runs else said

    def _if_yanked(self) -> None:
        """Tell two yanks apart: the migration's does nothing for this one (measured: a disk)."""
        side, failovers = self.side, self.simulation.failovers
        if self._natural is None or self._natural.reason != YANKED:
            self._try(
                f"yank of {self.called} on the {side} (out of band, QEMU 6.0 on)",
                lambda simulation: simulation.failovers[side].yank((self.instance,)),
                "it needs no lock; ",
                only=YANKED,
            )
        if MIGRATION in failovers[side].instances:
            self.add(NEVER, "yank of the migration alone", "that is another connection")


class _DiskWays(_OtherWays):
    """The ways out for a primary of which a thread waits for the disk."""

    steps = DISK_STEPS
    instance, called = BLOCK_NODE, "the block node"
    _where = DISK
    _why_deaf = "the monitor serves nothing while the disk is waited for"

    @property
    def _connection(self) -> Connection:
        disk = self.simulation.disk
        assert disk is not None  # noqa: S101 - it is waited for
        return disk.connection


class _ProxyWays(_OtherWays):
    """The ways out for a side of which a thread waits for room in a socket of the proxy."""

    steps = (PROXY_WRITE,)
    instance, called = CHARDEV, "the proxy's sockets"
    _why_deaf = "the monitor serves nothing while the proxy's socket is full"

    @property
    def _where(self) -> str:
        return MIRROR if self.side == PRIMARY else COMPARE

    @property
    def _connection(self) -> Connection:
        sockets = self.simulation.sockets
        assert sockets is not None  # noqa: S101 - one of them is waited for
        return sockets.of(self.side).connection

    def _if_peer_changes(self) -> None:
        super()._if_peer_changes()
        if self.peer_lost is None and self.peer in self._connection.frozen:
            again = ThawFault.model_construct(at=0, thaw=self._where)
            self._try(
                f"{place(self._where)} is read again",
                lambda simulation: simulation.injector.strike(again),
                "the window opens, ",
            )
