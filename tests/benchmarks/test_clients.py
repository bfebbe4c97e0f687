"""What a request costs beside bare SimPy timeouts, without the pair.

Run as the other benchmarks::

    pytest tests/benchmarks --benchmark-only -s
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from colosim.runs.statistics import Quantiles
from colosim.scenario.service import ClosedLoop, FixedTime, Output, Poisson, Service
from colosim.service.closed_loop import ClosedClients
from colosim.service.open_loop import OpenLoop
from colosim.service.workload import Settings, Workload
from tests.benchmarks.test_budgets import bare_timeout_ns

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

EPOCH_NS, PAUSE_NS = 10**9, 50_000_000
OPEN_RATIO, CLOSED_RATIO = 1, 20
"""A request of an open loop (100 an epoch) and of one that waits, in bare timeouts: a guard."""
CLOSED = ClosedLoop(clients=16, think_ns=15_000_000)
WAITING: dict[str, dict[str, Any]] = {
    "closed": {"arrivals": CLOSED},
    "handshakes": {"arrivals": CLOSED, "handshake": FixedTime(fixed_ns=50_000)},
    "outstanding": {"arrivals": Poisson(rate=10**9), "outstanding": 4, "connections": 16},
    "differing": {"arrivals": CLOSED, "divergence": 10_000},
}


def epochs(workload: Workload, count: int) -> int:
    """Let clients live through so many epochs; return how many the comparison cut short."""
    workload.begin(0, 0, loaded=False)
    run_ns = forced = 0
    for _ in range(count):
        due_ns = run_ns + EPOCH_NS
        found = workload.forces(due_ns)
        stop_ns = due_ns if found is None else found[0]
        forced += found is not None
        workload.stop(stop_ns + 200_000, stop_ns + 50_000)
        workload.commit(stop_ns + PAUSE_NS - 1_000_000)
        run_ns = stop_ns + PAUSE_NS
        workload.begin(run_ns, run_ns - 500_000)
    workload.close(run_ns)
    return forced


def measured_ns(service: Service, mode: str, count: int, benchmark: BenchmarkFixture) -> float:
    """Return what a request takes, with the statistics of its latency; print it."""
    waits = isinstance(service.arrivals, ClosedLoop) or service.outstanding is not None
    settings = Settings(service, Output(mode=mode), mode, 25_000, 1)
    taken: list[float] = []

    def once() -> None:
        latencies = Quantiles()
        workload = (ClosedClients if waits else OpenLoop)(
            settings, lambda _, values: latencies.add_array(values)
        )
        begun = time.thread_time_ns()
        forced = epochs(workload, count)
        taken.append((time.thread_time_ns() - begun) / max(1, workload.answered))
        said = f"{workload.answered // count} requests an epoch, {forced} of {count} forced"
        benchmark.extra_info["said"] = said

    benchmark.pedantic(once, rounds=7)  # type: ignore[no-untyped-call]
    print(f"\n{mode}, {benchmark.extra_info['said']}: {1000 / min(taken):.2f} M requests/s")
    return min(taken)


@pytest.mark.parametrize("divergence", [0, 1000])
@pytest.mark.parametrize("per_epoch", [100, 1000, 10_000])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("mode", ["direct", "held", "compared"])
def test_a_request_of_an_open_loop_costs_no_more_than_its_budget(
    mode: str, protocol: str, per_epoch: int, divergence: int, benchmark: BenchmarkFixture
) -> None:
    """Open loops go as arrays, an epoch at a time, with the checkpoints that they force."""
    service = Service(
        protocol=protocol,
        arrivals=Poisson(rate=per_epoch * 10**6),
        time=FixedTime(fixed_ns=min(500_000, EPOCH_NS // per_epoch // 3)),
        divergence=divergence * 100 // per_epoch,
    )
    taken_ns = measured_ns(service, mode, max(100, 100_000 // per_epoch), benchmark)
    assert taken_ns < OPEN_RATIO * bare_timeout_ns()


@pytest.mark.parametrize("mode", ["direct", "held", "filter-buffer", "compared"])
@pytest.mark.parametrize("kind", WAITING)
def test_a_request_that_waits_for_answers_costs_no_more_than_its_budget(
    kind: str, mode: str, benchmark: BenchmarkFixture
) -> None:
    """They go request by request, with exact times."""
    service = Service(protocol="tcp", time=FixedTime(fixed_ns=500_000), **WAITING[kind])
    print(f"\n{kind}:", end="")
    assert measured_ns(service, mode, 20, benchmark) < CLOSED_RATIO * bare_timeout_ns()
