"""What real logs bring: other versions, a yank, several sessions, a clock that was set back."""

from __future__ import annotations

import base64
import bz2
import gzip
import html
import json
import lzma
import quopri
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import colosim
from colosim.cli.main import main
from colosim.errors import LogError
from colosim.measured.conformance import deviation, identify
from colosim.measured.imported import ImportedRun, import_run, import_runs, write_imported
from colosim.measured.log import parse
from colosim.measured.protocol import protocol_of
from colosim.measured.sessions import sessions, sessions_of
from colosim.plots.report import report
from colosim.runs.columns import COLUMNS
from colosim.runs.tables import rows_of
from colosim.trace.events import CommandServed, FunctionFailed

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parent / "data"
PRIMARY, SECONDARY = DATA / "qemu72-primary.log", DATA / "qemu72-secondary.log"
MAY2020 = DATA / "may2020-primary.log", DATA / "may2020-secondary.log"
YANK = DATA / "qemu111-yank-primary.log.gz", DATA / "qemu111-yank-secondary.log.gz"
STAMP = re.compile(r"@(\d+)\.(\d{6}):")
FAILOVER = (
    "7@{}:colo_failover_set_state new state require\n"
    "7@{}:colo_failover_set_state new state completed\n"
)


def rows(run: ImportedRun, table: str = "checkpoints") -> list[dict[str, Any]]:
    """Return a table as one dictionary a row."""
    return [dict(zip(COLUMNS[table], row, strict=True)) for row in rows_of(run.tables[table])]


def moved(text: str, by_us: Callable[[int], int]) -> str:
    """Return a log with each line's time moved; `by_us` is asked with the line's number from 1."""
    lines = []
    for number, line in enumerate(text.splitlines(keepends=True), start=1):

        def shift(found: re.Match[str], number: int = number) -> str:
            micros = int(found[1]) * 10**6 + int(found[2]) + by_us(number)
            return f"@{micros // 10**6}.{micros % 10**6:06}:"

        lines.append(STAMP.sub(shift, line))
    return "".join(lines)


# ---- QEMU of other years -------------------------------------------------------------------------


def test_the_trace_of_may_2020_is_a_run_of_both_sides() -> None:
    """The flush before VMSTATE_SIZE, 13.496 s of a pause of 17.79 s; the clocks 351 s apart."""
    run = import_run(*MAY2020)
    first, second = rows(run)
    assert first["pause_ns"] == 17_788_631_000
    assert first["secondary_cache_flush_ns"] == 13_495_864_000
    assert first["flush_pages"] == 2456
    assert first["ram_ns"] == 16_041_000  # it was in the cache when its flush began
    assert -351_200_000_000 < run.source["clock_offset_ns"] < -351_000_000_000
    assert (second["outcome"], second["pause_ns"]) == ("unfinished", None)
    assert run.verdict == "unknown"


def test_the_trace_of_may_2020_is_taken_for_no_design_that_flushes_later() -> None:
    """Who flushes after VMSTATE_SIZE, as QEMU from 5.1 on, cannot have written it."""
    (told,) = sessions(MAY2020)
    found = identify(told)
    assert found.excluded["qemu-5.1"].line == 10
    assert "qemu-5.1" not in found.designs


def test_a_log_of_qemu_11_with_a_yank_conforms() -> None:
    """The yank, what broke by it, and the failover that followed are what a design can do."""
    (told,) = sessions(YANK)
    assert "qemu-5.1" in identify(told).designs
    assert [history.log.unknown_lines for history in told] == [0, 0]
    run = import_run(*YANK)
    assert run.deviation is None
    assert (run.verdict, run.survivor) == ("failed_over", "primary")
    events = [event for _, event, _ in run.iter_events()]
    assert [event for event in events if isinstance(event, CommandServed)] == [
        CommandServed("primary", "yank", out_of_band=True),
        CommandServed("primary", "x-colo-lost-heartbeat"),
    ]
    assert FunctionFailed("secondary", "RAM load") in events  # its stream was cut off


