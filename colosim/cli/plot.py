"""``colosim plot DIR|SCENARIO...``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from colosim.cli.options import (
    designs_option,
    each_seed,
    look_options,
    overrides_option,
    seed_option,
    seeds_option,
    words_between_commas,
)
from colosim.cli.progress import Progression

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from colosim.runs.run import Run
    from colosim.scenario import Scenario

    Drawing = tuple[Callable[[], Figure], Callable[[], pd.DataFrame]]

_OF_RUNS = ("overview", "memory", "gantt", "distribution", "hang", "clients")
_KINDS = (*_OF_RUNS, "against", "validation", "heatmap", "sweep")
_OF_SCENARIOS = {*_OF_RUNS, "against", "validation"}
_FOR = {
    "checkpoint": {"gantt", "overview"},
    "parameter": {"against"},
    "seeds": {"against"},
    "seed": _OF_SCENARIOS,
    "overrides": _OF_SCENARIOS,
    **{key: {"sweep"} for key in ("x", "y", "by")},
}
"""The kinds that an option is for, where not for all."""
_PARAMETERS = ("dirty-pages", "bandwidth", "latency", "checkpoint-delay")


@click.command("plot")
@click.argument("sources", nargs=-1, required=True, metavar="DIR|SCENARIO...")
@click.option(
    "--kind", type=click.Choice(_KINDS), default="overview", show_default=True, help="What to draw."
)
@designs_option
@click.option(
    "--checkpoint",
    type=click.IntRange(0),
    metavar="K",
    help="The checkpoint of a Gantt chart; without it, the one with the median pause.",
)
@click.option(
    "--parameter",
    type=click.Choice(_PARAMETERS),
    default="dirty-pages",
    show_default=True,
    help="What the kind 'against' varies.",
)
@click.option("--x", metavar="AXIS", help="Along which axis a sweep is drawn.")
@click.option(
    "--y", metavar="KEY", help="Its quantity; or an axis, for a map.  [default: pause_ns.p50]"
)
@click.option(
    "--by",
    metavar="AXIS,...",
    multiple=True,
    callback=words_between_commas,
    help="The axis of its lines; the quantity of its map.  [default: design]",
)
@look_options
@seed_option
@seeds_option
@overrides_option
@click.option(
    "--data",
    "data_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="Also write the numbers that are drawn, in ns and bytes.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The figure's file, .png, .svg or .pdf.  [default: SCENARIO-KIND.svg]",
)
def command(  # noqa: PLR0913 - click hands every option over by name
    *,
    sources: tuple[str, ...],
    kind: str,
    designs: tuple[str, ...],
    checkpoint: int | None,
    parameter: str,
    x: str | None,
    y: str | None,
    by: tuple[str, ...],
    seed: int | None,
    seeds: tuple[int, ...],
    overrides: tuple[str, ...],
    data_file: Path | None,
    output: Path | None,
) -> None:
    """Draw runs as a figure that is ready for a paper.

    Each source is a run directory, a folder of run directories, or a scenario (a file, or the name
    of one that colosim ships), which is run. The kinds:

    \b
    overview      a checkpoint of each design as a Gantt chart, above memory curves
    memory        memory over time by account, both hosts, peaks marked
    gantt         one checkpoint: guest, threads, iothread locks, wire
    distribution  how pauses and lock holds are distributed, p50 and p99 marked
    against       pause and peak memory against a parameter (one scenario)
    hang          lock holder, waiters, buffers, guests, commands around a fault
    clients       what clients see: distribution of latencies, latency over time
    validation    simulated against measured pause: of runs, real ones and
                  simulated ones beside, or from CSV files with the columns
                  design, measured_ns, simulated_ns
    heatmap       verdicts of faults at protocol steps, from a CSV file with the
                  columns design, side, step, fault, verdict
    sweep         a sweep's folder: --y against --x, a line for each value of
                  --by, with a band over seeds; panels of the other axes

    The same figure is the same bytes every time.
    """  # noqa: D301 - click reads \b as: do not rewrap
    from colosim.cli.sources import check_outputs, name_of, runs_of
    from colosim.files import write_file
    from colosim.plots.style import check_path, save

    _check_options(kind)
    target = output or Path(f"{name_of(sources[0])}-{kind}.svg")
    check_path(target)
    check_outputs(sources, data=data_file, output=target)
    if kind in {"against", "heatmap", "sweep"} and len(sources) > 1:
        raise click.UsageError(f"the kind {kind!r} takes one source")
    with Progression() as progression:
        if kind == "heatmap":
            figure, data = _of_table(kind, _table(Path(sources[0]), designs))
        elif kind == "sweep":
            figure, data = _sweep(Path(sources[0]), designs, x, y or "pause_ns.p50", by)
        elif kind == "against":
            each_seed(seed, seeds)
            scenario = _scenario(sources[0], overrides, seed)
            figure, data = _against(scenario, seeds, designs, parameter, progression)
        else:
            tables = [Path(one) for one in sources if kind == "validation" and _is_table(one)]
            runs: list[Run] = []
            watch = progression.watch
            for source in sources:
                if Path(source) not in tables:
                    requests = kind == "clients"
                    runs += runs_of(source, designs, seed, overrides, watch, requests=requests)
            if kind == "validation":
                figure, data = _validation(runs, [_table(path, designs) for path in tables])
            else:
                figure, data = _of_runs(kind, runs, checkpoint)
        made, table = figure(), data() if data_file is not None else None
    save(made, target)
    click.echo(f"{target}: written")
    if data_file is not None and table is not None:
        write_file(data_file, table.to_csv(index=False, lineterminator="\n").encode())
        click.echo(f"{data_file}: written")


def _check_options(kind: str) -> None:
    """Refuse what a kind would not heed.

    :raises click.UsageError: if an option was given that is for other kinds.
    """
    context = click.get_current_context()
    for option in context.command.params:
        kinds = _FOR.get(option.name or "", {kind})
        given = context.get_parameter_source(option.name or "") == ParameterSource.COMMANDLINE
        if given and kind not in kinds:
            known = ", ".join(repr(one) for one in _KINDS if one in kinds)
            raise click.UsageError(f"{option.opts[0]} is for the kinds {known}, not {kind!r}")


def _of_runs(kind: str, runs: Sequence[Run], checkpoint: int | None) -> Drawing:
    drawn = import_module(f"colosim.plots.{kind}")
    if kind in {"overview", "gantt"}:
        return lambda: drawn.figure(runs, checkpoint), lambda: drawn.data(runs, checkpoint)
    return lambda: drawn.figure(runs), lambda: drawn.data(runs)


def _against(
    scenario: Scenario,
    seeds: Sequence[int],
    designs: Sequence[str],
    parameter: str,
    progression: Progression,
) -> Drawing:
    from colosim.plots import against

    table = against.data(
        scenario, parameter, designs=designs or None, seeds=seeds, prepare=progression.watch
    )
    return lambda: against.figure(table), lambda: table


def _sweep(
    folder: Path, designs: Sequence[str], x: str | None, y: str, by: Sequence[str]
) -> Drawing:
    import pandas as pd

    from colosim.plots import sweep
    from colosim.sweeps.store import RESULTS

    try:
        table = pd.read_parquet(folder / RESULTS)
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{folder} has no {RESULTS} of a sweep: {error}") from error
    table = _of_designs(table, designs, folder)
    axes = sweep.axes_of(table)
    along = x or next((axis for axis in axes if axis != "design"), None)
    if along is None:
        raise click.UsageError(f"{folder}: no axis has several values; name one with --x")
    return lambda: sweep.figure(table, along, y, by), lambda: sweep.data(table, along, y, by)


def _scenario(source: str, overrides: Sequence[str], seed: int | None) -> Scenario:
    """Return a scenario, also that of a run directory, with its seed.

    :raises click.UsageError: if an option is given that a stored run cannot follow.
    """
    from colosim.cli.sources import refuse_settings, stored_runs
    from colosim.runs.run import as_scenario

    stored = stored_runs(Path(source))
    if stored:
        refuse_settings(source, overrides, seed)
        return stored[0].scenario.vary({"seed": stored[0].seed})
    scenario = as_scenario(source, overrides)
    return scenario if seed is None else scenario.vary({"seed": seed})


def _of_designs(table: pd.DataFrame, designs: Sequence[str], path: Path) -> pd.DataFrame:
    """Return the rows of these designs.

    :raises click.UsageError: if one has none.
    """
    known = set(table["design"]) if "design" in table else set()
    if missing := [design for design in designs if design not in known]:
        raise click.UsageError(f"{path} has no {', '.join(missing)}")
    return table[table["design"].isin(designs)] if designs else table


def _validation(runs: Sequence[Run], tables: Sequence[pd.DataFrame]) -> Drawing:
    import pandas as pd

    from colosim.plots.validation import data, paired

    every = [*tables, *([paired(runs)] if runs else [])]
    for table in tables:
        data(table)  # refuses one that is none
    return _of_table("validation", pd.concat(every, ignore_index=True))


def _is_table(source: str) -> bool:
    return source.endswith(".csv")


def _table(path: Path, designs: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{path} is no CSV file that can be read: {error}") from error
    return _of_designs(table, designs, path)


def _of_table(kind: str, table: pd.DataFrame) -> Drawing:
    drawn = import_module(f"colosim.plots.{kind}")
    return lambda: drawn.figure(table), lambda: drawn.data(table)
