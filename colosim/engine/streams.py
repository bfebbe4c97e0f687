"""Named random streams: every random quantity draws from a generator of its own.

A stream is derived from (seed, name), so adding one never moves another, and two designs that
run under one seed see the same draws (common random numbers).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from decimal import Context, Decimal
from itertools import islice
from typing import TYPE_CHECKING

from colosim.engine.clock import each
from colosim.engine.pcg64 import pcg64

if TYPE_CHECKING:
    from fractions import Fraction

_DIGITS = 40
_BITS = 64


def _stream(seed: int, name: str) -> Iterator[int]:
    return pcg64(seed, (zlib.crc32(name.encode()), len(name)))


class Streams:
    """The random streams of one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def endless(self, name: str) -> Iterator[int]:
        """Yield the raw 64-bit integers of the stream `name`, one after the other.

        Raw integers, not distributions: numpy, whose they are too, keeps a bit generator's output
        the same from release to release, its distributions not.
        """
        return _stream(self._seed, name)

    def raw(self, name: str, count: int) -> list[int]:
        """Return the first `count` raw 64-bit integers of the stream `name`."""
        return list(islice(self.endless(name), count))

    def below(self, name: str, bound: int) -> int:
        """Return one integer in ``[0, bound)`` of the stream `name`."""
        return each(lambda seed, top: next(_stream(seed, name)) * top >> _BITS, self._seed, bound)


def exponential_ns(raw: Iterator[int], mean_ns: Fraction) -> Iterator[int]:
    """Yield exponentially distributed times of this mean, at least 1 ns, from raw integers.

    The logarithm is computed in decimal, which rounds correctly: no platform's `log` decides a
    nanosecond.
    """
    context = Context(prec=_DIGITS)
    mean = context.divide(Decimal(mean_ns.numerator), Decimal(mean_ns.denominator))
    for value in raw:
        share = context.divide(Decimal(2 * value + 1), Decimal(1 << _BITS + 1))
        yield max(1, int(context.multiply(mean, -share.ln(context))))
