"""Reading a run directory back."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colosim.errors import RunDirectoryError
from colosim.files import read_file
from colosim.runs.columns import COLUMNS, REQUESTS
from colosim.runs.run import NoTablesError, Run
from colosim.scenario import loads
from colosim.scenario.presets import OwnPreset
from colosim.scenario.spread import StageSpread, parse_stage
from colosim.trace.sentences import parse

if TYPE_CHECKING:
    import pandas as pd

    from colosim.trace.events import Event

MANIFEST = "manifest.json"
SUMMARY = "summary.json"
SCHEMA = 1
"""Version of the layout of run directories."""
FILES = {
    *(MANIFEST, SUMMARY),
    *(f"{name}{end}" for name in (*COLUMNS, REQUESTS) for end in (".csv", ".parquet")),
}
"""Every file that a run directory may have."""
_MANIFEST_HAS = {"design": str, "seed": int, "digest": str, "files": dict, "scenario": str}
_SUMMARY_HAS = {"design": str, "seed": int, "verdict": str, "reason": str, "digest": str}
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

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.digest_format: int = manifest.get("digest_format", 1)
        self.source: dict[str, Any] | None = manifest.get("source")
        self._files: dict[str, str] = manifest["files"]
        self._frames: dict[str, pd.DataFrame] = {}

    def has(self, table: str) -> bool:
        """Tell whether a table was written."""
        return bool({f"{table}.csv", f"{table}.parquet"} & set(self._files))

    def _file(self, table: str) -> Path:
        names = [name for name in (f"{table}.csv", f"{table}.parquet") if name in self._files]
        if not names:
            without = "--requests" if table == REQUESTS else "tables"
            raise NoTablesError(f"{self.path} has no {table}.csv: it was written without {without}")
        path = self.path / names[0]
        _verify(path, self._files[names[0]])
        return path

    def frame(self, table: str) -> pd.DataFrame:
        """Return a table.

        :raises NoTablesError: if the run was written without it.
        :raises RunDirectoryError: if its file is missing or not what was written.
        """
        if table not in self._frames:
            from colosim.runs.frames import read  # noqa: PLC0415 - pandas is slow to import

            path = self._file(table)
            try:
                self._frames[table] = read(table, path)
            except (OSError, ValueError, KeyError) as error:
                raise RunDirectoryError(f"{path} is no table of a run: {error}") from error
        return self._frames[table]

    def events(self) -> Iterator[tuple[int, Event, int]]:
        """Yield (time_ns, event, value) of every event.

        :raises NoTablesError: if the run was written without them.
        :raises RunDirectoryError: if the file is missing or not what was written, or has an event
            that this version does not know.
        """
        from colosim.runs.table_files import events_in  # noqa: PLC0415 - numpy is slow to import

        path = self._file("events")
        try:
            for at_ns, sentence, value in events_in(path):
                yield at_ns, parse(sentence), value
        except (OSError, ValueError) as error:
            raise RunDirectoryError(f"{path}: {error}") from error


def _verify(path: Path, digest: str) -> None:
    try:
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, "there is no such file")
        found = sha256_of(path)
    except OSError as error:
        raise RunDirectoryError(f"{path} cannot be read: {error.strerror}") from error
    if found != digest:
        raise RunDirectoryError(f"{path} is not what was written: its SHA-256 differs")


def _read_json(file: Path, has: dict[str, type]) -> dict[str, Any]:
    """Return what a file of JSON holds: an object that has these keys, with values of these types.

    :raises RunDirectoryError: if it does not.
    """
    what = f"{file} is no {file.stem}"
    try:
        content = json.loads(read_file(file))
    except (OSError, ValueError, RecursionError) as error:
        raise RunDirectoryError(f"{what}: {error}") from error
    if not isinstance(content, dict):
        raise RunDirectoryError(f"{what}: it is no object")
    if content.get("schema", SCHEMA) != SCHEMA:
        raise RunDirectoryError(f"{file}: layout {content['schema']}, expected {SCHEMA}")
    for key, kind in has.items():
        if not isinstance(content.get(key), kind):
            raise RunDirectoryError(f"{what}: its {key!r} is missing or damaged")
    return content


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of a run directory.

    :raises RunDirectoryError: if there is none, or it is damaged or of another layout.
    """
    file = path / MANIFEST
    if not file.exists():
        raise RunDirectoryError(f"{path} is no run directory: no {MANIFEST} in it")
    manifest = _read_json(file, _MANIFEST_HAS)
    files = manifest["files"]
    if SUMMARY not in files:
        raise RunDirectoryError(f"{file} lists no {SUMMARY}")
    if not files.keys() <= FILES:
        raise RunDirectoryError(f"{file} lists {min(files.keys() - FILES)!r}, which no run has")
    return manifest


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


def run_folders(path: Path) -> list[Path]:
    """Return the run directories in a folder, at any depth, by name: `path` itself if it is one.

    One in a folder whose name begins with a dot is still being written.
    """
    files = sorted(path.rglob(MANIFEST), key=lambda file: file.parent)
    return [
        file.parent
        for file in files
        if not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]


def read_run(path: str | PathLike[str]) -> Run:
    """Read a run back from its directory.

    :raises RunDirectoryError: if it is none, or its summary is not what was written.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    summary = folder / SUMMARY
    _verify(summary, manifest["files"][SUMMARY])
    scenario = loads(manifest["scenario"], file=str(folder / MANIFEST))
    for host in (scenario.hosts.primary, scenario.hosts.secondary):
        if isinstance(host.preset, OwnPreset):
            host.preset.spread = _spread_in(manifest, host.preset, folder / MANIFEST)
    stored = StoredTables(folder, manifest)
    return Run(scenario, _read_json(summary, _SUMMARY_HAS), stored=stored)


def _spread_in(manifest: dict[str, Any], host: str, file: Path) -> dict[str, StageSpread] | None:
    """Return what a manifest has of how the work on a host scatters, None if it has nothing.

    :raises RunDirectoryError: if it is damaged.
    """
    try:
        stages = manifest.get("spreads", {}).get(host)
        return stages and {name: parse_stage(name, **texts) for name, texts in stages.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise RunDirectoryError(f"{file} is no manifest: its 'spreads' is damaged") from error
