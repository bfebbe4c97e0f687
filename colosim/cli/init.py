"""``colosim init NAME``."""

from __future__ import annotations

from pathlib import Path

import click

_SUFFIXES = {".yaml", ".yml"}


@click.command("init")
@click.argument("name")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
def command(name: str, *, force: bool) -> None:
    """Write a commented scenario to start from.

    NAME is the scenario's name; the file is NAME.yaml in the current folder, or in the folder that
    stands before the name. A NAME that ends in .yaml or .yml is the file itself. It is written
    whole or not at all.
    """
    from colosim.files import write_file
    from colosim.scenario import template

    target = Path(name)
    if target.suffix.lower() not in _SUFFIXES:
        target = Path(f"{name}.yaml")
    text = template(target.stem)
    write_file(target, text.encode(), replace=force)
    click.echo(f"{target}: written; next: colosim validate {target}")
