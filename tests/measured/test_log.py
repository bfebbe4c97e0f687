"""Reading the plain trace logs of QEMU."""

from __future__ import annotations

import gzip
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.errors import LogError
from colosim.measured import log
from colosim.measured.log import LogEvent
from colosim.measured.sessions import sessions, sessions_of

if TYPE_CHECKING:
    from pathlib import Path

PRIMARY = """\
13059@1795397504.076994:runstate_set current_run_state 6 (prelaunch) new_state 9 (running)
13059@1795397504.351515:migrate_set_state new state setup
13074@1795397504.695896:colo_receive_message Receive 'checkpoint-ready' message
13074@1795397504.696044:colo_vm_state_change Change 'stop' => 'run'
13074@1795397505.096507:colo_send_message Send 'checkpoint-request' message
13074@1795397505.096522:colo_receive_message Receive 'checkpoint-reply' message
13074@1795397505.096771:colo_vm_state_change Change 'run' => 'stop'
13074@1795397505.096806:colo_send_message Send 'vmstate-send' message
13074@1795397505.097044:migration_bitmap_sync_start 
13074@1795397505.097084:migration_bitmap_sync_end dirty_pages 24505
13074@1795397505.169019:colo_send_message Send 'vmstate-size' message
13059@1795397505.170000:qmp_enter_x_colo_lost_heartbeat {}
13059@1795397505.170100:colo_failover_set_state new state require
13059@1795397505.170200:qmp_exit_x_colo_lost_heartbeat {} 1
"""  # noqa: W291 - QEMU writes the blank

SECOND = 1795397505 * 10**9


def lines(text: str) -> list[str]:
    """Return the lines as a file gives them."""
    return text.splitlines(keepends=True)


def test_a_primary_log_becomes_typed_events_in_order() -> None:
    """Every event of a stock log with timestamps is read, with time, thread and arguments."""
    read = log.parse(lines(PRIMARY))
    ns = 10**3

    def at(us: int, thread: int = 13074) -> tuple[int, int]:
        return SECOND + us * ns, thread

    names = [line.split(":", 1)[1].split(" ", 1)[0] for line in PRIMARY.splitlines()]
    place = [(number, name) for number, name in enumerate(names, start=1)]
    assert tuple(read.events) == (
        LogEvent(*place[0], SECOND - 10**9 + 76994 * ns, 13059, ("prelaunch", "running")),
        LogEvent(*place[1], SECOND - 10**9 + 351515 * ns, 13059, ("setup",)),
        LogEvent(*place[2], SECOND - 10**9 + 695896 * ns, 13074, ("CHECKPOINT_READY",)),
        LogEvent(*place[3], SECOND - 10**9 + 696044 * ns, 13074, ("run",)),
        LogEvent(*place[4], *at(96507), ("CHECKPOINT_REQUEST",)),
        LogEvent(*place[5], *at(96522), ("CHECKPOINT_REPLY",)),
        LogEvent(*place[6], *at(96771), ("stop",)),
        LogEvent(*place[7], *at(96806), ("VMSTATE_SEND",)),
        LogEvent(*place[8], *at(97044)),
        LogEvent(*place[9], *at(97084), ("24505",)),
        LogEvent(*place[10], *at(169019), ("VMSTATE_SIZE",)),
        LogEvent(*place[11], *at(170000, 13059), ("{}",)),
        LogEvent(*place[12], *at(170100, 13059), ("require",)),
        LogEvent(*place[13], *at(170200, 13059), ("{} 1",)),
    )
    assert (read.unknown_lines, read.truncated) == (0, False)
    ((history,),) = sessions_of(read)
    assert (history.side, history.timed) == ("primary", True)


