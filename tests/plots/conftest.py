"""Runs to draw."""

from __future__ import annotations

import pytest

from colosim.runs.run import Run, simulate
from colosim.scenario import loads
from tests.runs.conftest import FROZEN, PLAIN


@pytest.fixture(scope="session")
def pair() -> list[Run]:
    """Return a run of the old and of the split design without a fault."""
    scenario = loads(PLAIN)
    return [simulate(scenario, design) for design in ("qsb", "split")]


@pytest.fixture(scope="session")
def frozen_pair() -> list[Run]:
    """Return the same with a secondary that freezes in the stream: one fails over, one hangs."""
    scenario = loads(FROZEN)
    return [simulate(scenario, design) for design in ("qsb", "split")]
