from __future__ import annotations

import ast
from pathlib import Path

import colosim
from colosim.trace.steps import POINTS, STEPS, Kind, step_of


def test_a_step_spans_points_of_its_side_in_their_order() -> None:
    """Every step begins and ends at a known point, and not before it began."""
    order = {point.full_name: number for number, point in enumerate(POINTS)}
    spans = {
        (step.side, step.name): (
            order[f"{step.side}_{step.begin}"],
            order[f"{step.side}_{step.end}"],
        )
        for step in STEPS
    }
    assert [key for key, (begin, end) in spans.items() if begin >= end] == []


def test_no_point_and_no_step_stands_twice() -> None:
    """A name and an event stand for one point each, but for a free lock.

    Who gets a free lock has not been seen to want it: both points are then the same moment.
    """
    for names in (
        [point.full_name for point in POINTS],
        [(step.side, step.name) for step in STEPS],
        [
            (event, point.after)
            for point in POINTS
            if point.name != "lock_wanted"
            for event in point.events
        ],
    ):
        assert len(names) == len(set(names))


def test_steps_that_work_read_or_write_name_their_function() -> None:
    """Only a wait for the peer has no function of its own, nor a lock."""
    without = [step.name for step in STEPS if not step.function]
    assert without == [step.name for step in STEPS if step.kind is Kind.WAITS]
    assert step_of("primary", "handshake") is STEPS[0]
    assert step_of("primary", "prayer") is None


#: Rooms that may write a step's name: the table of steps, and designs, which read as the protocol.
NAMING_STEPS = {"trace", "designs"}


def test_steps_are_named_by_their_constants() -> None:
    """No room but trace and designs has the name of a step of two words or more as a text."""
    package = Path(colosim.__file__).parent
    names = {step.name for step in STEPS if " " in step.name}
    found = [
        f"{path.relative_to(package)}:{node.lineno}: {node.value!r}"
        for path in sorted(package.rglob("*.py"))
        if path.relative_to(package).parts[0] not in NAMING_STEPS
        if any(name in (text := path.read_text(encoding="utf-8")) for name in names)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert found == []
