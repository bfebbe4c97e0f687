"""``colosim run SCENARIO...``."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import click

from colosim.cli.options import (
    command_of,
    each_seed,
    force_option,
    format_option,
    precision_option,
    run_options,
    seeds_option,
)
from colosim.cli.process import STATUS_BAD_INPUT
from colosim.cli.progress import Progression

if TYPE_CHECKING:
    from colosim.runs.run import Run
    from colosim.scenario import Scenario

_SHOWN = {
    "pause\np50": "pause_ns.p50",
    "pause\np99": "pause_ns.p99",
    "lock held\np50": "lock_hold_ns.primary.p50",
    "staging\nbuffer": "memory_peak_bytes.primary.staging_buffer",
    "guest\nback after": "time_to_guest_ns",
}
"""The columns of the table, each with its key of the summary."""
_OF_CLIENTS = {
    "latency\np50": "service.latency_ns.p50",
    "latency\np99": "service.latency_ns.p99",
    "met a\npause": "service.met_pause",
    "client\nback after": "time_to_client_ns",
}
"""The columns that take the place of the staging buffer's where a scenario has a service."""


@click.command("run")
@click.argument("scenarios", nargs=-1, required=True, metavar="SCENARIO...")
@run_options
@seeds_option
@precision_option
@format_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder for the run directories: OUT/SCENARIO/DESIGN, with --seeds /seed-N in it.",
)
@click.option(
    "--tables",
    type=click.Choice(["csv", "parquet", "none"]),
    default="csv",
    show_default=True,
    help="Write the tables as CSV or as Parquet, or only the summary and the manifest.",
)
@click.option(
    "--requests",
    is_flag=True,
    help="Write also a table of clients' requests, a row each.",
)
@force_option
@click.option(
    "--choices",
    metavar="TEXT",
    help="Run one case of colosim explore, by the choices that it printed.",
)
@click.option(
    "--checks/--no-checks",
    default=True,
    show_default=True,
    help="Let the safety checkers watch the run; they take an eighth of its time.",
)
@click.option(
    "--check-determinism",
    "twice",
    is_flag=True,
    help="Run twice in fresh processes, compare every file, and write nothing.",
)
def command(  # noqa: PLR0913 - click hands every option over by name
    *,
    scenarios: tuple[str, ...],
    designs: tuple[str, ...],
    seed: int | None,
    seeds: tuple[int, ...],
    precision: int,
    overrides: tuple[str, ...],
    form: str,
    out: Path,
    tables: str,
    requests: bool,
    choices: str | None,
    checks: bool,
    twice: bool,
) -> int:
    """Run scenarios and write a directory for each run.

    Each SCENARIO is a file, or the name of a scenario that colosim ships. A run directory has
    summary.json, the tables, and manifest.json; it is written whole or not at all. The
    same run that stands there already is left alone, another is replaced and its digest told. Where
    the scenario did not expect it, the exit status is 1 if a run is unfinished, unprotected or not
    applicable, and 3 if nobody serves at its end; 4 if a safety rule broke.
    """
    from colosim.runs.run import as_scenario

    loaded = [as_scenario(scenario, overrides) for scenario in scenarios]
    _refuse_without_requests(loaded if requests else [], tables)
    case = _case(choices, designs)
    replays = [shlex.join([*command_of(name, overrides, seed), *case]) for name in scenarios]
    if choices is not None:
        from colosim.explore.cases import case_scenario

        if twice:
            raise click.UsageError("--choices and --check-determinism do not go together")
        loaded, designs = (
            [case_scenario(scenario, choices, designs) for scenario in loaded],
            (),
        )
    each = each_seed(seed, seeds)
    if twice:
        from colosim.cli.determinism import compare_processes

        return compare_processes(
            scenarios, designs=designs, seed=seed, seeds=seeds, overrides=overrides, form=form
        )
    from colosim.cli.outcome import status_of
    from colosim.cli.seeds import print_seeds
    from colosim.designs import load_design
    from colosim.errors import RunDirectoryError, WriteError
    from colosim.runs.directory import run_into

    for name in designs:
        load_design(name)
    status = 0
    summaries = []
    with Progression() as progression:
        for scenario, replay in zip(loaded, replays, strict=True):
            runs: list[Run] = []
            notes: list[str] = []
            for design, one in product(designs or scenario.designs, each):
                target = out / scenario.name / design / (f"seed-{one}" if seeds else "")
                again = f"{replay} --seed {one}" if seeds else replay
                try:
                    run, became = run_into(
                        target,
                        scenario,
                        design,
                        seed=one,
                        tables=tables,
                        requests=requests,
                        prepare=progression.watch,
                        checks=checks,
                        replay=again if choices else f"{again} --design {design}",
                    )
                except (RunDirectoryError, WriteError) as error:
                    click.echo(f"colosim: {error}", err=True)
                    status = max(status, STATUS_BAD_INPUT)
                    continue
                runs.append(run)
                notes.append(f"{target}: {became}")
                status = max(status, status_of(run))
            summaries += [run.summary for run in runs]
            if form == "table" and runs:
                show = partial(print_seeds, precision_ppm=precision) if seeds else _print_runs
                show(scenario, runs)
                click.echo("\n".join((*_violations(runs), *notes)))
            else:
                click.echo(
                    "".join(f"{line}\n" for line in notes + _violations(runs)), err=True, nl=False
                )
    if form == "json":
        click.echo(json.dumps(summaries, indent=2))
    return status


