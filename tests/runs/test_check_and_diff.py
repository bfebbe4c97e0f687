"""Bounds, differences and values in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import colosim
from colosim.runs.check import foreseen, outcomes_of
from colosim.runs.difference import first_difference
from colosim.runs.run import simulate
from colosim.runs.wording import in_words
from colosim.scenario import loads
from colosim.trace.events import GuestStopped
from tests.runs.conftest import PLAIN

if TYPE_CHECKING:
    from pathlib import Path

    from colosim.scenario import Scenario


def test_bounds_of_every_design_and_of_one() -> None:
    """A design is held to the bounds of ``*`` and to its own, which go first."""
    text = "expect:\n  '*': {verdict: completed, events: < 1}\n  split: {events: '> 1'}\n"
    scenario = loads(PLAIN + text)
    found = colosim.check(scenario, designs=["qsb", "split"])
    assert [(one.design, one.key, one.passed) for one in found] == [
        ("qsb", "verdict", True),
        ("qsb", "events", False),
        ("split", "verdict", True),
        ("split", "events", True),
    ]
    assert str(found[0]) == "pass  plain qsb: verdict is completed, expected completed"
    assert str(found[1]).startswith("FAIL  plain qsb: events is ")


def test_a_hang_must_be_foreseen(frozen: Scenario) -> None:
    """A hung run is foreseen where the scenario expects it, and not elsewhere."""
    assert foreseen(simulate(frozen, "split", tables=False))
    assert not foreseen(simulate(frozen, "device-first", tables=False))
    assert foreseen(simulate(frozen, "qsb", tables=False))
    assert [one.passed for one in outcomes_of(simulate(frozen, "qsb", tables=False))] == [True]


def test_the_first_difference_has_its_neighbours() -> None:
    """The difference is the first event that is not the same, with three on either side."""
    left = [(at, GuestStopped("primary"), at) for at in range(10)]
    right = [*left[:6], (6, GuestStopped("secondary"), 6), *left[7:]]
    found = first_difference(left, right)
    assert found is not None
    assert (found.index, found.before, found.left, found.right) == (
        6,
        tuple(left[3:6]),
        tuple(left[6:10]),
        tuple(right[6:10]),
    )
    assert str(found).splitlines()[4] == "-                   6 ns  primary: guest stopped  6"


def test_a_record_that_ends_early_differs() -> None:
    """The end of one record differs from an event of the other; equal records do not differ."""
    events = [(0, GuestStopped("primary"), 0), (1, GuestStopped("secondary"), 0)]
    found = first_difference(events, events[:1])
    assert found is not None
    assert found.right == ()
    assert "+ (no more events)" in str(found)
    assert first_difference(events, list(events)) is None


def test_runs_and_directories_are_compared(plain: Scenario, tmp_path: Path) -> None:
    """A run equals itself read back, and differs from another design's."""
    run = simulate(plain, "split")
    colosim.write_run(run, tmp_path / "split")
    assert colosim.diff(run, tmp_path / "split") is None
    assert colosim.diff(tmp_path / "split", simulate(plain, "qsb")) is not None


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("pause_ns.p50", 133_214_567, "133.2 ms"),
        ("pause_ns.p50", 999_999, "1000.0 us"),
        ("pause_ns.count", 12_345, "12,345"),
        ("pause_ns.p50", 0, "0 ns"),
        ("pause_ns.p50", 17, "17 ns"),
        ("guest_stopped_ns_longest", 997_737_153_517, "997.7 s"),
        ("memory_peak_bytes.primary.staging_buffer", 4 << 20, "4.000 MiB"),
        ("wire_bytes", 1023, "1023 B"),
        ("events", 1234, "1,234"),
        ("time_to_guest_ns", None, "-"),
        ("verdict", "hung", "hung"),
    ],
)
def test_values_in_words(key: str, value: object, words: str) -> None:
    """A value is told in four digits and the unit that its key names."""
    assert in_words(key, value) == words
