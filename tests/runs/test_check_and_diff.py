"""Bounds, differences and values in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

import colosim
from colosim.analysis.recorded import expectations_in, held_to, record_of
from colosim.cli.junit import junit
from colosim.cli.main import main
from colosim.errors import ScenarioError
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


@pytest.mark.parametrize("seconds", [(), (2, 3)])
def test_what_is_recorded_holds_what_it_was_recorded_of(
    seconds: tuple[int, ...], plain: Scenario, tmp_path: Path
) -> None:
    """Every key that a comparison shows; a later run within the tolerance passes, others do not."""
    runs = [simulate(plain, "split", seed=seed, tables=False) for seed in (1, *seconds)]
    (tmp_path / "pins.yaml").write_text(record_of(runs, 20_000))
    recorded = expectations_in(tmp_path / "pins.yaml")
    held = held_to(plain, ["split", "qsb"], recorded, "pins.yaml")
    assert all(one.passed for run in runs for one in outcomes_of(simulate(held, run.design)))
    bounds = recorded["plain"]["split"]
    assert set(bounds) >= {"verdict", "pause_ns.p50", "memory_peak_bytes.primary.extra_total"}
    pauses = [run.summary["pause_ns"]["p50"] for run in runs]
    bound = bounds["pause_ns.p50"]
    assert not bound.holds(min(pauses) * 97 // 100)
    assert not bound.holds(max(pauses) * 103 // 100)
    failed = {one.key for one in outcomes_of(simulate(held, "qsb")) if not one.passed}
    assert "memory_peak_bytes.primary.staging_buffer" in failed


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1]", "1:1: expected what `colosim check --record` writes"),
        ("plain:\n  split: {pause_ns.p5: 1 ms}", "2:11: 'pause_ns.p5' is not a key"),
        ("other: {}", "nothing was recorded of split under plain; it has runs under other"),
        ("{}", "nothing was recorded of split under plain; it has runs under no name"),
        ("plain: {qsb: {}, flat: {}}", "it has runs of qsb, flat"),
    ],
)
def test_a_wrong_record_is_told_with_its_place(
    text: str, told: str, plain: Scenario, tmp_path: Path
) -> None:
    """As of scenarios: file, line, column, and what was expected."""
    path = tmp_path / "pins.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=re.escape(told)):
        held_to(plain, ["split"], expectations_in(path), str(path))


def test_outcomes_as_junit() -> None:
    """A case a bound; one that fails says what was expected."""
    text = "expect:\n  '*': {verdict: completed, events: < 1}\n"
    xml = junit(colosim.check(loads(PLAIN + text), designs=["split"]))
    suite = ET.fromstring(xml)  # noqa: S314 - our own
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [(case.get("classname"), case.get("name"), len(case)) for case in suite] == [
        ("plain.split", "verdict", 0),
        ("plain.split", "events", 1),
    ]


def test_folders_of_runs_are_compared_run_by_run(
    plain: Scenario, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each pair by its path below; a run that stands in one folder only is a difference."""
    run = simulate(plain, "split")
    for name in ("a/plain/split", "b/plain/split", "b/plain/qsb"):
        colosim.write_run(run, tmp_path / name)
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    assert main(["diff", a, a]) == 0
    assert main(["diff", a, b]) == 1
    same = f"plain/split: the same events, digest {run.digest}"
    told = [same, f"plain/qsb: not in {a}", same]
    assert capsys.readouterr().out.splitlines() == told


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
        ("time_to_guest_ns", 0, "never gone"),
        ("verdict", "hung", "hung"),
    ],
)
def test_values_in_words(key: str, value: object, words: str) -> None:
    """A value is told in four digits and the unit that its key names."""
    assert in_words(key, value) == words


@pytest.mark.parametrize("share", ["-3", "1000%"])
def test_a_tolerance_is_a_share(share: str, capsys: pytest.CaptureFixture[str]) -> None:
    """From 0 to 1; nothing runs with another."""
    assert main(["check", "compare", "--tolerance", share]) == 2
    assert "expected a share from 0 to 1" in capsys.readouterr().err
