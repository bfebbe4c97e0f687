"""Quantiles of many values: arrays count as their values do."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from colosim.runs.statistics import EXACT_LIMIT, Quantiles

values = st.lists(st.integers(0, 2**40), min_size=1, max_size=60)
sizes = st.lists(st.integers(1, EXACT_LIMIT), min_size=1, max_size=3)


@settings(max_examples=25, deadline=None)
@given(some=values, sizes=sizes)
def test_arrays_count_as_their_values_do(some: list[int], sizes: list[int]) -> None:
    """Exact up to the limit and in bins beyond, whatever the pieces in which values come."""
    by_values, by_arrays = Quantiles(), Quantiles()
    for size in sizes:
        piece = np.resize(np.array(some, np.int64), size)
        by_values.add(piece.tolist())
        by_arrays.add_array(piece)
    assert by_arrays.summary() == by_values.summary()


def test_a_quantile_in_bins_is_at_most_a_thousandth_too_high() -> None:
    """Beyond the exact values a quantile is the upper end of its bin, never below the true one."""
    spread = np.array([int(1.0007**i) for i in range(2 * EXACT_LIMIT)], np.int64)
    quantiles = Quantiles()
    quantiles.add_array(spread)
    for percent in (1, 50, 90, 99):
        true = int(spread[2 * EXACT_LIMIT * percent // 100 - 1])
        assert true <= quantiles.quantile(percent) <= true + true // 1000 + 1
