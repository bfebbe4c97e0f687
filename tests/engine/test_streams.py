"""Named random streams do not know of each other."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st
from numpy.random import PCG64, SeedSequence

from colosim.engine.pcg64 import pcg64
from colosim.engine.streams import Streams, exponential_ns

SEEDS = st.integers(0, 2**64)
NAMES = st.text(min_size=1, max_size=20)


@given(SEEDS, NAMES, NAMES)
def test_drawing_from_one_stream_moves_no_other(seed: int, one: str, other: str) -> None:
    """What a stream gives does not depend on what was drawn before, from whatever stream."""
    fresh = Streams(seed).raw(one, 5)
    used = Streams(seed)
    used.raw(other, 17)
    used.below(one, 10)
    assert used.raw(one, 5) == fresh
    assert used.raw(one, 3) == fresh[:3]


@given(SEEDS, NAMES, NAMES)
def test_streams_differ_by_name_and_by_seed(seed: int, one: str, other: str) -> None:
    """Another name or another seed is another stream."""
    assert Streams(seed).raw(one, 2) != Streams(seed + 1).raw(one, 2)
    if one != other:
        assert Streams(seed).raw(one, 2) != Streams(seed).raw(other, 2)


@given(SEEDS, NAMES, st.integers(1, 10**9))
def test_a_bounded_draw_is_inside_its_bound(seed: int, name: str, bound: int) -> None:
    """`below` gives an integer from 0 up to the bound, the bound left out."""
    assert 0 <= Streams(seed).below(name, bound) < bound


def test_the_first_draws_are_the_same_everywhere() -> None:
    """The raw integers are those of numpy's PCG64, which no release and no platform changes."""
    first, second = 18_069_849_705_210_964_560, 10_267_880_370_117_374_681
    assert Streams(1).raw("ack phase", 2) == [first, second]
    assert Streams(1).below("ack phase", 1 << 64) == first


@given(st.integers(0, 2**130), st.lists(st.integers(0, 2**70), min_size=1, max_size=5))
def test_the_raw_integers_are_those_of_numpy(entropy: int, key: list[int]) -> None:
    """Whatever the entropy and the spawn key: the same pool, the same state, the same output."""
    theirs = PCG64(SeedSequence(entropy, spawn_key=key)).random_raw(20)
    assert list(islice(pcg64(entropy, key), 20)) == [int(value) for value in theirs]


@given(SEEDS, NAMES, st.integers(0, 20))
def test_an_endless_stream_begins_with_the_same_draws(seed: int, name: str, count: int) -> None:
    """One after the other or all at once: the same integers."""
    assert list(islice(Streams(seed).endless(name), count)) == Streams(seed).raw(name, count)


def test_exponential_times_are_the_same_everywhere() -> None:
    """To the nanosecond, as the logarithm is a decimal one, correctly rounded."""
    raw = [0, 1 << 63, (1 << 64) - 1]
    assert list(exponential_ns(iter(raw), Fraction(10**9))) == [45_054_566_736, 693_147_180, 1]


def test_exponential_times_have_their_mean() -> None:
    """The mean of ten thousand is within three of its standard errors."""
    times = islice(exponential_ns(Streams(1).endless("a test"), Fraction(10**6)), 10_000)
    assert abs(sum(times) - 10**10) < 3 * 10**6 * 10_000**0.5