def _refuse_without_requests(loaded: Sequence[Scenario], tables: str) -> None:
    """Refuse to write a table of requests where there is none."""
    for scenario in loaded:
        if tables == "none":
            raise click.UsageError("--requests is a table; it does not go with --tables none")
        if scenario.service is None:
            raise click.UsageError(f"{scenario.name} has no service:, and so no requests")


def _case(choices: str | None, designs: tuple[str, ...]) -> list[str]:
    """Return the words that choose a case, if one is chosen."""
    if choices is None:
        return []
    return [*(["--design", ",".join(designs)] if designs else []), "--choices", choices]


def _violations(runs: Sequence[Run]) -> list[str]:
    """Return each violation with the events around it and the command that replays it."""
    return [
        f"{run.design}: {run.simulation.violation}"
        for run in runs
        if run.simulation is not None and run.simulation.violation is not None
    ]


def _print_runs(scenario: Scenario, runs: Sequence[Run]) -> None:
    from colosim.cli.show import (
        has_reason_below,
        marked_verdict,
        print_assumed,
        print_counted,
        print_sentence,
        print_start,
        print_table,
        verdict_style,
    )
    from colosim.runs.wording import in_words, value_in_words
    from colosim.trace.fields import value_of

    shown = dict(_SHOWN)
    if any("service" in run.summary for run in runs):
        del shown["staging\nbuffer"], shown["lock held\np50"]
        shown |= _OF_CLIENTS
    rows = []
    for run in runs:
        cells = [run.design, marked_verdict(run)]
        for key in shown.values():
            head, _, part = key.rpartition(".")
            counted = not part.startswith("p") or value_of(run.summary, f"{head}.count")
            cells.append(value_in_words(run.summary, key) if counted else in_words(key, None))
        rows.append(cells)
    styles = {marked_verdict(run): verdict_style(run.verdict) for run in runs}
    print_table(scenario.name, ("design", "verdict", *shown), rows, styles=styles)
    print_counted(runs)
    print_start(runs)
    print_assumed(runs)
    for run in runs:
        if run.verdict != "violated" and has_reason_below(
            run
        ):  # violations stand above, one by one
            print_sentence(f"{run.design}: {run.reason}")
        if warning := run.summary.get("warning"):
            print_sentence(f"{run.design}: {warning}")
