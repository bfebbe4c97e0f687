"""How full the socket buffers are, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from colosim.trace.events import PRIMARY

if TYPE_CHECKING:
    from colosim.network.ends import Ends
    from colosim.network.fluid import Point
    from colosim.network.transfer import Transfer
    from colosim.runs.simulation import Simulation

__all__ = ["BufferLevels", "FullSince", "buffer_levels"]


@dataclass(frozen=True, slots=True)
class BufferLevels:
    """How full the two socket buffers of one direction are, and since when they are full.

    `broken`: the connection has failed for the sender, so they take and give nothing any more.
    """

    sender: str
    receiver: str
    send_bytes: int
    send_capacity_bytes: int
    receive_bytes: int
    receive_capacity_bytes: int
    send_full_since_ns: int | None = None
    receive_full_since_ns: int | None = None
    broken: bool = False

    @property
    def send_full(self) -> bool:
        """Whether the send buffer takes nothing more."""
        return self.send_bytes >= self.send_capacity_bytes

    @property
    def receive_full(self) -> bool:
        """Whether the receive buffer is full, so that the window is closed."""
        return self.receive_bytes >= self.receive_capacity_bytes


class _Full:
    """Follows since when the buffers of one direction have been full."""

    def __init__(self, capacities: tuple[int, int]) -> None:
        self._capacities = capacities
        self.since: list[int | None] = [None, None]

    def see(self, at_ns: int, *levels: int) -> None:
        for index, level in enumerate(levels):
            if level < self._capacities[index]:
                self.since[index] = None
            elif self.since[index] is None:
                self.since[index] = at_ns


class FullSince:
    """Listens to a direction, and keeps only since when each buffer has been full."""

    def __init__(self, capacities: tuple[int, int]) -> None:
        self.full = _Full(capacities)

    def bulk_begins(self, transfer: Transfer) -> None:
        """Hear of a bulk write in closed form: it fills no buffer for good."""

    def levels(self, sending: Point, receiving: Point) -> None:
        """Hear of a breakpoint."""
        self.full.see(*(-int(-one // 1) for one in (sending.at, sending.level, receiving.level)))


def buffer_levels(simulation: Simulation) -> tuple[BufferLevels, BufferLevels]:
    """Return how full the socket buffers are at the end, to the secondary and to the primary.

    Where channels carry RAM, they are those of one that is blocked.  Since when they are full is
    known only if a `FullSince` has listened to the direction.
    """
    connection = simulation.connection
    return (
        _levels(simulation, connection.blocked_of(PRIMARY)[0]),
        _levels(simulation, connection.to_primary),
    )


def _levels(simulation: Simulation, direction: Ends) -> BufferLevels:
    network = simulation.scenario.network
    capacities = (network.send_buffer_bytes, network.receive_buffer_bytes)
    full = _Full(capacities)
    for listener in direction.listeners:
        if isinstance(listener, FullSince):
            full.since[:] = listener.full.since
    sending, receiving = direction.levels_at(simulation.end_ns, full.see)
    return BufferLevels(
        direction.sender,
        direction.receiver,
        sending,
        capacities[0],
        receiving,
        capacities[1],
        full.since[0],
        full.since[1],
        direction.write_error is not None,
    )
