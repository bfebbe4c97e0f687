"""Named random streams: every random quantity draws from a generator of its own.

A stream is derived from (seed, name), so adding one never moves another, and two designs that
run under one seed see the same draws (common random numbers).
"""

from __future__ import annotations

import zlib

from numpy.random import PCG64, SeedSequence


class Streams:
    """The random streams of one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def raw(self, name: str, count: int) -> list[int]:
        """Return the first `count` raw 64-bit integers of the stream `name`.

        Raw integers, not distributions: numpy keeps a bit generator's output the same from
        release to release, its distributions not.
        """
        key = zlib.crc32(name.encode())
        bits = PCG64(SeedSequence(entropy=self._seed, spawn_key=(key, len(name))))
        return [int(value) for value in bits.random_raw(count)]

    def below(self, name: str, bound: int) -> int:
        """Return one integer in ``[0, bound)`` of the stream `name`."""
        (value,) = self.raw(name, 1)
        return value * bound >> 64
