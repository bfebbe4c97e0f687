"""``colosim report RUN_DIR|SCENARIO...``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from colosim.cli.options import run_options, style_option
from colosim.cli.progress import Progression

if TYPE_CHECKING:
    from colosim.runs.run import Run


@click.command("report")
@click.argument("sources", nargs=-1, required=True, metavar="RUN_DIR|SCENARIO...")
@run_options
@style_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="The file.  [default: SOURCE-report.html]",
)
def command(
    *,
    sources: tuple[str, ...],
    designs: tuple[str, ...],
    seed: int | None,
    overrides: tuple[str, ...],
    output: Path | None,
) -> None:
    """Write runs up as one HTML file.

    Each source is a run directory, a folder of run directories, or a scenario, which is run. The
    file needs no network and nothing beside it: how each run ended, what it cost, why it hung,
    figures, checkpoints, and what it was made of. The same runs are the same bytes.
    """
    from colosim.cli.sources import check_outputs, name_of, runs_of
    from colosim.files import write_file
    from colosim.plots.report import report

    target = output or Path(f"{name_of(sources[0])}-report.html")
    check_outputs(sources, output=target)
    runs: list[Run] = []
    with Progression() as progression:
        for source in sources:
            runs += runs_of(source, designs, seed, overrides, progression.watch)
    write_file(target, report(runs).encode())
    click.echo(f"{target}: written")
