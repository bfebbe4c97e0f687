"""Listening to the socket buffers of a connection: what their levels follow from, as it happens.

`colosim.runs.levels` makes breakpoints of it, once they are wanted.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from colosim.network.connection import Connection
    from colosim.network.ends import Ends
    from colosim.network.fluid import Fluid
    from colosim.network.transfer import Transfer

__all__ = ["Point", "Tap", "points_of", "taps"]


class Point(NamedTuple):
    """A breakpoint of a level: from `at` on it is a straight line."""

    at: Fraction
    level: Fraction
    slope: Fraction


def points_of(fluid: Fluid) -> tuple[Point, Point]:
    """Return where the send and the receive buffer of `fluid` stand, and how they go on."""
    writing, leaving, reading = fluid._rates()  # noqa: SLF001 - only here are they wanted outside
    arrived = fluid.arrived
    return (
        Point(fluid.now, fluid.written - fluid.left, writing - leaving),
        Point(fluid.now, arrived.value - fluid.read, arrived.slope - reading),
    )


class Tap(list[tuple[int, int, int]]):
    """The list into which a direction reports its levels; keeps the exact breakpoints.

    `transfers`: the bulk transfers whose both ends are known.  `points`: the breakpoints of a
    direction that is followed step by step, each beside the number of events that had happened when
    it was reported.  `episodes`: when the direction became a fluid, each time, and the write that
    nobody had come to read then.
    """

    def __init__(self, direction: Ends) -> None:
        super().__init__()
        self.direction = direction
        self._fluid: Fluid | None = None
        self.transfers: list[Transfer] = []
        self.points: list[tuple[int, tuple[Point, Point]]] = []
        self.episodes: list[tuple[int, Fraction, Transfer | None]] = []
        direction.transfers = self.transfers
        direction.levels = self

    def append(self, levels: tuple[int, int, int], /) -> None:
        """Take a breakpoint of the direction's fluid, or a step of the reference."""
        fluid = self.direction.fluid
        events = len(self.direction.record)
        if fluid is None:
            at, *steps = map(Fraction, levels)
            sending, receiving = (Point(at, level, Fraction(0)) for level in steps)
            self.points.append((events, (sending, receiving)))
            return
        if fluid is not self._fluid:
            self._fluid = fluid
            self.episodes.append((events, fluid.now, self.unread()))
        self.points.append((events, points_of(fluid)))

    def unread(self) -> Transfer | None:
        """Return the last write, if nobody has come to read it: it is on no list."""
        transfer = self.direction.transfer
        return None if transfer is None or transfer.reader_ns >= 0 else transfer


def taps(connection: Connection) -> tuple[Tap, Tap]:
    """Listen to both directions of a connection from now on."""
    return Tap(connection.to_secondary), Tap(connection.to_primary)
