"""Which costs a result hangs on: each over its range, the others as they are.

A cost that was fitted goes two standard errors to each side, along the sums that the fit has
determined: what the runs do not tell apart moves against it.  Every other goes from half to double.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike
from typing import TYPE_CHECKING, Final

from colosim.analysis.compare import Comparison
from colosim.errors import ColosimError
from colosim.runs.run import as_scenario, simulate
from colosim.scenario.costs import Costs
from colosim.scenario.hosts import BOTH, each_cost
from colosim.scenario.presets import sums_of
from colosim.trace.events import PRIMARY, SECONDARY
from colosim.trace.fields import NUMERIC_KEYS

if TYPE_CHECKING:
    from colosim.runs.simulation import Simulation
    from colosim.scenario import Scenario

_ERROR: Final = re.compile(r"\+-([\d.]+ [\w/]+) standard error")
_IN_A_NS: Final = {"_ps_per_page": 1_000, "_fs_per_byte": 10**6, "_ps_per_chunk": 1_000}


@dataclass(frozen=True, slots=True)
class Range:
    """A cost of a side and its ends, in the integers of `Costs`; what else moves at each end."""

    cost: str
    side: str
    fitted: bool
    value: int
    low: Mapping[str, int]
    high: Mapping[str, int]
    """By key; the cost itself among them."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a cost's range does to a quantity: its value at both ends.

    ``verdict_changes``: whether the design ends otherwise at an end; ``order_changes``: whether
    the designs of the scenario are in another order by the quantity there.
    """

    range: Range
    at_low: int | None
    at_high: int | None
    verdict_changes: bool
    order_changes: bool

    @property
    def swing(self) -> int:
        """How far both ends are apart, 0 where one has no value."""
        if self.at_low is None or self.at_high is None:
            return 0
        return abs(self.at_high - self.at_low)

    def row(self) -> tuple[str | int | bool | None, ...]:
        """Return it as a row of `COLUMNS`; costs as a scenario writes them."""
        one = self.range
        reader = Costs.readers()[Costs.keys()[one.cost]]
        ends = (reader.text(at) for at in (one.low[one.cost], one.value, one.high[one.cost]))
        changes = (self.verdict_changes, self.order_changes)
        return (one.cost, one.side, *ends, self.at_low, self.at_high, *changes)


COLUMNS: Final = (
    *("cost", "side", "low", "value", "high", "at_low", "at_high"),
    *("verdict_changes", "order_changes"),
)


@dataclass(frozen=True)
class Sensitivity:
    """The effects of all costs on a quantity of a design, the largest first."""

    scenario: Scenario
    design: str
    quantity: str
    value: int | None
    effects: tuple[Effect, ...]

    @property
    def assumed(self) -> int:
        """How many costs have no standard error."""
        return sum(not effect.range.fitted for effect in self.effects)


def sensitivity(
    scenario: str | PathLike[str] | Scenario,
    design: str | None = None,
    quantity: str = "pause_ns.p50",
    *,
    overrides: Sequence[str] = (),
    prepare: Callable[[Simulation], None] | None = None,
) -> Sensitivity:
    """Run a scenario with each cost at both ends of its range.

    :param design: the one whose quantity it is; the scenario's first if None.
    :param quantity: a dotted key of the summary that is a number.
    :raises ScenarioError: if the scenario is wrong.
    :raises DesignError: if there is no such design.
    :raises ColosimError: if the quantity is no number of a summary.
    """
    loaded = as_scenario(scenario, overrides)
    if quantity not in NUMERIC_KEYS:
        raise ColosimError(f"{quantity!r} is no number of a summary, such as pause_ns.p50")
    own = loaded.designs[0] if design is None else design
    designs = tuple(dict.fromkeys((own, *loaded.designs)))

    def outcome(varied: Scenario) -> tuple[str, dict[str, int | None]]:
        runs = {name: simulate(varied, name, tables=False, prepare=prepare) for name in designs}
        return runs[own].verdict, {
            name: Comparison.value(run, quantity) for name, run in runs.items()
        }

    verdict, usual = outcome(loaded)
    effects = []
    for one in ranges(loaded):
        (low_verdict, at_low), (high_verdict, at_high) = (
            outcome(_with(loaded, one.side, end)) for end in (one.low, one.high)
        )
        effects.append(
            Effect(
                one,
                at_low[own],
                at_high[own],
                {low_verdict, high_verdict} != {verdict},
                not _order(at_low) == _order(usual) == _order(at_high),
            )
        )
    ranked = sorted(effects, key=lambda effect: (-effect.swing, effect.range.cost))
    return Sensitivity(loaded, own, quantity, usual[own], tuple(ranked))


def _order(values: Mapping[str, int | None]) -> list[str]:
    known = {name: value for name, value in values.items() if value is not None}
    return sorted(known, key=lambda name: known[name])


def _with(scenario: Scenario, side: str, costs: Mapping[str, int]) -> Scenario:
    sides = (PRIMARY, SECONDARY) if side == BOTH else (side,)
    return scenario.vary(
        {f"hosts.{one}.costs.{key}": value for one in sides for key, value in costs.items()}
    )


def ranges(scenario: Scenario) -> Iterator[Range]:
    """Yield the range of every cost that is not nothing at both ends."""
    each = list(each_cost(scenario.hosts))
    for one in each:
        host = getattr(scenario.hosts, PRIMARY if one.side == BOTH else one.side)
        own = {other.cost for other in each if other.side == one.side and not other.origin}
        sums = [amounts for amounts in sums_of(host.preset) if not own & amounts.keys()]
        error, value = _ERROR.search(one.origin), one.value
        step = 0 if error is None else 2 * Costs.readers()[Costs.keys()[one.cost]].read(error[1])
        down, up = (value - value // 2, value) if error is None else (min(step, value), step)
        if up:
            low, high = (_along_sums(host.costs, one.cost, by, sums) for by in (-down, up))
            yield Range(one.cost, one.side, error is not None, value, low, high)


def _along_sums(
    costs: Costs, moved: str, change: int, sums: Sequence[Mapping[str, int]]
) -> dict[str, int]:
    """Return the costs when one changes and every sum stays what it is, none below nothing.

    Of a sum's other costs the one with the largest part gives way.
    """
    changes = {moved: Fraction(change, _in_a_ns(moved))}
    left = list(sums)
    while touched := [one for one in left if changes.keys() & one.keys()]:
        for one in touched:
            left.remove(one)
            others = {key: one[key] * _ns(costs, key) for key in one if key not in changes}
            if others:
                gives = max(others, key=lambda key: others[key])
                over = sum((one[key] * changes[key] for key in one if key in changes), Fraction())
                changes[gives] = max(-over / one[gives], -_ns(costs, gives))
    return {
        key: max(0, round((_ns(costs, key) + by) * _in_a_ns(key))) for key, by in changes.items()
    }


def _in_a_ns(key: str) -> int:
    name = Costs.keys()[key]
    return next((many for end, many in _IN_A_NS.items() if name.endswith(end)), 1)


def _ns(costs: Costs, key: str) -> Fraction:
    """Return a cost in ns per unit."""
    return Fraction(getattr(costs, Costs.keys()[key]), _in_a_ns(key))
