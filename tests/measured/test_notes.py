"""Reading the lab's run folders: notes, and logs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from colosim.errors import LogError
from colosim.measured.imported import import_run, read_measured
from colosim.measured.measurement import Conditions, FaultResult, MeasuredCheckpoint, MeasuredRun
from colosim.measured.notes import is_run_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG25 = {
    "design": "split",
    "ram": 512,
    "pages": 16384,
    "rate": 98304,
    "delay": 500,
    "bw": 1000,
    "when": "stream",
}
CONFIG72: dict[str, Any] = {
    "ram": 128,
    "ws_pages": 24576,
    "rate": 1476,
    "delay": 400,
    "bw": 0,
    "rtt": 2.0,
    "cc": "cubic",
    "quickack": 0,
    "action": None,
}
CSV25 = "k,P_BEGIN\n0,2141.038204\n1,2142.5\n"
LOGS25 = {
    "primary": """\
TS 2141.038204 P_BEGIN 100 rss_kib 1
TS 2141.038869 P_STOPPED 0 rss_kib 1
TS 2141.038902 P_BQL_WANT 0 rss_kib 1
TS 2141.038906 P_BQL_GOT 0 rss_kib 1
TS 2141.038920 P_SYNCED 3 rss_kib 1
TS 2141.5 P_RAM_STREAMED 12606 rss_kib 1
TS 2141.55 P_SAVED 12665 rss_kib 1
TS 2141.6 P_BQL_REL 4194304 rss_kib 1
TS 2141.8 P_LOADED 0 rss_kib 1
TS 2141.900001 P_STARTED 25287 rss_kib 1
TS 2142.5 P_BEGIN 25287 rss_kib 1
TS 2142.6 P_STOPPED 0 rss_kib 1
TS 2142.7 P_BQL_GOT 0 rss_kib 1
""",
    "secondary": """\
TS 2141.038900 S_VMSTATE_SEND 0 rss_kib 1
TS 2141.7 S_RAM_LOADED 0 rss_kib 1
TS 2141.75 S_FLUSH_BEGIN 3 rss_kib 1
TS 2141.76 S_FLUSH_END 0 rss_kib 1
""",
}
CSV72 = "k,p_send_request,p_dirty_pages,wire_bytes\n0,1795397505.096507,24505,\n"
LOGS72 = {
    "primary": """\
9@1795397505.000000:colo_receive_message Receive 'checkpoint-ready' message
9@1795397505.096507:colo_send_message Send 'checkpoint-request' message
9@1795397505.096771:colo_vm_state_change Change 'run' => 'stop'
9@1795397505.213339:colo_receive_message Receive 'vmstate-loaded' message
9@1795397505.213668:colo_vm_state_change Change 'stop' => 'run'
""",
    "secondary": """\
8@1795397505.000000:colo_send_message Send 'checkpoint-ready' message
8@1795397505.096208:colo_receive_message Receive 'checkpoint-request' message
8@1795397505.2:colo_flush_ram_cache_begin dirty_pages 24506
8@1795397505.21:colo_flush_ram_cache_end
""",
}


def write(
    folder: Path, meta: dict[str, Any], table: str, logs: Mapping[str, str] | None = None
) -> Path:
    """Write a run folder of the lab."""
    folder.mkdir()
    (folder / "meta.json").write_text(json.dumps(meta))
    (folder / "checkpoints.csv").write_text(table)
    logs = logs or (LOGS25 if "P_BEGIN" in table else LOGS72)
    for side, text in logs.items():
        (folder / f"{side}.log").write_text(text)
    return folder


def meta25(result: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the meta.json of a QEMU 2.5 run."""
    return {"config": CONFIG25, "qemu": "QEMU emulator version 2.5.50, Copyright", "result": result}


def meta72(mode: str = "tun pair + netdelay.py", **more: Any) -> dict[str, Any]:
    """Return the meta.json of a QEMU 7.2 run."""
    return {
        "config": CONFIG72 | more.pop("config", {}),
        "qemu": "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)",
        "network": {"mode": mode},
        "result": {},
        **more,
    }


