"""Named random streams do not know of each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from colosim.engine.streams import Streams

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
