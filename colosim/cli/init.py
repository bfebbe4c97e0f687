"""``colosim init NAME``."""

from __future__ import annotations

from pathlib import Path

import click

from colosim.cli.written import write_whole

_SUFFIX = ".yaml"


@click.command("init")
@click.argument("name")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
def command(name: str, *, force: bool) -> None:
    """Write a commented scenario to start from.

    NAME is the scenario's name; the file is NAME.yaml in the current folder, or in the folder that
    stands before the name. The file is written whole or not at all.
    """
    from colosim.scenario import template

    target = Path(name if name.endswith(_SUFFIX) else name + _SUFFIX)
    text = template(target.name.removesuffix(_SUFFIX))
    told = write_whole(target, text.encode(), replace=force)
    click.echo(f"{told}; next: colosim validate {target}")
