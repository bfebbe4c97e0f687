"""``run``, ``compare``, ``check`` and ``diff``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from colosim.cli import determinism
from colosim.cli.main import STATUS_FAILED, main
from tests.checkers.wrong_designs import Eager
from tests.cli.test_main import modules_after
from tests.runs.conftest import FROZEN, PLAIN


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with two scenarios, where nobody overrides the terminal."""
    (tmp_path / "plain.yaml").write_text(PLAIN)
    (tmp_path / "frozen.yaml").write_text(FROZEN.replace("name: plain", "name: frozen"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def test_run_writes_each_design(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``run`` writes runs/SCENARIO/DESIGN for each design and says so, in 80 columns."""
    assert main(["run", "plain.yaml"]) == 0
    printed = capsys.readouterr().out
    designs = ["qsb", "split", "device-first", "flat", "qemu-5.1"]
    for design in designs:
        assert (folder / "runs" / "plain" / design / "summary.json").is_file()
        assert f"runs/plain/{design}: written" in printed
    assert max(map(len, printed.splitlines())) <= 80
    assert "\x1b" not in printed


def test_run_leaves_the_same_run_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same run twice is said to be there; another one takes its place, --force or not."""
    arguments = ["run", "plain.yaml", "--design", "split", "--out", "o"]
    assert main(arguments) == 0
    assert main(arguments) == 0
    assert "the same run is there already" in capsys.readouterr().out
    for other in (["--set", "checkpoints=2"], ["--force"]):
        assert main([*arguments, *other]) == 0
        assert "written, in place of a run with the digest " in capsys.readouterr().out


def test_the_scenario_of_a_run_with_a_seed_replays_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the manifest of ``--seed 7`` has as its scenario gives the same run without a seed."""
    drawn = ["run", "--design", "split", "--set", "network.ack_tick_phase=random"]
    assert main([*drawn, "plain.yaml", "--seed", "7", "--out", "seven"]) == 0
    assert main([*drawn, "plain.yaml", "--out", "own"]) == 0
    manifest = json.loads((folder / "seven/plain/split/manifest.json").read_text())
    (folder / "again.yaml").write_text(manifest["scenario"])
    assert main(["run", "--design", "split", "again.yaml", "--out", "again"]) == 0
    capsys.readouterr()
    seven, again = ["seven/plain/split"], ["again/plain/split"]
    assert main(["diff", *seven, *again]) == 0
    assert main(["diff", *seven, "own/plain/split"]) == 1


@pytest.mark.parametrize("command", ["run", "explain", "plot", "sequence", "report"])
def test_a_seed_is_bounded_as_in_a_file(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """What ``seed:`` refuses, every command's ``--seed`` refuses, and nothing is written."""
    before = sorted(folder.iterdir())
    for seed in (2**64, -1):
        assert main(["validate", "plain.yaml", "--set", f"seed={seed}"]) == 2
        assert main([command, "plain.yaml", "--seed", str(seed)]) == 2
    assert "18446744073709551615" in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_json_is_one_array_and_nothing_else(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output is a JSON array with one summary a run, over all scenarios."""
    status = main(["run", "plain.yaml", "frozen.yaml", "--format", "json", "--design", "split"])
    summaries = json.loads(capsys.readouterr().out)
    assert [(one["scenario"], one["verdict"]) for one in summaries] == [
        ("plain", "completed"),
        ("frozen", "hung"),
    ]
    assert status == 0


@pytest.mark.parametrize(("design", "status"), [("split", 0), ("device-first", 3), ("qsb", 0)])
def test_a_hang_that_was_not_foreseen_is_no_success(folder: Path, design: str, status: int) -> None:
    """The exit status is 3 for a hang that the scenario does not expect of the design."""
    assert main(["run", "frozen.yaml", "--design", design, "--tables", "none"]) == status
    assert main(["compare", "frozen.yaml", "--design", design]) == status
    assert main(["check", "frozen.yaml", "--design", design]) == status


def test_bad_input_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown design or scenario ends with 2 before anything is written."""
    assert main(["run", "plain.yaml", "--design", "splitt"]) == 2
    assert "did you mean 'split'" in capsys.readouterr().err
    assert main(["run", "plain.yaml", "nothing.yaml"]) == 2
    assert not (folder / "runs").exists()


def test_tables_none_writes_summary_and_manifest(folder: Path) -> None:
    """``--tables none`` writes no table."""
    assert main(["run", "plain.yaml", "--design", "flat", "--tables", "none"]) == 0
    names = sorted(path.name for path in (folder / "runs" / "plain" / "flat").iterdir())
    assert names == ["manifest.json", "summary.json"]


def test_run_loads_neither_pandas_nor_matplotlib(folder: Path) -> None:
    """Neither validating nor a run with its tables waits for libraries of tables and figures."""
    commands = (["validate", "plain.yaml"], ["run", "plain.yaml", "--design", "split"])
    assert not {"pandas", "matplotlib"} & modules_after(*commands)


def test_determinism_is_checked_in_fresh_processes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--check-determinism`` runs twice, says that every file is the same, and writes nothing."""
    arguments = ["run", "frozen.yaml", "--design", "split"]
    assert main([*arguments, "--check-determinism", "--format", "json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert result["deterministic"] is True
    assert not (folder / "runs").exists()
    assert main(arguments) == 0
    capsys.readouterr()
    assert determinism._report(folder / "runs", folder / "runs", form="table") == 0
    assert "frozen/split: the same twice" in capsys.readouterr().out


def test_compare_fits_and_aligns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Five designs side by side fit 80 columns, one line a quantity."""
    assert main(["compare", "plain.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["qsb", "split", "device-first", "flat", "qemu-5.1"]
    assert lines[2].split() == ["verdict"] + ["completed"] * 5
    assert len({len(line) for line in lines[1:3]}) == 1


def test_many_designs_are_compared_in_blocks(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What does not fit 80 columns goes below, with the names of the rows, in whole words."""
    remedied = ["split+send-timeout=5s", "qemu-5.1+receive-outside-lock", "split+yank+nodelay"]
    designs = ["qsb", "split", "device-first", "flat", "qemu-5.1", *remedied]
    assert main(["compare", "plain.yaml", "--designs", ",".join(designs)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    verdicts = [line.split() for line in lines if line.startswith("verdict")]
    assert len(verdicts) > 1
    assert [word for words in verdicts for word in words[1:]] == ["completed"] * len(designs)
    heads = " ".join(line for line in lines if not line.startswith(("pause", "  ratio"))).split()
    assert {"+send-timeout=5s", "+receive-outside-lock"} <= set(heads)
    assert len([line for line in lines if line.startswith("pause p99")]) == len(verdicts)


def test_a_long_design_breaks_no_word_of_a_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside a design with several remedies the verdict stays whole, within 80 columns."""
    name = "split+send-timeout=5s+ram-outside-lock+nodelay"
    assert main(["run", "frozen.yaml", "--design", f"{name},qsb", "--tables", "none"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = lines[: next(i for i, line in enumerate(lines) if line.startswith("runs/"))]
    assert max(map(len, table)) <= 80
    assert sum("failed_over" in line for line in table) == 2


def test_clients_make_a_table_of_blocks_whose_names_stay_whole(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a table is in blocks anyway, a name that fits a quarter of the width is not folded."""
    clients = "service={arrivals: {regular: 20 /s}}"
    arguments = ["run", "plain.yaml", "--design", "qsb,qemu-5.1", "--tables", "none"]
    assert main([*arguments, "--set", clients]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("qemu-5.1  ") for line in lines) == 2


def test_replayed_choices_keep_the_design_that_was_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replay command of a violation has --design where the choices do not have it."""
    monkeypatch.setattr("colosim.runs.simulation.design_of", lambda _name: Eager)
    choices = "side=secondary, step=reset, when=after, fault=freeze"
    main(["run", "plain.yaml", "--design", "split", "--choices", choices, "--tables", "none"])
    replay = f"replay: colosim run plain.yaml --design split --choices '{choices}'"
    assert replay in capsys.readouterr().out.splitlines()


def test_compare_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``compare --format json`` is one array, each summary with ratios and measured medians."""
    assert main(["compare", "plain.yaml", "--format", "json"]) == 0
    summaries = json.loads(capsys.readouterr().out)
    assert [one["design"] for one in summaries][:2] == ["qsb", "split"]
    assert summaries[0]["ratios"]["pause_ns.p50"] == 1
    assert summaries[0]["measured"] == {}


def test_check_reports_each_bound(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``check`` prints pass or FAIL with the value, and ends with 1 if one fails."""
    assert main(["check", "frozen.yaml", "--design", "qsb", "--design", "split"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "pass  frozen qsb: verdict is failed_over, expected failed_over",
        "pass  frozen split: verdict is hung, expected hung",
    ]
    text = (folder / "frozen.yaml").read_text().replace("{verdict: hung}", "{verdict: completed}")
    (folder / "frozen.yaml").write_text(text)
    assert main(["check", "frozen.yaml", "--design", "split", "--format", "json"]) == 1
    (outcome,) = json.loads(capsys.readouterr().out)
    assert (outcome["value"], outcome["passed"]) == ("hung", False)


def test_diff_shows_where_two_runs_part(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``diff`` is 0 for the same events, and else 1 with the first that differs."""
    main(["run", "plain.yaml", "--design", "split", "--design", "qsb"])
    capsys.readouterr()
    assert main(["diff", "runs/plain/split", "runs/plain/split"]) == 0
    assert "the same events" in capsys.readouterr().out
    assert main(["diff", "runs/plain/split", "runs/plain/qsb"]) == 1
    assert "the first difference is event" in capsys.readouterr().out
    assert main(["diff", "runs/plain/split", "runs/plain"]) == 2


@pytest.mark.parametrize("left_bytes", [None, 0, 40])
def test_diff_notices_a_missing_and_a_cut_table(
    folder: Path, capsys: pytest.CaptureFixture[str], left_bytes: int | None
) -> None:
    """A table that is gone or cut makes ``diff`` name it and end with 2, equal digests or not."""
    main(["run", "plain.yaml", "--design", "split"])
    run = Path("runs/plain/split")
    for name in ("events", "memory", "summary"):
        table = next(run.glob(f"{name}.*"))
        whole = table.read_bytes()
        if left_bytes is None:
            table.unlink()
        else:
            table.write_bytes(whole[:left_bytes])
        capsys.readouterr()
        assert main(["diff", str(run), str(run)]) == 2
        assert str(table) in capsys.readouterr().err
        table.write_bytes(whole)


def test_a_design_without_the_step_is_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``compare`` shows a design that lacks a fault's step as n/a, and says which step."""
    text = PLAIN + 'faults: [{kill: secondary, at: {checkpoint: 1, step: "primary: vmstate save"}}]'
    (folder / "lacking.yaml").write_text(text)
    assert main(["compare", "lacking.yaml"]) == STATUS_FAILED
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if "not_applicable" not in line) <= 80
    assert lines[2].split()[2:4] == ["n/a", "n/a"]
    assert any("split: not_applicable, the design has no step" in line for line in lines)


def test_compare_names_the_wait_for_a_delayed_ack(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pause with +nodelay is as a run with it has; a design that does not wait is not named."""
    designs = "split,split+nodelay"
    assert main(["compare", "plain.yaml", "--design", designs, "--format", "json"]) == 0
    pauses = [one["pause_ns"]["p50"] for one in json.loads(capsys.readouterr().out)]
    assert main(["compare", "plain.yaml", "--design", designs]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"with +nodelay pause p50 is: split {pauses[1] / 1e6:.2f} ms" in printed
    assert printed.endswith(" ms")
    assert pauses[1] < pauses[0] - 10**6


def test_no_pause_is_promised_where_none_is_counted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that has COLO's start alone says so, and no pause of 0 ns with +nodelay."""
    (folder / "kvm.yaml").write_text("name: kvm\ndesigns: [qemu-5.1]\ncheckpoints: 1\n")
    assert main(["compare", "kvm.yaml"]) == 0
    printed = capsys.readouterr().out
    assert " ms (qemu-5.1)." in printed
    assert main(["explain", "kvm.yaml"]) == 0
    assert "+nodelay" not in printed + capsys.readouterr().out


def test_a_start_that_was_cut_short_is_called_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pause of COLO's start that a fault ended is not shown as that of its flush."""
    text = "name: kvm\ndesigns: [qemu-5.1]\nfaults:\n  - freeze: secondary\n"
    text += '    at: {checkpoint: 0, step: "primary: RAM stream", progress: 40%}\n'
    (folder / "kvm.yaml").write_text(text)
    assert main(["compare", "kvm.yaml"]) == 0
    assert " s (qemu-5.1, cut short)." in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ([], "Checkpoints counted: 3 each, after a warm-up of 1."),
        (["--set", "warmup=0"], "Checkpoints counted: 4 each, the first, cold one among them."),
        (["--set", "faults=[{kill: secondary, at: 1 us}]"], "counted: none, after a warm-up of 1."),
    ],
)
def test_tables_say_how_many_checkpoints_they_count(
    folder: Path, capsys: pytest.CaptureFixture[str], settings: list[str], told: str
) -> None:
    """Below the table of run and of compare; without a warm-up, that the first is cold."""
    for command in ("run", "compare"):
        assert main([command, "plain.yaml", "--design", "qsb,split", *settings]) in {0, 1}
        assert told in " ".join(capsys.readouterr().out.split())
