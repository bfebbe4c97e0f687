"""The levels of the socket buffers as columns of breakpoints, for tables."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from colosim.runs.curves import curves_of, join, take_stretches

if TYPE_CHECKING:
    from colosim.runs.curves import Curve, Shape
    from colosim.runs.taps import Tap
    from colosim.trace.columns import Ints


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


class SocketLevels:
    """Gives the levels of the buffers of directions, piece by piece.

    `accounts`: side and name of each account, in the order of their numbers.
    """

    def __init__(self, taps: Sequence[Tap]) -> None:
        self._parts = [_DirectionLevels(one, 2 * number) for number, one in enumerate(taps)]
        self.accounts = tuple(
            account
            for one in taps
            for account in zip((one.sender, one.receiver), one.accounts, strict=True)
        )

    def drain(self, until: Sequence[Until]) -> list[Levels]:
        """Return what was over by each of the moments, and was not returned before."""
        return [part.drain(until) for part in self._parts]

    def rest(self, end_ns: int) -> list[Levels]:
        """Return what was not returned before, as it stands at the end of the run."""
        return [part.drain([Until(end_ns)], last=True) for part in self._parts]


class _DirectionLevels:
    """One direction's two buffers, which are the accounts `number` and the next."""

    def __init__(self, tap: Tap, number: int) -> None:
        self._tap = tap
        self._number = number
        self._last: tuple[Curve, Curve] = ([], [])

    def drain(self, until: Sequence[Until], *, last: bool = False) -> Levels:
        """Return what was over by each of the moments, and was not returned before."""
        pieces: list[tuple[int, int, Levels]] = []
        if not until:
            return _NONE
        if last:
            self._tap.close(until[-1].time_ns)
        times_ns = [moment.time_ns for moment in until]
        turn = 0
        for stretch in take_stretches(self._tap, times_ns[-1], last=last):
            over = bisect_right(times_ns, stretch.end_ns, lo=turn)
            turn = min(over, len(until) - 1)
            pieces.append((turn, stretch.begin_ns, _columns_of(stretch.shape)))
        for turn, moment in enumerate(until) if self._tap.points else ():
            fresh = self._followed(moment, last=last)
            if any(fresh):
                pieces.append((turn, 0, _columns(fresh)))
        return self._joined(pieces)

    def _followed(self, until: Until, *, last: bool) -> list[Curve]:
        """Return breakpoints of the direction where it is followed step by step."""
        points = self._tap.points
        count = 0
        for known, pair, _ in points:
            if not last and (known >= until.events or pair[0].at > until.time_ns):
                break
            count += 1
        found: list[Curve] = []
        for index, before in enumerate(self._last):
            rows: Curve = []
            curve, told = list(before), list(before)
            for _, pair, begins in points[:count]:
                if begins:
                    # Stretches in closed form were before: it says what is there.
                    rows += _without(curve, told)
                    curve, told = [], []
                join(curve, pair[index])
            found.append(rows + _without(curve, told))
            before[:] = curve[-1:]
        del points[:count]
        return found

    def _joined(self, pieces: list[tuple[int, int, Levels]]) -> Levels:
        """Return pieces one after the other, each with its turn and where its time counts from."""
        lengths = [len(piece.turn) for _, _, piece in pieces]
        columns = zip(*(piece for _, _, piece in pieces), strict=True)
        turn, time_ns, account, level, slope = map(np.concatenate, columns) if pieces else _NONE
        turn = turn + np.repeat([turn for turn, _, _ in pieces], lengths).astype(np.int64)
        time_ns = time_ns + np.repeat([start for _, start, _ in pieces], lengths).astype(np.int64)
        return Levels(turn, time_ns, account + self._number, level, slope)


def _without(curve: Curve, told: Curve) -> Curve:
    """Return a curve without the breakpoint that it began with, if that has been told."""
    return curve[1:] if curve[:1] == told else curve


_EMPTY: Ints = np.empty(0, np.int64)
_NONE = Levels(_EMPTY, _EMPTY, _EMPTY, _EMPTY, np.empty(0, np.float64))


@lru_cache(maxsize=512)
def _columns_of(shape: Shape) -> Levels:
    """Return the breakpoints of a stretch, in time since its begin; like ones share them."""
    return _columns(curves_of(shape))


def _columns(curves: Iterable[Curve]) -> Levels:
    """Return the breakpoints of both buffers."""
    rows = [
        (0, -int(-at // 1), account, -int(-level // 1), slope.numerator / slope.denominator)
        for account, curve in enumerate(curves)
        for at, level, slope in curve
    ]
    if not rows:
        return _NONE
    *columns, slopes = zip(*rows, strict=True)
    turn, time_ns, account, level = (np.array(column, np.int64) for column in columns)
    return Levels(turn, time_ns, account, level, np.array(slopes, np.float64))
