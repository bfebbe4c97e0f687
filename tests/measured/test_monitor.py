"""What a monitor says of a real pair: its events alone, and beside traces."""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colosim.analysis.standstill import standstill
from colosim.cli.main import main
from colosim.errors import LogError
from colosim.measured.imported import ImportedRun, import_run, import_runs, write_imported
from colosim.measured.log import parse
from colosim.measured.own_fit import fit_own
from colosim.measured.sessions import sessions_of
from colosim.runs.columns import COLUMNS
from colosim.runs.tables import rows_of
from colosim.trace.events import ColoExit, OperatorSends

if TYPE_CHECKING:
    from colosim.measured.log import LogEvent

DATA = Path(__file__).parent / "data"
TRACES = [DATA / f"qemu72kvm-small-{side}.log.gz" for side in ("primary", "secondary")]
MONITORS = [DATA / f"qemu72kvm-small-{side}.qmp.gz" for side in ("primary", "secondary")]
SAID = gzip.decompress(MONITORS[0].read_bytes()).decode()
TRACED = gzip.decompress(TRACES[0].read_bytes()).decode()


def rows(run: ImportedRun, table: str = "checkpoints") -> list[dict[str, Any]]:
    """Return a table as one dictionary a row."""
    return [dict(zip(COLUMNS[table], row, strict=True)) for row in rows_of(run.tables[table])]


def pauses(run: ImportedRun) -> list[int]:
    """Return the pauses of the committed checkpoints."""
    return [row["pause_ns"] for row in rows(run) if row["outcome"] == "committed"]


def without(text: str, *words: str) -> str:
    """Return the lines of a text that have none of these words."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not any(word in line for word in words))


# ---- the forms -----------------------------------------------------------------------------------


def virsh(event: dict[str, Any], *, stamped: bool) -> str:
    """Return an event as virsh qemu-monitor-event prints it; with a stamp also --pretty."""
    at = event["timestamp"]
    details = json.dumps(event["data"], indent=2 * stamped or None) if "data" in event else "<null>"
    if not stamped:
        stamp = f"{at['seconds']}.{at['microseconds']:06}"
        return f"event {event['event']} at {stamp} for domain 'colo': {details}"
    date = datetime.fromtimestamp(at["seconds"], UTC).strftime("%Y-%m-%d %H:%M:%S")
    date += f".{at['microseconds'] // 1000:03}+0000"
    return f"{date}: event {event['event']} for domain 'colo': {details}"


def libvirtd(line: str) -> str:
    """Return a message as libvirt's daemon logs it: the line, and once more the event."""
    head = "2026-11-29 22:20:00.000+0000: 65555: info : qemuMonitorJSONIOProcessLine"
    again = f"\n{head}:234 : QEMU_MONITOR_RECV_EVENT: mon=0x7f76 event={line}"
    return f"{head}:222 : Line [{line}]{again if 'event' in json.loads(line) else ''}"


def mailed(line: str) -> str:
    """Return a message as a mail quotes it, its long lines wrapped."""
    return "\n".join(f"> > {part}" for part in wrap(line, 60, break_on_hyphens=False))


FORMS = {
    "qmp-shell": lambda line: f"(QEMU) {json.loads(line)}",
    "pretty": lambda line: json.dumps(json.loads(line), indent=4),
    "sorted": lambda line: json.dumps(json.loads(line), sort_keys=True),
    "in a string": lambda line: json.dumps({"level": "info", "msg": f"event={line}"}),
    "libvirtd": libvirtd,
    "mailed": mailed,
}


def said(events: list[LogEvent]) -> list[tuple[str, int | None, tuple[str, ...]]]:
    """Return what events say, without their lines; commands apart, whose dates may differ."""
    return [(one.name, one.time_ns, one.words) for one in events if one.name != "EXECUTE"]


@pytest.mark.parametrize("form", FORMS)
def test_a_monitors_events_are_read_in_every_form(form: str) -> None:
    """QMP as it is, as tools print it, in logs of libvirt's, or in a mail is the same."""
    wanted = parse(SAID.splitlines(keepends=True))
    text = "".join(f"{FORMS[form](line)}\n" for line in SAID.splitlines())
    found = parse(text.splitlines(keepends=True))
    assert said(list(found.events)) == said(list(wanted.events))
    assert (wanted.unknown_lines, found.unknown_lines) == (0, 0)


