"""Holding runs to what their scenario expects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

from colosim.runs.run import Run, as_scenario, simulate
from colosim.runs.statistics import CONSTANT
from colosim.runs.verdict import (
    HUNG,
    NOT_APPLICABLE,
    SPLIT_BRAIN,
    STOPPED,
    UNFINISHED,
    UNPROTECTED,
)
from colosim.runs.wording import in_words, says_nothing
from colosim.trace.fields import value_of

if TYPE_CHECKING:
    from colosim.scenario import Bound, Scenario

NOBODY_SERVES = frozenset({HUNG, STOPPED, SPLIT_BRAIN})
"""Verdicts after which nobody is served, or two are at once."""
NO_SUCCESS = frozenset({UNFINISHED, UNPROTECTED, NOT_APPLICABLE})
"""Verdicts of runs that have shown nothing, or lost what they are for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One bound of a scenario's ``expect:``, held against one run."""

    scenario: str
    design: str
    key: str
    bound: Bound
    value: Any
    passed: bool
    seed: int
    constant: bool = False
    """Whether it is a p90 or p99 of values that were all the same."""

    def __str__(self) -> str:
        """Return it in words: the value, what was expected, pass or FAIL."""
        said = in_words(self.key, self.value)
        if not self.passed and isinstance(self.value, int) and said != str(self.value):
            said += f" ({self.value})"
        verb, at = "pass" if self.passed else "FAIL", f"{CONSTANT} at " if self.constant else ""
        told = f"{self.key} is {at}{said}, expected {self.bound}"
        return f"{verb}  {self.scenario} {self.design}: {told}"


def bounds_of(scenario: Scenario, design: str) -> dict[str, Bound]:
    """Return the bounds that hold for a design: those of ``*`` and, before them, its own."""
    return {**scenario.expect.get("*", {}), **scenario.expect.get(design, {})}


def outcomes_of(run: Run) -> list[Outcome]:
    """Hold a run to every bound of its scenario."""
    return [
        Outcome(
            run.scenario.name,
            run.design,
            key,
            bound,
            value := value_of(run.summary, key),
            bound.holds(value),
            run.seed,
            says_nothing(run.summary, key),
        )
        for key, bound in bounds_of(run.scenario, run.design).items()
    ]


def foreseen(run: Run) -> bool:
    """Tell whether a run that is no success was expected to end so; true for other runs."""
    if run.verdict not in NOBODY_SERVES | NO_SUCCESS:
        return True
    bound = bounds_of(run.scenario, run.design).get("verdict")
    return bound is not None and bound.holds(run.verdict)


def check(
    scenario: str | PathLike[str] | Scenario,
    *,
    designs: Sequence[str] | None = None,
    seed: int | None = None,
    seeds: Iterable[int] = (),
    overrides: Sequence[str] = (),
) -> list[Outcome]:
    """Run a scenario's designs and hold each to the scenario's ``expect:``.

    :param designs: instead of the scenario's.
    :param seeds: many, each of which gives an outcome; in place of `seed`.
    :raises ScenarioError: if the scenario is wrong.
    :raises DesignError: if there is no such design.
    """
    loaded = as_scenario(scenario, overrides)
    found: list[Outcome] = []
    each = tuple(seeds) or (seed,)
    for design in loaded.designs if designs is None else designs:
        for one in each:
            found += outcomes_of(simulate(loaded, design, seed=one, tables=False))
    return found
