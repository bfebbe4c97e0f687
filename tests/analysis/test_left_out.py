"""What the model leaves out is said where it could change a verdict."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import pytest

from colosim.analysis.explain import explain
from colosim.analysis.left_out import LEFT_OUT, contested
from colosim.trace.events import PRIMARY, LockGot, LockReleased, LockWanted
from colosim.trace.purpose import Purpose
from colosim.trace.steps import CHECKPOINT_THREAD, MAIN_LOOP
from tests.analysis.cases import STREAM, scenario

PAGE = Path(__file__).parents[2] / "docs" / "model.md"
BEFORE_STOP = "at: {checkpoint: 3, step: 'primary: before stop'}"


def ids(design: str, *faults: str, overrides: tuple[str, ...] = ()) -> list[str]:
    """Return what is left out in the explanation of the shared scenario with these faults."""
    one = explain(scenario(*faults, overrides=overrides), design)
    assert [entry["id"] for entry in one.to_dict()["left_out"]] == [it.id for it in one.left_out]
    assert all(f"  - {it.id}: " in str(one) for it in one.left_out)
    return [it.id for it in one.left_out]


def test_the_page_has_the_same_table() -> None:
    """docs/model.md lists every left-out mechanism, word for word."""
    section = PAGE.read_text("utf-8").partition("## What is left out\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:3] == "| `"]
    assert rows == [[f"`{one.id}`", *astuple(one)[1:]] for one in LEFT_OUT]


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ((), []),
        ((f"freeze: secondary, {STREAM}",), ["disk"]),
        ((f"kill: secondary, {STREAM}",), ["clients"]),
        (("vanish: network, at: 2.3 s",), ["disk", "clients", "packet-loss"]),
        ((f"freeze: secondary, {STREAM}, for: 30 s",), ["disk", "clients", "congestion-control"]),
        (("busy: primary, at: 1 s, for: 100 ms",), ["vcpu", "clients"]),
        (
            (f"busy: primary, {BEFORE_STOP}, for: 8 s", f"freeze: secondary, {BEFORE_STOP}"),
            ["disk", "lock-handover", "vcpu"],
        ),
    ],
)
def test_what_applies_is_told(faults: tuple[str, ...], expected: list[str]) -> None:
    """Each mechanism is named where it could change the verdict, and nowhere else."""
    overrides = ("manager.policy=wait", "horizon=40 s") if expected[-1:] == ["packet-loss"] else ()
    assert ids("split", *faults, overrides=overrides) == expected


def test_a_case_that_does_not_apply_leaves_nothing_out() -> None:
    """Where nothing was simulated nothing is said of the model."""
    assert not ids("qsb", "freeze: primary, at: {checkpoint: 3, step: 'primary: device save'}")


@pytest.mark.parametrize(("later_ns", "is_contested"), [(0, True), (20_000, True), (20_001, False)])
def test_a_handover_is_contested_for_20_us(later_ns: int, *, is_contested: bool) -> None:
    """Whoever wants the lock again within 20 us of handing it on might have had it first."""
    events = [
        (0, LockGot(PRIMARY, CHECKPOINT_THREAD, Purpose.STOP), 0),
        (5, LockWanted(PRIMARY, MAIN_LOOP, Purpose.MONITOR), 0),
        (9, LockReleased(PRIMARY, CHECKPOINT_THREAD, Purpose.STOP), 9),
        (9, LockGot(PRIMARY, MAIN_LOOP, Purpose.MONITOR), 4),
        (9 + later_ns, LockWanted(PRIMARY, CHECKPOINT_THREAD, Purpose.SAVE), 0),
    ]
    assert contested(events) is is_contested
    # Nobody waited for it: it was not handed on.
    assert not contested([events[0], *events[2:]])
