"""The peaks of memory: of each account and of a host's sum, exact, as a run goes on.

They are those of the breakpoints in the memory table.  What is held changes in steps that the
record has; the levels of the socket buffers are curves (`colosim.runs.curves`), which take work in
exact rationals.  So a bound on a stretch of transfers is worked out first, and
its curves only where the bound is higher than every peak so far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import groupby
from typing import TYPE_CHECKING

from colosim.network.fluid import Point
from colosim.runs.bounds import most_bytes
from colosim.runs.curves import curves_of, join, take_stretches
from colosim.trace.events import OTHER, MemoryLevel

if TYPE_CHECKING:
    from colosim.runs.curves import Shape, Stretch
    from colosim.runs.taps import Tap
    from colosim.trace.dispatch import Handler
    from colosim.trace.events import Event

    Time = Fraction | int

_SHAPES = 512
_ENDS, _CURVE, _BEGINS = range(3)
"""In one instant a stretch ends, then a curve goes on, then a stretch begins."""
_EMPTY = Point(Fraction(0), Fraction(0), Fraction(0))


class Peaks:
    """Follows a record (`colosim.trace.dispatch`) and the buffers of a connection.

    `settle` looks at what is known by a time, `finish` at all that is left at the end of the run.
    """

    def __init__(self, taps: Sequence[Tap]) -> None:
        self._hosts = {side: _Host() for side in OTHER}
        self._buffers = [_Buffers(tap, self._hosts) for tap in taps]
        self._end_ns: int | None = None

    def on(self, event: Event) -> list[Handler]:
        """Return what is done with an event."""
        if isinstance(event, MemoryLevel):
            host, account = self._hosts[event.side], event.account
            return [lambda at_ns, level: host.hold(account, at_ns, level)]
        return []

    def settle(self, until_ns: int) -> None:
        """Look at what is over before `until_ns`."""
        known_ns = min(buffers.hear(until_ns) for buffers in self._buffers)
        # Of the last instant not all may be known.
        self._look(max(0, known_ns - 1))

    def finish(self, end_ns: int) -> None:
        """Let what is under way at the end of the run count up to there."""
        self._end_ns = end_ns

    def _look(self, until: Time) -> None:
        for buffers in self._buffers:
            buffers.hand_on(until)
        for host in self._hosts.values():
            host.look(until)

    def of(self, side: str) -> dict[str, int]:
        """Return the peak of each account of a side in bytes, and of their sum (``extra_total``).

        What is left is looked at when somebody wants to know.
        """
        if self._end_ns is not None:
            end_ns, self._end_ns = self._end_ns, None
            for buffers in self._buffers:
                buffers.hear(end_ns, last=True)
            self._look(end_ns)
        host = self._hosts[side]
        return {**dict(sorted(host.peaks.items())), "extra_total": host.total_peak}


class _Buffers:
    """The two buffers of a direction: what is heard of them, and how far it is known."""

    def __init__(self, tap: Tap, hosts: dict[str, _Host]) -> None:
        self._tap = tap
        self._accounts = (
            hosts[tap.sender].account(tap.accounts[0], 0),
            hosts[tap.receiver].account(tap.accounts[1], 1),
        )
        self._stretches: list[Stretch] = []
        self._followed_to: Time = 0

    def hear(self, until_ns: int, *, last: bool = False) -> Time:
        """Take the stretches that are over before `until_ns`; return up to when all is known."""
        tap = self._tap
        if last:
            tap.close(until_ns)
        self._stretches += take_stretches(tap, until_ns, last=last)
        if tap.points:
            self._followed_to = tap.points[-1][1][0].at
        known = self._followed_to if tap.follows else until_ns
        return min(known, *(transfer.filled_from_ns for transfer in tap.transfers[:1]), until_ns)

    def hand_on(self, until: Time) -> None:
        """Let the accounts have what is over by a time."""
        points = self._tap.points
        count = next(
            (i for i, (_, pair, _) in enumerate(points) if pair[0].at > until), len(points)
        )
        for _, pair, _ in points[:count]:
            for account, point in zip(self._accounts, pair, strict=True):
                join(account.curve, point)
        del points[:count]
        while self._stretches and self._stretches[0].end_ns <= until:
            stretch = self._stretches.pop(0)
            shape = stretch.shape
            most = _HIGHEST[shape] if shape in _HIGHEST else most_bytes(stretch.transfers)
            for account, bytes_ in zip(self._accounts, most, strict=True):
                account.stretches.append((stretch, bytes_))


class _Account:
    """A socket buffer: what is known of its level and was not looked at.

    `end`: which of a stretch's curves it is.
    """

    def __init__(self, end: int) -> None:
        self._end = end
        self.line = _EMPTY
        """How the level goes on from where one has looked."""
        self.curve: list[Point] = []
        self.stretches: list[tuple[Stretch, int]] = []
        """Each with what its level does not exceed."""

    @property
    def used(self) -> bool:
        """Whether there is anything to look at."""
        return bool(self.stretches or self.curve)

    def most_bytes(self, until: Time, enough: int = -1) -> int:
        """Return what the level does not exceed up to a time; exactly, if that is over `enough`."""
        most = max((most for _, most in self.stretches), default=0)
        if most > enough >= 0:
            most = max(
                most if most <= enough else highest_bytes(stretch.shape)[self._end]
                for stretch, most in self.stretches
            )
        return max(most, _highest(self.line, self.curve, until))

    def points(self, held: Callable[[Stretch], int | None]) -> list[Point]:
        """Return the breakpoints in the order of time, of stretches that are alike those of one.

        `held` tells what else is held during a stretch, None if that changes: it is like no other.
        """
        found = [(point.at, _CURVE, point) for point in self.curve]
        seen: list[tuple[Shape, int]] = []
        for stretch, _ in self.stretches:
            shape, begin, else_ = stretch.shape, stretch.begin_ns, held(stretch)
            if else_ is not None:
                if (shape, else_) in seen:
                    continue
                seen.append((shape, else_))
            for at, *line in curves_of(shape)[self._end]:
                point = Point(at + begin, *line)
                found.append((point.at, _ENDS if point.at == stretch.end_ns else _BEGINS, point))
        return [point for *_, point in sorted(found, key=_in_order)]

    def looked_at(self) -> None:
        """Forget what was looked at, but for how the level goes on."""
        if self.curve:
            self.line = self.curve[-1]
        if self.stretches and self.stretches[-1][0].end_ns > self.line.at:
            self.line = _EMPTY
        self.curve.clear()
        self.stretches.clear()


_HIGHEST: dict[Shape, tuple[int, int]] = {}
"""What was once worked out by `highest_bytes`, of the last shapes."""


def highest_bytes(shape: Shape) -> tuple[int, int]:
    """Return the highest level of send and receive buffer under a stretch."""
    if shape not in _HIGHEST:
        if len(_HIGHEST) >= _SHAPES:
            _HIGHEST.clear()
        sending, receiving = (_highest(_EMPTY, curve, shape[1]) for curve in curves_of(shape))
        _HIGHEST[shape] = sending, receiving
    return _HIGHEST[shape]


class _Host:
    """The accounts of one host, and their peaks so far."""

    def __init__(self) -> None:
        self.peaks: dict[str, int] = {}
        self.total_peak = 0
        self._held: dict[str, int] = {}
        # Since one has looked: (time, all that is held), the first is how it was then.
        self._steps: list[tuple[Time, int]] = [(0, 0)]
        self._accounts: dict[str, _Account] = {}

    def account(self, name: str, end: int) -> _Account:
        """Return a new account, of a socket buffer."""
        account = self._accounts[name] = _Account(end)
        return account

    def hold(self, account: str, at_ns: int, level: int) -> None:
        """Set a held account to a level."""
        held = self._steps[-1][1] + level - self._held.get(account, 0)
        self._held[account] = level
        self._steps.append((at_ns, held))
        self.peaks[account] = max(level, self.peaks.get(account, 0))

    def look(self, until: Time) -> None:
        """Look at what is known up to a time, where it may have a peak."""
        held = max(held for at, held in self._steps if at <= until)
        most = {name: account.most_bytes(until) for name, account in self._accounts.items()}
        if held + sum(most.values()) > self.total_peak or self._exceeded(most):
            for name, account in self._accounts.items():
                enough = min(self.peaks.get(name, 0), self.total_peak - held)
                most[name] = account.most_bytes(until, max(0, enough))
            self.peaks.update(self._exceeded(most))
            if held + sum(most.values()) > self.total_peak:
                self.total_peak = max(self.total_peak, self._highest_total(until))
        for account in self._accounts.values():
            account.looked_at()
        while len(self._steps) > 1 and self._steps[1][0] <= until:
            del self._steps[0]

    def _exceeded(self, most: dict[str, int]) -> dict[str, int]:
        """Return what is over the peaks so far, of accounts that something passed."""
        return {
            name: bytes_
            for name, bytes_ in most.items()
            if self._accounts[name].used and bytes_ > self.peaks.get(name, -1)
        }

    def _held_during(self, stretch: Stretch) -> int | None:
        """Return all that is held during a stretch, None if that changes or other buffers do."""
        if sum(account.used or account.line != _EMPTY for account in self._accounts.values()) > 1:
            return None
        during = [held for at, held in self._steps if stretch.begin_ns < at < stretch.end_ns]
        before = [held for at, held in self._steps if at <= stretch.begin_ns]
        return None if during else before[-1]

    def _highest_total(self, until: Time) -> int:
        """Return the highest sum of all accounts up to a time, in whole bytes.

        What moves in one instant is not summed half moved.
        """
        accounts = self._accounts.values()
        steps = [Point(Fraction(at), Fraction(held), Fraction(0)) for at, held in self._steps]
        curves = [*(account.points(self._held_during) for account in accounts), steps[1:]]
        lines = [*(account.line for account in accounts), steps[0]]
        changes = [
            (point, place)
            for place, points in enumerate(curves)
            for point in points
            if point.at <= until
        ]
        changes.sort(key=lambda change: change[0].at)
        now = changes[0][0].at if changes else Fraction(until)
        level = sum((_value(line, now) for line in lines), Fraction(0))
        slope = sum((line.slope for line in lines), Fraction(0))
        highest = level
        for at, moves in groupby(changes, key=lambda change: change[0].at):
            level += slope * (at - now)
            highest, now = max(highest, level), at
            for point, place in moves:
                line, lines[place] = lines[place], point
                level += point.level - _value(line, now)
                slope += point.slope - line.slope
            highest = max(highest, level)
        highest = max(highest, level + slope * (until - now))
        return _whole(highest)


def _highest(line: Point, curve: list[Point], until: Time | None) -> int:
    """Return the highest level on a line and a curve, in whole bytes."""
    highest = Fraction(0)
    for point in curve:
        highest = max(highest, _value(line, point.at), point.level)
        line = point
    return _whole(highest if until is None else max(highest, _value(line, until)))


def _value(line: Point, at: Time) -> Fraction:
    return line.level + line.slope * (at - line.at) if line.slope else line.level


def _whole(level: Fraction) -> int:
    return -int(-level // 1)


def _in_order(found: tuple[Fraction, int, Point]) -> tuple[Fraction, int]:
    return found[:2]
