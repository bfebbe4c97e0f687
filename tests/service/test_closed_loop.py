"""Clients that wait for answers, gone through ahead of time and in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colosim.scenario.service import (
    ClosedLoop,
    Drift,
    ExponentialTime,
    FixedTime,
    Output,
    Percentiles,
    SecondaryLag,
    Service,
)
from colosim.service.closed_loop import ClosedClients
from colosim.service.workload import Settings

if TYPE_CHECKING:
    from colosim.service.draws import Times

MS = 10**6
Answers = list[tuple[int, int]]


def clients(mode: str, answers: Answers, **service: object) -> ClosedClients:
    """Return 16 clients that think for 2 ms, whose answers are noted."""

    def note(at_ns: Times, latencies_ns: Times) -> None:
        answers.extend(zip(at_ns.tolist(), latencies_ns.tolist(), strict=True))

    values = {"protocol": "tcp", "time": ExponentialTime(exponential_ns=2 * MS), **service}
    arrivals = ClosedLoop(clients=16, think_ns=2 * MS)
    settings = Settings(Service(arrivals=arrivals, **values), Output(), mode, 25_000, 1)
    return ClosedClients(settings, note)


def epochs(
    looks: int, handshake: FixedTime | None, divergence: int | Drift
) -> tuple[Answers, list[object]]:
    """Return answers and forced checkpoints of 12 epochs."""
    lag = SecondaryLag(first=Percentiles(p50_ns=9 * MS, p90_ns=30 * MS), later=MS)
    answers: Answers = []
    workload = clients(
        "compared",
        answers,
        response_bytes=65536,
        secondary_lag=lag,
        handshake=handshake,
        divergence=divergence,
    )
    forced: list[object] = []
    run = 0
    workload.begin(0, 0, loaded=False)
    for epoch in range(12):
        for look in range(looks):
            workload.forces(run + 20 * MS + look * MS)
            workload.copies_by(run + look * 9 * MS)
        found = workload.forces(run + 20 * MS)
        forced.append(found)
        stop = run + 20 * MS if found is None else found[0]
        workload.stop(stop + 200_000, stop + 50_000)
        workload.commit(stop + 4 * MS)
        run = stop + (5 + epoch % 3) * MS
        workload.begin(run, run - 500_000)
    workload.close(run)
    return answers, forced


@pytest.mark.parametrize("divergence", [100_000, Drift(rate=50 * 10**6)])
@pytest.mark.parametrize("handshake", [None, FixedTime(fixed_ns=MS)])
def test_looking_ahead_leaves_all_as_it_was(
    handshake: FixedTime | None, divergence: int | Drift
) -> None:
    """However often the future was asked for, the same answers leave and differ."""
    plain, looked = (epochs(looks, handshake, divergence) for looks in (0, 3))
    assert len(plain[0]) > 20
    assert any(plain[1])
    assert looked == plain


@pytest.mark.parametrize("time", [FixedTime(fixed_ns=MS), ExponentialTime(exponential_ns=MS // 8)])
def test_a_long_epoch_is_answered_in_parts(time: FixedTime | ExponentialTime) -> None:
    """Where nothing is compared, what is answered is not kept; the answers are the same.

    Whether the guest is never idle, and stops in the ns in which a request is done, or is so often.
    """
    found: list[Answers] = []
    kept: list[int] = []
    for part in (5, 10**6):
        answers: Answers = []
        workload = clients("direct", answers, time=time, latency_ns=0)
        workload.part = part
        workload.begin(0, 0, loaded=False)
        for stop_ns in (500 * MS, 1000 * MS, 1500 * MS):
            workload.stop(stop_ns, stop_ns)
            kept.append(len(workload._rows.leaves))
            workload.begin(stop_ns + MS, stop_ns + MS)
        workload.close(1600 * MS)
        found.append(answers)
    assert found[0] == found[1]
    assert max(kept[:3]) <= 5 + 16  # a part, and what the clients wait for
    assert min(kept[3:]) > 400


@pytest.mark.parametrize("mode", ["direct", "held", "compared"])
@pytest.mark.parametrize("at_ns", [23 * MS, 45 * MS, 47 * MS])
def test_each_request_ends_once_whatever_two_failovers_lose(mode: str, at_ns: int) -> None:
    """Of requests whose SYN was answered before the first failover, too."""
    over: list[int] = []
    workload = clients(mode, [], latency_ns=20 * MS, handshake=FixedTime(fixed_ns=MS))
    workload.on_over = lambda some, _: over.extend(some.number.tolist())
    workload.begin(0, 0, loaded=False)
    for _ in range(2):
        workload.forces(at_ns)
        workload.stop(at_ns, at_ns)
        at_ns += 4 * MS
        workload.serve_alone(at_ns, anew=True, compared=False)
        at_ns += 7 * MS
    workload.close(at_ns + 900 * MS)
    assert sorted(over) == list(range(workload.requests))


def test_nobody_looks_for_a_request_beyond_the_end_of_the_run() -> None:
    """One that comes later comes at a time behind the end, however many come before it."""
    workload = clients("direct", [])
    workload.begin(0, 0, loaded=False)
    assert 0 < (workload.copy_at(100, 10**9) or 0) < 10**9
    assert workload.copy_at(10**9, 10**9) == 10**9 + 1
