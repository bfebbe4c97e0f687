"""How many SimPy events a fault-free checkpoint takes, whatever the guest's size."""

from __future__ import annotations

import pytest

from colosim.runs.simulation import Simulation
from colosim.scenario import loads
from tests.fast_host import ON_FAST_HOSTS

SCENARIO = """
name: counts
checkpoints: {checkpoints}
horizon: 1000000 s
guest: {{ram: {ram}, dirty: {dirty}}}
network: {{preset: {network}}}
"""
DESIGNS = ("qsb", "split", "device-first", "flat", "qemu-3.1", "qemu-5.1", "qemu-11")
EVENTS = {
    "qsb": 16,
    "split": 21,
    "device-first": 19,
    "flat": 15,
    "qemu-3.1": 18,
    "qemu-5.1": 18,
    "qemu-11": 19,
}
BUDGET = 22
HOT_AND_COLD = (
    "{hot: {rate: 9000 pages/s, working_set: 8 MiB, pattern: uniform}, "
    "cold: {rate: 70 pages/s, working_set: 512 MiB, pattern: uniform}}"
)
DIRTY = (
    "{pages: 0}",
    "{pages: 1}",
    "{pages: 200000}",
    "{rate: 30000 pages/s, working_set: 64 MiB, pattern: uniform}",
    "{rate: 9000 pages/s, working_set: 512 MiB, pattern: round-robin}",
    HOT_AND_COLD,
)


def events(
    design: str,
    checkpoints: int,
    *,
    ram: str = "1 GiB",
    dirty: str = "{pages: 8000}",
    network: str = "10gbe",
) -> int:
    """Return the events of a run of so many checkpoints."""
    text = SCENARIO.format(checkpoints=checkpoints, ram=ram, dirty=dirty, network=network)
    simulation = Simulation(
        loads(text + ON_FAST_HOSTS, known_designs=DESIGNS), design, keep=False
    ).run()
    assert simulation.committed == checkpoints
    return simulation.env.events


def per_checkpoint(design: str, **conditions: str) -> tuple[int, int]:
    """Return the events of each checkpoint once started, and what is left over."""
    first, last = events(design, 3, **conditions), events(design, 43, **conditions)
    return divmod(last - first, 40)


@pytest.mark.parametrize("design", DESIGNS)
def test_a_checkpoint_takes_so_many_events(design: str) -> None:
    """Every design takes its own exact number of events a checkpoint, within the budget."""
    assert per_checkpoint(design) == (EVENTS[design], 0)
    assert EVENTS[design] <= BUDGET


@pytest.mark.parametrize("design", DESIGNS)
def test_the_guests_size_adds_no_event(design: str) -> None:
    """A guest of 64 GiB takes as many events a run as one of 1 GiB.

    (One of 1 TiB takes 40 ms more to flush, so an ACK may come at another moment.)
    """
    assert events(design, 10, ram="64 GiB") == events(design, 10, ram="1 GiB")


@pytest.mark.parametrize("dirty", DIRTY)
@pytest.mark.parametrize("design", DESIGNS)
def test_every_dirty_set_is_within_the_budget(design: str, dirty: str) -> None:
    """No dirty set, be it empty, huge or drawn from a working set, takes more than the budget.

    With next to nothing to stream a reader may have to wait for a message that else is there.
    """
    assert per_checkpoint(design, dirty=dirty) <= (BUDGET, 0)


@pytest.mark.parametrize("network", ["1gbe", "wan-5ms", "lab-veth", "lab-veth-200mbit"])
@pytest.mark.parametrize("design", DESIGNS)
def test_every_network_is_within_the_budget(design: str, network: str) -> None:
    """A checkpoint over a slow, far or unlimited network stays within the budget too."""
    assert per_checkpoint(design, network=network) <= (BUDGET, 0)