def test_a_secondary_log_shows_its_side_and_the_loading_of_ram() -> None:
    """Messages received from the primary make a log the secondary's; its own events are typed."""
    read = log.parse(
        lines(
            "7@1.5:colo_receive_message Receive 'vmstate-send' message\n"
            "7@1.6:ram_load_complete exit_code 0 seq iteration 6\n"
            "7@1.7:colo_flush_ram_cache_begin dirty_pages 24505\n"
            "7@1.8:colo_flush_ram_cache_end \n"
            "7@1.9:colo_filter_notify_checkpoint id 3\n"
        )
    )
    assert tuple(read.events) == (
        LogEvent(1, "colo_receive_message", 1_500_000_000, 7, ("VMSTATE_SEND",)),
        LogEvent(2, "ram_load_complete", 1_600_000_000, 7, ("0",)),
        LogEvent(3, "colo_flush_ram_cache_begin", 1_700_000_000, 7, ("24505",)),
        LogEvent(4, "colo_flush_ram_cache_end", 1_800_000_000, 7),
        LogEvent(5, "colo_filter_notify_checkpoint", 1_900_000_000, 7, ("id 3",)),
    )
    ((history,),) = sessions_of(read)
    assert history.side == "secondary"


@pytest.mark.parametrize(
    ("line", "time_ns", "thread"),
    [
        ("13@5.000007:colo_send_message Send 'vmstate-size' message\n", 5_000_007_000, 13),
        ("colo_send_message Send 'vmstate-size' message\n", None, None),
        ("colo_send_message Send 'vmstate-size' message\r\n", None, None),
        (
            "1970-01-02T00:00:01.000250Z colo_send_message Send 'vmstate-size' message\n",
            86_401_000_250_000,
            None,
        ),
        (
            "1970-01-02T01:00:01+01:00 qemu: colo_send_message Send 'vmstate-size' message\n",
            86_401_000_000_000,
            None,
        ),
        ("colo_send_message 12.345 pid=13 msg=b'vmstate-size'\n", 12_345, 13),
        ("colo_send_message 12.345 pid=13 msg=vmstate-size\n", 12_345, 13),
        ("colo_put_cmd Send 'vmstate-size' cmd\n", None, None),
        ("colo_send_message Send 'COLO_MESSAGE_VMSTATE_SIZE' message\n", None, None),
        ("(qemu) 13@5.000007:colo_send_message Send 'vmstate-size' message\n", 5_000_007_000, 13),
        ("warning: disk13@5.1:colo_send_message Send 'vmstate-size' message\n", 5_100_000_000, 13),
    ],
)
def test_an_event_is_read_in_every_spelling(
    line: str, time_ns: int | None, thread: int | None
) -> None:
    """Log backend with and without times, dated lines, simpletrace, old names, and other output."""
    (event,) = log.parse([line]).events
    assert event == LogEvent(1, "colo_send_message", time_ns, thread, ("VMSTATE_SIZE",))


def test_simpletrace_times_add_up() -> None:
    """simpletrace.py prints the time since the event before; the log's times are their sums."""
    read = log.parse(
        [
            "colo_send_message 0.000 pid=1 msg=b'checkpoint-request'\n",
            "colo_receive_message 250.5 pid=1 msg=b'checkpoint-reply'\n",
            "migration_bitmap_sync_end 10.001 pid=1 dirty_pages=0x10\n",
        ]
    )
    assert [event.time_ns for event in read.events] == [0, 250_500, 260_501]
    assert read.events[2] == LogEvent(3, "migration_bitmap_sync_end", 260_501, 1, ("16",))


def test_states_by_number_stay_numbers() -> None:
    """QEMU before 2.9 prints states as numbers, whose meaning moved: they are kept as they are."""
    read = log.parse(
        [
            "9@1.0:colo_send_message Send 'checkpoint-new' message\n",
            "9@1.1:runstate_set new state 15\n",
            "9@1.2:runstate_set current_run_state 9 new_state 15\n",
            "9@1.3:migrate_set_state new state 8\n",
        ]
    )
    assert tuple(read.events) == (
        LogEvent(1, "colo_send_message", 10**9, 9, ("CHECKPOINT_REQUEST",)),
        LogEvent(2, "runstate_set", 1_100_000_000, 9, ("15",)),
        LogEvent(3, "runstate_set", 1_200_000_000, 9, ("9", "15")),
        LogEvent(4, "migrate_set_state", 1_300_000_000, 9, ("8",)),
    )


