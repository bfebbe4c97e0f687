"""Fitting a host's costs to the stage times of many real runs at once.

Stages are sums of costs times known amounts (`colosim.measured.stage_formulas`).  The fit is a
robust one of their logarithms (soft L1: large errors count by their size, not its square) by
non-negative least squares, solved again and again with new weights until no cost moves any more.

What the runs do not determine is found and said, not guessed.  Costs that occur only in one sum
are told by the rank of the rows; so many of them are left at the values of a base preset, or in a
stated ratio, as make the rest determined.  Of a writer that a reader held up in every transfer only
an upper bound is known.  So nothing of the result is rounding noise, and all kernels of linear
algebra give the same digits.  Leaving each run out in turn gives the standard errors (jackknife;
they hold for what was left or divided as it was), and the costs for cross-validation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls

from colosim.errors import LogError
from colosim.measured.conditions import host_preset
from colosim.measured.cost_file import base_costs, three_digits
from colosim.measured.estimates import Estimate, Fit, Group, Residual
from colosim.measured.scatter import scatter
from colosim.measured.stage_formulas import (
    PAGE_STREAM_BYTES,
    STREAM_WRITE,
    held_up,
    in_flight_bytes,
    rows,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colosim.measured.measurement import MeasuredRun
    from colosim.measured.stage_rows import Row

ROBUST = 0.1
"""Relative error from which on an error counts by its size rather than by its square."""
UNDETERMINED = 1e-6
"""Singular value, as a share of the largest, from which on down a combination is undetermined.

Of the Jacobian of the fitted logarithms, columns scaled to 1 at most; predicted times and weights
only multiply its rows, so the measured times stand for them.  The shipped runs, and each part of
them that was tried, have none between 0.07 and 3e-16, the rounding noise of a true zero.
"""
CONVERGED = 1e-12
"""Relative step of every cost below which the fit has converged; rounding noise is 1e-14."""
_STEPS = 5_000
_TINY = 1e-9
_MOVED = 1e-4
"""Share of a null vector from which on a cost takes part in it."""
_RUNS_FOR_ERROR = 2


@dataclass(frozen=True, slots=True)
class Ratio:
    """A sum that no run divides is divided so: `key` costs `times` what `other` costs."""

    key: str
    times: float
    other: str
    reason: str


RATIOS = (
    Ratio(
        "qsb_write",
        2,
        "flat_write",
        "a page costs the two copies of qsb_write twice the one of flat_write",
    ),
    Ratio(
        "socket_read",
        2 / PAGE_STREAM_BYTES,
        "cache_load",
        "of the time that a page takes into the cache two thirds are socket_read's",
    ),
)
"""Taken, in this order, before a cost is left at the base preset's value."""


def fit(runs: Sequence[MeasuredRun], *, base: str | None = None, jackknife: bool = True) -> Fit:
    """Fit costs to runs of one host; `base` is a host preset, by default that of the runs' design.

    :raises LogError: if there is no run, none has a complete checkpoint to learn from, the fit does
        not converge, there is no such preset, or its costs contradict the runs.
    """
    every = [row for run in runs for row in rows(run)]
    if not every:
        raise LogError("none of the runs has a complete checkpoint to fit costs to")
    base = base or host_preset(runs[0])
    known = base_costs(base)
    used, whole, late = every, _solve(every, known), []
    while found := [row for row in used if row.stage == STREAM_WRITE and held_up(row, whole.costs)]:
        late += found
        used = [row for row in used if row not in found]
        whole = _solve(used, known)
    groups = whole.groups()
    _refuse_contradicted(groups, whole, base)
    left = whole.left | {key for row in late for key in row.amounts if key not in whole.costs}
    costs = {key: known[key] for key in left} | whole.costs
    bounds = _bounds(late, used, costs, base)
    without: dict[str, dict[str, float]] = {}
    if jackknife and len(runs) > _RUNS_FOR_ERROR:
        for run in runs:
            rest = _solve([row for row in used if row.run != run.name], known)
            without[run.name] = costs | rest.costs
    estimates = {}
    for key, value in sorted(costs.items()):
        own = [row for row in (every if key in left else used) if key in row.amounts]
        estimates[key] = Estimate(
            key,
            value,
            None if key in left else _error(key, without),
            tuple(sorted({row.run for row in own})),
            tuple(dict.fromkeys(row.stage for row in own)),
            next((group for group in groups if key in group.keys), None),
            key in left,
        )
    return Fit(
        base,
        estimates,
        groups,
        bounds,
        _residuals(whole),
        _in_flight(runs, costs),
        tuple(run.name for run in runs),
        without,
        scatter(runs, costs),
    )


@dataclass(frozen=True, slots=True)
class _Solution:
    costs: dict[str, float]
    left: frozenset[str]
    undivided: list[tuple[list[str], list[str]]]
    """Costs that the rows do not tell apart, with the reasons by which they were divided."""
    rows: list[Row]

    def groups(self) -> tuple[Group, ...]:
        """Return the undivided costs with the sums that are determined."""
        return tuple(
            Group(tuple(keys), tuple(reasons), _sums(keys, self.rows, self.costs))
            for keys, reasons in self.undivided
        )


