"""What a fit of costs gives: estimates, how they hang together, and how well they fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from colosim.scenario.spread import StageSpread


@dataclass(frozen=True, slots=True)
class Estimate:
    """One cost: its value, in ns per unit, standard error, and the runs that it came from.

    An `undetermined` one has the value of the base preset and no error.
    """

    key: str
    value: float
    error: float | None
    runs: tuple[str, ...]
    stages: tuple[str, ...]
    group: Group | None = None
    undetermined: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Costs that the runs do not tell apart, how they were divided, and what is determined."""

    keys: tuple[str, ...]
    conventions: tuple[str, ...]
    sums: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Residual:
    """How well one stage is fitted: relative errors over its rows."""

    stage: str
    runs: int
    median: float
    p90: float


@dataclass(frozen=True, slots=True)
class Fit:
    """The costs of one host, fitted; `base` is the preset that undetermined ones were left at."""

    base: str
    estimates: Mapping[str, Estimate]
    groups: tuple[Group, ...]
    bounds: tuple[str, ...]
    """Sums of which the runs bear no more than an upper bound, as text."""
    residuals: tuple[Residual, ...]
    in_flight_bytes: float | None
    """What both sockets held as the last byte of a long unlimited stream was written."""
    runs: tuple[str, ...]
    without: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Costs fitted without each run, by that run's name."""
    spread: Mapping[str, StageSpread] = field(default_factory=dict)
    """How single checkpoints scatter about the costs, by stage."""

    def values(self) -> dict[str, float]:
        """Return the costs by key, in ns per unit."""
        return {key: estimate.value for key, estimate in self.estimates.items()}
