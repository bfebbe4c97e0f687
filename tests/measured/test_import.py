"""Real runs as run directories with the tables of simulated ones."""

from __future__ import annotations

import csv
import gzip
import json
import random
import re
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import colosim
from colosim.cli import qemu as qemu_commands
from colosim.cli.main import main
from colosim.errors import LogError
from colosim.measured.imported import ImportedRun, import_run, read_measured, write_imported
from colosim.measured.measurement import QUANTITIES, STAGES
from colosim.measured.merge import interleave
from colosim.measured.sessions import sessions
from colosim.runs.columns import COLUMNS, TABLES
from colosim.runs.directory import UNCHANGED
from colosim.runs.tables import rows_of
from colosim.trace.events import CheckpointEnded, ColoExit, Received, Sent, WaitEnded
from colosim.trace.fields import SUMMARY_KEYS
from colosim.trace.steps import CHECKPOINT_THREAD
from tests.measured import lab_points

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA = Path(__file__).parent / "data"
PRIMARY, SECONDARY = DATA / "qemu72-primary.log", DATA / "qemu72-secondary.log"
LAB = ("split-fault-kill", "qemu-5.1-fault-stop")
PRINT_NS = 1000
"""The lab's checkpoints.csv has whole microseconds."""


def rows(run: ImportedRun, table: str = "checkpoints") -> list[dict[str, Any]]:
    """Return a table as one dictionary a row."""
    return [dict(zip(COLUMNS[table], row, strict=True)) for row in rows_of(run.tables[table])]


def untimed(path: Path, target: Path) -> Path:
    """Write a log as QEMU from 5.1 on does without -msg timestamp=on."""
    target.write_text(re.sub(r"(?m)^\d+@\d+\.\d+:", "", path.read_text("utf-8")))
    return target


def derived(name: str) -> list[dict[str, Decimal]]:
    """Return what the lab itself derived from a run's logs: its rows, without what they lack."""
    with (DATA / name / "checkpoints.csv").open(encoding="utf-8", newline="") as file:
        return [
            {column: Decimal(cell) for column, cell in row.items() if cell}
            for row in csv.DictReader(file)
        ]


@pytest.mark.parametrize("name", LAB)
def test_every_stage_is_as_the_lab_derived_it(name: str) -> None:
    """Points, durations, pages and bytes are those of the lab's own table, from its raw logs."""
    run = import_run(DATA / name)
    assert run.design == name.removesuffix("-fault-kill").removesuffix("-fault-stop")
    table, own = rows(run), derived(name)
    assert len(table) == len(own)
    lab25 = "P_BEGIN" in own[0]
    names = lab_points.QEMU25 if lab25 else lab_points.QEMU72
    columns = {column: f"{point}_at_ns" for column, point in names.items()}
    if lab25:
        numbers = {
            "dirty_pages": "dirty_pages",
            "flush_pages": "flush_pages",
            "stream_bytes": "wire_bytes",
            "buffer_bytes": "staging_buffer_content_bytes",
            "p_buffer_capacity": "staging_buffer_capacity_bytes",
        }
        spans = {"p_bql_hold_s": "lock_hold_primary_ns", "s_bql_hold_s": "lock_hold_secondary_ns"}
    else:
        numbers = {"p_dirty_pages": "dirty_pages", "s_flush_pages": "flush_pages"}
        numbers |= {"wire_bytes": "wire_bytes"}
        spans = {}
    spans |= {"pause_s": "pause_ns", "transaction_s": "transaction_ns"}
    compared = 0
    for row, one in zip(table, own, strict=True):
        if row["outcome"] != "committed":
            continue
        began = one["P_BEGIN" if lab25 else "p_send_request"]
        for column, cell in one.items():
            if column in columns:
                at_ns = row[columns[column]] - row["primary_request_at_ns"]
                assert abs(at_ns - (cell - began).scaleb(9)) <= PRINT_NS, (row, column)
            elif column in spans:
                assert abs(row[spans[column]] - cell.scaleb(9)) <= PRINT_NS, (row, column)
            elif column in numbers:
                assert row[numbers[column]] == cell, (row, column)
            else:
                continue
            compared += 1
    assert compared > 100


