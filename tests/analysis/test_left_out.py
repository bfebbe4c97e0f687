"""What the model leaves out is said where it could change a verdict."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import pytest

from colosim.analysis.explain import explain
from colosim.analysis.left_out import LEFT_OUT
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
