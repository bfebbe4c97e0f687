"""Fitting a host's costs to the stage times of many real runs at once.

Stages are sums of costs times known amounts (`colosim.qemu.stage_formulas`), so non-negative least
squares on relative errors gives a start, and a robust fit of the logarithms (soft L1: large errors
count by their size, not its square) the result.  Two costs that only occur in one sum cannot be
told apart: they are found as the null space of the rows, reported as a group with the sum that is
determined, and split by a stated convention.  Leaving each run out in turn gives the standard
errors (jackknife), and the costs for cross-validation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares, nnls

from colosim.errors import LogError
from colosim.qemu.stage_formulas import LATENCY_NS, PAGE_STREAM_BYTES, Row, rows, stream_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from colosim.qemu.measurement import MeasuredRun

__all__ = ["CONVENTIONS", "Convention", "Estimate", "Fit", "Group", "Stream", "fit"]

ROBUST = 0.1
"""Relative error from which on an error counts by its size rather than by its square."""
PINNED = 1e4
"""Weight of a convention's row against a measured one: it holds to one part in ten thousand."""
_INDEPENDENT = 1e-6
_TINY = 1e-9
_MOVED = 1e-4
"""Share of a null vector from which on a cost takes part in it."""
_RUNS_FOR_ERROR = 2


@dataclass(frozen=True, slots=True)
class Convention:
    """How a sum is split: `amounts` times the costs is `value`, because of `reason`."""

    amounts: Mapping[str, float]
    value: float
    reason: str

    @property
    def keys(self) -> frozenset[str]:
        """The costs that it relates."""
        return frozenset(self.amounts)


CONVENTIONS = (
    Convention(
        {"qsb_write": 1, "flat_write": -2},
        0,
        "a page costs the two copies of qsb_write twice the one of flat_write",
    ),
    Convention({"page_scan": 1}, 350, "page_scan as qsb and flat give it together"),
    Convention(
        {"socket_read": PAGE_STREAM_BYTES / 2, "cache_load": -1},
        0,
        "of the time that a page takes into the cache two thirds are socket_read's",
    ),
    Convention({"socket_read": 1}, 0.4, "socket_read as split gives it"),
    Convention({"socket_write": 1}, 0.2, "socket_write as split gives it"),
    Convention({"device_save": 1}, 200_000, "device_save as split gives it"),
    Convention({"device_load": 1}, 700_000, "device_load as split gives it"),
    Convention({"stream_wake": 1}, 400_000, "stream_wake as split gives it"),
    Convention({"bitmap_sync_ram": 1}, 0, "one size of guest RAM only"),
    Convention({"failover": 1}, 1_000_000, "failover as the primary's takeovers give it"),
    Convention({"lost_heartbeat": 1}, 500_000, "lost_heartbeat as the primary's replies give it"),
    Convention({"vm_start": 1}, 200_000, "vm_start as usual"),
    Convention({"message": 1}, 50_000, "message as usual"),
)
"""Tried in this order wherever the rows alone leave a sum undivided."""


@dataclass(frozen=True, slots=True)
class Stream:
    """RAM streamed where no link is the limit: the writer and the reader of one page.

    After ``start_ns`` (known from streams through a slow link) the reader takes ``wake_ns`` once
    and ``read_ns`` a page, the writer ``write_ns`` a page but no further ahead than
    ``buffer_bytes``: that much is in flight in both sockets.
    """

    start_ns: float
    wake_ns: float
    write_ns: float
    read_ns: float
    buffer_bytes: float

    def ends_ns(self, pages: float) -> tuple[float, float]:
        """Return when writing and reading of so many pages end."""
        read = self.wake_ns + self.read_ns * pages
        behind = max(0.0, 1 - self.buffer_bytes / (PAGE_STREAM_BYTES * max(pages, 1.0)))
        written = max(self.write_ns * pages, read * behind)
        return self.start_ns + written, self.start_ns + LATENCY_NS + read


@dataclass(frozen=True, slots=True)
class Estimate:
    """One cost: its value, in ns per unit, standard error, and the runs that it came from."""

    key: str
    value: float
    error: float | None
    runs: tuple[str, ...]
    stages: tuple[str, ...]
    group: Group | None = None


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
    """The costs of one host, fitted."""

    estimates: Mapping[str, Estimate]
    groups: tuple[Group, ...]
    residuals: tuple[Residual, ...]
    stream: Stream | None
    runs: tuple[str, ...]
    without: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Costs fitted without each run, by that run's name."""

    def values(self) -> dict[str, float]:
        """Return the costs by key, in ns per unit."""
        return {key: estimate.value for key, estimate in self.estimates.items()}


