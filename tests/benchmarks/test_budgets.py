"""The budgets: what a checkpoint costs beside one bare SimPy timeout in the same run.

They depend on the machine and on what else it does, so the default run of the tests leaves them
out.  Run them alone, on a machine that is otherwise idle::

    pytest tests/benchmarks --benchmark-only -s
"""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
import simpy

from colosim.runs.simulation import Simulation
from colosim.scenario import Scenario, loads

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

BUDGET_RATIO = 60
AIM_RATIO = 45
CHECKPOINTS = 300
ROUNDS = 60
DESIGNS = ("qsb", "split", "device-first", "flat", "mainline")


def scenario(checkpoints: int) -> Scenario:
    """Return a fault-free scenario of so many checkpoints."""
    return loads(
        f"""
name: budget
checkpoints: {checkpoints}
horizon: 1000000 s
guest: {{ram: 4 GiB, dirty: {{pages: 8000}}}}
""",
        known_designs=DESIGNS,
    )


def bare_timeout_ns(count: int = 3000) -> float:
    """Return what one bare SimPy timeout takes, from making it to going on after it."""
    env = simpy.Environment()

    def wait() -> simpy.events.ProcessGenerator:
        for _ in range(count):
            yield env.timeout(1)

    env.process(wait())
    begun = time.perf_counter_ns()
    env.run()
    return (time.perf_counter_ns() - begun) / count


@pytest.mark.parametrize("design", DESIGNS)
def test_a_checkpoint_costs_no_more_than_its_budget(
    design: str, benchmark: BenchmarkFixture
) -> None:
    """With record, digest and checks a checkpoint takes at most 60 times a bare timeout.

    Both are the least of many rounds, taken in turns.
    """
    conditions = scenario(CHECKPOINTS)
    bare = [bare_timeout_ns()]

    def simulation() -> tuple[tuple[Simulation], dict[str, Any]]:
        bare.append(bare_timeout_ns())
        return (Simulation(conditions, design, keep=True),), {}

    benchmark.pedantic(  # type: ignore[no-untyped-call]
        Simulation.run, setup=simulation, rounds=ROUNDS
    )
    assert benchmark.stats is not None
    spent_ns = benchmark.stats.stats.min * 1e9 / CHECKPOINTS
    ratio = spent_ns / min(bare)
    benchmark.extra_info["ratio"] = round(ratio, 1)
    print(
        f"\n{design}: {spent_ns / 1000:.1f} us a checkpoint, {min(bare):.0f} ns a bare timeout: "
        f"{ratio:.1f} times (budget {BUDGET_RATIO}, aim {AIM_RATIO})"
    )
    assert ratio <= BUDGET_RATIO


@pytest.mark.parametrize("design", DESIGNS)
def test_a_long_run_needs_no_more_memory(design: str, benchmark: BenchmarkFixture) -> None:
    """Without tables, five times the checkpoints need no more memory at their peak."""

    def peak_bytes(checkpoints: int) -> int:
        simulation = Simulation(scenario(checkpoints), design, keep=False)
        tracemalloc.start()
        simulation.run()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    first = peak_bytes(12_000)
    last = benchmark.pedantic(  # type: ignore[no-untyped-call]
        peak_bytes, args=(60_000,), rounds=1
    )
    print(f"\n{design}: at most {first:,} B in 12,000 checkpoints, {last:,} B in 60,000")
    assert last <= first + 100_000
