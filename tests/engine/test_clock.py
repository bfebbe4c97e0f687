"""Durations are integers, rounded up."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.engine.clock import duration_ns, per_byte_ns, per_page_ns

AMOUNTS = st.integers(0, 1 << 50)
COSTS = st.integers(0, 1 << 40)


@given(AMOUNTS, st.integers(1, 1 << 40))
def test_a_rate_becomes_the_exact_duration_rounded_up(amount: int, rate: int) -> None:
    """A duration is the exact quotient in ns, rounded up, at any size."""
    assert duration_ns(amount, rate) == ceil(Fraction(amount * 10**9, rate))


@given(AMOUNTS, COSTS)
def test_a_cost_becomes_the_exact_duration_rounded_up(amount: int, cost: int) -> None:
    """Picoseconds a page and femtoseconds a byte become whole ns, rounded up."""
    assert per_page_ns(amount, cost) == ceil(Fraction(amount * cost, 1_000))
    assert per_byte_ns(amount, cost) == ceil(Fraction(amount * cost, 1_000_000))


def test_a_rate_of_zero_is_refused() -> None:
    """Nothing moves at a rate of zero, so there is no duration."""
    with pytest.raises(ZeroDivisionError):
        duration_ns(1, 0)