def test_a_qemu_25_folder_becomes_a_run(tmp_path: Path) -> None:
    """Conditions in a scenario's words, stages in whole nanoseconds, what is missing left out."""
    run = read_measured(write(tmp_path / "split-x", meta25(), CSV25))
    assert run == MeasuredRun(
        name="qemu25/split-x",
        design="split",
        qemu="2.5.50",
        conditions=Conditions(
            ram_bytes=512 * 1024**2,
            working_set_pages=16384,
            write_rate=98304,
            checkpoint_delay_ns=500_000_000,
            bandwidth_bits=10**9,
            burst_bytes=131072,
            payload_bytes=1448,
            frame_bytes=1514,
            latency_ns=0,
            congestion_control="bbr",
            delayed_ack=True,
            retries2=15,
        ),
        checkpoints=(
            MeasuredCheckpoint(
                request_ns=0,
                dirty_pages=3,
                flush_pages=3,
                wire_bytes=25187,
                staging_buffer_content_bytes=12665,
                staging_buffer_capacity_bytes=4194304,
                stages={
                    "p_stopped": 665_000,
                    "s_vmstate_send": 696_000,
                    "p_lock_wanted": 698_000,
                    "p_lock_taken": 702_000,
                    "p_sync_begin": 702_000,
                    "p_synced": 716_000,
                    "p_ram_sent": 461_796_000,
                    "p_saved": 511_796_000,
                    "p_lock_free": 561_796_000,
                    "s_ram_loaded": 661_796_000,
                    "s_flush_begin": 711_796_000,
                    "s_flush_end": 721_796_000,
                    "p_loaded": 761_796_000,
                    "p_resumed": 861_797_000,
                },
            ),
            MeasuredCheckpoint(
                request_ns=1_461_796_000,
                dirty_pages=None,
                flush_pages=None,
                wire_bytes=None,
                staging_buffer_content_bytes=None,
                staging_buffer_capacity_bytes=4194304,
                stages={
                    "p_stopped": 100_000_000,
                    "p_lock_wanted": 200_000_000,
                    "p_lock_taken": 200_000_000,
                },
            ),
        ),
        fault=None,
        clock_ns=2_141_038_204_000,
    )
    first, second = run.checkpoints
    assert (first.pause_ns, first.ram_ns, first.lock_hold_primary_ns, first.tail_ns) == (
        861_132_000,
        661_100_000,
        561_094_000,
        200_000_000,
    )
    assert (second.complete, second.pause_ns, second.ram_ns) == (False, None, None)


def test_a_qemu_72_folder_becomes_a_run(tmp_path: Path) -> None:
    """Half the round trip is the latency, TUN frames have 1500 bytes, 0 Mbit/s is no limit."""
    run = read_measured(write(tmp_path / "base_x", meta72(), CSV72))
    assert (run.name, run.design, run.qemu, run.fault) == (
        "qemu72/base_x",
        "qemu-5.1",
        "7.2.22",
        None,
    )
    assert run.conditions == Conditions(
        ram_bytes=128 * 1024**2,
        working_set_pages=24576,
        write_rate=1476,
        checkpoint_delay_ns=400_000_000,
        bandwidth_bits=None,
        burst_bytes=0,
        payload_bytes=1448,
        frame_bytes=1500,
        latency_ns=1_000_000,
        congestion_control="cubic",
        delayed_ack=True,
        retries2=15,
    )
    (one,) = run.checkpoints
    assert one.stages == {
        "s_request": -299_000,
        "p_stopped": 264_000,
        "s_flush_begin": 103_493_000,
        "s_flush_end": 113_493_000,
        "p_loaded": 116_832_000,
        "p_resumed": 117_161_000,
    }


def test_a_qemu_25_fault_is_read_with_what_came_of_it(tmp_path: Path) -> None:
    """Unanswered polls, a command never served, and what came once the victim went on."""
    result = {
        "fault": "stop",
        "victim": "secondary",
        "trigger": "P_SYNCED",
        "poll_hands_off": [[1.0, None, None], [2.0, 0.004, "colo"]],
        "heartbeat_answered_s": None,
        "resumed_s_after_heartbeat": None,
        "heartbeat_answered_s_after_cont": 0.220669,
        "resumed_s_after_cont": 0.215713,
    }
    fault = read_measured(write(tmp_path / "f", meta25(result), CSV25)).fault
    assert fault == FaultResult(
        fault="freeze",
        victim="secondary",
        when="stream",
        polls=2,
        polls_answered=1,
        poll_ns_max=4_000_000,
        status="colo",
        command_ns=None,
        running_ns=None,
        yank_running_ns=None,
        thaw_command_ns=220_669_000,
        thaw_running_ns=215_713_000,
    )


