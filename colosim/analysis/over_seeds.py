"""The same runs under many seeds: means and quantiles with intervals, differences of designs.

All designs have the same draws under one seed, so a design is held against the first one seed by
seed: the difference of the pair varies less than either.  Intervals are at 95%, by SciPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, isfinite
from os import PathLike
from typing import TYPE_CHECKING, Any, Final

from colosim.analysis.compare import Comparison, quantities_of
from colosim.runs.run import Run, as_scenario, simulate

if TYPE_CHECKING:
    import pandas as pd

    from colosim.designs.design import Design
    from colosim.runs.simulation import Simulation
    from colosim.scenario import Scenario

LEVEL: Final = 0.95
PRECISION: Final = 0.01
"""Half of an interval's width, as a share of the mean, of which `Scatter.seeds_needed` speaks."""
METHODS: Final = (
    "means and paired differences: Student's t (scipy.stats.ttest_1samp, ttest_rel); quantiles: "
    "order statistics (scipy.stats.quantile_test); all at 95%"
)
_SEEDS_MAX: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and the interval that holds the true value at 95%; an end may be unknown.

    Both ends are None where every seed gave the same, or there is one seed alone.
    """

    value: float
    low: float | None
    high: float | None

    @property
    def ends(self) -> tuple[float | None, float | None]:
        """Both ends."""
        return self.low, self.high


@dataclass(frozen=True)
class Scatter:
    """One quantity of one design, a value a seed."""

    values: tuple[int, ...]

    @property
    def constant(self) -> bool:
        """Whether every seed gave the same, so that no interval says anything."""
        return len(set(self.values)) == 1

    @property
    def mean(self) -> Interval:
        """The mean over the seeds."""
        return _mean(self.values)

    def quantile(self, share: float) -> Interval:
        """Return a quantile over the seeds."""
        import numpy as np  # noqa: PLC0415 - slow to import

        value = float(np.quantile(self.values, share))
        if self.constant:
            return Interval(value, None, None)
        from scipy import stats  # noqa: PLC0415 - slow to import

        found = stats.quantile_test(self.values, q=value, p=share).confidence_interval(LEVEL)
        return Interval(value, _finite(found.low), _finite(found.high))

    def less(self, other: Scatter) -> Interval:
        """Return the mean of the differences to another design, seed by seed."""
        return _mean([one - base for one, base in zip(self.values, other.values, strict=True)])

    def seeds_needed(self, precision: float = PRECISION) -> int | None:
        """Return how many seeds make the mean's interval as narrow as a share of the mean each way.

        As far as these seeds tell; None if the mean is 0, or a million are too few.
        """
        if self.constant or len(self.values) == 1:
            return 1 if self.constant and len(self.values) > 1 else None
        from scipy import stats  # noqa: PLC0415 - slow to import

        wanted = precision * abs(self.mean.value)
        if not wanted:
            return None
        tail, ratio = (1 + LEVEL) / 2, float(stats.tstd(self.values)) / wanted
        # Student's quantile falls to the normal one as seeds are added: no fewer can do.
        seeds = max(2, ceil((float(stats.norm.ppf(tail)) * ratio) ** 2))
        while seeds < _SEEDS_MAX and float(stats.t.ppf(tail, seeds - 1)) * ratio > seeds**0.5:
            seeds += 1
        return seeds if seeds < _SEEDS_MAX else None


def _mean(values: Sequence[int]) -> Interval:
    mean = sum(values) / len(values)
    if len(set(values)) == 1:
        return Interval(mean, None, None)
    from scipy import stats  # noqa: PLC0415 - slow to import

    found = stats.ttest_1samp(values, 0).confidence_interval(LEVEL)
    return Interval(mean, float(found.low), float(found.high))


def _finite(value: float) -> float | None:
    return float(value) if isfinite(value) else None


@dataclass(frozen=True, repr=False)
class OverSeeds:
    """The runs of each design, in the order of the seeds."""

    scenario: Scenario
    runs: Mapping[str, Sequence[Run]]

    def __repr__(self) -> str:
        """Return scenario, designs and how many seeds."""
        seeds = len(next(iter(self.runs.values()), ()))
        return f"<OverSeeds {self.scenario.name}: {', '.join(self.runs)}, {seeds} seeds>"

    def verdicts(self, design: str) -> dict[str, int]:
        """Return how many seeds ended with which verdict."""
        found: dict[str, int] = {}
        for run in self.runs[design]:
            found[run.verdict] = found.get(run.verdict, 0) + 1
        return found

    def scatter(self, design: str, quantity: str) -> Scatter | None:
        """Return a quantity's values, None if a run has none."""
        values = [Comparison.value(run, quantity) for run in self.runs[design]]
        known = tuple(value for value in values if value is not None)
        return Scatter(known) if len(known) == len(values) else None

    @cached_property
    def table(self) -> pd.DataFrame:
        """Every quantity of every design: mean, p50 and p90 over the seeds, each with both ends.

        ``difference`` is the mean of the paired differences to the first design; ``seeds_needed``
        how many seeds give the mean to 1%.  An end that is unknown is missing.
        """
        import pandas as pd  # noqa: PLC0415 - slow to import

        rows = []
        first, *_ = self.runs
        for quantity in quantities_of(self.scenario):
            base = self.scatter(first, quantity)
            for design in self.runs:
                own = self.scatter(design, quantity)
                if own is None:
                    continue
                row: dict[str, Any] = {"quantity": quantity, "design": design}
                row["seeds"] = len(own.values)
                estimates = {"mean": own.mean, "p50": own.quantile(0.5), "p90": own.quantile(0.9)}
                if base is not None and design != first:
                    estimates["difference"] = own.less(base)
                for name, interval in estimates.items():
                    row[name] = interval.value
                    row |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
                row["seeds_needed"] = own.seeds_needed()
                rows.append(row)
        ends = ("", "_low", "_high")
        names = [f"{name}{end}" for name in ("mean", "p50", "p90", "difference") for end in ends]
        frame = pd.DataFrame(rows, columns=["quantity", "design", "seeds", *names, "seeds_needed"])
        return frame.astype(dict.fromkeys(names, "Float64") | {"seeds_needed": "Int64"})


def _told(run: Run) -> Run:
    """Return a run without its simulation, of which many would fill the memory."""
    return Run(run.scenario, run.summary)


def over_seeds(
    scenario: str | PathLike[str] | Scenario,
    seeds: Iterable[int],
    designs: Sequence[str | type[Design]] | None = None,
    *,
    overrides: Sequence[str] = (),
    prepare: Callable[[Simulation], None] | None = None,
) -> OverSeeds:
    """Run designs under each of many seeds.

    :param designs: instead of the scenario's.
    :raises ScenarioError: if the scenario is wrong.
    :raises DesignError: if there is no such design.
    """
    loaded, each = as_scenario(scenario, overrides), tuple(seeds)
    chosen = loaded.designs if designs is None else designs
    return OverSeeds(
        loaded,
        {
            design if isinstance(design, str) else design.name: [
                _told(simulate(loaded, design, seed=seed, tables=False, prepare=prepare))
                for seed in each
            ]
            for design in chosen
        },
    )
