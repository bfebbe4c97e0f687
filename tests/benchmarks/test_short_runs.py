"""What a short run costs: by the public API beside bare timeouts, as a command beside its imports.

Both are ratios within one run; run them alone, on a machine that is otherwise idle::

    pytest tests/benchmarks/test_short_runs.py --benchmark-only -s
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

import simpy

import colosim
from colosim.scenario import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

ROUNDS = 9
TIMEOUTS = 3000
RUN_TIMEOUTS_MAX = 5000
"""12 checkpoints with checks, in bare timeouts (0.5 to 1 us each)."""
VARY_TIMEOUTS_MAX = 1000
COMMAND_IMPORTS_MAX = 3.0
LIBRARIES = "import click, hashlib, pydantic, ruamel.yaml, simpy; pydantic.BaseModel"


def cpu_ns(act: Callable[[], object]) -> int:
    """Return the CPU time that `act` takes in this process."""
    begun = time.process_time_ns()
    act()
    return time.process_time_ns() - begun


def child_s(*arguments: str) -> float:
    """Return the CPU time, user and system, of the interpreter with these arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def bare_timeouts() -> None:
    """Wait for one timeout of SimPy after the other."""
    env = simpy.Environment()

    def wait() -> simpy.events.ProcessGenerator:
        for _ in range(TIMEOUTS):
            yield env.timeout(1)

    env.process(wait())
    env.run()


def test_a_short_run_and_a_variation_cost_few_timeouts(benchmark: BenchmarkFixture) -> None:
    """A loaded scenario is varied and run, 12 checkpoints with checks, again and again."""
    scenario = load("compare")

    def run() -> None:
        colosim.run(scenario, "split", tables=False)

    def vary() -> None:
        scenario.vary({"guest.dirty.pages": 500})

    run()
    vary()
    spent: dict[Callable[[], None], list[int]] = {bare_timeouts: [], run: [], vary: []}
    for _ in range(10 * ROUNDS):
        for act, times in spent.items():
            times.append(cpu_ns(act))
    benchmark.pedantic(run, rounds=1)  # type: ignore[no-untyped-call]
    one = median(spent[bare_timeouts]) / TIMEOUTS
    ran, varied = median(spent[run]), median(spent[vary])
    print(
        f"\nrun: {ran / 1e6:.2f} ms, {ran / one:,.0f} bare timeouts (at most {RUN_TIMEOUTS_MAX:,});"
        f" vary: {varied / 1e6:.2f} ms, {varied / one:,.0f} (at most {VARY_TIMEOUTS_MAX:,})"
    )
    assert ran <= RUN_TIMEOUTS_MAX * one
    assert varied <= VARY_TIMEOUTS_MAX * one


def test_a_short_command_costs_little_more_than_its_imports(
    benchmark: BenchmarkFixture, tmp_path: Path
) -> None:
    """``colosim run compare --tables none`` beside an interpreter that imports its libraries."""
    command = ("-m", "colosim", "run", "compare", "--tables", "none", "--out", str(tmp_path))
    child_s(*command)
    bare, imports, ran = (
        median(times)
        for times in zip(
            *(
                (child_s("-c", "pass"), child_s("-c", LIBRARIES), child_s(*command))
                for _ in range(ROUNDS)
            ),
            strict=True,
        )
    )
    benchmark.pedantic(child_s, args=command, rounds=1)  # type: ignore[no-untyped-call]
    print(
        f"\n{ran - bare:.3f} s of CPU over the bare interpreter, {imports - bare:.3f} s of it "
        f"imports of libraries: {(ran - bare) / (imports - bare):.2f} times "
        f"(at most {COMMAND_IMPORTS_MAX})"
    )
    assert ran - bare <= COMMAND_IMPORTS_MAX * (imports - bare)
