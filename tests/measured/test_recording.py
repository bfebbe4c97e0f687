"""What a log lacks, and what people paste: mail that quotes one, logs among other output."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from colosim.cli.main import main
from colosim.measured.imported import import_run

if TYPE_CHECKING:
    import pytest

DATA = Path(__file__).parent / "data"
PRIMARY, SECONDARY = DATA / "qemu72-primary.log", DATA / "qemu72-secondary.log"


def without(path: Path, target: Path, event: str) -> Path:
    """Write a log without the lines of an event."""
    lines = path.read_text("utf-8").splitlines(keepends=True)
    target.write_text("".join(line for line in lines if event not in line), "utf-8")
    return target


def test_a_whole_log_lacks_nothing() -> None:
    """Logs of the events that the page names show all that is read."""
    assert import_run(PRIMARY, SECONDARY).lacking == ()


def test_what_is_missing_is_told_with_the_options_for_it(tmp_path: Path) -> None:
    """Each kind of event that a side's log has none of is named, with its option; times too."""
    primary = without(PRIMARY, tmp_path / "p.log", "migration_bitmap_sync")
    secondary = without(SECONDARY, tmp_path / "s.log", "ram_load_complete")
    assert import_run(primary, secondary).lacking == (
        "p.log does not show dirty pages and the bitmap sync; for that start QEMU with",
        "  -trace 'migration_bitmap_sync*'",
        "s.log does not show the end of each RAM stream; for that start QEMU with",
        "  -trace ram_load_complete",
    )
    plain = tmp_path / "plain.log"
    plain.write_text(re.sub(r"(?m)^\d+@\d+\.\d+:", "", PRIMARY.read_text("utf-8")))
    assert import_run(plain).lacking == (
        "plain.log does not show times; for that start QEMU with",
        "  -msg timestamp=on",
    )


def test_a_quoted_log_is_the_log(tmp_path: Path) -> None:
    """A log that a mail quotes, twice, between sentences, is read as it was."""
    head = "On Friday somebody wrote:\n> > Hi all, here is my log:\n> >\n"
    for path in (PRIMARY, SECONDARY):
        quoted = "".join(f"> > {line}\n" for line in path.read_text("utf-8").splitlines())
        (tmp_path / path.name).write_text(f"{head}{quoted}>\n> Any idea?\n", "utf-8")
    told = import_run(tmp_path / PRIMARY.name, tmp_path / SECONDARY.name)
    assert told.digest == import_run(PRIMARY, SECONDARY).digest


def test_a_log_of_libvirt_is_read_among_its_own_lines(tmp_path: Path) -> None:
    """Libvirt's qemu/NAME.log has the command line and what QEMU writes to standard error."""
    head = "2026-11-29 10:15:30.100+0000: starting up libvirt version: 10.0.0, qemu version: 8.2\n"
    head += "LC_ALL=C \\\n/usr/bin/qemu-system-x86_64 \\\n-name guest=pair,debug-threads=on \\\n"
    tail = "2026-11-29 10:16:00.000+0000: shutting down, reason=destroyed\n"
    log = tmp_path / "pair.log"
    log.write_text(head + PRIMARY.read_text("utf-8") + tail, "utf-8")
    assert import_run(log).digest == import_run(PRIMARY).digest


def test_the_import_prints_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command says it below the log."""
    monkeypatch.chdir(tmp_path)
    log = without(PRIMARY, tmp_path / "p.log", "migration_bitmap_sync")
    assert main(["qemu", "import", str(log)]) == 0
    assert "-trace 'migration_bitmap_sync*'" in capsys.readouterr().out