@pytest.mark.parametrize("name", LAB)
def test_a_lab_folder_is_one_run_however_it_is_read(name: str) -> None:
    """A run under its conditions has the points and quantities of the imported run's table."""
    run, measured = import_run(DATA / name), read_measured(DATA / name)
    assert measured.design == run.design
    table = [row for row in rows(run) if row["outcome"] == "committed"]
    complete = [one for one in measured.checkpoints if one.complete]
    assert len(complete) == len(table) > 3
    for row, one in zip(table, complete, strict=True):
        for stage in STAGES:
            side = {"p": "primary", "s": "secondary"}[stage[0]]
            at_ns = row[f"{side}_{stage[2:]}_at_ns"]
            assert one.stages.get(stage) == (
                None if at_ns is None else at_ns - row["primary_request_at_ns"]
            )
        for key in QUANTITIES:
            assert getattr(one, key) == row[key], key


def test_a_real_run_has_the_keys_of_a_summary() -> None:
    """It has every key that a simulated run's without clients, disk and COLO's start has."""
    summary = import_run(PRIMARY, SECONDARY).summary
    keys = dict.fromkeys(key.partition(".")[0] for key in SUMMARY_KEYS)
    absent = {"service", "time_to_client_ns", "disk", "start_pause_ns"}
    assert list(summary) == [key for key in keys if key not in absent]


def test_the_directory_reads_back_as_any_run(tmp_path: Path) -> None:
    """read_run gives the summary, the digest and every table of an imported run back."""
    run = import_run(DATA / LAB[0])
    assert write_imported(run, tmp_path / "run") == "written"
    again = colosim.read_run(tmp_path / "run")
    assert (again.summary, again.digest, again.scenario) == (run.summary, run.digest, run.scenario)
    for table in TABLES:
        assert getattr(again, table).equals(getattr(run, table)), table
    assert colosim.diff(run, tmp_path / "run") is None
    assert write_imported(run, tmp_path / "run") == UNCHANGED


def test_a_run_that_was_killed_is_told_as_a_simulated_one() -> None:
    """Of a killed secondary: two broken-off checkpoints, COLO's exit, and the guest alone."""
    run = import_run(DATA / LAB[0])
    assert [row["outcome"] for row in rows(run)] == ["committed"] * 4 + ["aborted"] * 2
    assert (run.verdict, run.survivor) == ("failed_over", "primary")
    kinds = (ColoExit, CheckpointEnded)
    names = [str(event) for _, event, _ in run.iter_events() if isinstance(event, kinds)]
    assert names[-3:] == ["checkpoint aborted", "checkpoint aborted", "primary: COLO exit (error)"]
    holds = [row for row in rows(run, "locks") if row["purpose"] == "save"]
    assert len(holds) == 5
    assert max(row["held_ns"] for row in holds) == run.summary["monitor_deaf_ns_longest"]


def test_memory_has_what_was_sampled() -> None:
    """Resident memory and socket queues are accounts, each row a change of one."""
    run = import_run(DATA / LAB[1])
    accounts = {row["account"] for row in rows(run, "memory")}
    assert accounts == {
        "process_resident",
        "process_resident_anonymous",
        "socket_send_queue",
        "socket_receive_queue",
    }
    peaks = run.summary["memory_peak_bytes"]["primary"]
    assert 3_000_000 < peaks["socket_send_queue"] < 4_400_000
    assert peaks["staging_buffer"] is None
    assert all(row["time_ns"] >= 0 for row in rows(run, "memory"))


def test_the_manifest_says_where_it_comes_from(tmp_path: Path) -> None:
    """Kind, conditions, QEMU, counts of lines and possible designs stand in manifest.json."""
    write_imported(import_run(DATA / LAB[0]), tmp_path / "run")
    source = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))["source"]
    assert source["kind"] == "lab stage lines"
    assert source["conditions"]["bandwidth_bits"] == 10**9
    assert source["qemu"] == "2.5.50"
    assert source["designs_possible"] == ["split"]
    assert [(log["side"], log["unknown_lines"]) for log in source["logs"]] == [
        ("primary", 3),
        ("secondary", 0),
    ]
    assert str(tmp_path) not in json.dumps(source)
    assert str(DATA) not in json.dumps(source)


