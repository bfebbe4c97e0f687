"""Dirty pages and run state of a guest."""

from __future__ import annotations

from fractions import Fraction
from math import floor

from hypothesis import given
from hypothesis import strategies as st

from colosim.host.guest import occupied


@given(st.integers(1, 3000), st.integers(0, 3000))
def test_occupancy_is_the_exact_expectation(pages: int, writes: int) -> None:
    """W (1 - (1 - 1/W)^n) rounded to the nearest page, as exact rationals give it."""
    exact = pages * (1 - (1 - Fraction(1, pages)) ** writes)
    assert occupied(pages, writes) == floor(exact + Fraction(1, 2))


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 50), st.integers(0, 1 << 30))
def test_occupancy_grows_and_stays_inside(pages: int, writes: int, more: int) -> None:
    """More writes never hit fewer pages, nor more than there are or were written."""
    hit = occupied(pages, writes)
    assert 0 <= hit <= min(pages, writes)
    assert occupied(pages, writes + more) >= hit


def test_occupancy_of_small_sets_is_what_one_would_say() -> None:
    """No page, no write, one page, one write, far more writes than pages."""
    cases = [(0, 5), (5, 0), (1, 7), (7, 1), (100, 10**6), (2, 2)]
    assert [occupied(*case) for case in cases] == [0, 0, 1, 1, 100, 2]
