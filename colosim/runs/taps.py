"""Listening to the socket buffers of a connection: what their levels follow from, as it happens.

`colosim.runs.curves` makes curves of it, once they are wanted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.scenario.disk import DISK

if TYPE_CHECKING:
    from fractions import Fraction

    from colosim.network.connection import Connection
    from colosim.network.ends import Ends
    from colosim.network.fluid import Fluid, Point
    from colosim.network.transfer import Transfer


class Tap:
    """What was heard of a direction, and not yet taken.

    `transfers`: bulk writes in closed form, in their order; `taken`: how many were before them.
    `episodes`: when the direction became one that is followed step by step, and how many transfers
    there had been: of those what is under way then ends there.  `points`: its breakpoints, each
    beside the number of events that had happened when it became known, and whether an episode
    begins with it.  `accounts`: what memory calls the two buffers, after what they are `of`.
    """

    def __init__(self, direction: Ends, of: str = "socket") -> None:
        self._direction = direction
        self.accounts = (f"{of}_send_buffer", f"{of}_receive_buffer")
        self._fluid: Fluid | None = None
        self.sender, self.receiver = direction.sender, direction.receiver
        self.transfers: list[Transfer] = []
        self.taken = 0
        self.episodes: list[tuple[int, Fraction]] = []
        self.points: list[tuple[int, tuple[Point, Point], bool]] = []
        direction.listeners.append(self)

    @property
    def follows(self) -> bool:
        """Whether the direction is followed step by step just now."""
        return self._direction.fluid is not None

    def bulk_begins(self, transfer: Transfer) -> None:
        """Hear of a bulk write that is in closed form."""
        self.transfers.append(transfer)

    def levels(self, sending: Point, receiving: Point) -> None:
        """Hear of a breakpoint of a fluid, or of a step of the reference."""
        fluid = self._direction.fluid
        begins = fluid is not self._fluid and fluid is not None
        if begins:
            self._fluid = fluid
            self.episodes.append((self.taken + len(self.transfers), sending.at))
        self.points.append((len(self._direction.record), (sending, receiving), begins))

    def close(self, end_ns: int) -> None:
        """Hear of what comes by itself up to the end of the run."""
        fluid = self._direction.fluid
        if fluid is not None:
            ahead, known = fluid.twin(), len(self._direction.record)
            ahead.on_levels = lambda *points: self.points.append((known, points, False))
            ahead.advance(end_ns)


def taps(connection: Connection, disk: Connection | None = None) -> tuple[Tap, ...]:
    """Listen from now on to both directions of a connection, and to the one that others use.

    These are multifd's channels and the connection of a disk: their answers fill no buffer.
    """
    found = [Tap(connection.to_secondary), Tap(connection.to_primary)]
    for number, channel in enumerate(connection.channels, start=1):
        found.append(Tap(channel.to_secondary, f"channel_{number}"))
    if disk is not None:
        found.append(Tap(disk.to_secondary, DISK))
    return tuple(found)