def test_one_side_leaves_the_other_empty() -> None:
    """A primary's log alone has its own columns, and of the messages what it saw of them."""
    (first, *_) = rows(import_run(PRIMARY))
    assert (first["pause_ns"], first["ram_ns"]) == (44_084_000, None)
    assert all(first[column] is None for column in first if column.startswith("secondary_"))
    messages = rows(import_run(PRIMARY), "messages")[:2]
    assert [(one["name"], one["sent_ns"], one["received_ns"]) for one in messages] == [
        ("CHECKPOINT_REQUEST", 0, None),
        ("CHECKPOINT_REPLY", None, 203_000),
    ]


def test_the_secondary_alone_has_checkpoints_too() -> None:
    """Checkpoints of a secondary's log begin with the request it read."""
    run = import_run(SECONDARY)
    (first, *others) = rows(run)
    assert (first["outcome"], first["ram_ns"], first["flush_pages"]) == (
        "committed",
        1_528_000,
        570,
    )
    assert first["secondary_request_at_ns"] == 0
    assert all(first[column] is None for column in first if column.startswith("primary_"))
    assert first["pause_ns"] is None
    assert [row["outcome"] for row in others] == ["committed"] * 3 + ["unfinished"]
    assert run.verdict == "unknown"


def test_logs_without_times_have_order_but_no_durations(tmp_path: Path) -> None:
    """Without times the same checkpoints and messages stand in the tables, all times empty."""
    timed = import_run(PRIMARY, SECONDARY)
    run = import_run(untimed(PRIMARY, tmp_path / "p.log"), untimed(SECONDARY, tmp_path / "s.log"))
    assert [row["outcome"] for row in rows(run)] == [row["outcome"] for row in rows(timed)]
    for table in ("checkpoints", "messages"):
        for row in rows(run, table):
            assert not [key for key, value in row.items() if key.endswith("_ns") and value]
    names = [[one["name"] for one in rows(each, "messages")] for each in (run, timed)]
    assert names[0] == names[1]
    assert run.source["logs"][0]["times"] is False


def test_a_receive_never_comes_before_its_sending() -> None:
    """Lines are printed after the act; in the record a message is sent before it is read."""
    for timed in (True, False):
        (both,) = sessions([PRIMARY, SECONDARY])
        events = interleave(both, timed=timed)
        sent = [one.event.message for one in events if isinstance(one.event, Sent)]
        read = [one.event.message for one in events if isinstance(one.event, Received)]
        assert read[: len(sent)] == sent[: len(read)]


@pytest.mark.parametrize("ahead_ms", [-3000, 250])
def test_clocks_of_two_hosts_are_brought_together(tmp_path: Path, ahead_ms: int) -> None:
    """A secondary's clock that is off is moved by what the messages of both directions show."""
    shifted = tmp_path / "secondary.log"

    def shift(found: re.Match[str]) -> str:
        micros = int(found[2]) * 10**6 + int(found[3]) + ahead_ms * 1000
        return f"{found[1]}@{micros // 10**6}.{micros % 10**6:06}:"

    text = re.sub(r"(?m)^(\d+)@(\d+)\.(\d{6}):", shift, SECONDARY.read_text("utf-8"))
    shifted.write_text(text)
    run = import_run(PRIMARY, shifted)
    assert abs(run.source["clock_offset_ns"] - ahead_ms * 10**6) < 1_000_000
    (first, *_) = rows(run)
    assert abs(first["secondary_request_at_ns"] - first["primary_request_at_ns"]) < 1_000_000
    assert import_run(PRIMARY, SECONDARY).source["clock_offset_ns"] == 0


def test_both_sides_in_one_file_are_told_apart(tmp_path: Path) -> None:
    """Two processes that log to one file are one run of both sides."""
    both = PRIMARY.read_text("utf-8").splitlines() + SECONDARY.read_text("utf-8").splitlines()
    mixed = tmp_path / "both.log"
    mixed.write_text("\n".join(sorted(both, key=lambda line: line.partition("@")[2][:17])) + "\n")
    run, apart = import_run(mixed), import_run(PRIMARY, SECONDARY)
    assert [log["side"] for log in run.source["logs"]] == ["primary", "secondary"]
    assert rows(run) == rows(apart)


