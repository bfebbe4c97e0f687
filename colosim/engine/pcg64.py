"""The bit generator PCG64, seeded by numpy's ``SeedSequence``, in plain integers.

A run draws a handful of integers, and importing numpy for them takes longer than a short run.  The
integers are the same to the bit; a test holds them to numpy's.

Origins: M. E. O'Neill, *PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms
for Random Number Generation* (2014), the member ``setseq_xsl_rr_128_64``; numpy's
``SeedSequence(entropy, spawn_key=...)``, after O'Neill's ``seed_seq_fe128``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, cycle, islice
from typing import Final

_WORD: Final = (1 << 32) - 1
_POOL_WORDS: Final = 4
_INIT_A, _MULT_A = 0x43B0D7E5, 0x931E8875
_INIT_B, _MULT_B = 0x8B51F9DD, 0x58F38DED
_MIX_LEFT, _MIX_RIGHT = 0xCA01F9DD, 0x4973F715

_LONG: Final = (1 << 64) - 1
_STATE: Final = (1 << 128) - 1
_MULTIPLIER: Final = 0x2360ED051FC65DA44385DF649FCCF645


def pcg64(entropy: int, spawn_key: Sequence[int]) -> Iterator[int]:
    """Yield without end the 64-bit integers of ``PCG64(SeedSequence(entropy, spawn_key=...))``."""
    high, low, increment_high, increment_low = _seeds(entropy, spawn_key)
    increment = ((increment_high << 64 | increment_low) << 1 | 1) & _STATE
    state = (increment + (high << 64 | low)) * _MULTIPLIER + increment & _STATE
    while True:
        state = state * _MULTIPLIER + increment & _STATE
        folded, turn = (state >> 64 ^ state) & _LONG, state >> 122
        yield (folded >> turn | folded << 64 - turn) & _LONG


def _seeds(entropy: int, spawn_key: Sequence[int]) -> list[int]:
    """Return the four 64-bit integers of ``SeedSequence.generate_state(4, uint64)``."""
    scramble = _hash(_INIT_B, _MULT_B)
    words = [scramble(word) for word in islice(cycle(_pool(entropy, spawn_key)), 8)]
    return [low | high << 32 for low, high in zip(words[::2], words[1::2], strict=True)]


def _pool(entropy: int, spawn_key: Sequence[int]) -> list[int]:
    """Return the pool into which all words of entropy and key are mixed."""
    own = _words(entropy)
    own += [0] * (_POOL_WORDS - len(own))
    words = [*own, *chain.from_iterable(map(_words, spawn_key))]
    scramble = _hash(_INIT_A, _MULT_A)
    pool = [scramble(word) for word in words[:_POOL_WORDS]]
    for source in range(_POOL_WORDS):
        for target in range(_POOL_WORDS):
            if source != target:
                pool[target] = _mixed(pool[target], scramble(pool[source]))
    for word in words[_POOL_WORDS:]:
        for target in range(_POOL_WORDS):
            pool[target] = _mixed(pool[target], scramble(word))
    return pool


def _words(number: int) -> list[int]:
    """Return a number's 32-bit words, the lowest first; 0 has one."""
    words = [number & _WORD]
    while number := number >> 32:
        words.append(number & _WORD)
    return words


def _hash(constant: int, multiplier: int) -> Callable[[int], int]:
    """Return the function that scrambles one word after the other, each with the next constant."""

    def scramble(word: int) -> int:
        nonlocal constant
        word ^= constant
        constant = constant * multiplier & _WORD
        word = word * constant & _WORD
        return word ^ word >> 16

    return scramble


def _mixed(one: int, other: int) -> int:
    word = (_MIX_LEFT * one - _MIX_RIGHT * other) & _WORD
    return word ^ word >> 16
