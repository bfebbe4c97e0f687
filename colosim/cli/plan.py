"""``colosim plan SWEEP.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from colosim.cli.main import STATUS_FAILED
from colosim.cli.options import jobs_option

if TYPE_CHECKING:
    import pandas as pd

    from colosim.scenario import Scenario
    from colosim.sweeps.grid import Grid

_SHOWN = 10
"""So many points at most are shown, and have a file."""
_MARK = "# chosen by colosim plan"
"""How such a file begins; the next plan in the folder removes these, and no others."""


class _InOrder(click.Command):
    """Gives what was ``asked``, ``--meet`` and ``--under`` in their order."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments."""
        *_, order = self.make_parser(ctx).parse_args([*args])
        rest = super().parse_args(ctx, args)
        given = {name: iter(ctx.params.pop(name)) for name in ("meet", "under")}
        ctx.params["asked"] = [(it.name, next(given[it.name])) for it in order if it.name in given]
        return rest


@click.command("plan", cls=_InOrder)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="SWEEP.yaml")
@click.option("--meet", multiple=True, metavar="BOUND", help="Such as 'pause_ns.p99 < 50 ms'.")
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
def command(file: Path, asked: list[tuple[str, str]], jobs: int, **options: Any) -> int:
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
    from colosim.scenario.bounds import Bound, read_bound
    from colosim.sweeps.grid import load_grid
    from colosim.sweeps.plan import nearest_miss, plan

    small, large = options["minimise"], options["maximise"]
    if small and large:
        raise click.UsageError("give --minimise or --maximise, not both")
    into = needs = list[Bound]()
    faults: dict[str, tuple[Scenario, list[Bound]]] = {}
    for option, text in asked:
        if option == "under":
            _, into = faults.setdefault(text, (as_scenario(text), []))
        else:
            into.append(read_bound(text))
    if not needs:
        raise click.UsageError("give what is asked for, such as --meet 'pause_ns.p99 < 50 ms'")
    best = read_bound(f"{small} <= 0" if small else f"{large or 'guest_running_share'} >= 0")
    grid = load_grid(file)
    with opened("local", jobs) as engine:
        table, refused = plan(grid, engine, needs, best, faults, spread=options["spread"])
    keys = [*dict.fromkeys(need.key for need in (*needs, best))]
    front = table[table["front"] == "yes"].sort_values(best.key, ascending=bool(small))
    chosen = front[front["chosen"] == "yes"]
    folder = options["out"] or Path("plans") / file.stem
    _write(folder, grid, table, chosen.index[:_SHOWN].tolist(), keys)
    on_arrays = f"{len(grid) - refused.total():,} on arrays, {refused.total():,} refused"
    click.echo(f"{file.stem}: {len(grid):,} runs, {on_arrays}")
    for why, count in refused.most_common():
        click.echo(f"  {count:,} simulated: {why}")
    if failed := len(grid) // len(grid.seeds) - len(table):
        click.echo(f"  {failed:,} points left out: a run of theirs fails, as colosim sweep tells")
    met = (table["meets"] == "yes").sum()
    click.echo(f"{met:,} points meet all, {len(front):,} are on a design's front")
    shown = (front if chosen.empty else chosen)[:_SHOWN].astype(object)
    if len(shown):
        rows = [
            [str(grid.point(run)), *map(in_words, keys, row), *map(str, row[len(keys) :])]
            for run, *row in shown[[*keys, *faults]].itertuples()
        ]
        print_table("front" if chosen.empty else "chosen", ["point", *keys, *faults], rows)
        print_assumed_costs(grid.scenario)
    click.echo(f"{folder / 'plan.csv'}: written")
    if chosen.empty and len(front):
        click.echo("colosim: no point of the front meets what is asked for under faults", err=True)
    elif chosen.empty and len(table):
        run, need, value = nearest_miss(table, needs)
        said = f"{need.key} is {in_words(need.key, value)}, not {need}"
        click.echo(f"colosim: nothing meets all; nearest is {grid.point(run)}: {said}", err=True)
    return STATUS_FAILED if chosen.empty else 0


def _write(
    folder: Path, grid: Grid, table: pd.DataFrame, chosen: list[int], keys: list[str]
) -> None:
    from colosim.files import write_file, writing
    from colosim.plots.plan import figure
    from colosim.plots.style import save
    from colosim.scenario import resolve

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("[0-9]*-*.yaml"):
            if old.read_bytes().startswith(_MARK.encode()):
                old.unlink()
    write_file(folder / "plan.csv", table.to_csv(index=False, lineterminator="\n").encode())
    for place, point in enumerate(map(grid.point, chosen), start=1):
        scenario = grid.scenario.vary({"designs": [point.design], **dict(point.settings)})
        text = f"{_MARK}: {point}\n{resolve(scenario)}"
        write_file(folder / f"{place}-{point.design}.yaml", text.encode())
    numbers = [*table[keys].select_dtypes("number")]
    if len(numbers) > 1:
        save(figure(table, numbers[0], numbers[-1]), folder / "plan.png")