def _solve(used: list[Row], known: Mapping[str, float]) -> _Solution:
    costs: dict[str, float] = {}
    left: set[str] = set()
    undivided: list[tuple[list[str], list[str]]] = []
    for keys, part in _components(used):
        amounts = np.array([[row.amounts.get(key, 0.0) for key in keys] for row in part])
        shares = amounts / np.array([[row.measured_ns] for row in part])
        division = _divide(keys, shares, np.array([known[key] for key in keys]))
        weight = np.array([row.weight for row in part])
        free = _least(shares @ division.into, shares @ division.fixed, weight)
        costs |= dict(zip(keys, (division.fixed + division.into @ free).tolist(), strict=True))
        left |= division.left
        for together in _null_groups(keys, shares) if division.reasons else ():
            reasons = [reason for key, reason in division.reasons.items() if key in together]
            undivided.append((together, reasons))
    return _Solution(dict(sorted(costs.items())), frozenset(left), undivided, used)


def _components(used: Sequence[Row]) -> list[tuple[list[str], list[Row]]]:
    """Return the costs that share rows with one another, with these rows, apart from others."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent[key] != key:
            key = parent[key]
        return key

    for row in used:
        keys = list(row.amounts)
        for key in keys:
            parent.setdefault(key, key)
        for key in keys[1:]:
            parent[root(key)] = root(keys[0])
    parts: dict[str, list[str]] = {}
    for key in parent:
        parts.setdefault(root(key), []).append(key)
    return [
        (sorted(keys), [row for row in used if next(iter(row.amounts)) in keys])
        for keys in parts.values()
    ]


@dataclass(frozen=True, slots=True)
class _Division:
    """Costs as ``fixed + into @ free``, and why those are not free that are not."""

    fixed: NDArray[np.float64]
    into: NDArray[np.float64]
    reasons: dict[str, str]
    left: frozenset[str]


def _divide(
    keys: Sequence[str], shares: NDArray[np.float64], known: NDArray[np.float64]
) -> _Division:
    """Take so many costs out of the fit, by ratios and by base values, as the rows leave undivided.

    Of costs in one sum those are left at the base's values that are the smallest part of it there.
    """
    into = np.eye(len(keys))
    fixed = np.zeros(len(keys))
    reasons: dict[str, str] = {}
    left: set[str] = set()
    free = list(keys)
    part = dict(zip(keys, (shares * known).max(axis=0), strict=True))
    for candidate in [*RATIOS, *sorted(keys, key=lambda key: (part[key], key))]:
        if not (spare := _spare(shares @ into)):
            break
        key = candidate.key if isinstance(candidate, Ratio) else candidate
        if key not in free or (isinstance(candidate, Ratio) and candidate.other not in free):
            continue
        trial = np.delete(into, free.index(key), axis=1)
        if isinstance(candidate, Ratio):
            trial[keys.index(key)] = candidate.times * trial[keys.index(candidate.other)]
        if _spare(shares @ trial) == spare:
            continue
        into = trial
        free.remove(key)
        if isinstance(candidate, Ratio):
            reasons[key] = candidate.reason
        else:
            reasons[key] = f"{key} left at the base preset's value"
            fixed[keys.index(key)] = known[keys.index(key)]
            left.add(key)
    return _Division(fixed, into, reasons, frozenset(left))


def _scaled(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(shares / np.maximum(shares.max(axis=0, initial=0), _TINY))


def _spare(shares: NDArray[np.float64]) -> int:
    """Return how many more costs there are than the rows determine."""
    singular = np.linalg.svd(_scaled(shares), compute_uv=False)
    determined = np.count_nonzero(singular > UNDETERMINED * singular.max(initial=0))
    return int(shares.shape[1] - determined)


def _least(
    shares: NDArray[np.float64], fixed: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the costs, none below 0, of the least weighted soft L1 of log(fixed + shares @ costs).

    Each step is a non-negative least squares fit of the errors' tangents, with weights from the
    last one (iteratively reweighted Gauss-Newton).

    :raises LogError: if it does not converge.
    """
    scale = np.maximum(shares.max(axis=0, initial=0), _TINY)
    shares = shares / scale
    costs = np.full(len(scale), 1e-3)
    errors, tangents = fixed + shares @ costs - 1, shares
    for _ in range(_STEPS):
        root = np.sqrt(weight / np.sqrt(1 + (errors / ROBUST) ** 2))
        try:
            new, _ = nnls(root[:, None] * tangents, root * (tangents @ costs - errors))
        except RuntimeError as error:
            raise LogError(f"the fit does not converge: {error}") from error
        if (np.abs(new - costs) <= CONVERGED * new).all():
            return np.asarray(new / scale)
        costs = new
        predicted = np.maximum(fixed + shares @ costs, _TINY)
        errors, tangents = np.log(predicted), shares / predicted[:, None]
    raise LogError(
        "the fit does not converge: these runs do not show what a checkpoint of this design is "
        "made of; fit to more runs, or to fewer designs at once (--design)"
    )


