"""The levels of the socket buffers over a run: every breakpoint, in exact rationals.

As long as nothing disturbs a direction, its levels follow from the bulk transfers that passed
(`colosim.network.transfer`), expanded here by the fluid that must agree with them.  While it is
disturbed the direction itself is a fluid (an *episode*), and its own breakpoints are taken.
Messages of a few bytes are booked only where a fluid follows them.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from colosim.network.fluid import Fluid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from colosim.network.connection import Connection
    from colosim.network.ends import Ends
    from colosim.network.transfer import Transfer

__all__ = ["LevelRow", "SocketLevels", "transfer_curves"]

SEND_BUFFER, RECEIVE_BUFFER = "socket_send_buffer", "socket_receive_buffer"


class Point(NamedTuple):
    """A breakpoint of a level: from `at` on it is a straight line."""

    at: Fraction
    level: Fraction
    slope: Fraction


class LevelRow(NamedTuple):
    """A row of the memory table; the time is rounded up to a ns, the level to a byte."""

    time_ns: int
    side: str
    account: str
    level_bytes: int
    slope_bytes_per_ns: float


Curve = list[Point]
Curves = tuple[tuple[Point, ...], tuple[Point, ...]]


def _points(fluid: Fluid) -> tuple[Point, Point]:
    """Return where the send and the receive buffer of `fluid` stand, and how they go on."""
    writing, leaving, reading = fluid._rates()  # noqa: SLF001 - only here are they wanted outside
    arrived = fluid.arrived
    return (
        Point(fluid.now, fluid.written - fluid.left, writing - leaving),
        Point(fluid.now, arrived.value - fluid.read, arrived.slope - reading),
    )


class _Tap(list[tuple[int, int, int]]):
    """The list into which a direction reports its levels; keeps the exact breakpoints.

    `episodes`: when the direction became a fluid, each time, and the write that nobody had come to
    read then.
    """

    def __init__(self, direction: Ends) -> None:
        super().__init__()
        self._direction = direction
        self._fluid: Fluid | None = None
        self.points: list[tuple[Point, Point]] = []
        self.episodes: list[tuple[Fraction, Transfer | None]] = []

    def append(self, levels: tuple[int, int, int], /) -> None:
        """Take a breakpoint of the direction's fluid, or a step of the reference."""
        fluid = self._direction.fluid
        if fluid is None:
            at, *steps = map(Fraction, levels)
            sending, receiving = (Point(at, level, Fraction(0)) for level in steps)
            self.points.append((sending, receiving))
            return
        if fluid is not self._fluid:
            self._fluid = fluid
            self.episodes.append((fluid.now, self.unread()))
        self.points.append(_points(fluid))

    def unread(self) -> Transfer | None:
        """Return the last write, if nobody has come to read it: it is on no list."""
        transfer = self._direction.transfer
        return None if transfer is None or transfer.reader_ns >= 0 else transfer


def transfer_curves(transfer: Transfer, until_ns: int | None = None) -> Curves:
    """Return the levels of send and receive buffer under one transfer.

    `until_ns`: where to end if the reader never came.
    """
    reader = transfer.reader_ns - transfer.start_ns if transfer.reader_ns >= 0 else None
    until = None if until_ns is None else until_ns - transfer.start_ns
    curves = _curves(
        transfer.size_bytes,
        transfer.write_ns,
        transfer.link_ns,
        transfer.latency_ns,
        (transfer.send_buffer_bytes, transfer.receive_buffer_bytes),
        transfer.head_bytes,
        transfer.read_ns,
        reader if reader is None else max(0, reader),
        until if reader is None else None,
    )
    start = transfer.start_ns
    sending, receiving = (
        tuple(Point(at + start, level, slope) for at, level, slope in curve) for curve in curves
    )
    return sending, receiving


@lru_cache(maxsize=512)
def _curves(  # noqa: PLR0913, PLR0917 - the parameters of a transfer, as a cache wants them
    size: int,
    write_ns: int,
    link_ns: int,
    latency_ns: int,
    buffers: tuple[int, int],
    head_bytes: int,
    read_ns: int,
    reader_ns: int | None,
    until_ns: int | None,
) -> Curves:
    fluid = Fluid(
        0,
        latency_ns=latency_ns,
        send_buffer_bytes=buffers[0],
        receive_buffer_bytes=buffers[1],
        link=Fraction(size, link_ns) if link_ns else None,
        head_bytes=head_bytes,
    )
    curves: tuple[Curve, Curve] = ([], [])

    def see(_at: Fraction, _sending: Fraction, _receiving: Fraction) -> None:
        for curve, point in zip(curves, _points(fluid), strict=True):
            _join(curve, point)

    fluid.on_levels = see
    fluid.write(size, write_ns)
    if reader_ns is None:
        fluid.advance(max(0, until_ns or 0))
    else:
        fluid.advance(reader_ns)
        fluid.want(size, read_ns)
        end = fluid.ends()[1]
        fluid.advance(reader_ns if end is None else end)
    return tuple(curves[0]), tuple(curves[1])


