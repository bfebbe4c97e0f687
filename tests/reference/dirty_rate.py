"""What a guest writes, one nanosecond of its own time after the other."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING

from colosim.engine.streams import Streams, exponential_ns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colosim.scenario.guest import WriteLoad


def rates(load: WriteLoad, seed: int, number: int, until_ns: int) -> list[int]:
    """Return the rate in each nanosecond of a load, in millionths of a page a second."""
    times = [10**6 * rate for rate in islice(_phase_rates(load), until_ns)]
    if load.bursts is None:
        return times
    gaps = exponential_ns(
        Streams(seed).endless(f"bursts of set {number}"), Fraction(load.bursts.every_ns)
    )
    begin = 0
    for gap in gaps:
        begin += gap
        if begin >= until_ns:
            return times
        for at in range(begin, min(begin + load.bursts.for_ns, until_ns)):
            times[at] = times[at] * load.bursts.factor_ppm // 10**6
        begin += load.bursts.for_ns
    return times


def _phase_rates(load: WriteLoad) -> Iterator[int]:
    while load.rate_pages_per_s is not None:
        yield load.rate_pages_per_s
    while True:
        for phase in load.phases:
            left = phase.for_ns
            while left is None or left > 0:
                yield phase.rate_pages_per_s
                left = None if left is None else left - 1