@pytest.mark.parametrize(("stamped", "digit_ns"), [(False, 10**3), (True, 10**6)])
def test_events_of_virsh_are_read(stamped: bool, digit_ns: int) -> None:  # noqa: FBT001
    """With QEMU's microseconds, or with --timestamp the milliseconds of virsh's own clock."""
    messages = [json.loads(line) for line in SAID.splitlines()]
    lines = [f"{virsh(one, stamped=stamped)}\n" for one in messages if "event" in one]
    wanted = [
        (name, (time_ns or 0) // digit_ns * digit_ns, words)
        for name, time_ns, words in said(list(parse(SAID.splitlines(keepends=True)).events))
    ]
    found = parse(lines)
    assert said(list(found.events)) == wanted
    assert found.unknown_lines == 0


def test_lifecycle_events_of_libvirt_are_a_guest_that_stops_and_runs(tmp_path: Path) -> None:
    """What virsh event prints has the pauses that QEMU's own events have, to a millisecond."""
    names = {"STOP": "Suspended Paused", "RESUME": "Resumed Unpaused"}
    lines = ["event 'job-completed' for domain 'colo': migration\n"]
    for message in map(json.loads, SAID.splitlines()):
        if state := names.get(message.get("event")):
            head = virsh(message, stamped=True).partition(": event")[0]
            lines.append(f"{head}: event 'lifecycle' for domain 'colo: 1': {state}\n")
    (tmp_path / "primary.txt").write_text("".join(lines))
    (tmp_path / "primary.qmp").write_text(without(SAID, "MIGRATION", "COLO_EXIT"))
    found, wanted = import_run(tmp_path / "primary.txt"), import_run(tmp_path / "primary.qmp")
    assert found.source["logs"][0]["unknown_lines"] == 0
    assert len(pauses(found)) == len(pauses(wanted))
    for own, true in zip(pauses(found), pauses(wanted), strict=True):
        assert abs(own - true) <= 10**6


@pytest.mark.parametrize("between", [", ", ",\n", "\n,"])
def test_an_array_of_events_is_read_whatever_its_lines(tmp_path: Path, between: str) -> None:
    """Also where all of it is one line, longer than what is read of any other."""
    (tmp_path / "primary.json").write_text(f"[{between.join(SAID.splitlines())}]")
    found, wanted = import_run(tmp_path / "primary.json"), import_run(MONITORS[0])
    assert found.source["logs"][0]["unknown_lines"] == 0
    assert rows(found) == rows(wanted)


@settings(deadline=None, max_examples=20)
@given(width=st.integers(60, 120), marks=st.sampled_from(["> ", ">> ", " > ", ""]))
def test_a_mail_that_quotes_and_wraps_traces_changes_no_event(width: int, marks: str) -> None:
    """A trace event that was wrapped once is read as if it stood in one line."""
    traced = TRACED.splitlines(keepends=True)[:80]
    parts = [wrap(line, width, break_on_hyphens=False) for line in traced]
    lines = [f"{marks}{part}\n" for line in parts for part in line]
    ((wanted,),), ((found,),) = sessions_of(parse(traced)), sessions_of(parse(lines))
    assert [one[1:] for one in found.events] == [one[1:] for one in wanted.events]


def test_a_message_that_is_cut_off_hides_no_other() -> None:
    """A message without its end is counted; the next one, and a trace after it, are read."""
    stop = next(line for line in SAID.splitlines() if "STOP" in line)
    found = parse([f"{stop[:40]}\n", f"{stop}\n", f"{stop[:30]}\n", TRACED.splitlines()[12] + "\n"])
    assert len(found.events) == 2
    assert found.other_events == 2


def test_an_event_before_one_that_is_damaged_is_kept() -> None:
    """Of two on a line the first is read where the second is cut and the next line is another."""
    sent = "9@1.0:colo_send_message Send 'vmstate-send' message"
    lines = [f"{sent}9@1.1:colo_send_message Se\n", f"{sent}\n", f"{sent}9@1.1:colo_send_message\n"]
    assert len(parse(lines).events) == 3


STAMP = re.compile(r"(\d{10})(?=\.\d|, \"micro)")


@pytest.mark.parametrize("text", [SAID, TRACED], ids=["monitor", "trace"])
@settings(deadline=None, max_examples=6)
@given(data=st.data(), wrong=st.sampled_from(["-1", "0", "179539750", "17953975055", "1795398999"]))
def test_an_event_with_a_wrong_time_loses_that_time_alone(
    tmp_path_factory: pytest.TempPathFactory, text: str, data: st.DataObject, wrong: str
) -> None:
    """Whichever it is, all others keep theirs, and every pause that it does not bound is known."""
    lines = text.splitlines(keepends=True)[:60]
    stamped = [number for number, line in enumerate(lines) if STAMP.search(line)]
    bad = data.draw(st.sampled_from(stamped))
    path = tmp_path_factory.mktemp("stray") / "primary.log"
    path.write_text("".join(lines))
    straight = import_run(path)
    path.write_text("".join([*lines[:bad], STAMP.sub(wrong, lines[bad]), *lines[bad + 1 :]]))
    run = import_run(path)
    pairs = list(zip(rows(run), rows(straight), strict=True))
    for row, as_was in pairs:
        assert row["pause_ns"] in (None, as_was["pause_ns"])
        assert row["outcome"] == as_was["outcome"]
    assert sum(row["pause_ns"] != as_was["pause_ns"] for row, as_was in pairs) <= 1
    assert run.source["logs"][0]["no_time_at_lines"] in ([bad + 1], [])


# ---- alone ---------------------------------------------------------------------------------------


def test_events_alone_tell_pauses_and_nothing_else() -> None:
    """Each stop in COLO is a checkpoint; stages, pages and bytes are missing, not zero."""
    run = import_run(MONITORS[0])
    known = {key for row in rows(run) for key, value in row.items() if value is not None}
    assert known == {
        "checkpoint",
        "kind",
        "outcome",
        "run_before_ns",
        "pause_ns",
        "primary_stopped_at_ns",
        "primary_resumed_at_ns",
    }
    assert not rows(run, "messages")
    assert run.summary["wire_bytes"] is None
    assert run.verdict == "completed"
    traced = import_run(*TRACES)
    assert len(pauses(run)) == len(pauses(traced))
    later = [trace - own for own, trace in zip(pauses(run), pauses(traced), strict=True)]
    assert 0 < median(later) < 10**6


def test_what_events_do_not_show_is_told_with_the_options_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole command line that shows it; and that without MIGRATION a pause may be its own."""
    path = tmp_path / "primary.qmp"
    path.write_text(without(SAID, "MIGRATION"))
    assert main(["qemu", "import", str(path), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "its first pause may be that of\n  the migration itself" in shown
    assert "does not show the stages of a checkpoint, dirty pages and the bitmap sync" in shown
    assert "  -msg timestamp=on -D primary.log -trace 'colo_*' -trace migrate_set_state" in shown
    folder = tmp_path / "alone"
    write_imported(import_run(MONITORS[0]), folder)
    with pytest.raises(LogError, match=r"pauses alone; .* started with -msg timestamp=on -D prim"):
        fit_own([folder])
    (tmp_path / "p.log").write_text(without(TRACED, "bitmap_sync"))
    write_imported(import_run(tmp_path / "p.log"), tmp_path / "traced")
    with pytest.raises(LogError, match=r"shows the dirty pages .* 'migration_bitmap_sync\*'"):
        fit_own([tmp_path / "traced"])


def test_events_are_read_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``-`` is what a pipe gives, gzipped or not."""
    for data in (SAID.encode(), MONITORS[0].read_bytes()):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert main(["qemu", "import", "-", "--out", str(tmp_path), "--force"]) == 0
        assert f"-: primary, {len(SAID.splitlines())} lines, 0 unknown" in capsys.readouterr().out


STOOD_STILL = """\
{"execute": "migrate", "arguments": {"uri": "tcp:10.77.0.2:9998"}}
{"return": {}}
{"timestamp": {"seconds": 1795945993, "microseconds": 913930}, "event": "STOP"}
{"timestamp": {"seconds": 1795945994, "microseconds": 958000}, "event": "MIGRATION", \
"data": {"status": "colo"}}
{"timestamp": {"seconds": 1795945994, "microseconds": 985905}, "event": "RESUME"}
{"timestamp": {"seconds": 1795945996, "microseconds": 87089}, "event": "STOP"}
{"timestamp": {"seconds": 1795945996, "microseconds": 977912}, "event": "RESUME"}
{"timestamp": {"seconds": 1795946000, "microseconds": 486544}, "event": "STOP"}
{"exec-oob": "yank", "arguments": {"instances": [{"type": "migration"}]}}
{"return": {}}
{"timestamp": {"seconds": 1795946025, "microseconds": 616590}, "event": "COLO_EXIT", \
"data": {"mode": "primary", "reason": "error"}}
{"timestamp": {"seconds": 1795946025, "microseconds": 618448}, "event": "RESUME"}
"""


def test_a_transcript_tells_a_failover(tmp_path: Path) -> None:
    """COLO_EXIT breaks the checkpoint off, and the guest that runs again serves alone.

    The events of a pair of QEMU 11.1.3 whose secondary was frozen (laboratory run
    fault_s_stop_stream_c0).
    """
    path = tmp_path / "transcript.txt"
    path.write_text(STOOD_STILL)
    run = import_run(path)
    assert (run.verdict, run.survivor) == ("failed_over", "primary")
    first, second = rows(run)
    assert (first["outcome"], first["pause_ns"]) == ("committed", 890_823_000)
    assert (second["outcome"], second["primary_resumed_at_ns"]) == ("aborted", None)
    assert run.summary["guest_stopped_ns_longest"] == 25_131_904_000
    assert [event for _, event, _ in run.iter_events() if isinstance(event, ColoExit)] == [
        ColoExit("primary", "error")
    ]


def test_a_qemu_that_quits_fails_over_to_nobody(tmp_path: Path) -> None:
    """The guest that runs for a moment behind SHUTDOWN and COLO_EXIT serves nobody."""
    quits = '{"timestamp": {"seconds": 1795946025, "microseconds": 1}, "event": "SHUTDOWN"}\n'
    (tmp_path / "transcript.txt").write_text(
        STOOD_STILL.replace('{"exec-oob"', f'{quits}{{"exec-oob"')
    )
    run = import_run(tmp_path / "transcript.txt")
    assert (run.verdict, run.survivor) == ("unknown", None)


def test_what_an_operator_stops_is_no_checkpoint(tmp_path: Path) -> None:
    """The stop of a command, and the run that ends it, are nobody's pause; a yank is told."""
    text = without(STOOD_STILL, "MIGRATION")
    lines = text.splitlines(keepends=True)
    lines.insert(2, '2026-11-29 00:00:00.000+0000: {"execute": "stop"}\n')
    path = tmp_path / "transcript.txt"
    path.write_text("".join(lines).replace('{"exec-', '2026-11-29 09:53:45.000+0000: {"exec-'))
    run = import_run(path)
    assert [row["outcome"] for row in rows(run)] == ["committed", "aborted"]
    events = [event for _, event, _ in run.iter_events()]
    assert OperatorSends("primary", "yank") in events


def test_a_second_entry_into_colo_is_a_run_of_its_own(tmp_path: Path) -> None:
    """After COLO_EXIT a migration's set-up begins another."""
    path = tmp_path / "primary.json"
    path.write_text(SAID + SAID.replace("17959", "17969"))
    count = len(pauses(import_run(MONITORS[0])))
    assert [len(pauses(run)) for run in import_runs(path)] == [count, count]


def test_whose_events_they_are_must_be_told(tmp_path: Path) -> None:
    """By what they say, or by the file's name; else it is asked for."""
    bare = without(SAID, "MIGRATION", "COLO_EXIT", "execute")
    (tmp_path / "events.json").write_text(bare)
    with pytest.raises(LogError, match="give the file a name with that word in it"):
        import_run(tmp_path / "events.json")
    for side in ("primary", "secondary"):
        (tmp_path / f"{side}-events.json").write_text(bare)
        run = import_run(tmp_path / f"{side}-events.json")
        assert [log["side"] for log in run.source["logs"]] == [side]


# ---- beside traces -------------------------------------------------------------------------------


def test_events_beside_their_traces_add_the_end_of_colo() -> None:
    """Four files of one pair, in any order, are one run: what the traces tell, and COLO_EXIT."""
    alone, both = import_run(*TRACES), import_run(MONITORS[1], TRACES[0], MONITORS[0], TRACES[1])
    assert pauses(both) == pauses(alone)
    assert [log["monitor"] for log in both.source["logs"]] == [path.name for path in MONITORS]
    exits = {event for _, event, _ in both.iter_events() if isinstance(event, ColoExit)}
    assert exits == {ColoExit("primary", "error"), ColoExit("secondary", "error")}


def test_events_say_when_a_guest_stops_that_traces_do_not_show(tmp_path: Path) -> None:
    """A trace without the guest's state takes it from the monitor; whose it is, from the times."""
    (tmp_path / "p.log").write_text(without(TRACED, "runstate_set", "colo_vm_state_change"))
    (tmp_path / "a.json").write_text(without(SAID, "MIGRATION", "COLO_EXIT", "execute"))
    run = import_run(tmp_path / "a.json", tmp_path / "p.log", TRACES[1])
    assert run.deviation is None
    assert run.source["logs"][0]["monitor"] == "a.json"
    assert pauses(run) == pauses(import_run(MONITORS[0]))[: len(pauses(run))]
    assert max(row["dirty_pages"] or 0 for row in rows(run)) > 500


@pytest.mark.parametrize("traced", [0, 1])
def test_one_sides_trace_and_the_others_events_are_one_run(traced: int) -> None:
    """The side with messages says where checkpoints begin; the other's guest is as it was told."""
    run = import_run(TRACES[traced], MONITORS[1 - traced])
    told, source = ("secondary", MONITORS[1]) if traced == 0 else ("primary", MONITORS[0])
    wanted = rows(import_run(source))
    found = [row for row in rows(run) if row["outcome"] == "committed"]
    assert len(found) == len([row for row in wanted if row["outcome"] == "committed"])
    lasted = [row[f"{told}_resumed_at_ns"] - row[f"{told}_stopped_at_ns"] for row in found]
    assert lasted == [
        row[f"{told}_resumed_at_ns"] - row[f"{told}_stopped_at_ns"] for row in wanted[: len(found)]
    ]


def test_colos_start_is_told_from_the_checkpoints_where_the_guests_ram_is_stated() -> None:
    """Under KVM its flush is all of the 512 MiB; then no statistic counts it, else all do."""
    stated, unknown = import_run(*TRACES, stated=["guest.ram=512MiB"]), import_run(*TRACES)
    (first, second, *_) = rows(stated)
    assert (first["kind"], first["flush_pages"], second["kind"]) == ("start", 131_136, "checkpoint")
    assert stated.summary["start_pause_ns"] == first["pause_ns"] == 4_141_689_000
    assert stated.summary["pause_ns"]["count"] == 45
    assert {row["kind"] for row in rows(unknown)} == {"checkpoint"}
    assert (unknown.summary["pause_ns"]["count"], unknown.summary.get("start_pause_ns")) == (
        46,
        None,
    )


def test_events_of_another_run_are_refused(tmp_path: Path) -> None:
    """Events whose times are in no checkpoint of a trace are not put in it, nor without times."""
    (tmp_path / "primary.json").write_text(SAID.replace("17959", "17969"))
    (tmp_path / "untimed.log").write_text(re.sub(r"(?m)^\d+@\d+\.\d+:", "", TRACED))
    refused = r"it stops no guest where .* does; .* no times \(-msg timestamp=on\)"
    with pytest.raises(LogError, match=refused):
        import_run(tmp_path / "primary.json", TRACES[0])
    with pytest.raises(LogError, match=refused):
        import_run(MONITORS[0], tmp_path / "untimed.log")
    with pytest.raises(LogError, match="are both of the monitor of"):
        import_run(MONITORS[0], TRACES[0], MONITORS[0])


def test_explain_of_events_alone_names_every_step_that_it_may_be(tmp_path: Path) -> None:
    """Between the stop and the end no step is shown: all that block are told, none is simulated."""
    (tmp_path / "transcript.txt").write_text(STOOD_STILL)
    told = standstill(import_run(tmp_path / "transcript.txt"))
    (primary,) = told.stands
    assert (primary.step, *primary.or_in)[0] == "RAM stream"
    assert "VMSTATE_LOADED" in primary.or_in
    assert primary.stood_ns == 25_130_046_000
    assert not told.simulated
    assert told.ended_by[0].endswith("primary: leaves COLO with an error")
    assert "a monitor's events do not" in str(told)
