"""``colosim plan SWEEP.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from colosim.cli.main import STATUS_FAILED
from colosim.cli.options import jobs_option, look_options

if TYPE_CHECKING:
    from colosim.scenario.model import Scenario
    from colosim.sweeps.grid import Grid
    from colosim.sweeps.plan import Need, Plan

_SHOWN, _FILES = 10, 10
_UNDER = "--meet-under"


class _InOrder(click.Command):
    """A ``--meet`` behind an ``--under`` belongs to that."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Hand each such bound over with the place of its ``--under`` before it."""
        words, place = iter(args), 0
        parted: list[str] = []
        for word in words:
            name, equals, value = word.partition("=")
            place += name == "--under"
            if name == "--meet" and place:
                value = value if equals else next(words, "")
                parted += [_UNDER, f"{place} {value}"]
            else:
                parted.append(word)
        return super().parse_args(ctx, parted)


@click.command("plan", cls=_InOrder)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="SWEEP.yaml")
@click.option(
    "--meet", "meet", multiple=True, metavar="BOUND", help="Such as 'pause_ns.p99 < 50 ms'."
)
@click.option(_UNDER, "meet_under", multiple=True, hidden=True)
@click.option(
    "--under",
    multiple=True,
    metavar="SCENARIO",
    help="Try the best under the faults of a scenario; each --meet behind it is asked for there.",
)
@click.option("--minimise", metavar="KEY", help="What should be small.")
@click.option("--maximise", metavar="KEY", help="What should be large.  [guest_running_share]")
@click.option("--spread", is_flag=True, help="Simulate what is left with the measured spread.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@look_options
@jobs_option
def command(  # noqa: PLR0913 - an option each
    *,
    file: Path,
    meet: tuple[str, ...],
    meet_under: tuple[str, ...],
    under: tuple[str, ...],
    minimise: str | None,
    maximise: str | None,
    spread: bool,
    out: Path | None,
    jobs: int,
) -> int:
    """Find the best points of a grid that meet what is asked for.

    The whole grid is answered on arrays, and simulated where these refuse or a bound asks for what
    only a simulation has. DIR (plans/NAME) gets plan.csv, a row a point, plan.png, and a scenario
    file for each point that is chosen. The exit status is 1 if nothing meets all; then the point
    that misses by the least is told.
    """
    from colosim.executors.engines import opened
    from colosim.runs.run import as_scenario
    from colosim.sweeps.grid import load_grid
    from colosim.sweeps.plan import nearest_miss, plan

    if minimise and maximise:
        raise click.UsageError("give --minimise or --maximise, not both")
    if not meet:
        raise click.UsageError("give what is asked for, such as --meet 'pause_ns.p99 < 50 ms'")
    grid = load_grid(file)
    needs = [_need(text) for text in meet]
    best = (minimise, 1) if minimise else (maximise or "guest_running_share", -1)
    _need(f"{best[0]} >= 0")
    faults: dict[str, tuple[Scenario, list[Need]]] = {
        name: (
            as_scenario(name),
            [_need(text.partition(" ")[2]) for text in meet_under if text.startswith(f"{place} ")],
        )
        for place, name in enumerate(under, start=1)
    }
    with opened("local", jobs) as engine:
        made = plan(grid, engine, needs, best, faults, spread=spread)
    folder = out or Path("plans") / file.stem
    keys = dict.fromkeys([*(need.key for need in needs), best[0]])
    _write(folder, grid, made, [*keys])
    _print(grid, made, [*keys], file.stem)
    click.echo(f"{folder / 'plan.csv'}: written")
    if made.chosen:
        return 0
    miss = nearest_miss(made, needs)
    if made.front:
        click.echo("colosim: no point of the front meets what is asked for under faults", err=True)
    elif miss is not None:
        point, need = miss
        said = f"{need.key} is {_said(need.key, made.rows[point].get(need.key))}, not {need.bound}"
        click.echo(
            f"colosim: nothing meets all; nearest is {_named(grid, point)}: {said}", err=True
        )
    return STATUS_FAILED


def _need(text: str) -> Need:
    from colosim.scenario.bounds import BoundError, parse_bound
    from colosim.sweeps.plan import Need

    key, _, bound = text.strip().partition(" ")
    try:
        return Need(key, parse_bound(key, bound.removeprefix("==").strip()))
    except BoundError as error:
        raise click.UsageError(f"{text}: {error}") from error


def _named(grid: Grid, point: int) -> str:
    run = grid.point(point * len(grid.seeds))
    return ", ".join([run.design, *(f"{key}={text}" for key, text in run.settings)])


def _print(grid: Grid, made: Plan, keys: list[str], name: str) -> None:
    from colosim.cli.show import print_assumed_costs, print_table

    refused = sum(made.refused.values())
    click.echo(f"{name}: {len(grid):,} runs, {made.on_arrays:,} on arrays, {refused:,} refused")
    for why, count in made.refused.most_common():
        click.echo(f"  {count:,} simulated: {why}")
    click.echo(f"{len(made.met):,} points meet all, {len(made.front):,} are on a design's front")
    rows = [
        [
            _named(grid, point),
            *(_said(key, made.rows[point].get(key)) for key in keys),
            *made.under.get(point, {}).values(),
        ]
        for point in (made.chosen or made.front)[:_SHOWN]
    ]
    if rows:
        print_table("chosen" if made.chosen else "front", ["point", *keys, *_tried(made)], rows)
        print_assumed_costs(grid.scenario)


def _said(key: str, value: object) -> str:
    from colosim.scenario.units import SHARE, SIZE, TIME, text_of
    from colosim.trace.fields import BYTES, NS, PPM, SUMMARY_KEYS

    field = SUMMARY_KEYS.get(key)
    kind = {NS: TIME, BYTES: SIZE, PPM: SHARE}.get(field.unit if field else BYTES)
    return text_of(value, kind) if isinstance(value, int) and kind else str(value)


def _tried(made: Plan) -> list[str]:
    return list(dict.fromkeys(name for tried in made.under.values() for name in tried))


def _write(folder: Path, grid: Grid, made: Plan, keys: list[str]) -> None:
    import pandas as pd

    from colosim.files import write_file, writing
    from colosim.plots.plan import figure
    from colosim.plots.style import save
    from colosim.scenario import resolve

    met, front, chosen = set(made.met), set(made.front), set(made.chosen)
    rows: list[dict[str, Any]] = []
    for point, row in made.rows.items():
        run = grid.point(point * len(grid.seeds))
        axes = zip((axis.key for axis in grid.axes), run.values, strict=True)
        marks = {"meets": met, "front": front, "chosen": chosen}
        said = {name: "yes" if point in among else "no" for name, among in marks.items()}
        tried = {name: made.under.get(point, {}).get(name) for name in _tried(made)}
        rows.append({**dict(axes), **{key: row.get(key) for key in keys}, **said, **tried})
    table = pd.DataFrame(rows).convert_dtypes()
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "plan.csv", table.to_csv(index=False, lineterminator="\n").encode())
    for place, point in enumerate(made.chosen[:_FILES], start=1):
        run = grid.point(point * len(grid.seeds))
        scenario = grid.scenario.vary({"designs": [run.design], **dict(run.settings)})
        write_file(folder / f"{place}-{run.design}.yaml", resolve(scenario).encode())
    numbers = [key for key in keys if pd.api.types.is_numeric_dtype(table[key])]
    if len(numbers) > 1:
        save(figure(table, numbers[0], numbers[-1]), folder / "plan.png")
