"""Holding the simulator against measured runs: the error of each run and stage, and over all runs.

The error of a run and stage is the median over its checkpoints (warm-up left out) of
simulated/measured, less 1, each checkpoint simulated with its own dirty pages and run time (open
loop).  Beside it stands the closed loop, where dirty pages come from the write rate and the
simulated time: there checkpoints do not correspond one to one, so it compares medians.
A checkpoint over multifd channels is compared with a simulated one that stalls as often
(`colosim.measured.second_stall`).
Quantiles are nearest-rank.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from colosim.errors import ColosimError
from colosim.executors.batches import run_all
from colosim.executors.engines import opened
from colosim.measured import conditions
from colosim.measured.cost_file import attributes
from colosim.measured.fault_runs import simulate_fault
from colosim.measured.fit import fit
from colosim.measured.measurement import QUANTITIES, WARMUP, Aftermath, nearest_rank
from colosim.measured.replay import simulate_closed_loop, simulate_open_loop
from colosim.measured.second_stall import can_stall, second_stalls

if TYPE_CHECKING:
    from colosim.measured.fault_runs import SimulatedFault
    from colosim.measured.measurement import FaultResult, MeasuredRun
    from colosim.measured.replay import SimulatedCheckpoint

_LOOKED_AT = (
    "monitor_answered",
    "command_served",
    "guest_ran_again",
    "yank_freed_it",
    "thaw_freed_it",
)
_HELP = {"yank_freed_it", "thaw_freed_it"}
"""Looked at only where it helped."""
STAGES = tuple(quantity for quantity in QUANTITIES if quantity != "dirty_pages")
RUNS_TO_CROSS_VALIDATE = 3
_RUNS_A_PROCESS = 4
"""At least, so that a process is worth its start."""
_MEDIAN, _P25, _P75, _P90 = 50, 25, 75, 90
Costs = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StageComparison:
    """One stage of one run: what was measured, simulated open and closed loop, and the errors.

    Integers are of the stage's own unit (``ns`` or ``bytes``); ``repeats`` is the spread of the
    medians of runs under the same condition, (largest - smallest) / smallest, None without any.
    """

    name: str
    unit: str
    checkpoints: int
    measured: int
    measured_iqr: int
    simulated: int
    error: float
    closed_simulated: int | None
    closed_error: float | None
    repeats: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as the command prints it."""
        return {
            "checkpoints": self.checkpoints,
            f"measured_{self.unit}": self.measured,
            f"measured_iqr_{self.unit}": self.measured_iqr,
            f"simulated_{self.unit}": self.simulated,
            "error": round(self.error, 6),
            "closed_loop": None
            if self.closed_simulated is None or self.closed_error is None
            else {
                f"simulated_{self.unit}": self.closed_simulated,
                "error": round(self.closed_error, 6),
            },
            "spread_of_repeats": None if self.repeats is None else round(self.repeats, 6),
        }


@dataclass(frozen=True, slots=True)
class FaultComparison:
    """What a fault run showed, and what its simulation shows."""

    measured: FaultResult
    simulated: SimulatedFault

    def shown(self) -> dict[str, tuple[Any, Any]]:
        """Return each thing that was looked at, (measured, simulated); None where not looked at."""
        found = {
            name: (getattr(self.measured, name), getattr(self.simulated, name))
            for name in _LOOKED_AT
        }
        if not self.measured.polls:
            del found["monitor_answered"]
        return {name: both for name, both in found.items() if name not in _HELP or any(both)}

    def times(self) -> dict[str, tuple[int | None, int | None]]:
        """Return the times that were measured, (measured, simulated), in ns."""
        return {
            name: (getattr(self.measured, name), getattr(self.simulated, name))
            for name in Aftermath.__annotations__
            if getattr(self.measured, name) is not None
        }

    @property
    def right(self) -> bool:
        """Whether everything that was looked at came out as it was measured."""
        return all(measured == simulated for measured, simulated in self.shown().values())

    def as_json(self) -> dict[str, Any]:
        """Return it as the command prints it; times in seconds."""
        return {
            "fault": self.measured.fault,
            "victim": self.measured.victim,
            "when": self.measured.when,
            "right": self.right,
            **{
                name: {"measured": measured, "simulated": simulated}
                for name, (measured, simulated) in self.shown().items()
            },
            **{
                name.removesuffix("_ns") + "_s": {
                    "measured": _seconds(measured),
                    "simulated": _seconds(simulated),
                }
                for name, (measured, simulated) in self.times().items()
            },
        }


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9


