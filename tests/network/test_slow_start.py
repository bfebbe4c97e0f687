"""Slow start after idleness: what counts is how long ago the last bulk had left."""

from __future__ import annotations

import pytest

from colosim.network.direction import Direction
from colosim.runs.simulation import Simulation
from colosim.scenario import loads
from colosim.trace.events import Received


def ram_ns(delay: str, *, slow_start: bool, at_ns: int | None = None) -> list[int]:
    """Return how long RAM was under way at each checkpoint over a link of 5 ms one way.

    `at_ns`: when the connection is followed as a fluid from, with nothing wrong.
    """
    scenario = loads(
        f"name: idle\ncheckpoints: 6\ncheckpoint_delay: {delay}\n"
        "guest: {ram: 1 GiB, dirty: {pages: 13000}}\n"
        f"network: {{preset: wan-5ms, slow_start_after_idle: {str(slow_start).lower()}}}\n",
        file="idle.yaml",
    )

    def follow(simulation: Simulation) -> None:
        connection = simulation.connection
        for direction in (connection.to_secondary, connection.to_primary):
            if at_ns is not None:
                assert isinstance(direction, Direction)
                simulation.env.call_at(at_ns, direction.disturb)

    record = list(Simulation(scenario, "split", prepare=follow).run().record)
    begun = [at for at, event, _ in record if event == Received("secondary", "VMSTATE_SEND")]
    ended = [at for at, event, _ in record if event == Received("secondary", "VMSTATE_SIZE")]
    return [end - begin for begin, end in zip(begun, ended, strict=True)]


def test_a_short_pause_between_checkpoints_costs_nothing() -> None:
    """Below one retransmission timeout without bulk the window stays as it is, however long a run.

    tcp_slow_start_after_idle_check: the time since data was last sent, not since the beginning.
    """
    assert ram_ns("20 ms", slow_start=True) == ram_ns("20 ms", slow_start=False)


def test_long_pauses_cost_the_same_each_time() -> None:
    """Ten seconds between two checkpoints shrink the window to its smallest before each."""
    slow, plain = ram_ns("10 s", slow_start=True), ram_ns("10 s", slow_start=False)
    assert len({*slow[1:]}) == 1
    assert slow[-1] > plain[-1]


@pytest.mark.parametrize("at_ms", [1, 700, 705, 730, 1300, 1500])
def test_a_direction_that_is_followed_as_a_fluid_has_the_same_idleness(at_ms: int) -> None:
    """When the last bulk had left is known on both ways of computing, also in its middle."""
    quiet = ram_ns("700 ms", slow_start=True)
    followed = ram_ns("700 ms", slow_start=True, at_ns=at_ms * 1_000_000)
    assert all(abs(one - other) <= 50_000 for one, other in zip(quiet, followed, strict=True))
