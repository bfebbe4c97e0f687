"""How much a guest writes in a time: its rate, the phases of it, and bursts.

All in the guest's own time, which stands while it is stopped.  Everything is an integer: what a
rate says is kept in pages a second times nanoseconds, and divided once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING

from colosim.engine.clock import NS_PER_S, PPM, each
from colosim.engine.streams import exponential_ns

if TYPE_CHECKING:
    from colosim.engine.streams import Streams
    from colosim.scenario.guest import Bursts, Phase, WriteLoad


def writes_of(load: WriteLoad, streams: Streams, number: int) -> Callable[[int, int], int]:
    """Return the function (run time before, run time since, in ns) -> page writes of a load.

    `number` names the stream of its bursts, so that each of several loads has its own.
    """
    rate = load.rate_pages_per_s
    if rate is not None and not load.varies:
        return lambda _before_ns, run_ns: rate * run_ns // NS_PER_S
    until = _phases(load.phases) if rate is None else lambda at_ns: rate * at_ns
    if load.bursts is None:

        def in_phases(before_ns: int, run_ns: int) -> int:
            return (until(before_ns + run_ns) - until(before_ns)) // NS_PER_S

        return lambda before_ns, run_ns: each(in_phases, before_ns, run_ns)
    more_ppm = load.bursts.factor_ppm - PPM
    begins = _Begins(load.bursts, streams.endless(f"bursts of set {number}"))

    def writes(before_ns: int, run_ns: int) -> int:
        end_ns = before_ns + run_ns
        inside = sum(
            until(min(begin_ns + begins.for_ns, end_ns)) - until(max(begin_ns, before_ns))
            for begin_ns in begins.between(before_ns, end_ns)
        )
        return ((until(end_ns) - until(before_ns)) * PPM + inside * more_ppm) // (NS_PER_S * PPM)

    return lambda before_ns, run_ns: each(writes, before_ns, run_ns)


def _phases(phases: tuple[Phase, ...]) -> Callable[[int], int]:
    """Return the function time -> what all phases up to there wrote, in pages/s times ns."""
    lasting = [(phase.for_ns, phase.rate_pages_per_s) for phase in phases if phase.for_ns]
    ends_ns = [0, *accumulate(for_ns for for_ns, _ in lasting)]
    written = [0, *accumulate(for_ns * rate for for_ns, rate in lasting)]
    rates = [phase.rate_pages_per_s for phase in phases]
    repeats = len(lasting) == len(phases)

    def until(at_ns: int) -> int:
        rounds, rest_ns = divmod(at_ns, ends_ns[-1]) if repeats else (0, at_ns)
        now = bisect_right(ends_ns, rest_ns) - 1
        return rounds * written[-1] + written[now] + rates[now] * (rest_ns - ends_ns[now])

    return until


class _Begins:
    """When bursts begin, drawn as far as they are asked for."""

    def __init__(self, bursts: Bursts, raw: Iterator[int]) -> None:
        self.for_ns = bursts.for_ns
        self._gaps_ns = exponential_ns(raw, Fraction(bursts.every_ns))
        self._begins_ns = [next(self._gaps_ns)]

    def between(self, from_ns: int, to_ns: int) -> list[int]:
        """Return when those begin that have a part in a time."""
        begins = self._begins_ns
        while begins[-1] < to_ns:
            begins.append(begins[-1] + self.for_ns + next(self._gaps_ns))
        return begins[bisect_right(begins, from_ns - self.for_ns) : bisect_right(begins, to_ns - 1)]
