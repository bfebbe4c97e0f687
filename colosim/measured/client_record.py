"""Runs with clients held against their simulations, as a table to read and as a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from colosim.files import write_file, writing
from colosim.measured.measurement import nearest_rank

if TYPE_CHECKING:
    from pathlib import Path

    from colosim.measured.client_validation import ClientComparison, ClientStage

_COLUMNS: Final = (
    "id,unseen,stage,measured,simulated,simulated_least,simulated_most,error,"
    "spread_of_repeats,reached,storm_measured,storms_simulated"
)
_NAMES: Final = {
    "client_latency_p50": "latency p50",
    "client_latency_p90": "p90",
    "forced_checkpoints": "forced",
    "met_pause": "met a pause",
}
_NS: Final = 10**6


def record_of(runs: Sequence[ClientComparison]) -> str:
    """Return a row a run and stage, as CSV; latencies in ns."""
    lines = [_COLUMNS]
    for run in runs:
        storm, storms, _ = run.storms
        lines += [
            f"{run.run.name},{_yes(run.unseen)},{stage.name},{stage.measured},"
            f"{nearest_rank(stage.simulated, 50)},{min(stage.simulated)},{max(stage.simulated)},"
            f"{stage.error:.4f},{'' if stage.repeats is None else f'{stage.repeats:.4f}'},"
            f"{_yes(stage.reached)},{_yes(storm)},{storms}"
            for stage in run.stages
        ]
    return "\n".join(lines) + "\n"


def write_clients(folder: Path, runs: Sequence[ClientComparison]) -> None:
    """Write ``clients.csv`` into `folder`."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "clients.csv", record_of(runs).encode())


def _yes(value: bool) -> str:  # noqa: FBT001 - a word for it
    return "yes" if value else "no"


def table_of(runs: Sequence[ClientComparison]) -> str:
    """Return a line a run: each stage measured, simulated and its error; then how many reach."""
    head = "".join(f"{name:>28}" for name in _NAMES.values())
    lines = [f"{'measured, simulated, error':<38}{head}  storm"]
    for run in runs:
        cells = "".join(f"{_cell(stage):>28}" for stage in run.stages)
        storm, storms, count = run.storms
        wrong = "" if run.storm_right else "  WRONG"
        lines.append(f"{run.run.name:<38}{cells}  {_yes(storm)}, {storms} of {count}{wrong}")
    unseen = [run for run in runs if run.unseen and not run.run.busy]
    if unseen:
        reached = ", ".join(
            f"{name} {sum(run.stage(stage).reached for run in unseen)}"
            for stage, name in _NAMES.items()
        )
        storms = sum(run.storm_right for run in unseen)
        lines.append(
            f"of {len(unseen)} unseen idle runs within the goal: {reached}, storm {storms}"
        )
    return "\n".join(lines)


def _cell(stage: ClientStage) -> str:
    middle = nearest_rank(stage.simulated, 50)
    if "latency" in stage.name:
        return f"{stage.measured / _NS:.2f} {middle / _NS:.2f} ms {stage.error:+.0%}"
    return f"{stage.measured} {middle} {stage.error:+.0%}"
