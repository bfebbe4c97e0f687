"""Reading a run directory back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colosim.errors import RunDirectoryError
from colosim.runs.run import Run
from colosim.scenario import loads
from colosim.trace.events import parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    import pandas as pd

    from colosim.trace.events import Event

__all__ = [
    "MANIFEST",
    "SCHEMA",
    "SUMMARY",
    "StoredTables",
    "intact",
    "read_manifest",
    "read_run",
    "verify",
]

MANIFEST = "manifest.json"
SUMMARY = "summary.json"
SCHEMA = 1
"""Version of the layout of run directories."""
_BLOCK_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


class StoredTables:
    """The tables of a run directory; each file is held to its digest when it is first read."""

    def __init__(self, path: Path, files: dict[str, str], digest_format: int) -> None:
        self.path = path
        self.digest_format = digest_format
        self._files = files
        self._frames: dict[str, pd.DataFrame] = {}

    def _file(self, table: str) -> Path:
        names = [name for name in (f"{table}.csv", f"{table}.parquet") if name in self._files]
        if not names:
            raise RunDirectoryError(
                f"{self.path} has no {table}.csv: it was written without tables"
            )
        path = self.path / names[0]
        _verify(path, self._files[names[0]])
        return path

    def frame(self, table: str) -> pd.DataFrame:
        """Return a table.

        :raises RunDirectoryError: if its file is missing or not what was written.
        """
        if table not in self._frames:
            from colosim.runs.frames import read  # noqa: PLC0415 - pandas is slow to import

            self._frames[table] = read(table, self._file(table))
        return self._frames[table]

    def events(self) -> Iterator[tuple[int, Event, int]]:
        """Yield (time_ns, event, value) of every event.

        :raises RunDirectoryError: if the file is missing or not what was written, or has an event
            that this version does not know.
        """
        from colosim.runs.table_files import events_in  # noqa: PLC0415 - numpy is slow to import

        path = self._file("events")
        for at_ns, sentence, value in events_in(path):
            try:
                event = parse(sentence)
            except ValueError as error:
                raise RunDirectoryError(f"{path}: {error}") from error
            yield at_ns, event, value


def _verify(path: Path, digest: str) -> None:
    try:
        found = sha256_of(path)
    except OSError as error:
        raise RunDirectoryError(f"{path} cannot be read: {error.strerror}") from error
    if found != digest:
        raise RunDirectoryError(f"{path} is not what was written: its SHA-256 differs")


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of a run directory.

    :raises RunDirectoryError: if there is none, or it is of another layout.
    """
    file = path / MANIFEST
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        if manifest["schema"] != SCHEMA:
            raise RunDirectoryError(f"{file}: layout {manifest['schema']}, expected {SCHEMA}")
        files = manifest["files"]
        if not (isinstance(files, dict) and SUMMARY in files):
            raise RunDirectoryError(f"{file} lists no {SUMMARY}")
    except OSError as error:
        raise RunDirectoryError(f"{path} is no run directory: no {MANIFEST} in it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RunDirectoryError(f"{file} is no manifest: {error!r}") from error
    return dict(manifest)


def verify(path: Path) -> None:
    """Check that a run directory has every file of its manifest, as it was written.

    :raises RunDirectoryError: with the file that is missing or is something else.
    """
    for name, digest in read_manifest(path)["files"].items():
        _verify(path / name, digest)


def intact(path: Path) -> bool:
    """Tell whether `verify` finds nothing."""
    try:
        verify(path)
    except RunDirectoryError:
        return False
    return True


def read_run(path: str | PathLike[str]) -> Run:
    """Read a run back from its directory.

    :raises RunDirectoryError: if it is none, or its summary is not what was written.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    summary = folder / SUMMARY
    _verify(summary, manifest["files"][SUMMARY])
    scenario = loads(manifest["scenario"], file=str(folder / MANIFEST))
    stored = StoredTables(folder, manifest["files"], manifest.get("digest_format", 1))
    return Run(scenario, json.loads(summary.read_text(encoding="utf-8")), stored=stored)
