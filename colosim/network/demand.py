"""What the thread at one end of a fluid is to write or read: how far, and each part how fast."""

from __future__ import annotations

from collections import deque
from fractions import Fraction

from colosim.engine.clock import PPM

Rate = Fraction | None
"""Bytes a nanosecond; None is without limit."""


class Demand:
    """The calls of one thread: `goal` is where the last ends, `since` where it begins, in bytes."""

    __slots__ = ("_steps", "frozen", "goal", "since")

    def __init__(self) -> None:
        self.goal = self.since = 0
        self.frozen = False
        # Of each call that is not done: where it ends, and its rate.
        self._steps: deque[tuple[int, Rate]] = deque()

    def __copy__(self) -> Demand:
        """Return one that goes its own way from here on."""
        twin = Demand()
        twin.goal, twin.since, twin.frozen = self.goal, self.since, self.frozen
        twin._steps = deque(self._steps)
        return twin

    def add(self, amount: int, duration_ns: int) -> None:
        """Add a call for `amount` bytes, which alone take the thread `duration_ns`."""
        self.since = self.goal
        self.goal += amount
        rate = Fraction(amount, duration_ns) if duration_ns else None
        self._steps.append((self.goal, rate))

    @property
    def step(self) -> tuple[int, Rate]:
        """The goal and the rate of the call under way."""
        return self._steps[0] if self._steps else (self.goal, Fraction(0))

    def at_once(self, done: Fraction) -> Fraction:
        """Return how far the thread comes from `done` by the first calls that have no limit."""
        for goal, rate in () if self.frozen else self._steps:
            if rate is not None and done < goal:
                break
            done = max(done, Fraction(goal))
        return done

    def come_to(self, done: Fraction) -> None:
        """Leave out the calls that are done."""
        while self._steps and self._steps[0][0] <= done:
            self._steps.popleft()

    def stop(self, done: Fraction) -> None:
        """Want no more than is done, in whole bytes: the call has failed."""
        self.goal = -int(-done // 1)
        self._steps.clear()
        if self.goal > done:
            self._steps.append((self.goal, None))

    def stop_at_share(self, share_ppm: int) -> None:
        """Want no more than a share of the last call."""
        self.goal = goal = self.since + (self.goal - self.since) * share_ppm // PPM
        self._steps = deque((min(goal, step), rate) for step, rate in self._steps)
