"""Runs under many seeds: means and quantiles with their intervals, paired differences."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim import check, over_seeds, run
from colosim.analysis.over_seeds import Scatter
from colosim.scenario import loads

SCENARIO = loads("""
name: scattered
designs: [qsb, split]
checkpoints: 4
spread: measured
hosts: {preset: lab-qemu25}
network: {preset: lab-veth}
expect: {split: {pause_ns.p50: < 1 s}}
""")
_T_9 = 2.262157
"""Student's t at 97.5% with 9 degrees of freedom, from a printed table."""
_SAMPLE = (12, 15, 11, 19, 14, 13, 17, 10, 16, 18)


def test_a_mean_has_the_interval_of_students_t() -> None:
    """By hand: mean, and so many standard errors to each side."""
    found = Scatter(_SAMPLE).mean
    mean = sum(_SAMPLE) / 10
    error = sqrt(sum((one - mean) ** 2 for one in _SAMPLE) / 9 / 10)
    assert found.value == mean
    assert found.ends == pytest.approx((mean - _T_9 * error, mean + _T_9 * error))


def test_a_median_has_the_interval_of_the_order_statistics() -> None:
    """Of ten values the second and the ninth: the sign test's 2.1% beyond, by hand."""
    found = Scatter(_SAMPLE).quantile(0.5)
    assert (found.value, found.low, found.high) == (14.5, 11, 18)
    assert Scatter(_SAMPLE).quantile(0.9).high is None


def test_a_difference_is_that_of_the_pairs() -> None:
    """What two designs have in common, seed by seed, is not in the interval."""
    shifted = Scatter(tuple(one + 5 + number % 2 for number, one in enumerate(_SAMPLE)))
    found = shifted.less(Scatter(_SAMPLE))
    assert found.value == 5.5
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low < 1


@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=12), st.sampled_from([0.01, 0.1, 0.5]))
def test_the_seeds_needed_are_the_fewest_that_do(values: list[int], precision: float) -> None:
    """With so many seeds the interval is as narrow as asked; with one less it is not."""
    from scipy import stats  # noqa: PLC0415 - slow to import

    scatter = Scatter(tuple(values))
    needed = scatter.seeds_needed(precision)
    if scatter.constant:
        assert needed == 1
        return
    if needed is None:
        return

    def half(seeds: int) -> float:
        return float(stats.t.ppf(0.975, seeds - 1) * np.std(values, ddof=1) / sqrt(seeds))

    wanted = precision * np.mean(values)
    assert half(needed) <= wanted * (1 + 1e-9)
    assert needed == 2 or half(needed - 1) > wanted * (1 - 1e-9)


def test_what_every_seed_has_is_constant() -> None:
    """No interval is given for it, and one seed is enough; of a lone seed nothing is known."""
    constant = Scatter((7, 7, 7))
    assert (constant.mean.value, *constant.mean.ends) == (7, None, None)
    assert constant.quantile(0.5).ends == (None, None)
    assert constant.seeds_needed() == 1
    assert Scatter((7,)).seeds_needed() is None


def test_designs_run_under_each_seed() -> None:
    """The values are those of the single runs; the table has a row a quantity and design."""
    found = over_seeds(SCENARIO, range(1, 5))
    assert [one.seed for one in found.runs["split"]] == [1, 2, 3, 4]
    alone = run(SCENARIO, "split", seed=3).summary
    assert found.runs["split"][2].summary == alone
    assert found.verdicts("qsb") == {"completed": 4}
    table = found.table
    rows: dict[Any, Any] = {(row.quantity, row.design): row for row in table.itertuples()}
    row = rows["pause_ns.p50", "split"]
    medians = [one.summary["pause_ns"]["p50"] for one in found.runs["split"]]
    assert row.mean == pytest.approx(np.mean(medians))
    assert row.mean_low < row.mean < row.mean_high
    assert row.difference_high < 0
    assert pd.isna(rows["wire_bytes_per_checkpoint.p50", "qsb"].mean_low)
    assert ("time_to_guest_ns", "split") not in rows


def test_check_holds_each_seed_to_the_bounds() -> None:
    """An outcome for every seed, which it names."""
    outcomes = check(SCENARIO, designs=["split"], seeds=[4, 9])
    assert [(one.seed, one.passed) for one in outcomes] == [(4, True), (9, True)]
