"""What every command says where the system refuses to write, and what it leaves there: nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from colosim.cli.main import COMMANDS, main
from colosim.cli.qemu import SUBCOMMANDS
from colosim.errors import WriteError
from colosim.explore.results import Results
from colosim.runs.stored import verify

LOG = Path(__file__).parent.parent / "measured" / "data" / "qemu72-primary.log"
SWEEP = "RUN/../../small.yaml"
POINTS = "scenario: idle\naxes: {design: [split], checkpoint_delay: [100 ms, 200 ms]}\n"
SHORT = ["idle", "--design", "split", "--set", "checkpoints=2"]
EXPLORED = ["idle", "--design", "split", "--faults", "kill", "--jobs", "1", "--out", "HERE"]

REVIEWED = ["qsb", "--against", "split", "--under", "idle", "--faults", "fail device save"]

#: Every command that writes; RUN stands for a run directory, HERE for the folder to write in.
WRITERS = {
    "run": ["run", *SHORT, "--out", "HERE"],
    "run --tables parquet": ["run", *SHORT, "--tables", "parquet", "--out", "HERE"],
    "run --tables none": ["run", *SHORT, "--tables", "none", "--out", "HERE"],
    "qemu import": ["qemu", "import", str(LOG), "--out", "HERE"],
    "explore": ["explore", *EXPLORED],
    "sweep": ["sweep", SWEEP, "--jobs", "1", "--out", "HERE"],
    "plot svg": ["plot", "RUN", "--kind", "memory", "-o", "HERE/a.svg"],
    "plot --data": [
        "plot",
        "RUN",
        "--kind",
        "memory",
        "-o",
        "RUN/../../null.svg",
        "--data",
        "HERE/a.csv",
    ],
    "timeline": ["timeline", "RUN", "-o", "HERE/a.perfetto-trace"],
    "sequence mmd": ["sequence", "RUN", "-o", "HERE/a.mmd"],
    "sequence svg": ["sequence", "RUN", "-o", "HERE/a.svg"],
    "report": ["report", "RUN", "-o", "HERE/a.html"],
    "plan": [
        *("plan", SWEEP, "--meet", "pause_ns.p50 < 1 s", "--jobs", "1", "--out", "HERE"),
    ],
    "check": ["check", "compare", "--design", "split", "--record", "HERE/a.yaml"],
    "review": ["review", *REVIEWED, "--jobs", "1", "-o", "HERE/a.md"],
    "sensitivity": ["sensitivity", *SHORT, "-o", "HERE/a.svg"],
    "init": ["init", "HERE/a"],
    "qemu fit": ["qemu", "fit", "qemu25/qio*", "-o", "HERE/a.yaml"],
    "qemu validate --plot": ["qemu", "validate", "qemu25/old-fault-kill*", "--plot", "HERE/a.svg"],
    "qemu validate --record": ["qemu", "validate", "qemu25/old-fault-kill*", "--record", "HERE/a"],
}
#: Commands that write nothing but standard output.
PRINTERS = {
    "compare", "diff", "explain", "steps", "validate", "resolve", "schema", "designs",
    "presets", "qemu identify", "qemu scenario",
}  # fmt: skip
WHY = {
    "full": "a file may not become that large; raise its limit (ulimit -f)",
    "read-only": "the file system is read-only; write elsewhere",
    "forbidden": "that is not permitted; write to a folder of your own",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run directory."""
    out = tmp_path_factory.mktemp("runs")
    assert main(["run", *SHORT, "--out", str(out)]) == 0
    (out / "null.svg").symlink_to(os.devnull)
    (out / "small.yaml").write_text(POINTS)
    return out / "idle" / "split"


def words(arguments: list[str], run: Path, here: Path | str = "HERE") -> list[str]:
    """Return a command's words with their places filled in."""
    return [word.replace("RUN", str(run)).replace("HERE", str(here)) for word in arguments]


def test_every_command_is_known_here() -> None:
    """A command that is new has to be tried, too."""
    commands = {*COMMANDS, *(f"qemu {name}" for name in SUBCOMMANDS)} - {"qemu"}
    written = {" ".join(words[: 1 + (words[0] == "qemu")]) for words in WRITERS.values()}
    assert written | PRINTERS == commands


