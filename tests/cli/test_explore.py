"""``explore``, ``steps`` and ``run --choices``."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from colosim.cli.main import main
from tests.checkers.wrong_designs import Eager

if TYPE_CHECKING:
    from pathlib import Path

SMALL = """
name: small
designs: [split, qsb]
guest: {ram: 64 MiB, dirty: {pages: 4096}}
network: {preset: lab-veth, send_buffer: 4 MiB, receive_buffer: 2 MiB}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with a small scenario."""
    (tmp_path / "small.yaml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def explore(*more: str) -> int:
    """Explore the small scenario in this process."""
    return main(["explore", "small.yaml", "--jobs", "1", *more])


def test_explore_counts_draws_and_keeps_every_case(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table of counts by design and verdict, in 80 columns; all cases as CSV and JSON."""
    assert explore("--faults", "leak RAM save, fail") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if line.startswith(("split", "qsb"))] == [
        "split",
        "qsb",
    ]
    cases = json.loads((folder / "explorations" / "small" / "cases.json").read_text())
    assert err == f"small: {len(cases)} cases\n"
    assert {case["verdict"] for case in cases} == {"hung", "stopped"}


def test_long_names_of_designs_are_folded_at_plus(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table keeps to 80 columns, and no word of a verdict or of a remedy is broken."""
    long = "qemu-5.1+send-timeout=1s+receive-outside-lock+nodelay+yank+socket-buffers=128MiB"
    assert explore("--designs", f"split,{long}", "--faults", "fail") == 0
    lines = capsys.readouterr().out.splitlines()
    table = lines[: next(i for i, line in enumerate(lines) if line.endswith("written"))]
    assert max(map(len, table)) <= 80
    names = [line.split()[0] for line in table if line.startswith(("qemu-5.1", "+"))]
    assert "".join(names) == long
    assert table[1].split() == ["design", "stopped", "hung", "cases"]


def test_explore_as_json_is_one_array(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is the array and nothing else, and a rerun says the same."""
    arguments = ("--designs", "qsb", "--faults", "fail", "--format", "json")
    assert explore(*arguments) == 0
    first = capsys.readouterr().out
    assert [case["fault"] for case in json.loads(first)] == [
        "fail RAM save",
        "fail device save",
        "fail device load",
    ]
    assert explore(*arguments) == 0
    assert capsys.readouterr().out == first


def test_a_case_is_replayed_by_its_choices(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``run --choices`` runs the design of the case, with the digest of the exploration."""
    explore("--designs", "split", "--faults", "fail", "--format", "json")
    (case, *_) = json.loads(capsys.readouterr().out)
    status = main(["run", "small.yaml", "--choices", case["choices"], "--format", "json"])
    (summary,) = json.loads(capsys.readouterr().out)
    assert (summary["digest"], summary["verdict"]) == (case["digest"], case["verdict"])
    assert status == 3


def test_choices_that_are_none_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A step that there is not ends with 2 and names the nearest; nothing is written."""
    assert main(["run", "small.yaml", "--choices", "step=RAM strem"]) == 2
    assert "did you mean 'RAM stream'" in capsys.readouterr().err
    assert explore("--faults", "melt") == 2
    assert "'melt' is no fault" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["small.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explore", "small.yaml", "--faults", "freeze 0 s"], "'0 s' is too small"),
        (["explore", "small.yaml", "--faults", "slow latency 0"], "'0' is too small"),
        (["explore", "small.yaml", "--faults", ","], "',' names none"),
        (["explore", "small.yaml", "--designs", " "], "' ' names none"),
        (
            ["explore", "small.yaml", "--faults", "fail nothing"],
            "RAM save, loadvm_state_begin",
        ),
        (
            ["explore", "small.yaml", "--designs", "qemu-5.1", "--faults", "leak RAM save"],
            "nothing of leak RAM save can strike in qemu-5.1",
        ),
        (
            ["explore", "small.yaml", "--find", "hung", "--shrink", "guest.dirt"],
            "'guest.dirt' is no key of this scenario",
        ),
        (
            ["run", "small.yaml", "--choices", "step=RAM stream, when=during 140%"],
            "'140%' is no share of a step",
        ),
        (
            ["run", "small.yaml", "--choices", "step=RAM stream, when=during abc"],
            "'abc' is not a quantity",
        ),
        (
            ["run", "small.yaml", "--choices", "step=RAM stream, fault=freeze 9999999 s"],
            "'9999999 s' is too large",
        ),
    ],
)
def test_wrong_input_is_one_message(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """What cannot be ends with 2 and one line that says what was expected; nothing is written."""
    assert main(arguments) == 2
    *before, told = capsys.readouterr().err.splitlines()
    assert message in told
    assert before in ([], ["small: 0 cases"])
    assert [path.name for path in folder.iterdir()] == ["small.yaml"]


@pytest.mark.parametrize("name", ["hang", "my hang.yaml"])
def test_the_printed_command_replays_the_case(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """It has the scenario file and the overrides as they were given, quoted for a shell."""
    (folder / name).write_text(SMALL)
    sets = ["--set", "guest.dirty.pages=3000 pages"]
    arguments = ["--designs", "split+nodelay", "--faults", "leak RAM save", "--find", "hung"]
    assert main(["explore", f"./{name}", *sets, *arguments, "--jobs", "1"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    (command,) = [line for line in lines if line.startswith("colosim run ")]
    words = shlex.split(command)
    assert words[1:5] == ["run", f"./{name}", *sets]
    assert main([*words[1:], "--tables", "none"]) == 3
    capsys.readouterr()
    main(["explore", f"./{name}", *sets, *arguments, "--jobs", "1", "--format", "json"])
    (found,) = json.loads(capsys.readouterr().out)
    assert found["replay"] == command


def test_a_violation_that_only_the_checkers_see_is_found_and_shrunk(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--find violated`` ends with the smallest scenario, which is violated again."""
    monkeypatch.setattr("colosim.runs.simulation.design_of", lambda _design: Eager)
    assert explore("--designs", "split", "--faults", "freeze", "--find", "violated") == 4
    assert "replayed: violated" in capsys.readouterr().out
    assert (folder / "explorations" / "small" / "shortest-violated-split.yaml").is_file()


HELD = """
import os, pathlib, sys, time
if "--multiprocessing-fork" in sys.orig_argv:
    os.write(2, b"a worker starts\\n")
    while not pathlib.Path(__file__).with_name("go").exists():
        time.sleep(0.01)
"""
"""What Python imports first: holds the worker processes of an exploration in their first moment."""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_an_early_interrupt_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the processes are still being started leaves no traceback of theirs."""
    (folder / "sitecustomize.py").write_text(HELD)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    command = [sys.executable, "-m", "colosim", "explore", "small.yaml", "--jobs", "2"]
    command += ["--designs", "split", "--faults", "kill"]
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)  # else it may be ignored there
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        signal.signal(signal.SIGINT, ours)
        assert process.stderr is not None
        begun = [process.stderr.readline() for _ in range(3)]
        os.killpg(process.pid, signal.SIGINT)
        (folder / "go").touch()
        told = process.stderr.read()
    assert begun[1:] == ["a worker starts\n"] * 2
    assert (process.returncode, told.strip()) == (130, "colosim: interrupted")


def test_find_shrinks_writes_and_replays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first hung case becomes the smallest scenario file, which hangs again when it is run."""
    assert explore("--faults", "freeze", "--find", "hung", "--shrink", "guest.dirty") == 0
    printed = capsys.readouterr().out
    assert "split: hung at case" in printed
    assert "guest.dirty: hung from 1536 pages on; at 1535 pages it is failed_over" in printed
    path = folder / "explorations" / "small" / "shortest-hung-split.yaml"
    assert f"{path.relative_to(folder)}: written" in printed
    assert main(["check", str(path)]) == 0


def test_finding_nothing_is_no_success(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status is 1 if no case has the verdict, and 2 if --shrink does not know which."""
    assert explore("--designs", "qsb", "--faults", "fail", "--find", "hung") == 1
    assert "ends hung" in capsys.readouterr().out
    assert explore("--shrink", "guest.dirty") == 2
    capsys.readouterr()
    arguments = ("--designs", "qsb", "--faults", "fail", "--find", "hung", "--format", "json")
    assert explore(*arguments) == 1
    out, err = capsys.readouterr()
    assert json.loads(out) == []
    assert "ends hung" in err


def test_the_number_of_cases_is_told_first(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--count`` says how many cases there are and runs none."""
    assert explore("--designs", "qsb", "--faults", "kill", "--depth", "2", "--count") == 0
    assert "cases" in capsys.readouterr().err
    assert not (folder / "explorations").exists()


def test_steps_are_listed_as_faults_name_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Both sides' steps in order, with QEMU's function, the lock, and where a thread can block."""
    assert main(["steps", "split"]) == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines[2:]]
    assert cells[:2] == [
        ["primary: CHECKPOINT_REQUEST", "-", "-", "colo_send_message"],
        ["secondary: CHECKPOINT_REQUEST", "-", "message", "colo_receive_check_message"],
    ]
    assert ["primary: RAM stream", "save", "room", "qemu_savevm_live_state"] in cells
    assert cells[-1] == ["primary: start", "start", "-", "vm_start"]


@pytest.mark.parametrize(
    ("design", "step", "lock"),
    [
        ("qsb", "primary: RAM stream", None),
        ("split", "primary: RAM stream", "save"),
        ("device-first", "primary: RAM stream", "save"),
        ("flat", "secondary: vmstate fill", None),
        ("qemu-5.1", "secondary: RAM load", "receive"),
    ],
)
def test_blocking_points_under_the_lock_show(
    design: str, step: str, lock: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a design can hang is a step that waits with the lock held."""
    assert main(["steps", design, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    (row,) = [row for row in rows if f"{row['side']}: {row['step']}" == step]
    assert row["lock"] == lock
    assert row["blocks_on"]
    assert all(row["function"] for row in rows)


@pytest.mark.parametrize(
    ("design", "sync", "stream", "load"),
    [
        ("split", "migration_bitmap_sync", "qemu_savevm_live_state", "qemu_load_ram_state"),
        ("qemu-5.1", "migration_bitmap_sync", "qemu_savevm_live_state", "qemu_loadvm_state_main"),
        (
            "qemu-11",
            "qemu_savevm_query_pending_final",
            "qemu_savevm_state_complete_precopy_iterable",
            "qemu_loadvm_state_main",
        ),
    ],
)
def test_functions_are_those_of_the_version(
    design: str, sync: str, stream: str, load: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The steps of RAM are named as in that QEMU: 11.1.3 exports no qemu_savevm_live_state."""
    assert main(["steps", design, "--format", "json"]) == 0
    rows = {row["step"]: row["function"] for row in json.loads(capsys.readouterr().out)}
    assert (rows["bitmap sync"], rows["RAM stream"], rows["RAM load"]) == (sync, stream, load)
