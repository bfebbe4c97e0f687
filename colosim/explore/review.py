"""A design held against its parent: what got worse, what got better, what is equal.

It asks nothing of its own: `compare` runs both designs under each scenario, `explain` says why a
verdict is what it is, and `explore` strikes each with every fault at every step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from colosim.analysis.compare import LABELS, compare
from colosim.analysis.explain import explain
from colosim.explore.cases import Space, case_scenario
from colosim.explore.explore import explore_space
from colosim.runs.check import NOBODY_SERVES
from colosim.runs.statistics import CONSTANT
from colosim.runs.verdict import COMPLETED, FAILED_OVER, NOT_APPLICABLE, VIOLATED
from colosim.runs.wording import lasts, value_in_words
from colosim.trace.fields import VERDICTS

if TYPE_CHECKING:
    from colosim.analysis.compare import Row
    from colosim.analysis.explain import Explanation
    from colosim.explore.explore import Exploration, Progress
    from colosim.explore.outcome import Outcome
    from colosim.runs.run import Run
    from colosim.scenario.model import Scenario

UNDER: Final = ("compare", "hang", "web-server")
"""The scenarios of a review: measured conditions, the hang, and a guest with clients."""
AFTER_A_FAULT: Final = (
    "guest_stopped_ns_longest",
    "monitor_deaf_ns_longest",
    "time_to_guest_ns",
    "time_to_client_ns",
)
"""What is compared under a scenario with a fault; all else is where none strikes."""
LASTING: Final = ("freeze", "kill", "vanish")
"""The faults that do not end by themselves."""
_MORE_IS_BETTER: Final = {"service.throughput_per_s"}
_EQUAL_WITHIN: Final = 0.01
_FINE: Final = {COMPLETED, FAILED_OVER}
_RANK: Final = {word: rank for rank, word in enumerate(VERDICTS)}


class Finding(NamedTuple):
    """One quantity (or the verdict) under one scenario, of the parent and of the design.

    `change` is 1 if it got worse, -1 if better, 0 if it is equal; `ratio` None where it says
    nothing.
    """

    label: str
    scenario: str
    before: str
    after: str
    ratio: float | None
    change: int


class Struck(NamedTuple):
    """A case of the design, how its parent ends there (None: it has no such moment), and where."""

    case: Outcome
    before: str | None
    explored: Exploration

    @property
    def under(self) -> str:
        """Under which scenario it strikes."""
        return self.explored.scenario.name

    def example(self) -> tuple[Explanation, str]:
        """Return why it ended as it did, and the command that runs it again."""
        space = self.explored.space
        found = explain(case_scenario(space.base, self.case.choices), self.case.design)
        return found, space.replay_command(space.replay(self.case.choices))


class Turned(NamedTuple):
    """Faults at moments that both designs have, and that end otherwise now."""

    before: str
    after: str
    cases: tuple[Struck, ...]

    @property
    def worse(self) -> bool:
        """Whether they end worse: no longer in a pair or a survivor that serves."""
        return self.after not in _FINE and _RANK[self.after] > _RANK[self.before]

    @property
    def better(self) -> bool:
        """Whether they end better: in a pair or a survivor that serves, as before they did not."""
        return self.before not in _FINE and _RANK[self.after] < _RANK[self.before]


@dataclass(frozen=True)
class Review:
    """A design held against its parent under some scenarios, and faults at every step of each."""

    design: str
    parent: str
    findings: tuple[Finding, ...]
    explanations: tuple[Explanation, ...]
    """Of the design, one a scenario."""
    explored: tuple[Exploration, ...]
    """One a scenario."""

    @cached_property
    def struck(self) -> tuple[Struck, ...]:
        """Every case of the design."""
        found: list[Struck] = []
        for explored in self.explored:
            cases = explored.outcomes
            before = {_moment(one): one.verdict for one in cases if one.design == self.parent}
            found += [
                Struck(one, before.get(_moment(one)), explored)
                for one in cases
                if one.design == self.design
            ]
        return tuple(found)

    @cached_property
    def turned(self) -> tuple[Turned, ...]:
        """What became otherwise at moments that both have, the most cases first."""
        groups: dict[tuple[str, str], list[Struck]] = {}
        for one in self.struck:
            if one.before not in {None, one.case.verdict}:
                groups.setdefault((str(one.before), one.case.verdict), []).append(one)
        found = [Turned(*verdicts, tuple(cases)) for verdicts, cases in groups.items()]
        return tuple(sorted(found, key=lambda one: -len(one.cases)))

    @property
    def new_moments(self) -> Counter[str]:
        """How many cases, at moments that only the design has, end with each verdict."""
        return Counter(one.case.verdict for one in self.struck if one.before is None)

    @property
    def got_worse(self) -> bool:
        """Whether any verdict got worse: of a scenario, of a fault, or one that is new."""
        counts = [explored.counts() for explored in self.explored]
        new = any(set(one[self.design]) - set(one[self.parent]) - _FINE for one in counts)
        verdicts = [one for one in self.findings if one.label == "verdict" and one.change > 0]
        return bool(verdicts or new or any(one.worse for one in self.turned))


def review(
    design: str,
    parent: str,
    scenarios: Sequence[Scenario],
    *,
    faults: Sequence[str] = (),
    named: Sequence[str] = (),
    jobs: int = 1,
    progress: Progress | None = None,
) -> Review:
    """Hold a design against its parent.

    Faults are tried at every step under every scenario: all kinds under the first that has a
    fault (else under the last), those that last under the others.

    :param faults: these everywhere instead; words such as ``freeze`` or ``vanish 30 s``.
    :param named: the design and each scenario as their user named them, for commands that replay.
    :param jobs: how many processes; the result does not depend on it.
    :param progress: is told how many cases are finished, and how many there are.
    :raises DesignError: if there is no such design.
    """
    findings = [one for scenario in scenarios for one in _findings(scenario, design, parent)]
    order = ["verdict", *LABELS.values()]
    findings.sort(key=lambda one: order.index(one.label))
    whole = next((one for one in scenarios if one.faults), scenarios[-1])
    given, *sources = named or (design, *(one.name for one in scenarios))
    own = () if given == design else ("--design", given)
    spaces = [
        Space(
            scenario,
            (parent, design),
            faults or (() if scenario is whole else LASTING),
            command=("colosim", "run", source, *own),
        )
        for scenario, source in zip(scenarios, sources, strict=True)
    ]
    total = sum(space.count() for space in spaces)
    explored: list[Exploration] = []
    for space in spaces:
        before = sum(len(one.outcomes) for one in explored)

        def told(done: int, _: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done, total)

        explored.append(explore_space(space, jobs=jobs, progress=told))
    explanations = tuple(explain(scenario, design) for scenario in scenarios)
    return Review(design, parent, tuple(findings), explanations, tuple(explored))


def _moment(case: Outcome) -> tuple[str, ...]:
    return case.side, case.step, case.when, case.fault, case.victim


def _findings(scenario: Scenario, design: str, parent: str) -> Iterator[Finding]:
    compared = compare(scenario, (parent, design), tables=False)
    before, after = compared.runs.values()
    verdicts = before.verdict, after.verdict
    known = NOT_APPLICABLE not in verdicts
    change = _sign(_RANK[after.verdict] - _RANK[before.verdict]) if known else 0
    yield Finding("verdict", scenario.name, *verdicts, None, change)
    if not known or VIOLATED in verdicts:
        return
    rows: dict[str, list[Row]] = {}
    for row in compared.rows:
        rows.setdefault(row.quantity, []).append(row)
    for quantity, (_, row) in rows.items():
        if (quantity in AFTER_A_FAULT) < bool(scenario.faults):
            continue
        change = _change(quantity, before, after, tuple(one.value for one in rows[quantity]))
        words = [value_in_words(run.summary, quantity) for run in (before, after)]
        if words not in (["-", "-"], [CONSTANT, CONSTANT]):  # then the median says all
            yield Finding(LABELS[quantity], scenario.name, words[0], words[1], row.ratio, change)


def _change(quantity: str, before: Run, after: Run, values: tuple[int | None, ...]) -> int:
    """Return 1 if a quantity got worse, -1 if better, 0 if it is within 1% of what it was."""

    def weight(run: Run, value: int | None) -> float:
        never = value is None and run.verdict in NOBODY_SERVES
        return float("inf") if never or lasts(run.summary, quantity) else float(value or 0)

    old, new = weight(before, values[0]), weight(after, values[1])
    if old == new or abs(new - old) <= _EQUAL_WITHIN * old < float("inf"):
        return 0
    return _sign(new - old) * (-1 if quantity in _MORE_IS_BETTER else 1)


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)
