"""Whoever asks a finished simulation changes nothing: not the state, not another's answer."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest

from colosim.analysis.buffers import buffer_levels
from colosim.analysis.wait_for import wait_for_graph
from colosim.runs.run import simulate
from colosim.runs.summary import summarise
from colosim.runs.tables import rows_of
from colosim.runs.verdict import judge
from tests.analysis.cases import STREAM, scenario, simulated

if TYPE_CHECKING:
    from collections.abc import Callable

    from colosim.runs.run import Run
    from colosim.runs.simulation import Simulation

ASKED: dict[str, Callable[[Simulation], Any]] = {
    "graph": wait_for_graph,
    "verdict": judge,
    "levels": buffer_levels,
    "summary": lambda simulation: summarise(simulation, judge(simulation)),
    "record": lambda simulation: list(simulation.record),
}
CASES = (
    ("split", ()),
    ("split", (f"freeze: secondary, {STREAM}",)),
    ("qsb", (f"kill: primary, {STREAM}",)),
    ("qemu-5.1", (f"vanish: primary, {STREAM}",)),
)


def state(simulation: Simulation) -> dict[str, Any]:
    """Return what could have been changed."""
    directions = (simulation.connection.to_secondary, simulation.connection.to_primary)
    return {
        "digest": simulation.record.digest,
        "steps": simulation.env.steps,
        "left": len(simulation.env._queue),
        "now": simulation.env.now,
        "violation": simulation.violation,
        "reason": simulation.reason,
        "followed": [direction.fluid is not None for direction in directions],
        "errors": [(direction.write_error, direction.read_error) for direction in directions],
        "peaks": [simulation.peaks.of(side) for side in simulation.hosts],
        "levels": [dict(host.ledger.levels) for host in simulation.hosts.values()],
    }


@pytest.mark.parametrize(("design", "faults"), CASES)
def test_asking_changes_neither_state_nor_answers(design: str, faults: tuple[str, ...]) -> None:
    """In any order and twice, each question has one answer, and the simulation stays as it is."""
    first = {name: ask(simulated(design, *faults)) for name, ask in ASKED.items()}
    simulation = simulated(design, *faults)
    before = state(simulation)
    for order in permutations(ASKED):
        for name in order:
            assert ASKED[name](simulation) == first[name], (name, order)
    assert state(simulation) == before


QUESTIONS: dict[str, Callable[[Run], Any]] = {
    "graph": lambda run: wait_for_graph(_of(run)),
    "verdict": lambda run: judge(_of(run)),
    "summary": lambda run: summarise(_of(run), judge(_of(run))),
    "tables": lambda run: {name: list(rows_of(table)) for name, table in run.tables.items()},
}


def _of(run: Run) -> Simulation:
    assert run.simulation is not None
    return run.simulation


@pytest.mark.parametrize(("design", "faults"), CASES)
def test_tables_are_the_same_whatever_was_asked_before(
    design: str, faults: tuple[str, ...]
) -> None:
    """Tables asked for first or last, once or twice, are the same, and change no other answer."""
    expected: dict[str, Any] = {}
    for order in permutations(QUESTIONS):
        run = simulate(scenario(*faults), design)
        before = state(_of(run))
        answers = {name: QUESTIONS[name](run) for name in (*order, *order)}
        expected = expected or answers
        assert answers == expected, order
        assert state(_of(run)) == before
