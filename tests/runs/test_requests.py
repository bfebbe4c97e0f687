"""The table of requests, which a run has on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colosim.cli.main import main
from colosim.runs.directory import run_into, write_run
from colosim.runs.run import NoTablesError, simulate
from colosim.runs.stored import read_run
from colosim.scenario import loads
from tests.runs.test_clients import STORM

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = STORM.partition("  secondary_lag")[0]
CASES = {
    "storm": (STORM, "qemu-5.1"),
    "primary lost": (f"{STORM}faults: [{{kill: primary, at: 5 s}}]\n", "qemu-5.1"),
    "closed loop": (PLAIN.replace("{regular: 200 /s}", "{clients: 8, think: 5 ms}"), "remus"),
    "held": (PLAIN, "remus"),
    "dropped": (STORM.replace("regular: 200", "regular: 20000").replace("12 s", "1 s"), "qsb"),
    "few": (STORM.replace("  protocol", "  outstanding: 3\n  protocol"), "qemu-5.1"),
    "buffered": (f"{PLAIN}output: {{mode: filter-buffer, interval: 70 ms}}\n", "split"),
}


@pytest.mark.parametrize("name", CASES)
def test_rows_add_up_to_the_summary(name: str) -> None:
    """Each request has a row, answered or not; counts and latencies are those of the summary."""
    text, design = CASES[name]
    run = simulate(loads(text), design, requests=True)
    rows, seen = run.requests, run.summary["service"]
    assert sorted(rows["request"]) == list(range(seen["requests"]))
    answered = rows[rows["answered_ns"].notna()]
    assert len(answered) == seen["answered"]
    assert (answered["answered_ns"] - answered["sent_ns"] == answered["latency_ns"]).all()
    assert answered["latency_ns"].max() == seen["latency_ns"]["max"]
    assert rows["met_pause"].sum() == seen["met_pause"]
    forced = sum(seen["forced"].values())
    assert (rows["met_forced"] <= rows["met_pause"]).all()
    assert (rows["met_forced"].sum() > 0) == (forced > 0)


def test_written_as_it_goes_it_is_the_same(tmp_path: Path) -> None:
    """As CSV, as Parquet and from memory the rows are the same; unasked there is no table."""
    scenario = loads(STORM)
    kept = simulate(scenario, "qemu-5.1", requests=True)
    run_into(tmp_path / "csv", scenario, "qemu-5.1", requests=True)
    run_into(tmp_path / "parquet", scenario, "qemu-5.1", tables="parquet", requests=True)
    write_run(kept, tmp_path / "kept", tables="parquet")
    for name in ("csv", "parquet", "kept"):
        assert read_run(tmp_path / name).requests.equals(kept.requests), name
    with pytest.raises(NoTablesError, match="were not asked for"):
        _ = simulate(scenario, "qemu-5.1").requests


def test_the_command_writes_it_on_demand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--requests` adds a file; where there are no clients, or no tables, it is refused."""
    file = tmp_path / "storm.yaml"
    file.write_text(PLAIN)
    words = ["run", str(file), "--out", str(tmp_path / "runs"), "--tables", "parquet"]
    assert main(words) == 0
    folder = tmp_path / "runs" / "storm" / "qemu-5.1"
    assert not (folder / "requests.parquet").exists()
    assert main([*words, "--requests"]) == 0
    assert (folder / "requests.parquet").exists()
    assert main(["run", "idle", "--requests", "--out", str(tmp_path)]) == 2
    assert main([*words[:-1], "none", "--requests"]) == 2
    told = capsys.readouterr().err
    assert "idle has no service:" in told
    assert "does not go with --tables none" in told
