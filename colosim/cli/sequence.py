"""``colosim sequence RUN_DIR|SCENARIO``."""

from __future__ import annotations

from pathlib import Path

import click

from colosim.cli.options import (
    design_option,
    look_options,
    overrides_option,
    refuse_look,
    seed_option,
)

_MERMAID = ".mmd"


@click.command("sequence")
@click.argument("source", metavar="RUN_DIR|SCENARIO")
@click.option(
    "--checkpoint",
    type=click.IntRange(0),
    metavar="K",
    help="Which checkpoint, from 0.  [default: the one with the median pause]",
)
@design_option
@seed_option
@overrides_option
@look_options
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A figure (.svg, .png, .pdf), or Mermaid text (.mmd).  [default: Mermaid, printed]",
)
def command(
    *,
    source: str,
    checkpoint: int | None,
    design: str | None,
    seed: int | None,
    overrides: tuple[str, ...],
    output: Path | None,
) -> None:
    """Draw the message sequence of one checkpoint.

    Every message, stream and lock hold of the checkpoint with its times in ms since the request.
    The source is a run directory or a scenario, which is run. Without -o, Mermaid text is printed,
    which Markdown viewers draw. The same run is the same bytes.
    """
    from colosim.cli.sources import check_outputs, run_of
    from colosim.files import write_file
    from colosim.plots.lanes import typical_checkpoint
    from colosim.plots.sequence import figure, mermaid
    from colosim.plots.style import check_path, save

    refuse_look(drawn=output is not None and output.suffix.lower() != _MERMAID)
    if output is not None and output.suffix.lower() != _MERMAID:
        check_path(output)
    check_outputs([source], output=output)
    run = run_of(source, design, seed, overrides)
    number = typical_checkpoint(run) if checkpoint is None else checkpoint
    if output is None:
        click.echo(mermaid(run, number), nl=False)
    elif output.suffix.lower() == _MERMAID:
        write_file(output, mermaid(run, number).encode())
        click.echo(f"{output}: written")
    else:
        save(figure(run, number), output)
        click.echo(f"{output}: written")
