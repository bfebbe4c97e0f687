"""When a guest has done its requests, one after the other or all at once, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from colosim.service.draws import Times


class Server:
    """A guest that nothing stops, and what a stop changes of that.

    Request i is done at ``sums[i] + max(slack[j] for j up to i)``.  One after the other, the sum is
    what requests up to i take, and the slack is when it comes less what those before it take.  All
    at once, but in order and at least `pace_ns` apart, the sum is i times that, and the slack is
    when it is done if it is alone, less that.

    What a stop delays ends with a request that finds the guest free: only up to there times change.
    """

    def __init__(self, came: Times, work: Times, pace_ns: int | None) -> None:
        self.work, self._pace_ns = work, pace_ns or 0
        if pace_ns is None:
            self._sums = work.cumsum()
            self._slack = came - self._sums
            self._slack += work
        else:
            self._sums = np.arange(len(came), dtype=np.int64) * pace_ns
            self._slack = came + work
            self._slack -= self._sums
        self._highest = np.maximum.accumulate(self._slack)
        self.done: Times = self._highest + self._sums
        """When each is done."""
        self.changed = 0
        """Up to which one they may be others, for they were delayed."""

    def delay(self, first: int, least_ns: int) -> int:
        """Let `first` be done no earlier than that, and those behind it no earlier than they can.

        Return up to which one times may have changed since they were asked for last.
        """
        sums, highest, changed = self._sums, self._highest, self.changed
        level = before = least_ns - sums.item(first)
        if first:
            before = highest.item(first - 1)
        end = int(highest.searchsorted(max(level, before), "right"))
        if level >= before:
            np.add(sums[first:end], level, out=self.done[first:end])
        else:
            out = self.done[first:end]
            np.maximum.accumulate(self._slack[first:end], out=out)
            np.maximum(out, level, out=out)
            out += sums[first:end]
        self.changed = changed
        self.restore(end)
        return max(end, changed)

    def restore(self, end: int) -> None:
        """Let those from `end` on be done as foreseen."""
        which, self.changed = slice(end, self.changed), end
        if end < which.stop:
            np.add(self._highest[which], self._sums[which], out=self.done[which])

    def finds_free(self, index: int) -> bool:
        """Return whether a request comes as the guest is free, if nothing stops it."""
        return bool(self._highest.item(index) == self._slack.item(index))

    def delay_at_once(self, first: int, least_ns: int, ready: Times) -> int:
        """Do likewise with a guest that does all at once, of which the first would be done then.

        `ready`: when each would be if it was alone, other than foreseen.
        """
        end = first + len(ready)
        if len(ready):
            self.done[first:end] = done = paced(ready, least_ns, self._pace_ns)
            least_ns = done.item(-1) + self._pace_ns
        if end < len(self.done):
            return self.delay(end, least_ns)
        self.changed = end
        return end


def paced(ready: Times, free_ns: int, pace_ns: int) -> Times:
    """Return when each is done, in order, that is ready then, the first not before `free_ns`."""
    steps = np.arange(len(ready), dtype=np.int64) * pace_ns
    done: Times = ready - steps
    np.maximum.accumulate(done, out=done)
    np.maximum(done, free_ns, out=done)
    done += steps
    return done
