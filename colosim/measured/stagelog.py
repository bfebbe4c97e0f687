"""The stage lines of the lab's QEMU 2.5 and 2.7: ``TS SECONDS STAGE VALUE rss_kib KIB``.

Those binaries had print statements instead of traces.  The lines show the iothread lock too, which
no trace of QEMU's does.  Lines of any other form (errors that QEMU prints) are counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from colosim.measured.log import UnknownLine

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Stage", "StageLog", "parse_stages"]

_STAGE = re.compile(
    r"TS (?P<seconds>\d{1,12})\.(?P<fraction>\d{1,9}) (?P<name>[PSF]_[A-Z_]{1,30}) "
    r"(?P<value>\d{1,18}) rss_kib (?P<rss>\d{1,12})",
    re.ASCII,
)
_UNKNOWN_KEPT = 5
_NS = 10**9


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its line (1-based), CLOCK_MONOTONIC, value, and the resident set in bytes."""

    line: int
    name: str
    time_ns: int
    value: int
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class StageLog:
    """One side's stage lines; the counts are as in `colosim.measured.log.Log`."""

    source: str
    stages: tuple[Stage, ...]
    lines: int
    unknown_lines: int
    unknown: tuple[UnknownLine, ...]
    truncated: bool

    @property
    def side(self) -> str | None:
        """Which side wrote it, None if no stage of either is there."""
        for stage in self.stages:
            if stage.name[0] in "PS":
                return "primary" if stage.name[0] == "P" else "secondary"
        return None


def parse_stages(lines: Iterable[str], source: str) -> StageLog:
    """Read stage lines; the log may have none."""
    stages: list[Stage] = []
    unknown: list[UnknownLine] = []
    unknown_lines = 0
    truncated = False
    number = 0
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        found = _STAGE.fullmatch(text)
        if found is None:
            if not text.strip():
                continue
            if not line.endswith("\n") and text.startswith("TS "):
                truncated = True
                continue
            unknown_lines += 1
            if len(unknown) < _UNKNOWN_KEPT:
                unknown.append(UnknownLine(number, text[:200]))
        elif not line.endswith("\n"):
            truncated = True
        else:
            time_ns = int(found["seconds"]) * _NS + int(found["fraction"].ljust(9, "0"))
            stages.append(
                Stage(number, found["name"], time_ns, int(found["value"]), int(found["rss"]) * 1024)
            )
    return StageLog(source, tuple(stages), number, unknown_lines, tuple(unknown), truncated)