def hold(tried: list[tuple[str, str]], run: Path) -> None:
    """Run commands, each with a refusal, in one process, and hold each to what it must say."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("refusing.py")],
        input=json.dumps([(refusal, words(WRITERS[name], run)) for name, refusal in tried]),
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    outcomes = map(json.loads, done.stdout.splitlines())
    for (name, refusal), (status, told, files) in zip(tried, outcomes, strict=True):
        lines = told.splitlines()
        if name in {"explore", "sweep"}:  # says first how many there are, and keeps the finished
            assert lines.pop(0).endswith((" cases", " to do"))
            files[:] = [file for file in files if not file.endswith(".jsonl")]
        assert len(lines) == 1, (name, refusal, told)
        assert lines[0].startswith("colosim: cannot write HERE"), (name, refusal, told)
        assert lines[0].endswith(f": {WHY[refusal]}"), (name, refusal, told)
        assert (status, files) == (2, []), (name, refusal)


def test_what_the_system_refuses_is_one_message_and_leaves_nothing(run: Path) -> None:
    """Full, read-only, forbidden: every command that writes says what to do, and leaves no file.

    Every fourth is tried with one of them here, all with all behind the mark ``slow``.
    """
    hold([(name, (*WHY,)[number % len(WHY)]) for number, name in enumerate((*WRITERS,)[::4])], run)


@pytest.mark.slow
def test_every_command_and_everything_that_the_system_may_refuse(run: Path) -> None:
    """Every command that writes, with everything that it may be refused."""
    hold([(name, refusal) for name in WRITERS for refusal in WHY], run)


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "RUN", "-o", "RUN/summary.json"],
        ["timeline", "RUN", "-o", "RUN/manifest.json"],
        ["plot", "RUN", "--kind", "memory", "-o", "HERE/a.svg", "--data", "RUN/memory.csv"],
        ["report", "HERE/a.yaml", "-o", "HERE/a.yaml"],
        ["check", "HERE/a.yaml", "--record", "HERE/a.yaml"],
        ["check", "HERE/a.yaml", "--junit", "HERE/a.yaml"],
        ["check", "idle", "--record", "HERE/b.xml", "--junit", "HERE/./b.xml"],
        ["check", "idle", "--record", "HERE/a.yaml", "--against", "HERE/a.yaml"],
        ["sequence", "HERE/a.yaml", "-o", "HERE/a.yaml"],
        ["qemu", "fit", "RUN", "-o", "RUN/summary.json"],
        ["qemu", "fit", "RUN", "--base", "HERE/a.yaml", "-o", "HERE/a.yaml"],
        ["review", *REVIEWED, "--under", "HERE/a.yaml", "-o", "HERE/a.yaml"],
        ["review", "HERE/a.yaml:Own", "-o", "HERE/a.yaml"],
        ["plot", "RUN", "--kind", "memory", "-o", "HERE/a.svg", "--data", "HERE/./a.svg"],
        ["sensitivity", *SHORT, "-o", "HERE/a.svg", "--data", "HERE/./a.svg"],
    ],
)
def test_what_is_read_is_not_written_over(arguments: list[str], run: Path, tmp_path: Path) -> None:
    """A source, a file of a run, and a figure's file for its data are refused beforehand."""
    scenario = tmp_path / "a.yaml"
    scenario.write_text("name: a\n")
    assert main(words(arguments, run, tmp_path)) == 2
    verify(run)
    assert list(tmp_path.iterdir()) == [scenario]
    assert scenario.read_text() == "name: a\n"


def test_a_device_is_not_read_for_finished_cases(tmp_path: Path) -> None:
    """It may give bytes without an end."""
    results = Results(tmp_path, "a")
    assert results.path is not None
    results.path.symlink_to("/dev/zero")
    with pytest.raises(WriteError, match="something stands in its place"):
        results.__enter__()


FILES = {name: each for name, each in WRITERS.items() if each[-1].startswith("HERE/a.")}
DEAR = {"sensitivity", "report", "review"}
#: What may stand where a file is to be written: how it is made, and what is told of it.
PLACES = {
    "nothing, in a folder that is not there": "its folder is not there; make it first",
    "a link in a circle": "its links lead in a circle; name a file",
    "a full device": "no space is left; free some, or write elsewhere",
    "a name that is too long": "the name is too long; choose a shorter one",
}


def place(kind: str, folder: Path, suffix: str) -> Path:
    """Return where to write."""
    path = folder / f"a{suffix}"
    if kind == "a link in a circle":
        path.symlink_to(path.name)
    elif kind == "a full device":
        path.symlink_to("/dev/full")
    elif kind == "a name that is too long":
        return folder / f"{'a' * 300}{suffix}"
    elif kind == "nothing, in a folder that is not there":
        return folder / "none" / path.name
    return path


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("name", ["plot svg", "sequence mmd"])
def test_what_stands_in_the_place_of_a_file(
    name: str, kind: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a file cannot be is one message, and neither link nor device is replaced."""
    if kind == "a full device" and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    *arguments, target = WRITERS[name]
    path = place(kind, tmp_path, Path(target).suffix)
    before = [(each.name, each.is_symlink()) for each in tmp_path.iterdir()]
    assert main([*words(arguments, run), str(path)]) == 2
    assert capsys.readouterr().err == f"colosim: cannot write {path}: {PLACES[kind]}\n"
    assert [(each.name, each.is_symlink()) for each in tmp_path.iterdir()] == before


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in DEAR)) for name in FILES]
)
def test_a_link_is_written_through(name: str, run: Path, tmp_path: Path) -> None:
    """What a link leads to has the content, whole, and the link is a link."""
    *arguments, target = FILES[name]
    link = tmp_path / Path(target).name
    link.symlink_to("real")
    assert main([*words(arguments, run), str(link)]) == 0
    assert link.is_symlink()
    assert (tmp_path / "real").stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([link.name, "real"])
