"""What a request costs beside bare SimPy timeouts, without the pair.

Run as the other benchmarks::

    pytest tests/benchmarks --benchmark-only -s
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from colosim.scenario.service import ClosedLoop, FixedTime, Output, Poisson, Service
from colosim.service.closed_loop import ClosedClients
from colosim.service.open_loop import OpenLoop
from colosim.service.room import Room, Settings
from tests.benchmarks.test_budgets import bare_timeout_ns

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

EPOCH_NS, PAUSE_NS = 10**9, 50_000_000
OPEN_RATIO, CLOSED_RATIO = 2, 60
"""A request of an open loop (1,000 an epoch) and of a closed one, in bare timeouts: a guard."""


def epochs(room: Room, count: int) -> None:
    """Let clients live through so many epochs, with the checkpoints that the comparison forces."""
    room.begin(0, 0, loaded=False)
    run_ns = 0
    for _ in range(count):
        due_ns = run_ns + EPOCH_NS
        found = room.forces(due_ns)
        stop_ns = due_ns if found is None else found[0]
        room.stop(stop_ns + 200_000, stop_ns + 50_000)
        room.commit(stop_ns + PAUSE_NS - 1_000_000)
        run_ns = stop_ns + PAUSE_NS
        room.begin(run_ns, run_ns - 500_000)


@pytest.mark.parametrize("mode", ["direct", "held", "compared"])
@pytest.mark.parametrize("loop", ["open", "closed"])
def test_a_request_costs_no_more_than_its_budget(
    loop: str, mode: str, benchmark: BenchmarkFixture
) -> None:
    """Open loops go as arrays, closed ones request by request; both with exact times."""
    closed = loop == "closed"
    service = Service(
        protocol="tcp",
        arrivals=ClosedLoop(clients=16, think_ns=15_000_000) if closed else Poisson(rate=10**9),
        time=FixedTime(fixed_ns=500_000),
    )
    settings = Settings(service, Output(mode=mode), mode, 25_000, 1)
    taken: list[float] = []

    def once() -> None:
        room = (ClosedClients if closed else OpenLoop)(settings, lambda _at, _latency: None)
        begun = time.thread_time_ns()
        epochs(room, 20 if closed else 200)
        taken.append((time.thread_time_ns() - begun) / max(1, room.answered))

    benchmark.pedantic(once, rounds=3)  # type: ignore[no-untyped-call]
    print(f"\n{loop} {mode}: {1000 / min(taken):.3f} M requests/s")
    assert min(taken) < (CLOSED_RATIO if closed else OPEN_RATIO) * bare_timeout_ns()
