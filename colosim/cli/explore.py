"""``colosim explore SCENARIO``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from colosim.cli.main import STATUS_FAILED, STATUS_VIOLATED
from colosim.cli.options import (
    command_of,
    designs_option,
    faults_option,
    format_option,
    jobs_option,
    look_options,
    overrides_option,
)
from colosim.cli.progress import Bar
from colosim.trace.fields import VERDICTS

if TYPE_CHECKING:
    from colosim.explore.explore import Exploration


@click.command("explore")
@click.argument("scenario")
@designs_option
@faults_option
@jobs_option
@click.option(
    "--depth",
    type=click.IntRange(1, 2),
    default=1,
    show_default=True,
    help="How many faults strike in a case. The number of cases is told first.",
)
@click.option(
    "--find",
    metavar="VERDICT",
    type=click.Choice([verdict for verdict in VERDICTS if verdict != "not_applicable"]),
    help="Stop at the first case with this verdict, and shrink its scenario.",
)
@click.option(
    "--shrink",
    metavar="KEY",
    help="With --find: say from what value of this key on it happens, as in guest.dirty.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("explorations"),
    show_default=True,
    help="Folder for the results: OUT/SCENARIO.",
)
@click.option("--count", "only_count", is_flag=True, help="Say how many cases there are, and stop.")
@format_option
@look_options
@overrides_option
def command(  # noqa: PLR0913 - click hands every option over by name
    *,
    scenario: str,
    designs: tuple[str, ...],
    faults: tuple[str, ...],
    jobs: int,
    depth: int,
    find: str | None,
    shrink: str | None,
    out: Path,
    only_count: bool,
    form: str,
    overrides: tuple[str, ...],
) -> int:
    """Try every fault at every protocol step.

    Each fault strikes at each step of each design, on both sides: before and after every message,
    at every blocking point, during work, and inside streams at the marks where their behaviour
    changes. The scenario gives the conditions; faults, expectations and the length of its own are
    left aside: a fault strikes the second of four checkpoints.

    Finished cases are kept: after Ctrl-C a rerun goes on from there. The choices of a case replay
    it: colosim run SCENARIO --choices "...". The exit status is 1 if --find finds nothing, 4 if a
    safety rule broke.
    """
    from colosim.explore.cases import Space
    from colosim.explore.explore import explore_space
    from colosim.explore.report import as_json, write_tables
    from colosim.explore.shrink import check_key
    from colosim.runs.run import as_scenario

    if shrink is not None and find is None:
        raise click.UsageError("--shrink needs --find: which verdict should it keep?")
    loaded = as_scenario(scenario, overrides)
    space = Space(loaded, designs, faults, depth, command_of(scenario, overrides))
    if shrink is not None:
        check_key(space.base, shrink)
    total = space.count()
    click.echo(f"{loaded.name}: {total:,} cases", err=True)
    if only_count:
        return 0
    folder = out / loaded.name
    with Bar(total) as bar:
        explored = explore_space(
            space,
            jobs=jobs,
            find=find,
            folder=folder,
            progress=lambda finished, _total: bar.show(finished, "cases"),
        )
    if find is not None:
        return _tell_found(explored, find, shrink, folder, form)
    written = write_tables(explored, folder)
    if form == "json":
        click.echo(as_json(explored.outcomes))
    else:
        _print_counts(explored)
    for path in (*written, *_draw(explored, folder)):
        click.echo(f"{path}: written", err=form == "json")
    verdicts = {outcome.verdict for outcome in explored.outcomes}
    return STATUS_VIOLATED if "violated" in verdicts else 0


def _print_counts(explored: Exploration) -> None:
    from colosim.cli.show import print_table
    from colosim.explore.report import count_rows

    columns, rows = count_rows(explored)
    print_table(explored.scenario.name, [name.replace("_", "\n") for name in columns], rows)
    chance = sum(outcome.depends_on is not None for outcome in explored.outcomes)
    if chance:
        click.echo(f"{chance:,} of them hang on who gets the iothread lock next (depends_on)")


def _draw(explored: Exploration, folder: Path) -> list[Path]:
    """Write the heat map of designs, steps and faults."""
    import pandas as pd

    from colosim.plots import heatmap
    from colosim.plots.style import save

    table = pd.DataFrame([outcome.to_dict() for outcome in explored.outcomes])
    path = folder / "map.pdf"
    save(heatmap.figure(table), path)
    return [path]


def _tell_found(
    explored: Exploration, verdict: str, key: str | None, folder: Path, form: str
) -> int:
    """Shrink the case that was found, write its scenario, run that again, and say so."""
    found = explored.found
    if found is None:
        if form == "json":
            click.echo("[]")
        click.echo(f"no case of {len(explored.outcomes):,} ends {verdict}", err=form == "json")
        return STATUS_FAILED
    from colosim.explore.shrink import shrink, threshold
    from colosim.files import write_file
    from colosim.runs.run import run

    case = explored.space.replay(found.choices)
    scenario = case.scenario(explored.scenario)
    smallest = shrink(scenario, case.design, verdict)
    path = folder / f"{smallest.name}.yaml"
    write_file(path, smallest.text.encode())
    again = run(path, case.design, tables=False)
    bound = None if key is None else threshold(scenario, case.design, verdict, key)
    status = STATUS_VIOLATED if verdict == "violated" else 0
    if form == "json":
        import json

        plain = {
            **found.to_dict(),
            "replay": explored.space.replay_command(case),
            "scenario_file": str(path),
            "replayed_verdict": again.verdict,
            "threshold": None if bound is None else str(bound),
        }
        click.echo(json.dumps([plain], indent=2))
        return status
    click.echo(f"{found.design}: {found.verdict} at case {len(explored.outcomes):,}")
    click.echo(f"  {found.reason}")
    click.echo(f"  {explored.space.replay_command(case)}")
    click.echo(f"{path}: written ({smallest.tried} tried), replayed: {again.verdict}")
    click.echo("".join(f"  {line}\n" for line in smallest.text.splitlines()), nl=False)
    if bound is not None:
        click.echo(str(bound))
    return status
