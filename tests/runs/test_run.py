"""The public API: ``colosim.run`` and what it gives."""

from __future__ import annotations

import pickle
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

import colosim
from colosim.designs import load_designs
from colosim.runs.columns import COLUMNS, TABLES
from tests.designs.own import Compressing

if TYPE_CHECKING:
    from pathlib import Path

    from colosim.designs import Design
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


def assert_the_same(copy: colosim.Run, run: colosim.Run) -> None:
    """Hold a copy of a run to the run: everything but the simulation."""
    assert copy.simulation is None
    assert (copy.scenario, copy.summary, copy.path) == (run.scenario, run.summary, run.path)
    for table in TABLES:
        there, here = getattr(run, table), getattr(copy, table)
        assert there.equals(here), table
        assert there.attrs == here.attrs
        assert copy.columns(table) == run.columns(table)
    assert list(copy.iter_events()) == list(run.iter_events())


@pytest.mark.parametrize("design", [*load_designs(), "split+yank", Compressing])
def test_a_run_can_be_pickled(design: str | type[Design], frozen: Scenario) -> None:
    """The copy has scenario, summary and tables, whoever looked at them first."""
    scenario = frozen.vary({"faults.0.at.step": "primary: stop"})
    run = colosim.run(scenario, design)
    assert_the_same(pickle.loads(pickle.dumps(run)), run)  # noqa: S301 - made above
    assert run.simulation is not None
    assert_the_same(pickle.loads(pickle.dumps(run)), run)  # noqa: S301 - made above


def test_a_run_comes_back_from_another_process(plain: Scenario) -> None:
    """A pool of fresh processes takes scenarios and designs, and gives runs and errors back."""
    designs: list[str | type[Design]] = ["split+yank", Compressing]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = [pool.submit(colosim.run, plain, design) for design in designs]
        wrong = pool.submit(colosim.run, "no-such-scenario", "split")
        for design, future in zip(designs, there, strict=True):
            assert_the_same(future.result(), colosim.run(plain, design))
        with pytest.raises(colosim.ScenarioError) as caught:
            wrong.result()
    with pytest.raises(colosim.ScenarioError) as here:
        colosim.run("no-such-scenario", "split")
    assert caught.value.faults == here.value.faults
    assert str(caught.value) == str(here.value)


def test_a_copy_has_no_tables_that_were_not_kept(plain: Scenario) -> None:
    """Without tables a pickled run is its scenario and its summary, and says so when asked."""
    run = colosim.run(plain, "split", tables=False)
    copy = pickle.loads(pickle.dumps(run))  # noqa: S301 - made above
    assert (copy.scenario, copy.summary, copy.simulation) == (run.scenario, run.summary, None)
    with pytest.raises(colosim.NoTablesError, match="were not kept"):
        _ = copy.events
    with pytest.raises(colosim.NoTablesError, match="were not kept"):
        list(copy.iter_events())


def test_a_copy_is_written_as_the_run_is(plain: Scenario, tmp_path: Path) -> None:
    """Its directory has the same bytes, whatever was looked at before; it can be pickled too."""
    run = colosim.run(plain, Compressing)
    copy = pickle.loads(pickle.dumps(run))  # noqa: S301 - made above
    for name, each in (("run", run), ("copy", copy), ("again", run)):
        colosim.write_run(each, tmp_path / name)
    written = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("run", "copy", "again")
    ]
    assert written[0] == written[1] == written[2]
    stored = colosim.read_run(tmp_path / "copy")
    assert stored.columns("checkpoints") == (
        *COLUMNS["checkpoints"],
        "primary_compress_pages_ns",
    )
    assert_the_same(pickle.loads(pickle.dumps(stored)), stored)  # noqa: S301 - made above


@pytest.mark.parametrize(
    "error",
    [
        colosim.ScenarioError([colosim.ScenarioFault("a.yaml", 1, 2, "wrong")]),
        colosim.HangError("nobody serves", ["a waits for b", "b waits for a"]),
        colosim.InvariantError("one owner", 5, "primary: checkpoint", "two own it"),
        colosim.DesignError("no such design"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_can_be_pickled(error: colosim.ColosimError) -> None:
    """Type, attributes and words are the same."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made above
    assert (type(copy), vars(copy), str(copy)) == (type(error), vars(error), str(error))


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
