"""Files that a command writes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from colosim.errors import ColosimError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, content: bytes, *, replace: bool = True) -> str:
    """Write a file whole or not at all, through another beside it, and return that it is written.

    What is there and is no plain file, such as a device or a link, is written to and not replaced.

    :raises ColosimError: if it cannot be written, or is there and may not be replaced.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if replace and (path.is_symlink() or (path.exists() and not path.is_file())):
            path.write_bytes(content)
            return f"{path}: written"
        try:
            partial.write_bytes(content)
            if replace:
                partial.replace(path)
            else:
                # A link, unlike a rename, fails where a file stands, also one that came just now.
                path.hardlink_to(partial)
        finally:
            partial.unlink(missing_ok=True)
    except FileExistsError as error:
        raise ColosimError(f"{path} is there already; --force replaces it") from error
    except OSError as error:
        raise ColosimError(f"cannot write {path}: {error.strerror}") from error
    return f"{path}: written"
