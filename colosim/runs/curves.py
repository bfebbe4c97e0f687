"""The levels of the socket buffers over a run: every breakpoint, in exact rationals.

As long as nothing disturbs a direction, its levels follow from the bulk transfers that pass
(`colosim.network.transfer`), expanded here by the fluid that must agree with them.  While it is
disturbed the direction itself is a fluid (an *episode*), and its own breakpoints are taken.
Messages of a few bytes are booked only where a fluid follows them.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from colosim.network.fluid import Fluid, Point

if TYPE_CHECKING:
    from colosim.network.transfer import Transfer
    from colosim.runs.taps import Tap

    Shape = tuple[tuple[tuple[int, ...], ...], Fraction | None, bool]

Curve = list[Point]


class Stretch(NamedTuple):
    """Bulk transfers that follow each other so closely that they may meet in a buffer.

    `end_ns`: when all of it is over.  `cut`: where an episode takes over before that, or where the
    run ends (`last`), to whose end a breakpoint at that very time belongs.
    """

    transfers: tuple[Transfer, ...]
    end_ns: Fraction | int
    cut: Fraction | None
    last: bool

    @property
    def begin_ns(self) -> int:
        """When its first byte is written."""
        return self.transfers[0].filled_from_ns

    @property
    def shape(self) -> Shape:
        """All that decides its levels, in time since its begin."""
        begin_ns = self.begin_ns
        cut = None if self.cut is None else self.cut - begin_ns
        return tuple(_shape(one, begin_ns) for one in self.transfers), cut, self.last


def take_stretches(tap: Tap, until_ns: int, *, last: bool = False) -> list[Stretch]:
    """Take what stretches are over before `until_ns`, and which nothing to come can meet.

    `last`: the run ends at `until_ns`, and so do those under way.
    """
    found: list[Stretch] = []
    group: list[Transfer] = []
    end: Fraction | int = 0
    cut: Fraction | None = None
    left = 0
    for place, transfer in enumerate(tap.transfers):
        if group and transfer.filled_from_ns >= end:
            found.append(Stretch(tuple(group), end, cut, last))
            group, left = [], place
        over, cut = _over(transfer, _episode_after(tap, place))
        if over is None or over >= until_ns:
            if not last:
                break
            over = cut = Fraction(until_ns)
        if cut is not None and cut <= transfer.filled_from_ns:
            continue  # what is put off never begins
        group.append(transfer)
        end = max(end, over) if len(group) > 1 else over
    else:
        if group:
            found.append(Stretch(tuple(group), end, cut, last))
        left = len(tap.transfers)
    del tap.transfers[:left]
    tap.taken += left
    while tap.episodes and tap.episodes[0][0] <= tap.taken:
        del tap.episodes[0]
    return found


def _episode_after(tap: Tap, place: int) -> Fraction | None:
    """Return when the first episode began since a transfer did."""
    return next((at for count, at in tap.episodes if count > tap.taken + place), None)


def _over(
    transfer: Transfer, episode: Fraction | None
) -> tuple[Fraction | int | None, Fraction | None]:
    """Return when a transfer is over, and where it is cut off."""
    if transfer.reader_ns < 0:
        return episode, episode
    arrived = transfer.leaves_from_ns + transfer.link_ns + transfer.latency_ns
    end = max(transfer.read_end_ns(), arrived + transfer.read_ns)
    return (end, None) if episode is None or end <= episode else (episode, episode)


def _shape(transfer: Transfer, begin_ns: int) -> tuple[int, ...]:
    return (
        transfer.filled_from_ns - begin_ns,
        max(0, transfer.leaves_from_ns - transfer.filled_from_ns),
        transfer.size_bytes,
        transfer.write_ns,
        transfer.link_ns,
        transfer.latency_ns,
        transfer.send_buffer_bytes,
        transfer.receive_buffer_bytes,
        transfer.head_bytes,
        transfer.read_ns,
        max(0, transfer.reader_ns - transfer.filled_from_ns) if transfer.reader_ns >= 0 else -1,
    )


@lru_cache(maxsize=512)
def curves_of(shape: Shape) -> tuple[Curve, Curve]:
    """Return the levels of send and receive buffer under a stretch; like ones share them."""
    transfers, cut, last = shape
    found = [(one[0], _alone(None if cut is None else cut - one[0], *one[1:])) for one in transfers]
    sending, receiving = (
        _sum([[Point(at + begin, *line) for at, *line in curves[end]] for begin, curves in found])
        for end in (0, 1)
    )
    return _before(sending, cut, last=last), _before(receiving, cut, last=last)


def _alone(  # noqa: PLR0913, PLR0917 - what a shape has of a transfer
    until: Fraction | None,
    hold_ns: int,
    size: int,
    write_ns: int,
    link_ns: int,
    latency_ns: int,
    send_buffer_bytes: int,
    receive_buffer_bytes: int,
    head_bytes: int,
    read_ns: int,
    reader_ns: int,
) -> tuple[Curve, Curve]:
    """Return the levels under one transfer alone, in time since its write.

    `hold_ns`: until when nothing leaves; `until`: where to end if the reader has not come.
    """
    fluid = Fluid(
        0,
        latency_ns=latency_ns,
        send_buffer_bytes=send_buffer_bytes,
        receive_buffer_bytes=receive_buffer_bytes,
        link=Fraction(size, link_ns) if link_ns else None,
        head_bytes=head_bytes,
    )
    curves: tuple[Curve, Curve] = ([], [])

    def see(*points: Point) -> None:
        for curve, point in zip(curves, points, strict=True):
            join(curve, point)

    fluid.on_levels = see
    fluid.writes.add(size, write_ns)
    if hold_ns:
        fluid.hold(0, hold_ns)
    if reader_ns < 0:
        assert until is not None  # noqa: S101 - nobody reads it: somewhere it is cut
        fluid.advance(until)
    else:
        fluid.advance(reader_ns)
        fluid.reads.add(size, read_ns)
        end = fluid.ends()[1]
        fluid.advance(reader_ns if end is None else end)
    return curves


def join(curve: Curve, point: Point) -> None:
    """Append a breakpoint, unless it lies on the line before it."""
    if curve:
        at, level, slope = curve[-1]
        if slope == point.slope and level + slope * (point.at - at) == point.level:
            return
        if at == point.at:
            curve.pop()
            join(curve, point)
            return
    curve.append(point)


def _sum(curves: Iterable[Curve]) -> Curve:
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
        join(total, Point(at, level, slope))
    return total


def _before(curve: Curve, cut: Fraction | None, *, last: bool) -> Curve:
    """Return the part of a curve before it is cut off, with `last` also what is at that time."""
    if cut is None:
        return curve
    return [point for point in curve if point.at < cut or (last and point.at == cut)]
