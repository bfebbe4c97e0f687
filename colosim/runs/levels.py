"""The levels of the socket buffers over a run: every breakpoint, in exact rationals.

As long as nothing disturbs a direction, its levels follow from the bulk transfers that passed
(`colosim.network.transfer`), expanded here by the fluid that must agree with them.  While it is
disturbed the direction itself is a fluid (an *episode*), and its own breakpoints are taken.
Messages of a few bytes are booked only where a fluid follows them.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from colosim.network.fluid import Fluid
from colosim.network.transfer import Transfer
from colosim.runs.taps import Point, points_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from colosim.runs.taps import Tap
    from colosim.trace.columns import Ints

__all__ = ["Levels", "SocketLevels", "Until", "transfer_curves"]

SEND_BUFFER, RECEIVE_BUFFER = "socket_send_buffer", "socket_receive_buffer"


class Levels(NamedTuple):
    """Breakpoints as columns, times rounded up to a ns, levels to a byte.

    `turn`: with which checkpoint they became known; `account`: its number, as the maker of the
    breakpoints counts accounts.
    """

    turn: Ints
    time_ns: Ints
    account: Ints
    level_bytes: Ints
    slope_bytes_per_ns: np.ndarray[Any, np.dtype[np.float64]]


class Until(NamedTuple):
    """A moment: its time, and how many events had happened by then (all of them, if not said)."""

    time_ns: int
    events: int = sys.maxsize


Curve = list[Point]
Curves = tuple[tuple[Point, ...], tuple[Point, ...]]


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
        for curve, point in zip(curves, points_of(fluid), strict=True):
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


def _cut(curve: tuple[Point, ...], until: Fraction | None) -> tuple[Point, ...]:
    """Return the part of a curve before `until`: there other breakpoints take over."""
    return curve if until is None else tuple(point for point in curve if point.at < until)


class SocketLevels:
    """Gives the levels of the buffers that `taps` listen to, piece by piece.

    `accounts`: side and name of each account, in the order of their numbers.
    """

    def __init__(self, taps: Sequence[Tap]) -> None:
        self._parts = [_DirectionLevels(tap, 2 * number) for number, tap in enumerate(taps)]
        self.accounts = tuple(
            account
            for tap in taps
            for account in (
                (tap.direction.sender, SEND_BUFFER),
                (tap.direction.receiver, RECEIVE_BUFFER),
            )
        )

    def drain(self, until: Sequence[Until]) -> list[Levels]:
        """Return what was known by each of the moments, and was not returned before."""
        return [part.drain(until) for part in self._parts]

    def rest(self, end_ns: int) -> list[Levels]:
        """Return what was not returned before, as it stands at the end of the run."""
        return [part.rest(end_ns) for part in self._parts]


class _DirectionLevels:
    """One direction's two buffers, which are the accounts `number` and the next."""

    def __init__(self, tap: Tap, number: int) -> None:
        self._tap = tap
        self._transfers = tap.transfers
        self._number = number
        self._last: tuple[Curve, Curve] = ([], [])
        self._told = 0

    def drain(self, until: Sequence[Until]) -> Levels:
        """Return what was known by each of the moments, and was not returned before."""
        pieces: list[tuple[int, int, _Piece]] = []
        transfers = self._transfers
        reached_ns = list(accumulate((one.reader_ns for one in transfers), max))
        begin = 0
        for turn, moment in enumerate(until):
            end = begin
            while end < len(reached_ns) and reached_ns[end] <= moment.time_ns:
                end += 1
            pieces += ((turn, *piece) for piece in self._begun(transfers[begin:end], moment))
            begin = end
        del transfers[:begin]
        return self._joined(pieces)

    def rest(self, end_ns: int) -> Levels:
        """Return what was not returned before, as it stands at the end of the run."""
        transfers = self._transfers[:]
        self._transfers.clear()
        found = self._begun(transfers, Until(end_ns), final=True)
        return self._joined([(0, *piece) for piece in found])

    def _begun(
        self, transfers: list[Transfer], until: Until, *, final: bool = False
    ) -> Iterable[tuple[int, _Piece]]:
        """Yield pieces, each with the time from which its own times count."""
        curves = list(self._unread(until))
        if final and self._tap.direction.fluid is None:
            unread = self._tap.unread()
            curves += [] if unread is None else [transfer_curves(unread, until.time_ns)]
        if transfers and not curves:
            start_ns = transfers[0].start_ns
            piece = _piece_of(tuple(_shape(transfer, start_ns) for transfer in transfers))
            episodes = self._tap.episodes
            if not episodes or start_ns + piece.end_ns < episodes[0][1]:
                yield start_ns, piece
                transfers = []
        curves = [*map(self._curves, transfers), *curves]
        if curves:
            yield 0, _piece([_sum(curve) for curve in zip(*curves, strict=True)])
        fresh = self._followed(until, final=final)
        if any(fresh):
            yield 0, _piece(fresh)

    def _curves(self, transfer: Transfer) -> Curves:
        """Return the levels under a transfer, up to the first episode since its reader came."""
        sending, receiving = transfer_curves(transfer)
        ends = (at for _, at, _ in self._tap.episodes if at >= transfer.reader_ns)
        end = next(ends, None)
        return _cut(sending, end), _cut(receiving, end)

    def _unread(self, until: Until) -> Iterable[Curves]:
        """Yield the levels under writes that nobody had come to read when an episode took over."""
        episodes = self._tap.episodes
        while self._told < len(episodes) and episodes[self._told][0] < until.events:
            _, at, unread = episodes[self._told]
            self._told += 1
            if unread is not None:
                sending, receiving = transfer_curves(unread, -int(-at // 1))
                yield _cut(sending, at), _cut(receiving, at)

    def _followed(self, until: Until, *, final: bool) -> list[Curve]:
        """Return breakpoints from the direction's own fluid."""
        points = self._tap.points
        count = 0
        for known, pair in points:
            if not final and (known >= until.events or pair[0].at > until.time_ns):
                break
            count += 1
        found = []
        for index, last in enumerate(self._last):
            curve = list(last)
            for _, pair in points[:count]:
                _join(curve, pair[index])
            found.append(curve[1:] if curve[:1] == last else curve)
            last[:] = curve[-1:]
        del points[:count]
        return found

    def _joined(self, pieces: list[tuple[int, int, _Piece]]) -> Levels:
        """Return pieces one after the other, in time since COLO was entered."""
        lengths = [len(piece.levels.turn) for _, _, piece in pieces]
        columns = zip(*(piece.levels for _, _, piece in pieces), strict=True)
        turn, time_ns, account, level, slope = map(np.concatenate, columns) if pieces else _NONE
        turn = turn + np.repeat([turn for turn, _, _ in pieces], lengths).astype(np.int64)
        time_ns = time_ns + np.repeat([start for _, start, _ in pieces], lengths).astype(np.int64)
        return Levels(turn, time_ns, account + self._number, level, slope)


_EMPTY: Ints = np.empty(0, np.int64)
_NONE = Levels(_EMPTY, _EMPTY, _EMPTY, _EMPTY, np.empty(0, np.float64))


class _Piece(NamedTuple):
    """Breakpoints of both buffers, and when the last of them is."""

    levels: Levels
    end_ns: int


def _piece(curves: Sequence[Iterable[Point]]) -> _Piece:
    """Return the breakpoints of both buffers as columns."""
    rows = [
        (0, -int(-at // 1), account, -int(-level // 1), slope.numerator / slope.denominator)
        for account, curve in enumerate(curves)
        for at, level, slope in curve
    ]
    if not rows:
        return _Piece(_NONE, 0)
    columns = list(zip(*rows, strict=True))
    turn, time_ns, account, level = (np.array(column, np.int64) for column in columns[:-1])
    slope = np.array(columns[-1], np.float64)
    return _Piece(Levels(turn, time_ns, account, level, slope), max(columns[1]))


def _shape(transfer: Transfer, start_ns: int) -> tuple[int, ...]:
    """Return all that decides the levels under a transfer, its times counted from `start_ns`."""
    return (
        transfer.start_ns - start_ns,
        transfer.size_bytes,
        transfer.write_ns,
        transfer.link_ns,
        transfer.latency_ns,
        transfer.send_buffer_bytes,
        transfer.receive_buffer_bytes,
        transfer.head_bytes,
        transfer.read_ns,
        max(transfer.reader_ns, transfer.start_ns) - start_ns,
    )


@lru_cache(maxsize=512)
def _piece_of(shapes: tuple[tuple[int, ...], ...]) -> _Piece:
    """Return the levels under transfers that were read to their end: like ones share them."""
    curves = [transfer_curves(Transfer(*shape)) for shape in shapes]
    return _piece([_sum(curve) for curve in zip(*curves, strict=True)])
