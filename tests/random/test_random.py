"""Any scenario whatever: nothing raises, no safety rule breaks, the same again is the same.

Bounded by default.  A long search, new each time, takes minutes::

    pytest tests/random --hypothesis-profile long

What fails is told as the text of a scenario file: saved in tests/scenarios/found/ it is run by
every test run from then on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings

from tests.random.holding import hold
from tests.random.scenarios import scenarios

FOUND = Path(__file__).parents[1] / "scenarios" / "found"
TIMES_THE_USUAL = 3


@pytest.mark.slow
@given(scenario=scenarios())
@settings(
    max_examples=TIMES_THE_USUAL * settings().max_examples,
    suppress_health_check=list(HealthCheck),
)
def test_any_scenario_holds_every_rule(scenario: dict[str, Any]) -> None:
    """Random sizes, networks, managers, designs, remedies and up to three faults."""
    text = json.dumps(scenario, indent=1)
    note(f"save as tests/scenarios/found/NAME.yaml:\n{text}")
    hold(text)


@pytest.mark.parametrize("path", sorted(FOUND.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_was_found_once_stays_mended(path: Path) -> None:
    """Each example that failed once holds now."""
    hold(path.read_text(encoding="utf-8"))
