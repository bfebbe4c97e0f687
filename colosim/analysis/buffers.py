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
    from colosim.scenario.network import Network


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


class FullSince:
    """Listens to a direction, and keeps only since when each of its two buffers has been full."""

    def __init__(self, network: Network, *since_ns: int | None) -> None:
        self.capacities = (network.send_buffer_bytes, network.receive_buffer_bytes)
        self.since_ns: tuple[int | None, ...] = since_ns or (None, None)

    def bulk_begins(self, transfer: Transfer) -> None:
        """Hear of a bulk write in closed form: it fills no buffer for good."""

    def levels(self, sending: Point, receiving: Point) -> None:
        """Hear of a breakpoint."""
        self.see(*(-int(-one // 1) for one in (sending.at, sending.level, receiving.level)))

    def see(self, at_ns: int, *levels: int) -> None:
        """Hear how full both buffers are at a time, in bytes."""
        self.since_ns = tuple(
            None if level < capacity else at_ns if since_ns is None else since_ns
            for level, capacity, since_ns in zip(
                levels, self.capacities, self.since_ns, strict=True
            )
        )


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
    heard = (one.since_ns for one in direction.listeners if isinstance(one, FullSince))
    full = FullSince(simulation.scenario.network, *next(heard, ()))
    sending, receiving = direction.levels_at(simulation.end_ns, full.see)
    return BufferLevels(
        direction.sender,
        direction.receiver,
        sending,
        full.capacities[0],
        receiving,
        full.capacities[1],
        full.since_ns[0],
        full.since_ns[1],
        direction.write_error is not None,
    )
