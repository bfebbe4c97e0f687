"""``colosim plot``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from colosim import plots
from colosim.cli import plot
from colosim.cli.main import main
from colosim.plots import against
from tests.runs.conftest import FROZEN, PLAIN

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with two scenarios and tables of the kinds that are not drawn from runs."""
    (tmp_path / "plain.yaml").write_text(PLAIN)
    rate = PLAIN.replace("pages: 3000", "rate: 900 pages/s, working_set: 1 MiB")
    (tmp_path / "rate.yaml").write_text(rate)
    (tmp_path / "frozen.yaml").write_text(FROZEN)
    (tmp_path / "clients.yaml").write_text(f"{PLAIN}service: {{arrivals: {{regular: 20 /s}}}}\n")
    (tmp_path / "validation.csv").write_text("design,measured_ns,simulated_ns\nqsb,100,105\n")
    (tmp_path / "heatmap.csv").write_text(
        "design,side,step,fault,verdict\nqsb,primary,stop,kill secondary,failed_over\n"
    )
    (tmp_path / "swept").mkdir()
    swept = {"design": ["qsb", "split"] * 2, "warmup": [1, 1, 2, 2], "seed": 1, "pause_ns.p50": 9}
    pd.DataFrame(swept).to_parquet(tmp_path / "swept" / "results.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", plots.KINDS)
def test_every_kind_writes_figure_and_numbers(
    folder: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """Each kind is drawn from its source, and its numbers go beside it as CSV."""
    source = {
        "hang": "frozen.yaml",
        "clients": "clients.yaml",
        "validation": "validation.csv",
        "heatmap": "heatmap.csv",
        "sweep": "swept",
    }.get(kind, "plain.yaml")
    arguments = ["plot", source, "--kind", kind, "--design", "qsb", "--data", "numbers.csv"]
    assert main(arguments) == 0
    figure = f"{source.partition('.')[0]}-{kind}.svg"
    assert capsys.readouterr().out == f"{figure}: written\nnumbers.csv: written\n"
    assert (folder / figure).read_bytes().startswith(b"<?xml")
    assert len(pd.read_csv(folder / "numbers.csv"))


def test_a_stored_run_gives_the_same_figure_as_its_scenario(folder: Path) -> None:
    """Drawn from a run directory or from the scenario, a figure is the same bytes."""
    assert main(["run", "plain.yaml", "--design", "split", "--design", "qsb"]) == 0
    order = ["--kind", "memory", "--design", "qsb", "--design", "split"]
    assert main(["plot", "plain.yaml", *order, "-o", "a.svg", "--data", "a.csv"]) == 0
    assert main(["plot", "runs/plain", *order, "-o", "b.svg", "--data", "b.csv"]) == 0
    single = ["runs/plain/qsb", "runs/plain/split"]
    assert main(["plot", *single, *order[:2], "-o", "c.svg", "--data", "c.csv"]) == 0
    for suffix in ("svg", "csv"):
        files = [(folder / f"{name}.{suffix}").read_bytes() for name in "abc"]
        assert files[0] == files[1] == files[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plain.yaml", "-o", "x.jpg"], "x.jpg ends in none of .png, .svg, .pdf"),
        (["plain.yaml", "--kind", "hang"], "no fault struck"),
        (["plain.yaml", "--checkpoint", "77"], "no checkpoint 77"),
        (["plain.yaml", "--kind", "memory", "--checkpoint", "1"], "--checkpoint is for"),
        (["plain.yaml", "--kind", "memory", "--x", "seed"], "--x is for the kinds 'sweep'"),
        (["heatmap.csv", "--kind", "heatmap", "--seed", "2"], "--seed is for the kinds"),
        (["heatmap.csv", "--kind", "heatmap", "--design", "split"], "heatmap.csv has no split"),
        (["rate.yaml", "--kind", "against"], "says how its guest writes"),
        (["plain.yaml", "--width", "85 px"], "'85 px' is no width"),
        (["plain.yaml", "--kind", "memory", "--style", "heatmap.csv"], "heatmap.csv, line 1"),
        (["plain.yaml", "frozen.yaml", "--kind", "against"], "takes one source"),
        (["plain.yaml", "--kind", "clients"], "plain has no clients"),
        (["validation.csv", "--kind", "heatmap"], "columns design, side, step"),
        (["nowhere.csv", "--kind", "heatmap"], "no CSV file that can be read"),
        (["."], "no run directory"),
    ],
)
def test_bad_input_is_said_and_nothing_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """A figure that cannot be made ends with status 2, one message and no file."""
    before = sorted(folder.iterdir())
    assert main(["plot", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_a_stored_run_takes_no_override(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What has run cannot be run differently, nor as a design that has not run."""
    assert main(["run", "plain.yaml", "--design", "split"]) == 0
    assert main(["plot", "runs/plain/split", "--set", "checkpoints=2"]) == 2
    assert main(["plot", "runs/plain/split", "--kind", "against", "--seed", "2"]) == 2
    assert main(["plot", "runs/plain", "--design", "qsb"]) == 2
    printed = capsys.readouterr().err
    assert "--set and --seed are for scenarios" in printed
    assert "has no run of qsb" in printed


def test_the_command_knows_the_kinds_and_parameters() -> None:
    """What the help lists without loading matplotlib is what there is."""
    assert set(plot._KINDS) == set(plots.KINDS)
    assert tuple(against.PARAMETERS) == plot._PARAMETERS