def test_a_qemu_72_fault_that_a_yank_ended_was_not_served(tmp_path: Path) -> None:
    """What ran after a yank is told from what ran after the command."""
    meta = meta72(
        mode="veth pair",
        config={
            "action": {"fault": "blackhole", "victim": "primary", "when": "idle"},
            "tcp_retries2": 3,
        },
        result={
            "poll_hands_off": [[1.0, True, 0.5, True, "running"], [2.0, False, None, None, None]],
            "heartbeat_answered": False,
            "heartbeat_seconds": False,
            "yank_used": True,
            "heartbeat_to_running_s": 15.02,
            "yank_to_running_s": 0.018072,
        },
    )
    run = read_measured(write(tmp_path / "f", meta, CSV72))
    assert (run.conditions.retries2, run.conditions.frame_bytes) == (3, 1514)
    assert run.fault == FaultResult(
        fault="vanish",
        victim="primary",
        when="idle",
        polls=2,
        polls_answered=1,
        poll_ns_max=500_000_000,
        status="running",
        command_ns=None,
        running_ns=None,
        yank_running_ns=18_072_000,
        thaw_command_ns=None,
        thaw_running_ns=None,
    )
    assert not run.fault.command_served


@pytest.mark.parametrize(
    ("meta", "table", "message"),
    [
        ("{", CSV25, "cannot be read"),
        ("{}", CSV25, "not as a run of the lab is written"),
        (json.dumps(meta25()), "k,a\n0,1\n", "neither P_BEGIN nor p_send_request"),
        (json.dumps(meta72()), CSV72.replace("24505", "many"), "not as a run of the lab"),
        (json.dumps(meta25() | {"qemu": "?"}), CSV25, "no QEMU version"),
    ],
)
def test_a_folder_that_is_no_run_is_an_error(
    tmp_path: Path, meta: str, table: str, message: str
) -> None:
    """Broken JSON, other columns and values that are no numbers are errors that name the folder."""
    (tmp_path / "meta.json").write_text(meta)
    (tmp_path / "checkpoints.csv").write_text(table)
    with pytest.raises(LogError, match=message) as caught:
        read_measured(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_folder_without_its_files_is_told_from_a_run(tmp_path: Path) -> None:
    """A folder that lacks either file is no run directory."""
    run = write(tmp_path / "run", meta25(), CSV25)
    assert is_run_folder(run)
    (run / "checkpoints.csv").unlink()
    assert not is_run_folder(run)
    with pytest.raises(LogError, match=r"it has no checkpoints\.csv"):
        read_measured(run)


def test_a_run_in_which_nothing_happened_has_no_checkpoints(tmp_path: Path) -> None:
    """Logs that only show the entry into COLO are a run of no checkpoints."""
    logs = {side: text.splitlines(keepends=True)[0] for side, text in LOGS72.items()}
    header = CSV72.splitlines(keepends=True)[0]
    assert read_measured(write(tmp_path / "run", meta72(), header, logs)).checkpoints == ()


def test_a_name_that_is_not_known_is_an_error(tmp_path: Path) -> None:
    """An unknown design, fault, victim or QEMU is never taken for another, and told with the file.

    A run of multifd channels is never taken for a plain one.
    """
    action = {"fault": "stop", "victim": "secondary", "when": "idle"}
    fault25 = {"fault": "stop", "victim": "secondary", "trigger": "P_SYNCED"}
    wrong: dict[str, dict[str, Any]] = {
        "no design is called 'splt'; there are old-qsb, split, old-qio": meta25()
        | {"config": CONFIG25 | {"design": "splt"}},
        "no fault is called 'stopp'; there are stop, kill": meta25(fault25 | {"fault": "stopp"}),
        "no moment is called 'later'": meta72(
            config={"action": action | {"when": "later"}},
            result={"poll_hands_off": [], "yank_used": False, "heartbeat_answered": False},
        ),
        "no side is called 'both'": meta25(fault25 | {"victim": "both"}),
        "no fault is called 'sotp'": meta72(config={"action": action | {"fault": "sotp"}}),
        "no design is known for QEMU 2.4.0": meta72(qemu="QEMU emulator version 2.4.0"),
        "a run of QEMU 8.2.0, qemu-5.1.multifd=3": meta72(
            qemu="QEMU emulator version 8.2.0", config={"channels": 3}
        ),
    }
    for number, (message, meta) in enumerate(wrong.items()):
        lab25 = meta["config"].get("design")
        folder = write(tmp_path / str(number), meta, CSV25 if lab25 else CSV72)
        for read in (read_measured, import_run):
            with pytest.raises(LogError, match=message) as caught:
                read(folder)
            assert str(folder) in str(caught.value)
