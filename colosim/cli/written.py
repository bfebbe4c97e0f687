"""Files that a command writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from colosim.errors import ColosimError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, and say so.

    :raises ColosimError: if it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ColosimError(f"cannot write {path}: {error.strerror}") from error
    click.echo(f"{path}: written")
