"""``colosim plan SWEEP.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from colosim.cli.main import STATUS_FAILED
from colosim.cli.options import jobs_option

if TYPE_CHECKING:
    import pandas as pd

    from colosim.sweeps.grid import Grid
    from colosim.sweeps.plan import Need

_SHOWN = 10
"""So many points at most are shown, and have a file."""
_MARK = "# chosen by colosim plan"
"""How such a file begins; the next plan in the folder removes these, and no others."""


class _InOrder(click.Command):
    """A ``--meet`` behind an ``--under`` belongs to that."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Hand each such bound over in its ``--under``, a line each below the scenario."""
        given = [part for arg in args for part in arg.split("=", arg.startswith("--"))]
        words, parted = iter(given), list[str]()
        for word in words:
            if word == "--meet" and "--under" in parted[:-1]:
                parted[-parted[::-1].index("--under")] += f"\n{next(words, '')}"
            else:
                parted.append(word)
        return super().parse_args(ctx, parted)


@click.command("plan", cls=_InOrder)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="SWEEP.yaml")
@click.option(
    "--meet", "meet", multiple=True, metavar="BOUND", help="Such as 'pause_ns.p99 < 50 ms'."
)
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
@jobs_option
def command(
    *,
    file: Path,
    meet: tuple[str, ...],
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
    from colosim.cli.show import print_assumed_costs, print_table
    from colosim.executors.engines import opened
    from colosim.runs.run import as_scenario
    from colosim.runs.wording import in_words
    from colosim.sweeps.grid import load_grid
    from colosim.sweeps.plan import nearest_miss, plan

    if minimise and maximise:
        raise click.UsageError("give --minimise or --maximise, not both")
    if not meet:
        raise click.UsageError("give what is asked for, such as --meet 'pause_ns.p99 < 50 ms'")
    grid, needs = load_grid(file), [_need(text) for text in meet]
    best = _need(f"{minimise} <= 0" if minimise else f"{maximise or 'guest_running_share'} >= 0")
    faults = {
        name: (as_scenario(name), [_need(text) for text in bounds])
        for name, *bounds in (one.split("\n") for one in under)
    }
    with opened("local", jobs) as engine:
        table, refused = plan(grid, engine, needs, best, faults, spread=spread)
    keys = [*dict.fromkeys(need.key for need in (*needs, best))]
    front = table[table["front"] == "yes"].sort_values(best.key, ascending=minimise is not None)
    chosen = front[front["chosen"] == "yes"]
    folder = out or Path("plans") / file.stem
    _write(folder, grid, table, [*chosen.index[:_SHOWN]], keys)
    on_arrays = f"{len(grid) - refused.total():,} on arrays, {refused.total():,} refused"
    click.echo(f"{file.stem}: {len(grid):,} runs, {on_arrays}")
    for why, count in refused.most_common():
        click.echo(f"  {count:,} simulated: {why}")
    met = (table["meets"] == "yes").sum()
    click.echo(f"{met:,} points meet all, {len(front):,} are on a design's front")
    shown = (front if chosen.empty else chosen)[:_SHOWN].astype(object)
    if len(shown):
        cells = shown[[*keys, *faults]].to_numpy().tolist()
        rows = [
            [_named(grid, run), *map(in_words, keys, row), *map(str, row[len(keys) :])]
            for run, row in zip(shown.index.tolist(), cells, strict=True)
        ]
        print_table("front" if chosen.empty else "chosen", ["point", *keys, *faults], rows)
        print_assumed_costs(grid.scenario)
    click.echo(f"{folder / 'plan.csv'}: written")
    if len(chosen):
        return 0
    if len(front):
        click.echo("colosim: no point of the front meets what is asked for under faults", err=True)
    elif miss := nearest_miss(table, needs):
        run, need, value = miss
        said = f"{need.key} is {in_words(need.key, value)}, not {need.bound}"
        click.echo(f"colosim: nothing meets all; nearest is {_named(grid, run)}: {said}", err=True)
    return STATUS_FAILED


def _need(text: str) -> Need:
    from colosim.scenario.bounds import BoundError, parse_bound
    from colosim.sweeps.plan import Need

    key, _, bound = text.strip().partition(" ")
    try:
        return Need(key, parse_bound(key, bound.removeprefix("==").strip()))
    except BoundError as error:
        raise click.UsageError(f"{text}: {error}") from error


def _named(grid: Grid, run: int) -> str:
    point = grid.point(run)
    return ", ".join([point.design, *(f"{key}={text}" for key, text in point.settings)])


def _write(
    folder: Path, grid: Grid, table: pd.DataFrame, chosen: list[int], keys: list[str]
) -> None:
    from pandas.api.types import is_numeric_dtype

    from colosim.files import write_file, writing
    from colosim.plots.plan import figure
    from colosim.plots.style import save
    from colosim.scenario import resolve

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "plan.csv", table.to_csv(index=False, lineterminator="\n").encode())
    with writing(folder):
        for old in folder.glob("[0-9]*-*.yaml"):
            if old.read_bytes().startswith(_MARK.encode()):
                old.unlink()
    for place, run in enumerate(chosen, start=1):
        point = grid.point(run)
        scenario = grid.scenario.vary({"designs": [point.design], **dict(point.settings)})
        text = f"{_MARK}: {_named(grid, run)}\n{resolve(scenario)}"
        write_file(folder / f"{place}-{point.design}.yaml", text.encode())
    numbers = [key for key in keys if is_numeric_dtype(table[key])]
    if len(numbers) > 1:
        save(figure(table, numbers[0], numbers[-1]), folder / "plan.png")
