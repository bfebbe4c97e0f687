"""Every number of a scenario's guest, hosts and network can be a column, and an axis of a sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from colosim.arrays.evaluation import evaluate
from colosim.arrays.points import columns_of
from colosim.designs.registry import design_of
from colosim.runs.run import as_scenario, simulate
from colosim.scenario.model import Scenario
from colosim.scenario.section import Section, all_keys, measure_in
from colosim.sweeps.axes import Axes
from colosim.trace.fields import value_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from colosim.scenario.fields import Measure

COLUMNS = ("guest", "hosts", "network")
WRITER = {"rate": "9000 pages/s", "working_set": "900 pages"}
LOADS: tuple[Mapping[str, object], ...] = (
    {"pages": 3000},
    WRITER,
    {"hot": WRITER, "cold": {"rate": "100 pages/s", "working_set": "4000 pages"}},
)
GIVEN = {
    "checkpoints": 1,
    "warmup": 0,
    "network.bandwidth": "10 Gbit/s",
    "network.user_timeout": "10 s",
    "network.send_timeout": "20 s",
    "network.ack_tick_phase": "1 ms",
    "network.keepalive": {"idle": "20 s", "interval": "3 s", "probes": 4},
}
MEASURES: dict[str, Measure] = {
    key: measure
    for key in Axes().json_schema()["propertyNames"]["examples"]
    if key.partition(".")[0] in COLUMNS
    and not {"phases", "bursts"} & {*key.split(".")}
    and (measure := measure_in(all_keys(Scenario).get(tuple(key.split("."))))) is not None
}
"""What reads the value of each number that an axis may name.

Not of phases and bursts, each of which makes a scenario of its own."""


def numbers_of(section: Any, above: str = "") -> dict[str, int]:
    """Return the numbers that a scenario has, in base units, by key."""
    found: dict[str, int] = {}
    for key, name in type(section).keys().items():
        value = getattr(section, name)
        if isinstance(value, Section):
            found |= numbers_of(value, f"{above}{key}.")
        elif f"{above}{key}" in MEASURES and type(value) is int:
            found[f"{above}{key}"] = value
    return found


def larger(key: str, value: int) -> int:
    """Return a larger value of a key; RAM is in whole pages."""
    return 2 * value if key.endswith(("ram", "working_set")) else value + value // 5 + 1


def test_every_number_of_guest_hosts_and_network_can_be_a_column() -> None:
    """Each alone made larger beside all others, in one go on arrays: what each simulation says."""
    seen: set[str] = set()
    for load in LOADS:
        scenario = as_scenario("compare").vary({**GIVEN, "guest.dirty": load})
        usual = {
            key: value
            for key, value in numbers_of(scenario).items()
            if load is LOADS[0] or key.startswith("guest.dirty.")
        }
        seen |= set(usual)
        texts = {key: MEASURES[key].text(value) for key, value in usual.items()}
        points = [
            texts | {key: MEASURES[key].text(larger(key, value))} for key, value in usual.items()
        ]
        (part,) = columns_of(scenario, points)
        assert [*part.keys] == [*usual]
        answers = evaluate(design_of("split"), part)
        assert not any(answers.why)
        for place, point in zip(np.argsort(part.index), points, strict=True):
            summary = simulate(scenario.vary(point), "split", tables=False).summary
            for key, values in answers.numbers.items():
                expected = value_of(summary, key)
                assert values[place] == (-1 if expected is None else expected), (key, point)
    assert seen == set(MEASURES)