def fit(runs: Sequence[MeasuredRun], *, jackknife: bool = True) -> Fit:
    """Fit costs to runs of one host.

    :raises LogError: if there is no run, or none has a complete checkpoint to learn from.
    """
    found = {run.name: (rows(run), stream_rows(run)) for run in runs}
    if not any(own for own, _ in found.values()):
        raise LogError("none of the runs has a complete checkpoint to fit costs to")
    whole = _solve([row for own, _ in found.values() for row in own], _streams(found))
    without: dict[str, dict[str, float]] = {}
    if jackknife and len(found) > _RUNS_FOR_ERROR:
        for name in found:
            rest = {other: value for other, value in found.items() if other != name}
            left = _solve([row for own, _ in rest.values() for row in own], _streams(rest))
            without[name] = whole.costs | left.costs
    estimates = {
        key: Estimate(
            key,
            value,
            _error(key, without),
            tuple(sorted({row.run for row in whole.rows if key in row.amounts})),
            tuple(dict.fromkeys(row.stage for row in whole.rows if key in row.amounts)),
            next((group for group in whole.groups if key in group.keys), None),
        )
        for key, value in whole.costs.items()
    }
    return Fit(estimates, whole.groups, _residuals(whole), whole.stream, tuple(found), without)


def _streams(
    found: Mapping[str, tuple[list[Row], list[tuple[float, float, float, float]]]],
) -> dict[str, list[tuple[float, float, float, float]]]:
    return {name: stream for name, (_, stream) in found.items() if stream}


@dataclass(frozen=True, slots=True)
class _Solution:
    costs: dict[str, float]
    groups: tuple[Group, ...]
    rows: list[Row]
    stream: Stream | None


def _solve(
    own: list[Row], streams: Mapping[str, list[tuple[float, float, float, float]]]
) -> _Solution:
    used = list(own)
    started = [row.measured_ns for row in own if row.stage == "limited stream"]
    start_ns = max(0.0, float(np.median(started))) if started else 0.0
    stream = _fit_stream(streams, start_ns) if streams else None
    if stream is not None:
        sums: tuple[tuple[str, float, dict[str, float]], ...] = (
            ("stream wake", stream.wake_ns, {"stream_wake": 1}),
            ("stream write", stream.write_ns, {"page_scan": 1, "socket_write": PAGE_STREAM_BYTES}),
            ("stream read", stream.read_ns, {"socket_read": PAGE_STREAM_BYTES, "cache_load": 1}),
        )
        # The fit of the stream stands for all runs that it was made from.
        used += [
            Row(run, stage, value, amounts, 1.0)
            for stage, value, amounts in sums
            if value > 0
            for run in streams
        ]
    costs: dict[str, float] = {}
    groups: list[Group] = []
    for component in _components(used):
        keys, part = component
        values, group = _fit_component(keys, part)
        costs |= values
        groups += group
    return _Solution(dict(sorted(costs.items())), tuple(groups), used, stream)