@pytest.mark.parametrize("served", ["qmp_enter_yank {}", "qmp_enter_query_status {}"])
def test_a_command_that_ends_nothing_leaves_the_protocol_as_it_is(served: str) -> None:
    """COLO may go on after any command but the lost heartbeat, and goes wrong where it does."""
    lines = PRIMARY.read_text("utf-8").splitlines(keepends=True)
    lines.insert(30, f"7@1795397505.5:{served}\n")
    ((history,),) = sessions_of(parse(lines))
    assert deviation(protocol_of("qemu-5.1"), history) is None
    del lines[next(i for i in range(40, 60) if "vmstate-received" in lines[i])]
    ((history,),) = sessions_of(parse(lines))
    assert deviation(protocol_of("qemu-5.1"), history) is not None


def test_who_holds_the_lock_is_in_no_trace() -> None:
    """Designs that differ in the lock alone can all have written a trace."""
    ((history,),) = sessions_of(parse(PRIMARY.read_text("utf-8").splitlines(keepends=True)))
    for design in ("split", "split+ram-outside-lock", "qemu-5.1"):
        assert deviation(protocol_of(design), history) is None


def test_a_design_with_options_is_held_against_the_log_too() -> None:
    """A remedy behind the name of a design does not hide what the design cannot have written."""
    assert import_run(PRIMARY, SECONDARY, design="qemu-5.1+yank").deviation is None
    parted = import_run(PRIMARY, SECONDARY, design="split+yank").deviation
    assert parted is not None
    assert (parted.design, parted.side, parted.line) == ("split+yank", "secondary", 14)


@pytest.mark.parametrize(
    "line",
    [
        "13@5.000007:qio_channel_socket_new Socket new ioc=0x55\n",
        "2026-11-29T09:53:12.901384Z qio_channel_socket_new Socket new ioc=0x55\n",
        "2026-11-29T09:53:12.901384Z migration_cleanup \n",
        "qio_channel_socket_new Socket new ioc=0x55\n",
        "qio_channel_socket_new 12.345 pid=13 ioc=0x55\n",
        '{"timestamp": {"seconds": 1588276704, "microseconds": 917406}, "event": "RTC_CHANGE"}\n',
    ],
)
def test_events_of_other_subsystems_are_not_unknown(line: str) -> None:
    """In every spelling they are counted as events; only other output is unknown."""
    log = parse(["colo_send_message Send 'vmstate-size' message\n", line, "qemu: hello there\n"])
    assert (log.other_events, log.unknown_lines) == (1, 1)


