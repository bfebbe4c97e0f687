"""Memory that is given back: how long it takes by the size of pages, who does it, and when."""

from __future__ import annotations

import pytest

from colosim.runs.simulation import Simulation
from colosim.scenario import Scenario, loads
from colosim.trace.events import CallFailed, ColoExit, CommandServed, MemoryLevel, ServesAlone

GIB = 1 << 30
MID_LOAD = {"checkpoint": 1, "step": "primary: RAM stream", "progress": "40%"}


def scenario(fault: str, ram: str = "64 GiB", **memory: str) -> Scenario:
    """Return a guest whose primary suffers `fault` while it streams RAM."""
    return loads("{name: memory, checkpoints: 4, horizon: 60 s}").vary(
        {
            "guest.ram": ram,
            "guest.dirty.pages": 100_000,
            "faults": [{fault: "primary", "at": MID_LOAD}],
            **{f"memory.{key}": value for key, value in memory.items()},
        }
    )


def simulated(design: str, given: Scenario) -> Simulation:
    """Run one design."""
    return Simulation(given, design).run()


@pytest.mark.parametrize(
    ("memory", "primary_ms", "secondary_ms"),
    [
        ({}, 207, 413),
        ({"pages": "4 KiB"}, 10_308, 20_617),
        ({"cache_pages": "4 KiB"}, 207, 10_515),
        ({"pages": "4 KiB", "cache_pages": "huge"}, 10_308, 10_515),
    ],
)
def test_a_killed_process_is_torn_down_by_the_size_of_its_pages(
    memory: dict[str, str], primary_ms: int, secondary_ms: int
) -> None:
    """Guest RAM and, on the secondary, the cache: 0.15 ns/B in pages of 4 KiB, 0.003 in huge."""
    hosts = Simulation(scenario("kill", **memory), "split").hosts
    assert [hosts[side].teardown_ns // 10**6 for side in ("primary", "secondary")] == [
        primary_ms,
        secondary_ms,
    ]


@pytest.mark.parametrize(
    ("design", "fault", "freed_by_command"),
    [
        ("split", "kill", False),
        ("qsb", "kill", False),
        ("split", "freeze", True),
        ("qemu-5.1", "kill", True),
    ],
)
def test_who_frees_the_cache_decides_how_soon_the_secondary_serves(
    design: str, fault: str, *, freed_by_command: bool
) -> None:
    """v13 frees it on its own error exit; else it stands between the command and the guest."""
    run = simulated(design, scenario(fault, "4 GiB", cache_pages="4 KiB"))
    at = {event: at_ns for at_ns, event, _ in run.record}
    freed_ns = at[MemoryLevel("secondary", "ram_cache")]
    served_ns = at[CommandServed("secondary", "x-colo-lost-heartbeat")]
    assert (freed_ns > served_ns) == freed_by_command
    costs = run.hosts["secondary"].costs
    own_ns = costs.lost_heartbeat_ns + costs.failover_ns
    freeing_ns = 4 * GIB * costs.cache_free_fs_per_byte // 10**6 if freed_by_command else 0
    assert abs(at[ServesAlone("secondary")] - served_ns - own_ns - freeing_ns) <= 1
    if not freed_by_command:
        left_ns = at[ColoExit("secondary", "error")]
        assert freed_ns - left_ns == -(-4 * GIB * costs.cache_free_fs_per_byte // 10**6)


def test_a_command_that_comes_while_the_cache_is_freed_waits_for_the_rest() -> None:
    """The main loop joins the incoming thread, which is at it; the guest runs right after."""
    run = simulated("split", scenario("kill", cache_pages="4 KiB"))
    at = {event: at_ns for at_ns, event, _ in run.record}
    freed_ns = at[MemoryLevel("secondary", "ram_cache")]
    failed_ns = min(
        at_ns
        for at_ns, event, _ in run.record
        if isinstance(event, CallFailed) and event.side == "secondary"
    )
    served_ns = at[CommandServed("secondary", "x-colo-lost-heartbeat")]
    assert failed_ns < served_ns < freed_ns
    assert at[ServesAlone("secondary")] == freed_ns + run.hosts["secondary"].costs.failover_ns
