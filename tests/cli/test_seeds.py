"""``--seeds`` of ``run``, ``compare`` and ``check``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from colosim.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
name: scattered
designs: [qsb, split]
checkpoints: 4
spread: measured
hosts: {preset: lab-qemu25}
network: {preset: lab-veth}
expect: {qsb: {pause_ns.p50: < 1 s}, split: {pause_ns.p50: < 1 ns}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with a scenario that scatters."""
    (tmp_path / "s.yaml").write_text(TEXT, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def test_run_writes_a_directory_for_each_seed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """DESIGN/seed-N, and one element a run as JSON; each is what the seed alone gives."""
    assert main(["run", "s.yaml", "--seeds", "1..3", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["design"], one["seed"]) for one in found] == [
        (design, seed) for design in ("qsb", "split") for seed in (1, 2, 3)
    ]
    for one in found:
        place = folder / "runs" / "scattered" / one["design"] / f"seed-{one['seed']}"
        assert json.loads((place / "summary.json").read_text("utf-8")) == one
    alone = ["run", "s.yaml", "--seed", "2", "--design", "split", "--out", "one"]
    assert main([*alone, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [found[4]]


def test_run_and_compare_name_the_methods(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Means stand above their intervals; what no seed changes is constant."""
    assert folder.is_dir()
    for command in ("run", "compare"):
        assert main([command, "s.yaml", "--seeds", "1,2,3"]) == 0
        printed = capsys.readouterr().out
        assert printed.startswith("scattered, 3 seeds\n")
        assert "scipy.stats.ttest_1samp" in printed
        assert max(map(len, printed.splitlines())) <= 80
    lines = [line.split() for line in printed.splitlines()]
    at = next(number for number, line in enumerate(lines) if line[:2] == ["wire", "p50"])
    assert lines[at + 1] == ["constant", "constant"]
    assert ["seeds", "for", "1%"] in [line[:3] for line in lines]


def test_compare_prints_one_element_a_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON the summaries, each with its seed."""
    assert folder.is_dir()
    assert main(["compare", "s.yaml", "--seeds", "5..6", "--format", "json"]) == 0
    assert [one["seed"] for one in json.loads(capsys.readouterr().out)] == [5, 6, 5, 6]


def test_check_tells_in_how_many_seeds_a_bound_holds(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Failures are named with their seed; below them the shares with their exact intervals."""
    assert folder.is_dir()
    assert main(["check", "s.yaml", "--seeds", "1..4"]) == 1
    printed = capsys.readouterr().out
    assert printed.count("FAIL  scattered split: pause_ns.p50 is ") == 4
    assert "(seed 4)\n" in printed
    assert "scattered qsb: pause_ns.p50 < 1 s in 4 of 4 seeds (40 to 100%)\n" in printed
    assert "scattered split: pause_ns.p50 < 1 ns in 0 of 4 seeds (0 to 60%)\n" in printed


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["run", "s.yaml", "--seeds", "3..1"], "'3..1': expected a first and a last seed"),
        (["run", "s.yaml", "--seeds", "x"], "'x': expected seeds such as 1..20 or 3,5,8"),
        (["run", "s.yaml", "--seeds", "1,1..2"], "a seed is there twice"),
        (["run", "s.yaml", "--seeds", "0..99999999"], "at most 100,000 of them"),
        (["check", "s.yaml", "--seeds", "1", "--seed", "1"], "do not go together"),
        (["compare", "s.yaml", "--seeds", "1", "--seed", "1"], "do not go together"),
        (["run", "s.yaml", "--seeds", "1", "--check-determinism"], "do not go together"),
    ],
)
def test_seeds_that_are_none_are_refused(
    folder: Path, arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, one message, and nothing is written."""
    assert main(arguments) == 2
    assert part in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["s.yaml"]


def test_a_wanted_precision_says_how_many_seeds_it_takes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tenth of the interval takes a hundred times the seeds, in both tables."""
    assert folder.is_dir()
    for command, row, place in (("run", "qsb", -1), ("compare", "seeds for", 3)):
        needed = []
        for share in ("0.01%", "0.001%"):
            assert main([command, "s.yaml", "--seeds", "1..3", "--precision", share]) == 0
            printed = capsys.readouterr().out
            assert f"for {share}" in printed
            line = next(line for line in printed.splitlines() if line.strip().startswith(row))
            needed.append(int(line.split()[place].replace(",", "")))
        assert needed[1] == pytest.approx(100 * needed[0], rel=0.05)
