"""A sweep has the same rows, whether arrays answer its runs or simulations do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colosim.cli.main import main
from colosim.errors import ColosimError
from colosim.runs.run import as_scenario
from colosim.sweeps import on_arrays
from colosim.sweeps.grid import grid_of
from colosim.sweeps.on_arrays import rows_on_arrays
from colosim.sweeps.sweep import sweep

if TYPE_CHECKING:
    from pathlib import Path

AXES = {
    "design": ["split", "qemu-11+multifd=2"],
    "guest.dirty.pages": [40, 16386],
    "hosts.preset": ["lab-qemu72", "kvm-xeon"],
    "manager.answered_by": ["agent", "monitor"],
    "network.bandwidth": "1 Gbit/s",
    "network.latency": ["0 s", "2 ms"],
    "checkpoints": 3,
}
FILE = """
scenario: compare
axes:
  design: [qsb, split]
  guest.dirty.pages: {log: [1000, 16000], points: 20}
  manager.answered_by: [agent, monitor]
  network.bandwidth: 10 Gbit/s
  checkpoints: 3
seeds: 1..2
"""


def test_a_sweep_has_the_same_rows_whatever_answers_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """All columns and values are those of simulations; some runs are on arrays, some refused."""
    monkeypatch.setattr(on_arrays, "_WORTH_IT", 1)
    strict = as_scenario("compare").vary({"manager.heartbeat": "10 ms", "manager.timeout": "80 ms"})
    auto = sweep(strict, AXES)
    assert 0 < sum(auto.attrs["refused"].values()) < len(auto)
    assert 0 < auto["warning"].notna().sum() < len(auto)
    assert auto.equals(sweep(strict, AXES, engine="simulate"))


def test_both_engines_write_the_same_bytes_and_what_is_refused_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of ``results.parquet`` and ``sweep.json``; how many were refused, why, and for what price."""
    file = tmp_path / "pages.yaml"
    file.write_text(FILE)
    for engine in ("auto", "simulate"):
        words = ["--engine", engine, "--out", str(tmp_path / engine), "--jobs", "1"]
        assert main(["sweep", str(file), *words]) == 0
    for name in ("results.parquet", "sweep.json", "failures.csv"):
        assert (tmp_path / "auto" / name).read_bytes() == (
            tmp_path / "simulate" / name
        ).read_bytes()
    told = capsys.readouterr().err.splitlines()
    refused = [line for line in told if " refused: " in line]
    on_arrays, *_ = [line for line in told if " on arrays in " in line]
    simulated = [line for line in told if " simulated in " in line]
    counts = [int(line.split()[0]) for line in (on_arrays, *refused)]
    assert sum(counts) == 160
    assert counts[0] == 80
    assert [int(line.split()[0]) for line in simulated] == [80, 160]


def test_few_points_are_simulated() -> None:
    """Where nearly each would be simulated to compare, arrays save nothing."""
    grid = grid_of("compare", {"checkpoints": [3, 4]})
    assert rows_on_arrays(grid, range(6)) == ({}, {"too few points alike": 6})


def test_what_cannot_stand_together_fails_as_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of two axes, or of one beside the rest of the scenario: the others stay on arrays."""
    monkeypatch.setattr(on_arrays, "_WORTH_IT", 1)
    axes = {
        "design": "split",
        "guest.ram": ["16 MiB", "512 MiB"],
        "guest.dirty.pages": [3000, 7000, 900_000],
        "checkpoints": 3,
    }
    auto, simulated = (sweep("compare", axes, engine=engine) for engine in ("auto", "simulate"))
    assert auto.attrs["refused"] == {"values that cannot stand together": 3}
    assert len(auto.attrs["failures"]) == 3
    assert auto.attrs["failures"] == simulated.attrs["failures"]
    assert auto.equals(simulated)


def test_what_only_a_simulation_gives_is_asked_for_by_name() -> None:
    """A key or what is above it; then every run is simulated, and an unknown key is told."""
    axes = {"design": "split", "guest.dirty.pages": range(1000, 1040), "checkpoints": 3}
    plain = sweep("compare", axes)
    frame = sweep("compare", axes, with_keys=["digest", "memory_peak_bytes.primary"])
    asked = [key for key in frame.columns if key not in plain.columns]
    assert asked == [
        "digest",
        "memory_peak_bytes.primary.socket_send_buffer",
        "memory_peak_bytes.primary.extra_total",
    ]
    assert frame[[*plain.columns]].equals(plain)
    assert sum(plain.attrs["refused"].values()) < 40
    assert frame.attrs["refused"] == {"digest is asked for": 40}
    with pytest.raises(ColosimError, match=r"'digset' is not a key .*; did you mean 'digest'\?"):
        sweep("compare", axes, with_keys=["digset"])