def _join(curve: Curve, point: Point) -> None:
    """Append a breakpoint, unless it lies on the line before it."""
    if curve:
        at, level, slope = curve[-1]
        if slope == point.slope and level + slope * (point.at - at) == point.level:
            return
        if at == point.at:
            curve.pop()
            _join(curve, point)
            return
    curve.append(point)


def _sum(curves: Iterable[Iterable[Point]]) -> Curve:
    """Return the sum of curves that are zero before their first point."""
    changes: list[tuple[Fraction, Fraction, Fraction]] = []
    for curve in curves:
        at, level, slope = Fraction(0), Fraction(0), Fraction(0)
        for point in curve:
            before = level + slope * (point.at - at)
            changes.append((point.at, point.level - before, point.slope - slope))
            at, level, slope = point
    changes.sort(key=lambda change: change[0])
    total: Curve = []
    at, level, slope = Fraction(0), Fraction(0), Fraction(0)
    for time, jump, bend in changes:
        level += slope * (time - at) + jump
        slope += bend
        at = time
        _join(total, Point(at, level, slope))
    return total


def _cut(curve: Iterable[Point], until: Fraction | None) -> Iterable[Point]:
    """Return the part of a curve before `until`: there other breakpoints take over."""
    return curve if until is None else [point for point in curve if point.at < until]


class SocketLevels:
    """Listens to a connection's directions and gives their buffers' levels piece by piece."""

    def __init__(self, connection: Connection) -> None:
        self._parts = [
            _DirectionLevels(connection.to_secondary),
            _DirectionLevels(connection.to_primary),
        ]

    def drain(self, until_ns: int, *, final: bool = False) -> list[LevelRow]:
        """Return the rows of what has begun by `until_ns` and was not returned before."""
        rows: list[LevelRow] = []
        for part in self._parts:
            rows += part.drain(until_ns, final=final)
        return rows


class _DirectionLevels:
    """One direction's two buffers."""

    def __init__(self, direction: Ends) -> None:
        self._direction = direction
        self._accounts = (
            (direction.sender, SEND_BUFFER),
            (direction.receiver, RECEIVE_BUFFER),
        )
        self._transfers: list[Transfer] = []
        direction.transfers = self._transfers
        self._tap = _Tap(direction)
        direction.levels = self._tap
        self._last: tuple[Curve, Curve] = ([], [])
        self._told = 0

    def drain(self, until_ns: int, *, final: bool) -> list[LevelRow]:
        """Return the rows of what has begun by `until_ns` and was not returned before."""
        transfers, tap = self._transfers, self._tap
        count = len(transfers)
        if not final:
            count = next((i for i, one in enumerate(transfers) if one.reader_ns > until_ns), count)
        curves: list[tuple[Iterable[Point], Iterable[Point]]] = []
        for transfer in transfers[:count]:
            # The first episode since its reader came takes over.
            ends = (at for at, _ in tap.episodes if at >= transfer.reader_ns)
            sending, receiving = transfer_curves(transfer)
            end = next(ends, None)
            curves.append((_cut(sending, end), _cut(receiving, end)))
        del transfers[:count]
        for at, unread in tap.episodes[self._told :]:
            if unread is not None:
                sending, receiving = transfer_curves(unread, -int(-at // 1))
                curves.append((_cut(sending, at), _cut(receiving, at)))
        self._told = len(tap.episodes)
        if final and self._direction.fluid is None and (unread := tap.unread()) is not None:
            curves.append(transfer_curves(unread, until_ns))
        rows = [
            _row(side, account, point)
            for index, (side, account) in enumerate(self._accounts)
            for point in _sum(pair[index] for pair in curves)
        ]
        return rows + self._followed(until_ns, final=final)

    def _followed(self, until_ns: int, *, final: bool) -> list[LevelRow]:
        """Return rows from the direction's own fluid."""
        points = self._tap.points
        count = len(points)
        if not final:
            count = next((i for i, pair in enumerate(points) if pair[0].at > until_ns), count)
        rows: list[LevelRow] = []
        for index, (side, account) in enumerate(self._accounts):
            last = self._last[index]
            curve = list(last)
            for pair in points[:count]:
                _join(curve, pair[index])
            fresh = curve[1:] if curve[:1] == last else curve
            rows += [_row(side, account, point) for point in fresh]
            last[:] = curve[-1:]
        del points[:count]
        return rows


def _row(side: str, account: str, point: Point) -> LevelRow:
    slope = point.slope
    return LevelRow(
        -int(-point.at // 1),
        side,
        account,
        -int(-point.level // 1),
        slope.numerator / slope.denominator,
    )
