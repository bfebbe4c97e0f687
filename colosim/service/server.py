"""When a guest has done its requests, one after the other or all at once, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from colosim.service.draws import Times


class Fifo:
    """One request after the other: what it takes to serve any of them in a row, summed up once.

    Request i is done at ``sums[i] + max(base, slack[j] for j up to i)``, where a request's slack is
    when it comes less what those before it take, and the base is when the server is free less that.
    """

    def __init__(self, came: Times, work: Times, after_ns: int = 0) -> None:
        self._work = work
        self._sums = work.cumsum()
        self._slack = came - self._sums
        self._slack += work
        self._sums_after = self._sums + after_ns if after_ns else self._sums

    def done(self, first: int, end: int, free_ns: int, out: Times | None = None) -> Times:
        """Return when each is done of those from `first` to `end`, begun not before `free_ns`.

        As seen `after_ns` later.
        The work of `first` may have shrunk since, by no more than has passed since it came.
        """
        if first == end:
            return self._sums_after[:0]
        base, slack = free_ns - self._sums.item(first) + self._work.item(first), self._slack
        own = slack.item(first)
        slack[first] = max(base, own)
        done: Times = np.maximum.accumulate(slack[first:end], out=out)
        slack[first] = own
        done += self._sums_after[first:end]
        return done


def paced(came: Times, work: Times, free_ns: int, pace_ns: int) -> Times:
    """Return when each is done if all are served at once: in order, at least `pace_ns` apart.

    The first of them not before `free_ns`.
    """
    steps = np.arange(len(came), dtype=np.int64) * pace_ns
    done: Times = came + work - steps
    np.maximum.accumulate(done, out=done)
    np.maximum(done, free_ns, out=done)
    done += steps
    return done
