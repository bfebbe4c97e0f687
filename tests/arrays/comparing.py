"""Grids on arrays beside simulations of the same points."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from colosim.arrays.evaluation import evaluate
from colosim.arrays.points import columns_of
from colosim.designs.registry import design_of
from colosim.network.direction import Direction
from colosim.runs.run import simulate
from colosim.trace.fields import value_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from colosim.designs.design import Design
    from colosim.network.disturbed import Disturbed
    from colosim.runs.simulation import Simulation
    from colosim.scenario.model import Scenario


class Compared:
    """What a comparison found: points by why they were refused, keys that differ."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self.differ: list[str] = []
        self.needless: list[str] = []
        """Refused points whose simulation stays in its closed form."""
        self.equal = 0

    @property
    def accepted(self) -> int:
        """How many points were not refused."""
        return self.refused[""]


def compare(
    scenario: Scenario, points: Sequence[Mapping[str, object]], design: str | type[Design]
) -> Compared:
    """Evaluate points on arrays and simulate each."""
    kind, found = design_of(design), Compared()
    for part in columns_of(scenario, points):
        answers = evaluate(kind, part)
        for place, why in enumerate(answers.why):
            point = points[part.index[place]]
            found.refused[why] += 1
            summary, stays = simulated(scenario.vary(point), kind)
            if why:
                found.needless += [f"{kind.name} {point}: {why}"] if stays else []
                continue
            for key, values in answers.numbers.items():
                expected = value_of(summary, key)
                if (-1 if expected is None else expected) == values[place]:
                    found.equal += 1
                else:
                    found.differ.append(f"{kind.name} {point} {key}: {values[place]}, {expected}")
    return found


def simulated(scenario: Scenario, design: type[Design]) -> tuple[dict[str, Any], bool]:
    """Return a simulation's summary, and whether both directions stayed in their closed form."""
    left: list[str] = []

    def watch(simulation: Simulation) -> None:
        connection = simulation.connection
        for first in (connection.to_secondary, connection.to_primary):
            for one in connection.all_of(first):
                assert isinstance(one, Direction)
                _watch(one, left)

    return simulate(scenario, design, tables=False, checks=False, prepare=watch).summary, not left


def _watch(direction: Direction, left: list[str]) -> None:
    disturb = direction.disturb

    def noted() -> Disturbed:
        left.append(direction.name)
        return disturb()

    direction.disturb = noted  # type: ignore[method-assign]


NUMBERS = {
    "guest.dirty.pages": (0, 60_000),
    "guest.zero_share": (0, 1),
    "guest.device_state": (1, 6 << 20),
    "guest.vmdesc": (0, 1 << 20),
    "checkpoint_delay": (0, 10**9),
    "network.bandwidth": (10**6, 10**10),
    "network.latency": (0, 10**8),
    "network.send_buffer": (1 << 16, 1 << 23),
    "network.receive_buffer": (1 << 16, 1 << 23),
    "network.burst": (0, 1 << 20),
    "network.mss": (536, 60_000),
    "network.delayed_ack_time": (0, 10**8),
    "network.ack_tick": (10**6, 10**7),
    "hosts.primary.costs.message": (0, 10**6),
    "hosts.secondary.costs.message": (0, 10**6),
    "hosts.primary.costs.vm_stop": (0, 10**7),
    "hosts.secondary.costs.reset": (0, 10**7),
    "hosts.primary.costs.device_save": (0, 10**7),
    "hosts.secondary.costs.device_load": (0, 10**7),
    "hosts.primary.costs.stream_start": (0, 10**6),
    "hosts.secondary.costs.stream_wake": (0, 10**6),
    "seed": (1, 1000),
}
"""Keys and the range that a random grid takes their values from."""


def random_points(rng: np.random.Generator, count: int, keys: int) -> list[dict[str, object]]:
    """Return points with random values for so many keys, some of them round, and the pages."""
    chosen = ["guest.dirty.pages", *rng.choice(list(NUMBERS)[1:], keys, replace=False).tolist()]
    return [{key: _value(rng, key) for key in chosen} for _ in range(count)]


def _value(rng: np.random.Generator, key: str) -> object:
    low, high = NUMBERS[key]
    if key == "guest.zero_share":
        return f"{rng.integers(0, 101)}%"
    value = int(max(low, 1) * (high / max(low, 1)) ** rng.random())
    if rng.random() < 0.2:  # round numbers make ties
        unit = 10 ** (len(str(value)) - 1)
        value = max(low, value // unit * unit)
    return low if rng.random() < 0.05 else min(value, high)
