"""The levels of the socket buffers over a run: every breakpoint, in exact rationals.

As long as nothing disturbs a direction, its levels follow from the bulk transfers that pass
(`colosim.network.transfer`), expanded here by the fluid that must agree with them.  While it is
disturbed the direction itself is a fluid (an *episode*), and its own breakpoints are taken.
Messages of a few bytes are booked only where a fluid follows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import lru_cache, partial
from operator import itemgetter
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
    arrived = transfer.start_ns + transfer.link_ns + transfer.latency_ns
    end = max(transfer.read_end_ns(), arrived + transfer.read_ns)
    return (end, None) if episode is None or end <= episode else (episode, episode)


def _shape(transfer: Transfer, begin_ns: int) -> tuple[int, ...]:
    return (
        transfer.filled_from_ns - begin_ns,
        transfer.lead_ns,
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
    # The rate of the largest is what rounding to a ns has changed least.
    _, _, size, _, link_ns, latency_ns, send_buffer_bytes, receive_buffer_bytes, *_ = max(
        transfers, key=itemgetter(2)
    )
    fluid = Fluid(
        0,
        latency_ns=latency_ns,
        send_buffer_bytes=send_buffer_bytes,
        receive_buffer_bytes=receive_buffer_bytes,
        link=Fraction(size, link_ns) if link_ns else None,
        head_bytes=transfers[0][8],
    )
    curves: tuple[Curve, Curve] = ([], [])

    def see(*points: Point) -> None:
        for curve, point in zip(curves, points, strict=True):
            join(curve, point)

    fluid.on_levels = see
    for at_ns, begin in _begins(fluid, transfers):
        fluid.advance(at_ns)
        begin()
    end = cut if any(one[-1] < 0 for one in transfers) else fluid.ends()[1]
    fluid.advance(fluid.now if end is None else max(fluid.now, end))
    sending, receiving = curves
    return _before(sending, cut, last=last), _before(receiving, cut, last=last)


def _begins(
    fluid: Fluid, transfers: Iterable[tuple[int, ...]]
) -> list[tuple[int, Callable[[], None]]]:
    """Return when each write and each read begins, and what begins it."""
    found: list[tuple[int, Callable[[], None]]] = []
    ahead = held_until = 0
    for filled_ns, hold_ns, size, write_ns, *_, read_ns, reader_ns in transfers:
        if hold_ns and filled_ns >= held_until:
            held_until = filled_ns + hold_ns
            found.append((filled_ns, partial(fluid.hold, ahead, held_until)))
        found.append((filled_ns, partial(fluid.writes.add, size, write_ns)))
        if reader_ns >= 0:
            found.append((filled_ns + reader_ns, partial(fluid.reads.add, size, read_ns)))
        ahead += size
    return sorted(found, key=itemgetter(0))


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


def _before(curve: Curve, cut: Fraction | None, *, last: bool) -> Curve:
    """Return the part of a curve before it is cut off, with `last` also what is at that time."""
    if cut is None:
        return curve
    return [point for point in curve if point.at < cut or (last and point.at == cut)]
