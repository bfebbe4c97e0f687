"""The code is held to the reference results in ``results/``, and these to their scenarios.

Here each shipped scenario is simulated, once; what else is asked of its runs, the references tell.
``pytest --update-results`` writes them anew; the difference is for a reviewer to read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from colosim.runs.check import outcomes_of
from colosim.runs.run import Run
from colosim.runs.verdict import VIOLATED
from colosim.scenario import loads, shipped
from tests.results import references
from tests.runs.figures import hold_to_the_tables

if TYPE_CHECKING:
    from typing import Any

PAIRS = references.pairs()
BYTES_MAX = 3 << 20


@pytest.fixture(scope="module")
def small() -> dict[str, Any]:
    """Return the reference of a small run, as it is read back."""
    text = references.dump(references.reference(*references.simulated(SMALL, "split")))
    return dict(json.loads(text))


SMALL = loads("name: small\ncheckpoints: 4\nguest: {dirty: {pages: 300}}\n")


@pytest.mark.parametrize(("name", "design"), PAIRS)
def test_runs_are_as_their_references(
    name: str, design: str, request: pytest.FixtureRequest
) -> None:
    """Each shipped scenario runs, design by design, to the event as its reference says.

    None breaks a safety rule, whatever its reference says, each event is typed, and each figure of
    a summary is what its tables say.
    """
    path = references.path_of(name, design)
    run, checkpoints = references.simulated(references.loaded(name), design)
    assert run.verdict != VIOLATED, run.reason
    assert references.misread(run) == []
    hold_to_the_tables(run)
    if request.config.getoption("--update-results"):
        path.parent.mkdir(parents=True, exist_ok=True)
        text = references.dump(references.reference(run, checkpoints))
        path.write_text(text, encoding="utf-8", newline="\n")
        return
    if not path.exists():
        pytest.fail(f"{path.name} of {name} has no reference: pytest --update-results writes it")
    expected = references.read(name, design)
    if run.digest != expected["digest"]:
        pytest.fail(
            "\n".join([references.parting(expected, run), *references.changed(expected, run)]),
            pytrace=False,
        )
    assert references.changed(expected, run) == []
    assert checkpoints == expected["checkpoints"]


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_scenario_keeps_its_word(name: str) -> None:
    """Every design of a shipped scenario has a stated verdict, and its reference every bound."""
    scenario = references.loaded(name)
    outcomes = [
        outcome
        for design in scenario.designs
        for outcome in outcomes_of(Run(scenario, references.read(name, design)["summary"]))
    ]
    stated = {outcome.design for outcome in outcomes if outcome.key == "verdict"}
    assert stated == set(scenario.designs)
    assert [str(outcome) for outcome in outcomes if not outcome.passed] == []


def test_no_reference_is_stale(request: pytest.FixtureRequest) -> None:
    """Every reference belongs to a shipped scenario and one of its designs."""
    known = {references.path_of(*pair) for pair in PAIRS}
    stale = [path for path in references.kept() if path not in known]
    if request.config.getoption("--update-results"):
        for path in stale:
            path.unlink()
        return
    assert stale == []


def test_references_are_small() -> None:
    """All references together stay below 3 MiB."""
    assert sum(path.stat().st_size for path in references.kept()) < BYTES_MAX


def test_the_same_run_has_no_parting(small: dict[str, Any]) -> None:
    """A run that is as its reference parts nowhere and changes nothing."""
    run, checkpoints = references.simulated(SMALL, "split")
    assert references.parting(small, run) == "every event has the same mark"
    assert references.changed(small, run) == []
    assert checkpoints == small["checkpoints"]


def test_a_parting_in_the_first_transaction_shows_both_sides(small: dict[str, Any]) -> None:
    """Where the reference keeps the events, the first differing one is shown as it was and is."""
    other = SMALL.model_copy(update={"checkpoint_delay_ns": SMALL.checkpoint_delay_ns + 1})
    words = references.parting(small, references.simulated(other, "split")[0])
    assert words.splitlines() == [
        "the first difference is event 10 of transaction 0:",
        "                    0 ns  secondary: memory cache_bitmap  32,768",
        "                    0 ns  primary: guest running",
        "                    0 ns  secondary: COLO incoming thread waits for CHECKPOINT_REQUEST",
        *(f"- {line}" for line in small["first"][10:14]),
        *(f"+ {line}" for line in _shifted(small["first"][10:14])),
    ]


def _shifted(lines: list[str]) -> list[str]:
    """Return event lines one ns later; a wait since the beginning is as much longer."""
    shifted = []
    for line in lines:
        at, _, rest = line.partition(" ns")
        width = len(at)
        later = f"{int(at.replace(',', '')) + 1:>{width},}"
        shifted.append(f"{later} ns{rest.replace('  ' + at.strip(), '  ' + later.strip())}")
    return shifted


def test_a_parting_in_the_middle_is_found(small: dict[str, Any]) -> None:
    """An event that differs in a transaction of which only marks are kept is found all the same."""
    planted = json.loads(json.dumps(small))
    marks = planted["marks"][1]
    planted["marks"][1] = (
        marks[:15] + "".join("0" if digit != "0" else "1" for digit in marks[15:18]) + marks[18:]
    )
    words = references.parting(planted, references.simulated(SMALL, "split")[0]).splitlines()
    assert words[0] == "the first difference is event 5 of transaction 1:"
    assert words[4] == "- (of this transaction the reference keeps only marks)"
    assert len(words) == 1 + 3 + 1 + 4


def test_changed_values_are_named(small: dict[str, Any]) -> None:
    """A value of the summary that differs is named with both values."""
    planted = json.loads(json.dumps(small))
    planted["summary"]["pause_ns"]["p50"] += 1
    now = small["summary"]["pause_ns"]["p50"]
    run = references.simulated(SMALL, "split")[0]
    assert references.changed(planted, run) == [f"pause_ns.p50: {now + 1} -> {now}"]
