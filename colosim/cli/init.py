"""``colosim init NAME``."""

from __future__ import annotations

import os
from pathlib import Path

import click

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
    try:
        _write_whole(target, text, replace=force)
    except FileExistsError as error:
        message = f"{target} is there already; --force replaces it"
        raise click.ClickException(message) from error
    except OSError as error:
        message = f"cannot write {target}: {error.strerror}"
        raise click.ClickException(message) from error
    click.echo(f"{target}: written; next: colosim validate {target}")


def _write_whole(target: Path, text: str, *, replace: bool) -> None:
    """Write the file whole or not at all, through a temporary one beside it.

    :raises FileExistsError: if the file is there and may not be replaced.
    :raises OSError: if the folder cannot be written.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        if replace:
            temporary.replace(target)
        else:
            # A link, unlike a rename, fails where a file stands, also one that came just now.
            target.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
