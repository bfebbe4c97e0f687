"""Every key of a summary is on arrays what it is in a simulation, whatever the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from colosim.designs.registry import OWN
from colosim.designs.unprotected import Unprotected
from colosim.runs.run import as_scenario
from tests.arrays.comparing import Compared, compare, random_points
from tests.arrays.own_designs import OWN_DESIGNS, random_protocol

if TYPE_CHECKING:
    from colosim.designs.design import Design
    from colosim.scenario.model import Scenario

DESIGNS = [
    *(design.name for design in OWN if design is not Unprotected),
    "split+nodelay",
    "split+ram-outside-lock",
    "split+chunked-lock=16MiB",
    "qsb+socket-buffers=1MiB",
    "qemu-5.1+receive-outside-lock",
    "qemu-3.1+join-under-lock",
    "device-first+send-timeout=200ms",
    "qemu-11+multifd=1",
    "qemu-11+multifd=3",
]
CHANCE = ("both ends act in one instant", "a message that is asked for as it is sent")
"""Refused because it hangs on chance who is first, which the simulation decides somehow."""


def random_scenario(rng: np.random.Generator) -> Scenario:
    """Return a scenario of a random host, network and length."""
    return as_scenario("compare").vary(
        {
            "checkpoints": int(rng.integers(2, 7)),
            "warmup": int(rng.integers(0, 2)),
            "hosts.preset": str(rng.choice(["lab-qemu25", "lab-qemu72", "kvm-xeon"])),
            "network.preset": str(rng.choice(["lab-veth", "10gbe", "1gbe", "wan-5ms"])),
            "network.nagle": bool(rng.random() < 0.8),
            "network.delayed_ack": bool(rng.random() < 0.8),
            "network.slow_start_after_idle": bool(rng.random() < 0.5),
        }
    )


ORDER = (
    "calls out of their order in time",
    "a write that pushes on what a reader has asked for",
)
"""Refused because calls were served in another order than that of their times."""


def of_seed(
    seed: int, design: str | type[Design], more: dict[str, object] | None = None
) -> Compared:
    """Compare a few random points of one random scenario."""
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng).vary(more or {})
    points = random_points(rng, 8, int(rng.integers(1, 6)))
    for point in points if more else ():
        point["disk.in_flight"] = int(rng.integers(0, 2) * rng.integers(1, 10**6))
        point["disk.flush"] = int(rng.integers(0, 10**6))
    return compare(scenario, points, design)


def holds(found: list[Compared], accepted: int, but: tuple[str, ...] = CHANCE) -> None:
    """Assert that all is equal, and refused only where the simulation leaves its closed form."""
    assert [one for compared in found for one in compared.differ] == []
    needless = [one for compared in found for one in compared.needless]
    assert [one for one in needless if not one.endswith(but)] == []
    assert sum(compared.accepted for compared in found) >= accepted


@pytest.mark.parametrize("design", DESIGNS)
def test_a_random_grid_is_exact(design: str) -> None:
    """Points of a random grid are equal in every key, or refused as the simulation refuses."""
    holds([of_seed(seed, design) for seed in (3, 16)], accepted=4)


@pytest.mark.slow
@pytest.mark.parametrize("design", DESIGNS)
def test_many_random_grids_are_exact(design: str) -> None:
    """The whole of which the test above is a sample."""
    holds([of_seed(seed, design) for seed in range(100)], accepted=400)


@pytest.mark.parametrize("design", ["split", "qemu-5.1", "remus"])
def test_a_random_grid_with_a_disk_is_exact(design: str) -> None:
    """The flushes of a replicated disk, and what was in flight, are answered alike."""
    disk: dict[str, object] = {"disk": {"replication": "nbd"}}
    holds([of_seed(seed, design, disk) for seed in (1, 5)], accepted=8)


@pytest.mark.parametrize("design", OWN_DESIGNS)
def test_a_design_of_ones_own_is_exact(design: type[Design]) -> None:
    """Designs that branch on numbers, change the delay or talk across each other are exact too."""
    holds([of_seed(seed, design) for seed in (2, 7)], accepted=8)


def test_random_protocols_are_exact() -> None:
    """Whatever two sides say to each other, messages and streams both ways, nothing differs."""
    found = [of_seed(seed, random_protocol(seed)) for seed in range(14)]
    holds(found, accepted=50, but=(*CHANCE, *ORDER))


@pytest.mark.slow
def test_many_random_protocols_and_own_designs_are_exact() -> None:
    """The whole of which the tests above are samples."""
    found = [of_seed(seed, random_protocol(seed)) for seed in range(300)]
    found += [of_seed(seed, design) for seed in range(60) for design in OWN_DESIGNS]
    holds(found, accepted=2500, but=(*CHANCE, *ORDER))
    needless = sum(one.endswith(ORDER) for compared in found for one in compared.needless)
    assert needless <= 5


@pytest.mark.parametrize("pattern", ["uniform", "round-robin"])
def test_a_guest_that_dirties_at_a_rate_is_exact(pattern: str) -> None:
    """What a writer dirties follows from how long the guest ran, which differs at each point."""
    rate = {"rate": "90000 pages/s", "working_set": "64 MiB", "pattern": pattern}
    hot = {"rate": "5000 pages/s", "working_set": "1 MiB", "pattern": pattern}
    bursts = {"every": "90 ms", "for": "30 ms", "factor": 3}
    for dirty in (rate, {"hot": hot | {"bursts": bursts}, "cold": rate}):
        scenario = as_scenario("compare").vary({"guest.dirty": dirty, "checkpoints": 4})
        points = [
            {"checkpoint_delay": delay, "guest.late_writes": late}
            for delay in (10**6, 33_000_001, 200_000_000)
            for late in (0, 70_000)
        ]
        holds([compare(scenario, points, design) for design in ("qsb", "qemu-5.1")], accepted=10)


def test_a_hold_that_ends_in_another_checkpoint_at_some_points_is_exact() -> None:
    """A secondary that loads as the next checkpoint begins counts there, after it in none."""
    presets = {"network.preset": "10gbe", "hosts.preset": "kvm-xeon"}
    scenario = as_scenario("compare").vary({"checkpoints": 4, "guest.dirty.pages": 9999, **presets})
    points: list[dict[str, object]] = [{"checkpoint_delay": at} for at in (0, 10**7, 3 * 10**8)]
    holds([compare(scenario, points, "remus")], accepted=3)


def test_many_checkpoints_are_exact() -> None:
    """Nothing drifts apart in 120 checkpoints under a delay that makes ticks fall anywhere."""
    scenario = as_scenario("compare").vary({"checkpoints": 120})
    points = [
        {"checkpoint_delay": delay, "guest.dirty.pages": pages}
        for delay, pages in (
            (1_234_567, 40),
            (17_000_001, 3_000),
            (40_000_000, 777),
            (10**8, 60_000),
        )
    ]
    holds([compare(scenario, points, design) for design in ("qsb", "qemu-11")], accepted=8)
