"""The liveness phase of a scenario: when faults end, and how soon the pair must go on."""

from __future__ import annotations

from colosim.scenario.fields import TimeAbove0
from colosim.scenario.section import Section


class Liveness(Section):
    """A safety phase with faults, then a liveness phase without: it must go on within a limit."""

    example = "{until: 30 s, within: 10 s}"

    until_ns: TimeAbove0
    """When faults end: what is frozen thaws, what vanished or is slow heals."""
    within_ns: TimeAbove0
    """How long after it the pair may take to commit, or a survivor to serve."""
