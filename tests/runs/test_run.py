"""The public API: ``colosim.run`` and what it gives."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

import colosim

if TYPE_CHECKING:
    from pathlib import Path

    from colosim.scenario import Scenario


def test_a_file_is_run(tmp_path: Path) -> None:
    """A run of a file has verdict, digest, summary and tables."""
    path = tmp_path / "small.yaml"
    path.write_text("name: small\ncheckpoints: 3\n")
    run = colosim.run(path, design="split", overrides=["checkpoint_delay=10 ms"])
    assert run.verdict == "completed"
    assert len(run.checkpoints) == 3
    assert (
        run.digest
        == run.summary["digest"]
        == colosim.run(str(path), "split", overrides=["checkpoint_delay=10 ms"]).digest
    )
    assert repr(run) == "<Run small/split seed 1: completed>"


def test_the_seed_is_the_callers(plain: Scenario) -> None:
    """A seed that is given stands in place of the scenario's."""
    assert colosim.run(plain, "split").seed == 1
    assert colosim.run(plain, "split", seed=5).seed == 5


def test_one_of_several_designs_must_be_named(plain: Scenario) -> None:
    """Without a name a scenario of several designs is refused, one of one design is run."""
    with pytest.raises(colosim.DesignError, match="name one"):
        colosim.run(plain)
    alone = plain.model_copy(update={"designs": ("flat",)})
    assert colosim.run(alone).design == "flat"
    with pytest.raises(colosim.DesignError, match="split"):
        colosim.run(plain, "splitt")


def test_a_final_scenario_takes_no_overrides(plain: Scenario) -> None:
    """Overrides are for files; with a `Scenario` they are an error and not ignored."""
    with pytest.raises(ValueError, match="final"):
        colosim.run(plain, "split", overrides=["seed=2"])


def test_memory_is_flat_without_tables(plain: Scenario) -> None:
    """Each of 1,000 more checkpoints without tables costs at most 100 bytes more memory."""
    peaks = []
    for checkpoints in (1_000, 2_000):
        long = plain.model_copy(update={"checkpoints": checkpoints})
        tracemalloc.start()
        run = colosim.run(long, "split", tables=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert run.summary["checkpoints"]["completed"] == checkpoints
    assert peaks[1] - peaks[0] <= 100 * 1_000
