"""Files of a real run: logs of either kind, gzipped or not, and the lab's run folders."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from colosim.errors import LogError
from colosim.measured import log
from colosim.measured.history import of_trace
from colosim.measured.stagehistory import of_stages
from colosim.measured.stagelog import parse_stages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from colosim.measured.history import History
    from colosim.measured.stagelog import StageLog

__all__ = ["histories", "log_files"]

SIDES = ("primary", "secondary")


def log_files(folder: Path) -> list[Path]:
    """Return the logs of a lab run folder, the primary's first.

    :raises LogError: if it has none.
    """
    found = [
        folder / f"{side}.log{ending}"
        for side in SIDES
        for ending in (".gz", "")
        if (folder / f"{side}.log{ending}").is_file()
    ]
    if not found:
        raise LogError(f"{folder}: no primary.log or secondary.log in it (.gz or not)")
    return found


def _lines(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise LogError(f"{path}: cannot be read: {error}") from error
    return list(io.StringIO(data.decode("utf-8", errors="replace"), newline="\n"))


def histories(paths: Sequence[str | PathLike[str]]) -> list[History]:
    """Return the histories of one run's logs, at most one a side, the primary's first.

    :raises LogError: if a log cannot be read, has no COLO event, shows no side, or two logs are of
        one side.
    """
    found: list[History] = []
    stages: list[StageLog] = []
    for path in map(Path, paths):
        lines = _lines(path)
        staged = parse_stages(lines, str(path))
        if staged.side is not None:
            stages.append(staged)
        else:
            found += of_trace(log.parse(lines, source=str(path)))
    split = any(
        stage.name in {"P_RAM_STREAMED", "S_RAM_LOADED"} for one in stages for stage in one.stages
    )
    found += [of_stages(one, str(one.side), split=split) for one in stages]
    by_side: dict[str, History] = {}
    for history in found:
        other = by_side.setdefault(history.side, history)
        if other is not history:
            raise LogError(
                f"{other.source} and {history.source} are both of the {history.side}; "
                "a run has one log a side"
            )
    return [by_side[side] for side in SIDES if side in by_side]