def test_other_output_is_counted_and_the_first_of_it_kept() -> None:
    """Trace events of other kinds and lines that are none are counted apart, blank ones not."""
    read = log.parse(
        lines(
            "qemu-system-x86_64: warning: TCG doesn't support feature\n"
            "\n"
            "9@1.0:savevm_section_start ram, section_id 2\n"
            "9@1.1:colo_send_message Send 'checkpoint-request' message\n"
            "9@1.2:colo_send_message what is this\n"
            "the colo_ prefix in prose\n"
        )
    )
    assert (len(read.events), read.lines, read.other_events, read.unknown_lines) == (1, 6, 2, 2)
    assert [(one.line, one.text) for one in read.unknown] == [
        (1, "qemu-system-x86_64: warning: TCG doesn't support feature"),
        (6, "the colo_ prefix in prose"),
    ]


def test_two_events_whose_writes_met_on_a_line_are_both_read() -> None:
    """Two threads' lines without a newline between them are two events."""
    met = (
        "9@1.0:colo_send_message Send 'vmstate-send' message"
        "8@1.1:runstate_set current_run_state 9 (running) new_state 15 (colo)\n"
    )
    read = log.parse([met])
    assert [event.name for event in read.events] == ["colo_send_message", "runstate_set"]


@pytest.mark.parametrize(
    "tail",
    [
        "9@2.0:colo_receive_message Receive 'vmst",
        "9@2.0:colo_receive_mess",
        "9@2.0:migration_bitmap_sync_end dirty_pages 24",
        "9@2.0",
        "9@",
    ],
)
def test_a_last_line_that_was_cut_off_is_dropped_and_said(tail: str) -> None:
    """What is left of an event, also one whose number may lack digits, is no event."""
    read = log.parse(["9@1.0:colo_send_message Send 'checkpoint-request' message\n", tail])
    assert (len(read.events), read.truncated, read.unknown_lines) == (1, True, 0)


def test_a_whole_last_line_without_newline_is_an_event() -> None:
    """A log that merely lacks its last newline loses nothing."""
    read = log.parse(["9@1.0:colo_send_message Send 'checkpoint-request' message"])
    assert (len(read.events), read.truncated) == (1, False)


@pytest.mark.parametrize("text", ["", "\n\n", "hello\n", "9@1.0:migrate_set_state new state x\n"])
def test_a_log_without_colo_events_is_an_error_that_says_what_to_do(text: str) -> None:
    """An empty log, another file, or the log of a plain migration is refused."""
    with pytest.raises(LogError, match=r"no COLO event in \d lines; was QEMU started with -trace"):
        log.parse(lines(text))


def test_a_log_is_read_from_a_file_and_from_a_gzipped_one(tmp_path: Path) -> None:
    """Both give the same events; bytes that are no text do not stop the reading."""
    data = b"\xff\xfe\x00\n" + PRIMARY.encode()
    plain, packed = tmp_path / "p.log", tmp_path / "p.log.gz"
    plain.write_bytes(data)
    packed.write_bytes(gzip.compress(data, mtime=0))
    (((first,),), ((second,),)) = (sessions([plain]), sessions([packed]))
    assert list(first.events) == list(second.events)
    assert first.log.unknown_lines == 1


def test_a_file_that_cannot_be_read_is_a_log_error(tmp_path: Path) -> None:
    """A missing file, a folder and a broken gzip file are errors with the file's name."""
    broken = tmp_path / "broken.log.gz"
    broken.write_bytes(gzip.compress(PRIMARY.encode(), mtime=0)[:40])
    for path in (tmp_path / "missing.log", tmp_path, broken):
        with pytest.raises(LogError, match=path.name):
            sessions([path])


@given(st.lists(st.text(max_size=60), max_size=8))
def test_no_text_makes_the_reader_fail_in_another_way(noise: list[str]) -> None:
    """Whatever the lines hold, the one real event is read and nothing but LogError is raised."""
    event = "9@1.0:colo_send_message Send 'checkpoint-request' message\n"
    read = log.parse([*(line + "\n" for line in noise), event])
    assert read.events[-1] == LogEvent(
        len(noise) + 1, "colo_send_message", 10**9, 9, ("CHECKPOINT_REQUEST",)
    )


@pytest.mark.skipif(os.name != "posix", reason="this system has no /dev/zero")
def test_a_device_is_no_log() -> None:
    """It may give bytes without an end."""
    with pytest.raises(LogError, match="/dev/zero: cannot be read: it is a device"):
        sessions(["/dev/zero"])