def test_a_log_of_multifd_channels_is_not_taken_for_a_plain_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where events of the channels show them, a design without them is refused, and it is said."""
    path = tmp_path / "multifd.log"
    channels = "13074@1795397505.096810:multifd_send_sync_main packet num 1\n"
    path.write_text(PRIMARY.read_text("utf-8") + channels)
    for design in (None, "qemu-5.1"):
        with pytest.raises(LogError, match=rf"of which '{design or 'qemu-11'}' has none; say how"):
            import_run(path, design=design)
    assert main(["qemu", "identify", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "RAM went through multifd channels" in printed
    assert "qemu-11 with multifd: the only design" in printed


# ---- several sessions ----------------------------------------------------------------------------


def again(path: Path, *, after_s: int = 60) -> str:
    """Return a log with a failover and the same session once more, later."""
    text = path.read_text("utf-8")
    last_s = int(STAMP.findall(text)[-1][0])
    failover = FAILOVER.format(f"{last_s + 1}.000000", f"{last_s + 1}.000001")
    return text + failover + moved(text, lambda _: after_s * 10**6)


def test_two_sessions_in_one_log_are_two_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each entry into COLO after a failover is a run, with checkpoints and a name of its own."""
    path = tmp_path / "both.log"
    path.write_text(again(PRIMARY))
    first, second = import_runs(path)
    alone = rows(import_run(PRIMARY))
    assert rows(second) == alone
    assert rows(first)[: len(alone)] == alone
    assert [run.deviation for run in (first, second)] == [None, None]
    assert [run.scenario.name for run in (first, second)] == ["both-1", "both-2"]
    with pytest.raises(LogError, match="COLO was entered 2 times"):
        import_run(path)
    assert main(["qemu", "import", str(path), "--out", str(tmp_path / "out")]) == 0
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["both-1", "both-2"]
    capsys.readouterr()
    assert main(["qemu", "identify", str(path), "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_sessions_of_both_sides_belong_together_in_their_order(tmp_path: Path) -> None:
    """Two logs of two sessions each are two runs of both sides."""
    primary, secondary = tmp_path / "p.log", tmp_path / "s.log"
    primary.write_text(again(PRIMARY))
    secondary.write_text(again(SECONDARY))
    both = import_run(PRIMARY, SECONDARY)
    for run in import_runs(primary, secondary):
        assert [log["side"] for log in run.source["logs"]] == ["primary", "secondary"]
        assert rows(run)[: len(rows(both))] == rows(both)


def test_a_secondary_that_took_over_is_a_primary_later(tmp_path: Path) -> None:
    """One process's log has its session as secondary, then one as primary, which stands alone."""
    path = tmp_path / "took-over.log"
    text = SECONDARY.read_text("utf-8")
    last_s = int(STAMP.findall(text)[-1][0])
    failover = FAILOVER.format(f"{last_s + 1}.000000", f"{last_s + 1}.000001")
    path.write_text(text + failover + moved(PRIMARY.read_text("utf-8"), lambda _: 60 * 10**6))
    sides = [[log["side"] for log in run.source["logs"]] for run in import_runs(path)]
    assert sides == [["secondary"], ["primary"]]
    sides = [[log["side"] for log in run.source["logs"]] for run in import_runs(PRIMARY, path)]
    assert sides == [["primary", "secondary"], ["primary"]]


def test_sessions_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    """Of two sessions of a primary and one of a secondary it is not told which belong together."""
    path = tmp_path / "both.log"
    path.write_text(again(PRIMARY))
    with pytest.raises(LogError, match=r"2 COLO sessions .*which belong together is not told"):
        import_runs(path, SECONDARY)


# ---- a clock that was set back -------------------------------------------------------------------


def test_a_clock_that_was_set_back_is_told_and_makes_no_duration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the line on to the next checkpoint nothing has a time; all else is as it was."""
    text = PRIMARY.read_text("utf-8")
    stops = [i for i, line in enumerate(text.splitlines(), 1) if "'run' => 'stop'" in line]
    path = tmp_path / "back.log"
    path.write_text(moved(text, lambda line: -5 * 10**6 if line > stops[1] else 0))
    run, straight = import_run(path), import_run(PRIMARY)
    assert run.source["logs"][0]["clock_ran_backwards_at_lines"] == [stops[1] + 1]
    for number, (row, as_was) in enumerate(zip(rows(run), rows(straight), strict=True)):
        if number == 1:
            assert (row["outcome"], row["pause_ns"], row["transaction_ns"]) == (
                "committed",
                None,
                None,
            )
            assert row["primary_stopped_at_ns"] == as_was["primary_stopped_at_ns"]
            assert row["primary_start_ns"] is None
        else:
            assert row["pause_ns"] == as_was["pause_ns"]
            assert row["transaction_ns"] == as_was["transaction_ns"]
    assert rows(run)[2]["run_before_ns"] is None
    assert run.summary["pause_ns"]["count"] == 4
    assert main(["qemu", "identify", str(path)]) == 0
    assert f"its clock ran backwards (line {stops[1] + 1})" in capsys.readouterr().out


@settings(deadline=None, max_examples=20)
@given(
    line=st.integers(2, 75),
    back_us=st.integers(1, 10**9),
    side=st.sampled_from([(PRIMARY,), (SECONDARY,), (PRIMARY, SECONDARY)]),
)
def test_no_duration_spans_a_clock_that_was_set_back(
    tmp_path_factory: pytest.TempPathFactory, line: int, back_us: int, side: tuple[Path, ...]
) -> None:
    """Whatever line the clock is set back at, every duration is one of the true run's, or none."""
    folder = tmp_path_factory.mktemp("back")
    path = folder / side[-1].name
    text = side[-1].read_text("utf-8")
    path.write_text(moved(text, lambda number: -back_us if number >= line else 0))
    run, straight = import_run(*side[:-1], path), import_run(*side)
    told = run.source["logs"][-1]["clock_ran_backwards_at_lines"]
    assert told in ([line], [])
    if not told:
        return  # the lines are further apart than the clock went back
    own = f"{run.source['logs'][-1]['side']}_"
    for row, as_was in zip(rows(run), rows(straight), strict=True):
        for key, value in row.items():
            if key.endswith("_ns") and "_at_" not in key and key.startswith(own):
                assert value in (None, as_was[key]), key
        assert row["pause_ns"] in (None, as_was["pause_ns"])
        assert row["run_before_ns"] in (None, as_was["run_before_ns"])


# ---- what was not measured -----------------------------------------------------------------------


def test_what_was_not_measured_is_nowhere_a_number(tmp_path: Path) -> None:
    """In the summary, the manifest and the report it is absent: no 0, and no scenario's default."""
    run = import_run(PRIMARY)
    assert run.summary["lock_hold_ns"] == {"primary": None, "secondary": None}
    assert run.summary["wire_bytes_per_checkpoint"] is None
    assert run.summary["ram_ns"] is None
    assert run.summary["wire_bytes"] is None
    write_imported(run, tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))
    assert manifest["source"]["conditions"] is None
    assert manifest["source"]["clock_offset_ns"] is None
    assert manifest["scenario"].splitlines() == [
        "name: qemu72-primary",
        'description: "imported from QEMU\'s log; its conditions are not known"',
        "designs:",
        "  - qemu-5.1",
    ]
    assert colosim.read_run(tmp_path / "run").scenario == run.scenario
    for shown in (run, colosim.read_run(tmp_path / "run")):
        text = report([shown])
        for default in ("kvm-xeon", "1 GiB", "2000 pages", "every default"):
            assert default not in text
        assert "<dd>not known</dd>" in text


# ---- how a log comes -----------------------------------------------------------------------------


TRACED = PRIMARY.read_text("utf-8")


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(TRACED.encode()),
        bz2.compress(TRACED.encode()),
        lzma.compress(TRACED.encode()),
        TRACED.replace("\n", "\r\n").encode(),
        "".join(f"Nov 29 22:03:43 host qemu[7]: {line}\n" for line in TRACED.splitlines()).encode(),
        "".join(f"{json.dumps({'log': line})}\n" for line in TRACED.splitlines()).encode(),
        b"<pre>\n" + html.escape(f"> {TRACED[:-1]}".replace("\n", "\n> ")).encode() + b"\n</pre>\n",
        b"Content-Transfer-Encoding: quoted-printable\n\n" + quopri.encodestring(TRACED.encode()),
        b"Content-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(TRACED.encode())
        + b"\n--0--\n",
    ],
    ids=["gz", "bz2", "xz", "crlf", "journal", "docker", "html", "quoted-printable", "base64"],
)
def test_a_log_is_read_however_it_comes(tmp_path: Path, data: bytes) -> None:
    """Packed, behind others' prefixes, or in a mail: the same events with the same times."""
    path = tmp_path / "any.log"
    path.write_bytes(data)
    assert rows(import_run(path)) == rows(import_run(PRIMARY))


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"\x28\xb5\x2f\xfd" + bytes(9), r"packed by zstd: unpack it"),
        (TRACED.encode("utf-16"), r"it is UTF-16: make it UTF-8 \(iconv"),
        (lzma.compress(TRACED.encode())[:-40], "cannot be read"),
    ],
)
def test_what_cannot_be_unpacked_is_named(tmp_path: Path, data: bytes, wanted: str) -> None:
    """With what to do about it, rather than as a log without events."""
    path = tmp_path / "any.log"
    path.write_bytes(data)
    with pytest.raises(LogError, match=wanted):
        import_run(path)
