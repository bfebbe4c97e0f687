"""The budgets: what a checkpoint and a case of an exploration cost beside bare SimPy timeouts.

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

from colosim.explore.cases import Space
from colosim.explore.outcome import run_case
from colosim.runs.run import as_scenario
from colosim.runs.simulation import Simulation
from colosim.scenario import Scenario, loads

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

BUDGET_RATIO = 330
"""A checkpoint with checks, in bare timeouts (0.5 to 1 us each): a guard, not an aim."""
CASE_RATIO = 20_000
"""A case of an exploration, likewise."""
CHECKPOINTS = 300
ROUNDS = 20
CASES_APART = 37
DESIGNS = ("qsb", "split", "device-first", "flat", "qemu-5.1")


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
    """With record, digest and all checkers a checkpoint takes at most so many bare timeouts.

    Both are the least of many rounds, taken in turns.
    """
    conditions = scenario(CHECKPOINTS)
    bare = [bare_timeout_ns()]

    def simulation() -> tuple[tuple[Simulation], dict[str, Any]]:
        bare.append(bare_timeout_ns())
        simulation = Simulation(conditions, design, keep=False)
        simulation.check()
        return (simulation,), {}

    benchmark.pedantic(  # type: ignore[no-untyped-call]
        Simulation.run, setup=simulation, rounds=ROUNDS
    )
    assert benchmark.stats is not None
    spent_ns = benchmark.stats.stats.min * 1e9 / CHECKPOINTS
    ratio = spent_ns / min(bare)
    benchmark.extra_info["ratio"] = round(ratio, 1)
    print(
        f"\n{design}: {spent_ns / 1000:.1f} us a checkpoint, {min(bare):.0f} ns a bare timeout: "
        f"{ratio:.1f} times (at most {BUDGET_RATIO})"
    )
    assert ratio <= BUDGET_RATIO


def test_a_case_of_an_exploration_costs_no_more_than_its_budget(
    benchmark: BenchmarkFixture,
) -> None:
    """Of every fault at every step of `hang` a case takes at most so many bare timeouts."""
    space = Space(as_scenario("hang"), ("split", "qemu-5.1"))
    cases = list(space)[::CASES_APART]
    bare = bare_timeout_ns()
    begun = time.process_time_ns()

    def explore() -> None:
        for case in cases:
            run_case(space.base, case)

    benchmark.pedantic(explore, rounds=1)  # type: ignore[no-untyped-call]
    spent_ns = (time.process_time_ns() - begun) / len(cases)
    print(
        f"\n{len(cases)} cases: {1e9 / spent_ns:.0f} a second of CPU, each "
        f"{spent_ns / bare:,.0f} bare timeouts (at most {CASE_RATIO:,})"
    )
    assert spent_ns <= CASE_RATIO * bare


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
