"""What a point of a grid costs on arrays, beside its own simulation in the same run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from colosim.arrays.evaluation import evaluate
from colosim.arrays.points import Columns
from colosim.designs.registry import design_of
from colosim.runs.run import as_scenario, simulate

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

TIMES = {1_000: 40, 10_000: 150}
"""How many points are answered at least while one is simulated, by how many there are: a guard.

The aim is 50,000 and 100,000 points a second on an idle core, where a simulation makes some 300.
On an idle core, at 1,000 and at 10,000 points: `remus` 65,000 and 203,000, `flat` 60,000 and
189,000, `qsb` 57,000 and 182,000, `qemu-11` 55,000 and 178,000, `qemu-5.1` 53,000 and 168,000,
`device-first` 46,000 and 142,000, `split` 42,000 and 127,000.
"""
ROUNDS = 12


def columns(points: int) -> Columns:
    """Return random pages, delays and bandwidths, under the network and hosts of a preset."""
    rng = np.random.default_rng(points)
    return Columns(
        as_scenario("compare").vary({"network.preset": "10gbe", "hosts.preset": "kvm-xeon"}),
        np.arange(points),
        {
            ("guest", "dirty", "pages"): rng.integers(64, 60_000, points),
            ("checkpoint_delay_ns",): rng.integers(0, 500_000_000, points),
            ("network", "bandwidth_bytes_per_s"): rng.integers(10**8, 125 * 10**7, points),
        },
        {},
    )


def cpu_s(work: Callable[[], object]) -> float:
    """Return the seconds of CPU that something takes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


@pytest.mark.parametrize("points", TIMES)
@pytest.mark.parametrize(
    "design", ["qsb", "flat", "split", "device-first", "qemu-5.1", "qemu-11", "remus"]
)
def test_many_points_are_answered_while_one_is_simulated(
    design: str, points: int, benchmark: BenchmarkFixture
) -> None:
    """Points of 12 checkpoints on arrays, and simulations without checks, in turns."""
    kind, grid = design_of(design), columns(points)
    refused = sum(map(bool, evaluate(kind, grid).why))
    on_arrays, simulated = [], []

    def in_turns() -> None:
        on_arrays.append(cpu_s(lambda: evaluate(kind, grid)))
        simulated.append(cpu_s(lambda: simulate(grid.scenario, kind, tables=False, checks=False)))

    benchmark.pedantic(in_turns, rounds=ROUNDS)  # type: ignore[no-untyped-call]
    rate, simulations = points / min(on_arrays), 1 / min(simulated)
    print(
        f"\n{design}: {rate:,.0f} of {points:,} points a second, {refused} refused; "
        f"{simulations:,.0f} simulations: {rate / simulations:,.0f} times, at least {TIMES[points]}"
    )
    assert rate >= simulations * TIMES[points]
