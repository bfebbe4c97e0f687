"""What would release a survivor that waits, for its peer or for the replicated disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from colosim.analysis.recovery import YANKED
from colosim.analysis.wait_for import SIDES
from colosim.analysis.ways_out import NEVER, End, Release, Ways, time_of
from colosim.network.ends import BLOCK_NODE, MIGRATION
from colosim.trace.events import PRIMARY, SECONDARY, ServesAlone, SocketFailed, WaitEnded
from colosim.trace.steps import DISK_STEPS

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
    waits_for_disk = any(one.waits_for in DISK_STEPS for one in simulation.hosts[PRIMARY].threads)
    kinds = {PRIMARY: _DiskWays if waits_for_disk else Ways, SECONDARY: Ways}
    ways = [kinds[side](simulation, graph, lost, outlook, side) for side in SIDES]
    waiting = [one for one in ways if one.side not in lost and one.waits]
    if not waiting:
        return ()
    coming = outlook.events()
    return tuple(way for one in waiting for way in one.found(coming))


class _DiskWays(Ways):
    """The ways out for a primary of which a thread waits for the disk, with the lock."""

    waits = True
    held = True
    _why_deaf = "the monitor serves nothing while the disk is waited for"

    def __init__(self, simulation: Simulation, *rest: Any) -> None:
        super().__init__(simulation, *rest)
        waiting = (one for one in self.host.threads if one.waits_for in DISK_STEPS)
        thread = next(waiting)
        self.thread, self.blocked_in = thread.name, thread.waits_for

    @property
    def _connection(self) -> Connection:
        disk = self.simulation.disk
        assert disk is not None  # noqa: S101 - it is waited for
        return disk.connection

    @property
    def _outgoing(self) -> Ends:
        return self._connection.to_secondary

    @property
    def _silent(self) -> str:
        only_disk = self._connection.down and not self.simulation.connection.down
        return "disk" if only_disk else super()._silent

    def _end_in(self, events: Sequence[Timed]) -> End | None:
        """Return how the wait for the disk ends in `events`."""
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
        """Tell the two yanks apart: the migration's does nothing for the disk (measured)."""
        side, failovers = self.side, self.simulation.failovers
        if self._natural is None or self._natural.reason != YANKED:
            self._try(
                f"yank of the block node on the {side} (out of band, QEMU 6.0 on)",
                lambda simulation: simulation.failovers[side].yank((BLOCK_NODE,)),
                "it needs no lock; ",
                only=YANKED,
            )
        if MIGRATION in failovers[side].instances:
            self.add(NEVER, "yank of the migration alone", "that is another connection")
