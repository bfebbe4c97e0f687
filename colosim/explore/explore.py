"""Running the cases of an exploration: in processes, in order, interruptible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import tee
from os import PathLike
from typing import TYPE_CHECKING

from colosim.errors import ColosimError
from colosim.executors.batches import run_all
from colosim.executors.engines import opened
from colosim.explore.cases import Space
from colosim.explore.choices import ChoicesError
from colosim.explore.outcome import run_case
from colosim.explore.results import Results, digest_of
from colosim.runs.run import as_scenario

if TYPE_CHECKING:
    from pathlib import Path

    from colosim.explore.cases import Case
    from colosim.explore.outcome import Outcome
    from colosim.scenario.model import Scenario

    Progress = Callable[[int, int], None]
    """Is told how many cases are finished, and how many there are."""


@dataclass(frozen=True, slots=True)
class Exploration:
    """The outcomes of an exploration, in the order of its choices.

    `found` is the first case with the verdict that was looked for: with it the exploration ends.
    """

    space: Space
    outcomes: tuple[Outcome, ...]
    found: Outcome | None = None

    @property
    def scenario(self) -> Scenario:
        """The scenario as its cases ran it, without faults."""
        return self.space.base

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many cases of each design ended with each verdict."""
        counts: dict[str, dict[str, int]] = {design: {} for design in self.space.designs}
        for outcome in self.outcomes:
            of_design = counts[outcome.design]
            of_design[outcome.verdict] = of_design.get(outcome.verdict, 0) + 1
        return counts


def explore(  # noqa: PLR0913 - a study has that many parameters, given by name
    scenario: str | PathLike[str] | Scenario,
    designs: Sequence[str] = (),
    faults: Sequence[str] = (),
    *,
    jobs: int = 1,
    depth: int = 1,
    find: str | None = None,
    overrides: Sequence[str] = (),
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Exploration:
    """Run every case of a scenario: each fault at each protocol step of each design.

    :param designs: instead of the scenario's.
    :param faults: words such as ``freeze`` or ``vanish 30 s``; none means all kinds.
    :param jobs: how many processes; the result does not depend on it.
    :param depth: how many faults strike in one case.
    :param find: stop at the first case with this verdict.
    :param folder: where finished cases are kept, so that a rerun goes on from there.
    :raises ScenarioError: if the scenario is wrong.
    :raises ChoicesError: if a fault is none, or none can strike in any of the designs.
    """
    loaded = as_scenario(scenario, overrides)
    command = ["colosim", "run", loaded.name if scenario is loaded else str(scenario)]
    for override in overrides:
        command += ["--set", override]
    space = Space(loaded, designs, faults, depth, command)
    return explore_space(space, jobs=jobs, find=find, folder=folder, progress=progress)


def explore_space(
    space: Space,
    *,
    jobs: int = 1,
    find: str | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Exploration:
    """Run every case of a space; the parameters are those of `explore`.

    :raises ChoicesError: if it has no case.
    """
    total = space.count()
    if not total:
        raise ChoicesError(
            f"there is no case: nothing of {', '.join(space.faults)} can strike in "
            f"{', '.join(space.designs)}"
        )
    cases, ordered = tee(space)
    with (
        Results(folder, digest_of(space.base, space.designs)) as results,
        opened(jobs=jobs) as engine,
    ):
        known = _InOrder(ordered, results, find)

        def finished(_: object, outcomes: Sequence[Outcome]) -> bool:
            results.add(outcomes)
            known.advance()
            if progress is not None:
                progress(len(known.outcomes), total)
            return known.found is None

        known.advance()
        if known.found is None:
            run_all(
                engine,
                partial(_run, space.base),
                (
                    (one, space.replay_command(one))
                    for one in cases
                    if results.get(one.text) is None
                ),
                finished=finished,
                to_blame=_killed,
            )
    return Exploration(space, tuple(known.outcomes), known.found)


class _InOrder:
    """The outcomes of finished cases, in the order of the cases, up to the first that is not.

    `found` is the first with the verdict that is looked for; with it they end.
    """

    def __init__(self, cases: Iterator[Case], results: Results, find: str | None) -> None:
        self._cases = cases
        self._next = next(cases, None)
        self._results = results
        self._find = find
        self.outcomes: list[Outcome] = []
        self.found: Outcome | None = None

    def advance(self) -> None:
        """Take over what has been finished since."""
        while self.found is None and self._next is not None:
            outcome = self._results.get(self._next.text)
            if outcome is None:
                return
            self.outcomes.append(outcome)
            self._next = next(self._cases, None)
            if outcome.verdict == self._find:
                self.found = outcome


def _run(base: Scenario, cases: Sequence[tuple[Case, str]]) -> list[Outcome]:
    return [run_case(base, case, replay) for case, replay in cases]


def _killed(one: tuple[Case, str]) -> Outcome:
    """Say which case ends the process that runs it, perhaps for want of memory.

    :raises ColosimError: always.
    """
    raise ColosimError(f"the process that ran this case was killed, again and again: {one[1]}")