def _fit_stream(
    streams: Mapping[str, list[tuple[float, float, float, float]]], start_ns: float
) -> Stream:
    """Fit writer, reader and what is in flight between them, to both ends of many transfers."""
    table = np.array([row for found in streams.values() for row in found])
    pages, written, read, weight = table.T

    def ends(log_parameters: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        wake, write_ns, read_ns, in_flight = np.exp(np.clip(log_parameters, -5, 30))
        reading = wake + read_ns * pages
        behind = np.maximum(0.0, 1 - in_flight / (PAGE_STREAM_BYTES * pages))
        written = np.maximum(write_ns * pages, reading * behind)
        return start_ns + written, start_ns + LATENCY_NS + reading

    def errors(log_parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        at_writer, at_reader = ends(log_parameters)
        both = np.concatenate([np.log(at_writer / written), np.log(at_reader / read)])
        return np.asarray(_robust(both, np.concatenate([weight, weight])))

    per_page = float(np.median(read / pages))
    start = np.log([200_000.0, per_page / 2.5, per_page * 0.9, 1e6])
    found = least_squares(errors, start, method="trf", xtol=1e-10, ftol=1e-10)
    return Stream(start_ns, *(float(value) for value in np.exp(found.x)))


def _robust(errors: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return residuals whose squares are the weighted soft L1 of `errors`."""
    loss = 2 * (np.sqrt(1 + (errors / ROBUST) ** 2) - 1)
    return np.asarray(np.sign(errors) * ROBUST * np.sqrt(weight * loss))


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


def _fit_component(keys: list[str], part: list[Row]) -> tuple[dict[str, float], list[Group]]:
    amounts = np.array([[row.amounts.get(key, 0.0) for key in keys] for row in part])
    measured = np.array([row.measured_ns for row in part])
    weight = np.array([row.weight for row in part])
    relative = amounts / measured[:, None]
    scale = np.maximum(np.abs(relative).max(axis=0), _TINY)
    pins, undivided = _pins(keys, relative / scale)
    pinned = np.array([[pin.amounts.get(key, 0.0) for key in keys] for pin in pins]).reshape(
        len(pins), len(keys)
    )
    wanted = np.array([pin.value for pin in pins])
    # A convention's row is measured against what it is about, so that its weight has no unit.
    size = np.maximum(np.abs(pinned / scale).max(axis=1, initial=_TINY), _TINY)
    start, _ = nnls(
        np.vstack(
            [relative / scale * np.sqrt(weight)[:, None], PINNED * pinned / scale / size[:, None]]
        ),
        np.concatenate([np.sqrt(weight), PINNED * wanted / size]),
    )
    start = np.maximum(start, 1e-6)

    def errors(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        share = np.maximum(relative / scale @ scaled, _TINY)
        conventions = PINNED * (pinned / scale @ scaled - wanted) / size
        return np.concatenate([_robust(np.log(share), weight), conventions])

    found = least_squares(
        errors, start, bounds=(0, np.inf), x_scale=np.maximum(start, 1e-3), xtol=1e-12, ftol=1e-12
    )
    values = {key: float(value) for key, value in zip(keys, found.x / scale, strict=True)}
    groups = []
    for together in undivided:
        reasons = tuple(pin.reason for pin in pins if pin.keys & set(together))
        groups.append(Group(tuple(together), reasons, _sums(together, part, values)))
    return values, groups


def _sums(
    undivided: Sequence[str], part: Sequence[Row], values: Mapping[str, float]
) -> tuple[str, ...]:
    """Return, as text, the sums of undivided costs that rows determine."""
    found: dict[str, None] = {}
    for row in part:
        amounts = {key: row.amounts[key] for key in undivided if row.amounts.get(key)}
        if not amounts:
            continue
        least = min(amounts.values())
        terms = [
            key if amount == least else f"{amount / least:.0f} {key}"
            for key, amount in amounts.items()
        ]
        total = sum(values[key] * amount / least for key, amount in amounts.items())
        found[f"{' + '.join(terms)} = {total:.3g} ns"] = None
    return tuple(found)


def _pins(keys: list[str], scaled: NDArray[np.float64]) -> tuple[list[Convention], list[list[str]]]:
    """Return the conventions that the rows need beside them, and the groups that they divide."""
    matrix = scaled
    pins: list[Convention] = []
    rank = np.linalg.matrix_rank(matrix, tol=_INDEPENDENT * np.linalg.norm(matrix, 2))
    undivided = _null_groups(keys, matrix)
    spare = [
        *CONVENTIONS,
        *(Convention({key: 1}, 0, f"{key} taken as nothing") for key in keys),
    ]
    for convention in spare:
        if rank == len(keys):
            break
        if not convention.keys <= set(keys):
            continue
        row = np.array([[convention.amounts.get(key, 0.0) for key in keys]])
        row = row / np.linalg.norm(row) * np.linalg.norm(matrix, 2)
        trial = np.vstack([matrix, row])
        after = np.linalg.matrix_rank(trial, tol=_INDEPENDENT * np.linalg.norm(trial, 2))
        if after > rank:
            matrix, rank = trial, after
            pins.append(convention)
    return pins, undivided


def _null_groups(keys: list[str], matrix: NDArray[np.float64]) -> list[list[str]]:
    """Return the costs that some combination moves without moving any row, group by group.

    Costs are of one group if the projection onto the null space mixes them.
    """
    _, singular, vectors = np.linalg.svd(matrix, full_matrices=True)
    null = vectors[int((singular > _INDEPENDENT * singular[0]).sum()) :]
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
        if not stage.startswith("stream")
    )
