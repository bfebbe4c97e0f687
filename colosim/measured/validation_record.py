"""The record of a validation: its tables as CSV, and the figure, the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from colosim.files import csv_text, write_file, writing

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from colosim.measured.logs_alone import Alone
    from colosim.measured.validation import ValidatedRun

_DIGITS = 4
_YES = {True: "yes", False: "no"}
_STAGE_COLUMNS = (
    "id",
    "design",
    "fault",
    "stage",
    "unit",
    "checkpoints",
    "measured",
    "measured_iqr",
    "simulated",
    "error",
    "closed_loop_simulated",
    "closed_loop_error",
    "spread_of_repeats",
)
_FAULT_COLUMNS = ("id", "design", "fault", "victim", "when", "what", "measured", "simulated")


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.{_DIGITS}f}"


def tables(runs: Sequence[ValidatedRun]) -> dict[str, str]:
    """Return the files' texts by name.

    ``runs.csv`` has a row a run and stage, ``faults.csv`` one a thing that a fault run shows,
    ``pause.csv`` what the figure draws, ``overall.csv`` the errors over all runs,
    ``second-stalls.csv`` a row a run of multifd channels whose checkpoints may stall twice.
    """
    stages = [
        (
            run.id,
            run.design,
            "" if run.fault is None else run.fault.measured.fault,
            stage.name,
            stage.unit,
            stage.checkpoints,
            stage.measured,
            stage.measured_iqr,
            stage.simulated,
            _share(stage.error),
            "" if stage.closed_simulated is None else stage.closed_simulated,
            _share(stage.closed_error),
            _share(stage.repeats),
        )
        for run in runs
        for stage in run.stages
    ]
    faults: list[tuple[Any, ...]] = []
    for run in runs:
        if run.fault is None:
            continue
        struck = run.fault.measured
        head = (run.id, run.design, struck.fault, struck.victim, struck.when)
        faults += [
            (*head, name, *(_YES[value] for value in both))
            for name, both in run.fault.shown().items()
        ]
        faults += [
            (*head, name, *("" if value is None else value for value in both))
            for name, both in run.fault.times().items()
        ]
    pause = [
        (run.id, run.design, stage.measured, stage.simulated)
        for run in runs
        if (stage := run.stage("pause")) is not None
    ]
    stalls = [
        (run.id, run.design, *run.second_stalls)
        for run in runs
        if run.second_stalls is not None and run.second_stalls[0]
    ]
    return {
        "second-stalls.csv": csv_text(
            ("id", "design", "checkpoints", "stalled_measured", "stalled_simulated"), stalls
        ),
        "runs.csv": csv_text(_STAGE_COLUMNS, stages),
        "faults.csv": csv_text(_FAULT_COLUMNS, faults),
        "overall.csv": errors(runs),
        "pause.csv": csv_text(("id", "design", "measured_ns", "simulated_ns"), pause),
    }


def errors(runs: Sequence[ValidatedRun]) -> str:
    """Return the table of the errors over all runs, and over those of each lab."""
    from colosim.measured.validation import overall  # noqa: PLC0415 - it pulls SciPy in

    of_labs: dict[str, list[ValidatedRun]] = {"all": list(runs)}
    for run in runs:
        of_labs.setdefault(run.id.partition("/")[0], []).append(run)
    rows = [
        (lab, which, loop, stage, count, _share(median), _share(p90))
        for lab, own in of_labs.items()
        for which, faulty in (("all", None), ("without fault", False), ("with fault", True))
        for loop, closed in (("open", False), ("closed", True))
        for stage, (count, median, p90) in overall(own, faulty=faulty, closed=closed).items()
    ]
    return csv_text(("lab", "runs", "loop", "stage", "count", "median", "p90"), rows)


def pauses(runs: Sequence[ValidatedRun]) -> pd.DataFrame:
    """Return what the figure draws: the median pause of each run, measured and simulated."""
    import pandas as pd  # noqa: PLC0415 - a table without a figure does without it

    return pd.read_csv(io.StringIO(tables(runs)["pause.csv"]))


def logs_alone_table(alone: Sequence[Alone]) -> str:
    """Return a row for each run that was simulated with costs that logs alone gave."""
    rows = [(*one[:2], _YES[one.limited], *one[3:5], _share(one.error)) for one in alone]
    return csv_text(("host", "id", "limited", "measured_ns", "simulated_ns", "error"), rows)


def write(
    folder: Path,
    runs: Sequence[ValidatedRun],
    left_out: Sequence[ValidatedRun] = (),
    alone: Sequence[Alone] = (),
) -> None:
    """Write tables into `folder`.

    `left_out`: the runs simulated with costs fitted without them, for ``cross-validation.csv``;
    `alone`: those simulated with costs that logs alone gave, for ``logs-alone.csv``.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    texts = tables(runs)
    if alone:
        texts["logs-alone.csv"] = logs_alone_table(alone)
    if left_out:
        texts["cross-validation.csv"] = errors(left_out)
    for name, text in texts.items():
        write_file(folder / name, text.encode())
