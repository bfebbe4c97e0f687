"""Clients of a closed loop whose answers wait for nothing, in rounds, as arrays.

The next request of a client comes a fixed time behind its answer, and a guest that does one after
the other keeps their order: request k of N clients comes that long behind answer k - N.  Answers
that fit this rule are those that there are, however they were found.  Here they are guessed as if
all went on as in the last round: so it is where all take the same, and where the guest is not idle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from colosim.service.draws import Times

FEW: Final = 32
"""Where no more are known at once, one after the other is faster."""


def in_rounds(
    comes: Times, take: Callable[[int], Times], free_ns: int, rests_ns: int, stop_ns: int
) -> Iterator[tuple[Times, Times, Times]]:
    """Yield when some requests come and are done before `stop_ns`, and when the next of each comes.

    `comes`: when the next request of each client comes; `take` returns what the next take, up to so
    many; `free_ns`: when the guest is free; `rests_ns`: from an answer to the next request.
    """
    clients, round_ns, count = len(comes), 0, len(comes)
    while True:
        work = take(count)
        done = _known(comes, work, free_ns, rests_ns, round_ns)
        done = done[: done.searchsorted(stop_ns)]
        known = len(done)
        if not known:
            return
        every = np.concatenate((comes, done + rests_ns))
        comes, free_ns = every[known:], done.item(-1)
        round_ns = comes.item(-1) - every.item(known - 1)
        yield every[:known], done, comes
        if known < len(work) and known < FEW:
            return
        count = 2 * count if known == len(work) else max(clients, known)


def _known(comes: Times, work: Times, free_ns: int, rests_ns: int, round_ns: int) -> Times:
    """Return when those of the next are done of which it is known, if a round takes so long."""
    clients, count, sums = len(comes), len(work), work.cumsum()
    comes = np.resize(comes, count) + np.arange(count, dtype=np.int64) // clients * round_ns
    guess = _done(comes, work, sums, free_ns)
    comes[clients:] = guess[: max(0, count - clients)] + rests_ns
    done = _done(comes, work, sums, free_ns)
    others = done != guess
    first = int(others.argmax())
    return done[: first + clients] if others[first] else done


def _done(comes: Times, work: Times, sums: Times, free_ns: int) -> Times:
    done: Times = comes - sums
    done += work
    np.maximum.accumulate(done, out=done)
    np.maximum(done, free_ns, out=done)
    done += sums
    return done