def _sums(
    undivided: Sequence[str], part: Sequence[Row], values: Mapping[str, float]
) -> tuple[str, ...]:
    """Return, as text, the sums of undivided costs that rows determine."""
    found: dict[str, None] = {}
    for row in part:
        amounts = {key: row.amounts[key] for key in undivided if row.amounts.get(key)}
        if amounts:
            names, total = _sum(amounts, values)
            found[f"{names} = {three_digits(total)} ns"] = None
    return tuple(found)


def _sum(amounts: Mapping[str, float], values: Mapping[str, float]) -> tuple[str, float]:
    """Return a sum of costs as text, the smallest amount as 1, and what it comes to."""
    least = min(amounts.values())
    names = [
        key if amount == least else f"{amount / least:.0f} {key}" for key, amount in amounts.items()
    ]
    total = sum(values[key] * amount / least for key, amount in amounts.items())
    return " + ".join(names), total


def _null_groups(keys: Sequence[str], shares: NDArray[np.float64]) -> list[list[str]]:
    """Return the costs that some combination moves without moving any row, group by group.

    Costs are of one group if the projection onto the null space mixes them.
    """
    _, singular, vectors = np.linalg.svd(_scaled(shares), full_matrices=True)
    null = vectors[int((singular > UNDETERMINED * singular[0]).sum()) :]
    mixes = np.abs(null.T @ null) > _MOVED
    groups: list[list[str]] = []
    left = [index for index in range(len(keys)) if mixes[index, index]]
    while left:
        group, reached = [], [left.pop(0)]
        while reached:
            index = reached.pop()
            group.append(index)
            beside = [other for other in left if mixes[index, other]]
            reached += beside
            left = [other for other in left if other not in beside]
        groups.append([keys[index] for index in sorted(group)])
    return groups


def _refuse_contradicted(groups: Sequence[Group], solution: _Solution, base: str) -> None:
    """Refuse a base preset that has more for part of a sum than the runs have for the whole."""
    for group in groups:
        left = [key for key in group.keys if key in solution.left]
        if left and not all(solution.costs[key] for key in group.keys if key not in left):
            raise LogError(
                f"the host preset {base!r} contradicts the runs: its {' and '.join(left)} "
                f"alone are more than {' or '.join(group.sums)}; give a nearer one with --base"
            )


def _bounds(
    late: Sequence[Row], used: list[Row], costs: Mapping[str, float], base: str
) -> tuple[str, ...]:
    """Return, as text, what the runs bear of a writer whom the reader held up in every transfer.

    It may have been as slow as these transfers show if they are taken as its own, or any faster.
    """
    if not late or any(row.stage == STREAM_WRITE for row in used):
        return ()
    own = [
        replace(row, amounts={"stream_start": 1, "pace": row.amounts["page_scan"]}) for row in late
    ]
    most = _solve([*used, *own], {**costs, "pace": 0}).costs["pace"]
    if not most:
        return ()
    names, now = _sum({"page_scan": 1, "socket_write": PAGE_STREAM_BYTES}, costs)
    more = "" if now <= most else f", more than that: {base} contradicts the runs"
    return (f"{names} at most {three_digits(most)} ns (as left: {three_digits(now)} ns{more})",)


def _in_flight(runs: Sequence[MeasuredRun], costs: Mapping[str, float]) -> float | None:
    if not {"socket_read", "cache_load"} <= set(costs):
        return None
    page_ns = PAGE_STREAM_BYTES * costs["socket_read"] + costs["cache_load"]
    found = [size for run in runs if (size := in_flight_bytes(run, page_ns)) is not None]
    return float(np.median(found)) if found else None


def _error(key: str, without: Mapping[str, Mapping[str, float]]) -> float | None:
    """Return the jackknife's standard error of a cost."""
    values = np.array([costs[key] for costs in without.values() if key in costs])
    if len(values) <= _RUNS_FOR_ERROR:
        return None
    spread = ((values - values.mean()) ** 2).sum()
    return float(np.sqrt((len(values) - 1) / len(values) * spread))


def _residuals(solution: _Solution) -> tuple[Residual, ...]:
    found: dict[str, list[float]] = {}
    runs: dict[str, set[str]] = {}
    for row in solution.rows:
        fitted = sum(solution.costs[key] * amount for key, amount in row.amounts.items())
        found.setdefault(row.stage, []).append(abs(fitted / row.measured_ns - 1))
        runs.setdefault(row.stage, set()).add(row.run)
    return tuple(
        Residual(
            stage,
            len(runs[stage]),
            float(np.percentile(errors, 50)),
            float(np.percentile(errors, 90)),
        )
        for stage, errors in found.items()
    )