def test_gzip_truncation_and_noise_are_taken_as_they_come(tmp_path: Path) -> None:
    """A gzipped log, cut in its last line, with other output between, is counted and read."""
    text = PRIMARY.read_text("utf-8").rstrip("\n")[:-20]
    noisy = tmp_path / "noisy.log.gz"
    noisy.write_bytes(
        gzip.compress(("qemu: hello\n" + text.replace("\n", "\n\x00??\n", 3)).encode())
    )
    run = import_run(noisy)
    (log,) = run.source["logs"]
    assert (log["unknown_lines"], log["truncated"]) == (4, True)
    assert run.deviation is None


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ([], "no COLO event"),
        (["hello\n"], "no COLO event in 1 lines; was QEMU started with -trace 'colo_*'"),
        (["1@1.0:colo_failover_set_state new state require\n"], "none that shows whether"),
    ],
)
def test_a_log_that_shows_nothing_is_one_clear_error(
    tmp_path: Path, lines: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such a log is a LogError for programs, and one line and exit status 2 for people."""
    path = tmp_path / "x.log"
    path.write_text("".join(lines))
    with pytest.raises(LogError, match=re.escape(wanted)):
        import_run(path)
    assert main(["qemu", "import", str(path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert wanted in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_two_logs_of_one_side_are_refused(tmp_path: Path) -> None:
    """A run has one log a side; folders without logs and files that are not there are refused."""
    with pytest.raises(LogError, match="both of the primary"):
        import_run(PRIMARY, PRIMARY)
    with pytest.raises(LogError, match=r"no primary\.log or secondary\.log"):
        import_run(tmp_path)
    with pytest.raises(LogError, match="cannot be read"):
        import_run(tmp_path / "none.log")
    with pytest.raises(LogError, match="a run of its own"):
        import_run(DATA / LAB[0], PRIMARY)


def test_import_writes_a_directory_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command names what it read, what it found, and where it wrote it."""
    out = tmp_path / "out"
    arguments = ["qemu", "import", str(PRIMARY), str(SECONDARY), "--out", str(out)]
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines() == [
        "qemu72-primary.log: primary, 75 lines, 0 unknown",
        "qemu72-secondary.log: secondary, 75 lines, 0 unknown",
        "qemu-5.1: taken for it; the log does not tell it from qemu-11",
        "qemu-5.1: completed, 5 checkpoints, 0 aborted, median pause 43.95 ms",
        f"{out / 'qemu72-primary' / 'qemu-5.1'}: written",
    ]
    assert main([*arguments, "--format", "json"]) == 0
    (summary,) = json.loads(capsys.readouterr().out)
    assert summary["pause_ns"]["count"] == 5
    assert main(["diff", *[str(out / "qemu72-primary" / "qemu-5.1")] * 2]) == 0


def test_a_design_that_cannot_have_written_it_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a wrong design the line is named, tables are written, and the status is 1."""
    out = tmp_path / "out"
    assert main(["qemu", "import", str(PRIMARY), "--design", "qsb", "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert f"{PRIMARY}:20: qsb cannot produce this" in error
    source = json.loads((out / "qemu72-primary/qsb/manifest.json").read_text("utf-8"))["source"]
    assert source["deviation"]["line"] == 20
    assert source["deviation"]["could"] == [
        "split",
        "device-first",
        "qemu-3.1",
        "qemu-5.1",
        "qemu-11",
    ]
    assert main(["qemu", "import", str(PRIMARY), "--design", "qsv"]) == 2


def test_identify_prints_the_set(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A set of designs, for people with a word on what the log cannot tell, and as JSON."""
    assert main(["qemu", "identify", str(PRIMARY)]) == 0
    assert (
        "split, device-first, qemu-3.1, qemu-5.1, qemu-11: "
        "the log does not tell which of these wrote it" in capsys.readouterr().out
    )
    assert main(["qemu", "identify", str(SECONDARY), "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["designs"] == ["qemu-5.1", "qemu-11"]
    assert found["excluded"]["split"]["line"] == 14
    broken = tmp_path / "broken.log"
    broken.write_text(
        "".join(
            line
            for line in PRIMARY.read_text("utf-8").splitlines(keepends=True)
            if "vmstate-received" not in line
        )
    )
    assert main(["qemu", "identify", str(broken)]) == 1
    assert "no design can have written this:" in capsys.readouterr().out


def test_every_subcommand_file_is_in_the_table() -> None:
    """A file with a command that the group's table leaves out would be dead."""
    folder = Path(qemu_commands.__file__).parent
    files = {f"{qemu_commands.__name__}.{path.stem}" for path in folder.glob("*.py")}
    commands = {
        name
        for name in files
        if not name.endswith("__init__") and hasattr(import_module(name), "command")
    }
    assert commands == {row.module for row in qemu_commands.SUBCOMMANDS.values()}


LINES = (PRIMARY.read_bytes() + SECONDARY.read_bytes()).splitlines(keepends=True)
STAGE_LINES = b"".join(
    gzip.decompress((DATA / LAB[0] / f"{side}.log.gz").read_bytes())
    for side in ("primary", "secondary")
).splitlines(keepends=True)


def read_or_refuse(data: bytes, folder: Path) -> None:
    """Import bytes as a log: a run, or a LogError."""
    path = folder / "any.log"
    path.write_bytes(data)
    try:
        run = import_run(path)
    except LogError:
        return
    events: Mapping[str, Any] = run.summary
    assert events["events"] == len(list(run.iter_events()))
    for row in rows(run):
        assert row["outcome"] in {"committed", "aborted", "unfinished"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all examples of a property share."""
    return tmp_path_factory.mktemp("any")


@settings(deadline=None)
@given(data=st.binary(max_size=400))
@example(data=b"\x1f\x8bno gzip")
@example(data=b"1@" + b"9" * 4000 + b".1:colo_send_message Send 'vmstate-send' message\n")
@example(data=b"1@1.1:migration_bitmap_sync_end dirty_pages " + b"9" * 40 + b"\n" + LINES[17])
@example(data=b"TS 999999999999.1 P_BEGIN 1 rss_kib 1\nTS 1.1 P_BEGIN 1 rss_kib 1\n")
def test_any_bytes_are_a_run_or_a_log_error(folder: Path, data: bytes) -> None:
    """No bytes whatever make another exception than LogError."""
    read_or_refuse(data, folder)


@settings(deadline=None)
@given(
    picked=st.lists(
        st.one_of(
            st.sampled_from(LINES),
            st.sampled_from(STAGE_LINES),
            st.binary(max_size=30),
            st.from_regex(
                rb"\d{1,30}@\d{1,30}\.\d{1,9}:colo_(send|receive)_message Send '[a-z-]{1,9}'"
            ),
        ),
        max_size=40,
    ),
    cut=st.integers(0, 40),
)
def test_any_lines_in_any_order_are_a_run_or_a_log_error(
    folder: Path, picked: list[bytes], cut: int
) -> None:
    """Real lines, shuffled, repeated, cut and mixed with noise, are read or refused."""
    data = b"".join(picked)
    read_or_refuse(data[: max(0, len(data) - cut)], folder)


def test_a_long_shuffled_log_is_read(folder: Path) -> None:
    """A whole log in a random order is no run that any design can have made, yet it is read."""
    lines = list(LINES)
    random.Random(7).shuffle(lines)  # noqa: S311 - a fixed disorder
    read_or_refuse(b"".join(lines), folder)


def test_a_thread_has_waited_for_what_it_reads() -> None:
    """No log shows a wait: the record has each, as long as the column of it says."""
    run = import_run(PRIMARY, SECONDARY)
    loaded = WaitEnded("primary", CHECKPOINT_THREAD, "VMSTATE_LOADED")
    waits = [value for _, event, value in run.iter_events() if event == loaded]
    assert waits == [row["primary_loaded_wait_ns"] for row in rows(run)]
    untold = [event for event in import_run(PRIMARY).iter_events() if event[1] == loaded]
    assert [value for *_, value in untold] == waits
