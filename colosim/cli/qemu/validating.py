"""``colosim qemu validate RUN_DIR|NAME...``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from colosim.cli.main import STATUS_FAILED
from colosim.cli.options import format_option, jobs_option, look_options

if TYPE_CHECKING:
    from colosim.measured.validation import FaultComparison, StageComparison, ValidatedRun


@click.command("validate")
@click.argument("sources", nargs=-1, metavar="RUN_DIR|NAME...")
@click.option(
    "--costs",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Costs to simulate with, a host preset as 'colosim qemu fit' writes it.",
)
@format_option
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw simulated against measured pause (PNG, SVG or PDF).",
)
@click.option(
    "--cross-validate",
    is_flag=True,
    help="Simulate each run with costs fitted to all the other runs of its host.",
)
@click.option(
    "--record",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write tables (also of the cross-validation) and figure there.",
)
@look_options
@jobs_option
def command(
    *,
    sources: tuple[str, ...],
    jobs: int,
    costs: Path | None,
    form: str,
    plot: Path | None,
    cross_validate: bool,
    record: Path | None,
) -> int:
    """Hold the simulator against real runs; without an argument, against all that are shipped.

    A RUN_DIR is a run folder of the lab, a NAME that of a shipped run or a pattern such as
    'qemu72/*'. Each run's conditions are simulated twice. Open loop: each checkpoint with its own
    dirty pages and run time; the error is the median of simulated/measured, less 1. Closed loop:
    dirty pages from write rate and simulated time; the error compares medians. Fault runs are
    also held to what they show of the survivor. The exit status is 1 if one of those is wrong.
    Runs with clients ('proxy72/*') are simulated with 5 seeds, and compared by what clients saw.
    """
    from colosim.measured import client_validation
    from colosim.measured.cost_file import read_costs
    from colosim.measured.selection import select, select_clients
    from colosim.measured.validation import cross_validation_costs, validate

    clients, others = select_clients(sources)
    runs, passed_over = select(others) if others or not sources else ([], [])
    for path in passed_over:
        click.echo(f"colosim: {path} is no run folder, passed over", err=True)
    own = None if costs is None else read_costs(costs)
    left_out = cross_validation_costs(runs) if cross_validate else None
    validated = validate(runs, own, costs_of=left_out, jobs=jobs)
    compared = client_validation.validate(clients)
    if record is not None:
        from colosim.measured.client_record import write_clients
        from colosim.measured.logs_alone import logs_alone
        from colosim.measured.validation_record import write

        if compared:
            write_clients(record, compared)
    if record is not None and validated:
        costs_without = left_out or cross_validation_costs(runs)
        unseen = validate(runs, own, costs_of=costs_without, jobs=jobs)
        write(record, validated, unseen, () if sources else logs_alone(jobs=jobs))
        draw(validated, record / "pause.svg")
    if plot is not None:
        draw(validated, plot)
    if form == "json":
        found = [*(run.as_json() for run in validated), *(one.as_json() for one in compared)]
        click.echo(json.dumps(found, indent=2))
    else:
        if validated:
            click.echo(_table(validated, cross_validated=cross_validate))
        if compared:
            from colosim.measured.client_record import table_of

            click.echo(table_of(compared))
    wrong = any(run.fault is not None and not run.fault.right for run in validated)
    return STATUS_FAILED if wrong else 0


def draw(runs: Sequence[ValidatedRun], path: Path) -> None:
    """Draw each run's median pause, measured and simulated."""
    from colosim.measured.validation_record import pauses
    from colosim.plots import validation
    from colosim.plots.style import check_path, save

    check_path(path)
    save(validation.figure(pauses(runs)), path)


_HEAD = (
    f"{'':<30}{'measured':>14}{'iqr':>12}{'simulated':>14}{'error':>9}"
    f"{'closed loop':>16}{'error':>9}{'repeats':>9}"
)
_NAME_OF_UNIT = {"ns": ("ms", 1e6, 3), "bytes": ("B", 1, 0)}


def _table(runs: Sequence[ValidatedRun], *, cross_validated: bool) -> str:
    from colosim.measured.validation import overall

    lines: list[str] = []
    for run in runs:
        lines += [f"{run.id} ({run.design})", _HEAD if run.stages else "  no checkpoint counts"]
        lines += [_stage_line(stage) for stage in run.stages]
        if run.second_stalls is not None:
            count, real, own = run.second_stalls
            told = f"of {count} checkpoints" if count else "not told apart"
            lines.append(f"  {'second stalls':<28}{real:>14}{'':>12}{own:>14}  {told}")
        if run.fault is not None:
            lines += _fault_lines(run.fault)
        lines.append("")
    how = ", each simulated with costs fitted without it" if cross_validated else ""
    groups = ((None, "all runs"), (False, "runs without a fault"), (True, "fault runs, before it"))
    for faulty, name in groups:
        lines.append(f"absolute error over {name}{how}")
        lines.append(
            f"{'':<30}{'runs':>6}{'median':>10}{'p90':>9}{'closed loop: median':>22}{'p90':>9}"
        )
        closed = overall(runs, faulty=faulty, closed=True)
        for stage, (count, median, p90) in overall(runs, faulty=faulty).items():
            _, closed_median, closed_p90 = closed.get(stage, (0, float("nan"), float("nan")))
            lines.append(
                f"  {stage:<28}{count:>6}{median:>10.2%}{p90:>9.2%}"
                f"{closed_median:>22.2%}{closed_p90:>9.2%}"
            )
    faults = [run.fault for run in runs if run.fault is not None]
    if faults:
        right = sum(fault.right for fault in faults)
        lines.append(f"fault runs whose survivor came out as measured: {right} of {len(faults)}")
    return "\n".join(lines)


def _stage_line(stage: StageComparison) -> str:
    symbol, size, digits = _NAME_OF_UNIT[stage.unit]

    def shown(value: int | None) -> str:
        return "" if value is None else f"{value / size:,.{digits}f} {symbol}"

    def share(value: float | None) -> str:
        return "" if value is None else f"{value:+.2%}"

    repeats = "" if stage.repeats is None else f"{stage.repeats:.1%}"
    return (
        f"  {stage.name:<28}{shown(stage.measured):>14}{shown(stage.measured_iqr):>12}"
        f"{shown(stage.simulated):>14}{share(stage.error):>9}"
        f"{shown(stage.closed_simulated):>16}{share(stage.closed_error):>9}{repeats:>9}"
    )


def _fault_lines(fault: FaultComparison) -> list[str]:
    struck = f"{fault.measured.fault} {fault.measured.victim}, {fault.measured.when}"
    lines = [f"  fault: {struck}: {'as measured' if fault.right else 'NOT AS MEASURED'}"]
    for name, (measured, simulated) in fault.shown().items():
        words = {True: "yes", False: "no"}
        lines.append(f"    {name:<26}{words[measured]:>14}{'':>12}{words[simulated]:>14}")
    for name, (before, after) in fault.times().items():
        label = name.removesuffix("_ns")
        one, other = (
            "never" if value is None else f"{value / 1e9:.6f} s" for value in (before, after)
        )
        lines.append(f"    {label:<26}{one:>14}{'':>12}{other:>14}")
    return lines
