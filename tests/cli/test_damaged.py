"""Damaged run directories and logs: every command that reads them says so, in one line."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from colosim.cli.main import main
from colosim.errors import LogError
from colosim.measured.sessions import sessions

if TYPE_CHECKING:
    from collections.abc import Callable

LOG = Path(__file__).parent.parent / "measured" / "data" / "qemu72-primary.log"

#: Every command that reads run directories, so that it needs the table of events.
READERS = {
    "diff": ["diff", "RUN", "RUN"],
    "plot": ["plot", "RUN", "--kind", "hang", "-o", "a.svg"],
    "timeline": ["timeline", "RUN", "-o", "a.perfetto-trace"],
    "sequence": ["sequence", "RUN"],
    "report": ["report", "RUN", "-o", "a.html"],
}


def manifest_with(**values: Any) -> Callable[[Path], None]:
    """Return what writes these values into a manifest."""

    def damage(run: Path) -> None:
        path = run / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return damage


def with_content(name: str, content: bytes) -> Callable[[Path], None]:
    """Return what gives a file this content."""

    def damage(run: Path) -> None:
        (run / name).write_bytes(content)

    return damage


def in_its_place(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Return what makes something else in the place of a file."""

    def damage(run: Path) -> None:
        (run / name).unlink()
        make(run / name)

    return damage


DAMAGES: dict[str, Callable[[Path], None]] = {
    "no manifest": lambda run: (run / "manifest.json").unlink(),
    "an empty manifest": with_content("manifest.json", b""),
    "a manifest that is cut off": lambda run: os.truncate(run / "manifest.json", 300),
    "a manifest of brackets": with_content("manifest.json", b"[" * 100_000),
    "a manifest of NULs": with_content("manifest.json", bytes(4096)),
    "a manifest that is no text": with_content("manifest.json", b"\xff\xfe\x00"),
    "a manifest without files": manifest_with(files=None),
    "a manifest without a scenario": manifest_with(scenario=7),
    "a manifest with a file elsewhere": manifest_with(files={"summary.json": "", "/dev/zero": ""}),
    "no summary": lambda run: (run / "summary.json").unlink(),
    "another summary": with_content("summary.json", b"{}"),
    "a table that is cut off": lambda run: os.truncate(run / "events.csv", 1000),
    "no table": lambda run: (run / "events.csv").unlink(),
    "a folder for a table": in_its_place("events.csv", Path.mkdir),
    "a pipe for a table": in_its_place("events.csv", os.mkfifo),
    "a pipe for the manifest": in_its_place("manifest.json", os.mkfifo),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run directory."""
    out = tmp_path_factory.mktemp("runs")
    arguments = ["run", "idle", "--design", "split", "--set", "checkpoints=2", "--out", str(out)]
    assert main(arguments) == 0
    return out / "idle" / "split"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("reader", READERS)
def test_damage_is_told(
    reader: str,
    damage: str,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A directory that is not as it was written is one line with the place, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole, "run")
    DAMAGES[damage](Path("run"))
    status = main([word.replace("RUN", "run") for word in READERS[reader]])
    told = capsys.readouterr().err
    assert status == 2
    assert told.startswith("colosim: run")
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


#: Logs of somebody's, and the end of the one line that is told of each.
LOGS = {
    "empty": (b"", "no COLO event in 0 lines"),
    "NULs": (bytes(1 << 20), "no COLO event in 1 lines"),
    "binary": (bytes(range(256)) * 4096, "no COLO event in 4097 lines"),
    "many lines": (b"x\n" * 30_000, "no COLO event in 30000 lines"),
    "one long line": (b"x" * (16 << 20), "no COLO event in 1 lines"),
    "one long line, packed": (gzip.compress(b"x" * (16 << 20), 1), "no COLO event in 1 lines"),
    "packed and cut off": (gzip.compress(LOG.read_bytes())[:-9], "cannot be read"),
    "packed and damaged": (gzip.compress(LOG.read_bytes())[:99] + bytes(999), "cannot be read"),
    "a head and no more": (b"\x1f\x8b", "cannot be read"),
}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_that_is_none_takes_no_memory(name: str, tmp_path: Path) -> None:
    """It is one message, and what is held meanwhile is far less than the log."""
    content, message = LOGS[name]
    path = tmp_path / "primary.log"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(LogError, match=message):
            sessions([path])
        assert tracemalloc.get_traced_memory()[1] < 1 << 19
    finally:
        tracemalloc.stop()


def test_a_long_line_in_a_log_is_passed_over(tmp_path: Path) -> None:
    """What stands before and behind it is read, and it counts as one line."""
    path = tmp_path / "primary.log"
    first, rest = LOG.read_bytes().split(b"\n", 1)
    path.write_bytes(first + b"\n" + b"x" * 10_000 + b"\n" + rest)
    ((history,),), ((without,),) = sessions([path]), sessions([LOG])
    assert history.log.lines == without.log.lines + 1
    assert history.log.unknown_lines == without.log.unknown_lines + 1
    assert [one.event for one in history.events] == [one.event for one in without.events]


def test_a_log_may_come_through_a_pipe(tmp_path: Path) -> None:
    """A pipe cannot be read twice: what came through it is kept in a temporary file."""
    reading, writing = os.pipe()
    os.write(writing, LOG.read_bytes()[:60_000])
    os.close(writing)
    part = tmp_path / "primary.log"
    part.write_bytes(LOG.read_bytes()[:60_000])
    ((history,),), ((same,),) = sessions([f"/dev/fd/{reading}"]), sessions([part])
    os.close(reading)
    assert [*history.events] == [*same.events]
