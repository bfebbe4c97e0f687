"""``colosim timeline RUN_DIR|SCENARIO...``."""

from __future__ import annotations

from pathlib import Path

import click

from colosim.cli.options import design_option, overrides_option, seed_option


@click.command("timeline")
@click.argument("sources", nargs=-1, required=True, metavar="RUN_DIR|SCENARIO...")
@design_option
@seed_option
@overrides_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The file.  [default: SOURCE-DESIGN.perfetto-trace]",
)
def command(
    *,
    sources: tuple[str, ...],
    design: str | None,
    seed: int | None,
    overrides: tuple[str, ...],
    output: Path | None,
) -> None:
    """Write a run as a timeline that Perfetto opens.

    A source is a run directory (also one of `colosim qemu import`) or a scenario, which is run;
    several stand one below the other.
    Open the file at https://ui.perfetto.dev, which reads it inside the browser. It has a process a
    host: its threads with what they do and wait for, the iothread lock with its holder, the guest,
    and counters of memory accounts, socket buffers and dirty pages. Select a message to see the
    arrow to its receipt; likewise a request of a client, in a run directory with a table of them
    (`colosim run --requests`). Times are exact, in ns; the same run is the same bytes.
    """
    from colosim.cli.sources import check_outputs, name_of, run_of
    from colosim.files import write_file
    from colosim.plots.timeline import timeline

    check_outputs(sources, output=output)
    runs = [run_of(source, design, seed, overrides) for source in sources]
    name = name_of(sources[0])
    stem = name if name == runs[0].design else f"{name}-{runs[0].design}"
    target = output or Path(f"{stem}.perfetto-trace")
    write_file(target, timeline(*runs))
    click.echo(f"{target}: written")
