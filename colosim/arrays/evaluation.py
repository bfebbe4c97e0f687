"""A design at every point of a grid: in groups that take the same way through its code."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colosim.arrays.column import Diverged, OutOfRange, Refused
from colosim.arrays.pair import Pair
from colosim.arrays.summary import NONE, Summary
from colosim.designs.background import FIRST, GAP
from colosim.designs.design import Design
from colosim.designs.foreign import own_names
from colosim.designs.registry import OWN
from colosim.designs.remedies import with_remedies
from colosim.scenario.checks import conflicts
from colosim.scenario.spread import MEASURED

if TYPE_CHECKING:
    from colosim.arrays.column import Ints, Masks
    from colosim.arrays.points import Columns
    from colosim.scenario.model import Scenario

GROUPS: Final = 20
"""So many ways through a design's code are followed, those of most points first, and one more for
each 32 points: beyond that simulations are faster."""
IMPOSSIBLE: Final = "values that cannot stand together"


@dataclass
class Answers:
    """What came of points: for each the keys of a summary, or why it was refused.

    A key that a point does not have is `NONE`.
    """

    count: int
    numbers: dict[str, Any] = field(default_factory=dict)
    why: list[str] = field(default_factory=list)
    deaf_ns: dict[str, Any] = field(default_factory=dict)
    """How long the monitor of each side was deaf at most."""

    def __post_init__(self) -> None:
        """Begin with no reason."""
        self.why = [""] * self.count

    def refuse(self, places: Ints, why: str) -> None:
        """Refuse points, unless they have been for another reason."""
        for place in places.tolist():
            self.why[place] = self.why[place] or why

    def put(self, key: str, places: Ints, values: Any) -> None:
        """Put a key of points."""
        if key not in self.numbers:
            self.numbers[key] = np.full(self.count, NONE)
        self.numbers[key][places] = values


def reason_against(scenario: Scenario, design: type[Design]) -> str:
    """Return why no point of a scenario is for arrays, ``""`` if some may be."""
    given: dict[str, Any] = {
        "faults": scenario.faults,
        "commands of an operator": scenario.commands,
        "a liveness rule": scenario.liveness,
        "clients": scenario.service,
        "the guest's writes to a disk": scenario.disk and scenario.disk.writes,
        "a spread": scenario.spread == MEASURED,
        "a manager that asks the monitors": scenario.manager.answered_by == "monitor",
        "a length in time": scenario.duration_ns,
        "the reference model": scenario.model == "reference",
        "pages sent between checkpoints": any(
            option.name in {FIRST, GAP} for option in design.traits.remedies
        ),
        "a design without checkpoints": design.traits.failover == "none",
        "a design that compares with 'is'": any(map(_asks_for_identity, _codes(design))),
    }
    return next((what for what, is_there in given.items() if is_there), "")


def _codes(design: type[Design]) -> Iterator[CodeType]:
    """Yield the code of a design's own functions, those within others too."""
    todo = [
        value.__code__
        for base in design.__mro__
        if base not in OWN and base is not object and base.__module__ != Design.__module__
        for value in vars(base).values()
        if isinstance(value, FunctionType)
    ]
    while todo:
        code = todo.pop()
        todo += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
        yield code


def _asks_for_identity(code: CodeType) -> bool:
    """Whether code asks if something *is* another thing, None apart: no column notices."""
    steps = list(dis.get_instructions(code))
    return any(
        step.opname == "IS_OP" and not (before.opname == "LOAD_CONST" and before.argval is None)
        for before, step in pairwise(steps)
    )


def evaluate(design: type[Design], columns: Columns) -> Answers:
    """Return what comes of a design at points that differ in numbers alone."""
    scenario = with_remedies(columns.scenario, design.traits.remedies)
    answers = Answers(len(columns))
    if why := reason_against(scenario, design):
        answers.refuse(np.arange(len(columns)), why)
        return answers
    todo = [np.arange(len(columns))]
    runs = 0
    most = GROUPS + len(columns) // 32
    while todo:
        todo.sort(key=len)
        places = todo.pop()
        runs += 1
        if runs > most:
            answers.refuse(places, f"more than {most} ways through the design's code")
            continue
        try:
            with np.errstate(all="raise"):
                apart = _run(design, columns.part(places), places, answers)
            todo += [places[apart]] if apart.any() else []
        except Diverged as diverged:
            todo += [places[diverged.mask], places[~diverged.mask]]
        except OutOfRange as beyond:
            answers.refuse(places[beyond.mask], str(beyond))
            todo += [places[~beyond.mask]] if not beyond.mask.all() else []
        except Refused as refused:
            answers.refuse(places, str(refused))
        except Exception as error:
            if design in OWN:
                raise
            answers.refuse(places, f"{type(error).__name__}: {error}")
    return answers


def _run(design: type[Design], columns: Columns, places: Ints, answers: Answers) -> Masks:
    """Put what came of points where they belong; return which are to run again, apart."""
    scenario = with_remedies(columns.put_together(), design.traits.remedies)
    if _is_impossible(scenario):
        raise Refused(IMPOSSIBLE)
    pair = Pair(scenario, design(), own_names(design), len(columns))
    pair.run()
    summary = Summary(pair, scenario.warmup)
    keys = dict(summary.keys())
    pair.env.refuse(np.asarray(pair.ends[-1]) > scenario.horizon_ns, "past the horizon")
    apart = pair.env.apart
    for why, mask in pair.env.refused.items():
        answers.refuse(places[np.asarray(mask) & ~apart], why)
    for key, values in keys.items():
        answers.put(key, places, np.asarray(values))
    for numbers in answers.numbers.values() if apart.any() else ():
        numbers[places[apart]] = NONE
    for side, longest in summary.deaf_ns.items():
        answers.deaf_ns.setdefault(side, np.zeros(len(answers.why), np.int64))[places] = longest
    return apart


def _is_impossible(scenario: Scenario) -> bool:
    """Whether the numbers that are columns cannot stand together, by the scenario's own checks."""
    try:
        return any(conflicts(scenario))
    except Refused:  # it has something to say of a number
        return True