@dataclass(frozen=True, slots=True)
class ValidatedRun:
    """One run held against its simulation; `fault` is None where none struck.

    `second_stalls`: (checkpoints, of these with a second stall measured, to be expected by the
    simulation), None where there is none or it would not be seen.
    """

    id: str
    design: str
    stages: tuple[StageComparison, ...]
    fault: FaultComparison | None
    second_stalls: tuple[int, int, float] | None = None

    def stage(self, name: str) -> StageComparison | None:
        """Return a stage by its name, None where it was not measured."""
        return next((stage for stage in self.stages if stage.name == name), None)

    def as_json(self) -> dict[str, Any]:
        """Return it as the command prints it."""
        return {
            "id": self.id,
            "design": self.design,
            "stages": {stage.name: stage.as_json() for stage in self.stages},
            "second_stalls": None
            if self.second_stalls is None
            else dict(
                zip(("checkpoints", "measured", "simulated"), self.second_stalls, strict=True)
            ),
            "fault": None if self.fault is None else self.fault.as_json(),
        }


def validate(
    runs: Sequence[MeasuredRun],
    costs: Mapping[str, Any] | None = None,
    *,
    costs_of: Mapping[str, Mapping[str, Any]] | None = None,
    jobs: int = 1,
) -> list[ValidatedRun]:
    """Simulate each run's conditions and compare.

    `costs` replaces costs of the fitted preset for all runs, `costs_of` those of a run by its name
    (cross-validation).  A run without complete checkpoints behind the warm-up has no stages.
    `jobs` processes do it, fewer for few runs; the result does not depend on it.
    """
    found: dict[int, ValidatedRun] = {}

    def finished(own: list[tuple[int, MeasuredRun, Costs]], validated: list[ValidatedRun]) -> bool:
        found.update((one[0], each) for one, each in zip(own, validated, strict=True))
        return True

    own_costs = [{**(costs or {}), **((costs_of or {}).get(run.name, {}))} for run in runs]
    items = [(at, run, own_costs[at]) for at, run in enumerate(runs)]
    with opened(jobs=max(1, min(jobs, len(runs) // _RUNS_A_PROCESS))) as engine:
        run_all(engine, _validated, items, finished=finished, to_blame=_killed)
    return _with_repeats(runs, [found[at] for at in range(len(runs))])


def _validated(items: Sequence[tuple[int, MeasuredRun, Costs]]) -> list[ValidatedRun]:
    """Return runs held against their simulations with these costs."""
    found = []
    for _, run, costs in items:
        fault = None
        if run.fault is not None:
            fault = FaultComparison(run.fault, simulate_fault(run, costs))
        stages, stalls = _stages(run, costs)
        found.append(ValidatedRun(run.name, run.design, stages, fault, stalls))
    return found


def _killed(one: tuple[int, MeasuredRun, Costs]) -> ValidatedRun:
    raise ColosimError(f"the process that simulated {one[1].name} was killed, again and again")


def cross_validation_costs(runs: Sequence[MeasuredRun]) -> dict[str, dict[str, int]]:
    """Return, by run, the costs fitted to all other runs of its host.

    A host with fewer runs than `RUNS_TO_CROSS_VALIDATE` has none, nor has a run that is not among
    those that its host's preset is fitted to.
    """
    hosts: dict[str, list[MeasuredRun]] = {}
    for run in runs:
        if conditions.is_fitted(run):
            hosts.setdefault(conditions.host_preset(run), []).append(run)
    found: dict[str, dict[str, int]] = {}
    for own in hosts.values():
        if len(own) >= RUNS_TO_CROSS_VALIDATE:
            found |= {name: attributes(values) for name, values in fit(own).without.items()}
    return found


def _stages(
    run: MeasuredRun, costs: Mapping[str, Any]
) -> tuple[tuple[StageComparison, ...], tuple[int, int, float] | None]:
    if not run.counted():
        return (), None
    open_loop: Sequence[SimulatedCheckpoint] = simulate_open_loop(run, costs)
    stalls = None
    if can_stall(run):
        told = second_stalls(run, open_loop, WARMUP, costs)
        stalls, open_loop = (told.checkpoints, told.measured, told.simulated), told.by_kind
    closed_loop = simulate_closed_loop(run, costs)
    found = (compare_stage(run, stage, open_loop, closed_loop) for stage in STAGES)
    stages = tuple(stage for stage in found if stage is not None)
    return stages, stalls


def compare_stage(
    run: MeasuredRun,
    quantity: str,
    open_loop: Sequence[SimulatedCheckpoint],
    closed_loop: Sequence[SimulatedCheckpoint],
) -> StageComparison | None:
    """Return one stage's comparison, None where it was not measured.

    `open_loop` has the run's complete checkpoints in their order.
    """
    complete = [one for one in run.checkpoints if one.complete]
    pairs = [
        (measured, simulated)
        for before, after in list(zip(complete, open_loop, strict=False))[WARMUP:]
        if (measured := getattr(before, quantity)) and (simulated := getattr(after, quantity))
    ]
    if not pairs:
        return None
    measured = [one for one, _ in pairs]
    simulated = [one for _, one in pairs]
    closed = [value for one in closed_loop[WARMUP:] if (value := getattr(one, quantity))]
    middle = nearest_rank(measured, _MEDIAN)
    closed_middle = nearest_rank(closed, _MEDIAN) if closed else None
    name, _, unit = quantity.rpartition("_")
    ratios = sorted(after / before for before, after in pairs)
    return StageComparison(
        name=quantity if unit == "bytes" else name,
        unit=unit,
        checkpoints=len(pairs),
        measured=middle,
        measured_iqr=nearest_rank(measured, _P75) - nearest_rank(measured, _P25),
        simulated=nearest_rank(simulated, _MEDIAN),
        error=ratios[-(-len(ratios) * _MEDIAN // 100) - 1] - 1,
        closed_simulated=closed_middle,
        closed_error=None if closed_middle is None else closed_middle / middle - 1,
    )


def _condition(run: MeasuredRun) -> tuple[Any, ...]:
    own = run.conditions
    return (
        run.lab,
        run.qemu,
        run.design,
        own.accelerator,
        own.ram_bytes,
        own.working_set_pages,
        own.write_rate,
        own.checkpoint_delay_ns,
        own.bandwidth_bits,
        own.latency_ns,
        own.congestion_control,
        own.delayed_ack,
    )


def _with_repeats(runs: Sequence[MeasuredRun], found: list[ValidatedRun]) -> list[ValidatedRun]:
    """Put the spread of repeats of one condition next to each stage's error."""
    alike: dict[tuple[Any, ...], list[ValidatedRun]] = {}
    for run, validated in zip(runs, found, strict=True):
        alike.setdefault(_condition(run), []).append(validated)
    result = []
    for run, validated in zip(runs, found, strict=True):
        others = alike[_condition(run)]
        stages = tuple(_with_spread(stage, others) for stage in validated.stages)
        result.append(replace(validated, stages=stages))
    return result


def _with_spread(stage: StageComparison, others: Iterable[ValidatedRun]) -> StageComparison:
    medians = [same.measured for run in others if (same := run.stage(stage.name)) is not None]
    if len(medians) < 2:  # noqa: PLR2004 - one run has no spread
        return stage
    return replace(stage, repeats=max(medians) / min(medians) - 1)


def overall(
    runs: Iterable[ValidatedRun], *, faulty: bool | None = None, closed: bool = False
) -> dict[str, tuple[int, float, float]]:
    """Return by stage how many runs, and the median and 90th percentile of their absolute errors.

    `faulty`: only runs with (or without) a fault; None takes all.
    """
    errors: dict[str, list[float]] = {}
    for run in runs:
        if faulty is not None and (run.fault is not None) is not faulty:
            continue
        for stage in run.stages:
            error = stage.closed_error if closed else stage.error
            if error is not None:
                errors.setdefault(stage.name, []).append(abs(error))
    found = {}
    for name, values in errors.items():
        values.sort()
        middle, high = (values[-(-len(values) * p // 100) - 1] for p in (_MEDIAN, _P90))
        found[name] = (len(values), middle, high)
    return found
