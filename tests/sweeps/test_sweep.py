"""A sweep leaves the same, whatever ran it and whatever went wrong meanwhile."""

from __future__ import annotations

import csv
import json
import os
import resource
import shlex
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import colosim
from colosim.cli.main import main
from colosim.errors import ColosimError, WriteError
from colosim.executors.engines import Processes, opened
from colosim.runs.run import simulate
from colosim.scenario import loads
from colosim.sweeps import points
from colosim.sweeps.points import KILLED, Failed, simulate_points
from colosim.sweeps.store import Store
from colosim.sweeps.sweep import run_sweep
from tests.sweeps.conftest import files_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colosim.executors.engines import Engine
    from colosim.sweeps.grid import Grid


def swept(grid: Grid, folder: Path, engine: Engine | None = None, **how: Any) -> Store:
    """Return the store of a sweep, run or gone on with."""
    store = Store(grid, folder)
    if engine is not None:
        run_sweep(store, engine, **how)
        return store
    with opened("inline") as inline:
        run_sweep(store, inline, **how)
    return store


def test_a_row_is_what_the_run_says(
    grid: Grid, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Axes as integers, the seed, then the summary's keys; what failed has no row but a command."""
    assert set(undisturbed) == {"results.parquet", "failures.csv", "sweep.json"}
    read = pd.read_parquet(tmp_path / "undisturbed" / "results.parquet")
    for number in (0, 23, 59):
        point = grid.point(number)
        varied = grid.scenario.vary({"designs": [point.design], **dict(point.settings)})
        summary = colosim.run(varied, seed=point.seed, tables=False).summary
        row = read.iloc[number]
        assert (*row[:4],) == (*point.values, point.seed)  # noqa: PD011 - of a point
        assert row["end_ns"] == summary["end_ns"]
        assert row["lock_hold_ns.primary.p90"] == summary["lock_hold_ns"]["primary"]["p90"]
    failures = list(csv.DictReader(undisturbed["failures.csv"].decode().splitlines()))
    assert len(failures) == 60
    assert failures[0]["guest.dirty.working_set"] == "32768"
    assert failures[0]["message"] == (
        "a working set of 32768 pages does not fit into the guest's RAM of 64 MiB (16384 pages)"
    )
    assert main(shlex.split(failures[0]["command"])[1:]) == 2


def test_readers_of_parquet_open_it(
    grid: Grid, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """pandas, polars and DuckDB read the same integers, those that are missing as missing."""
    path = tmp_path / "undisturbed" / "results.parquet"
    read = pd.read_parquet(path)
    rows = [row for row in simulate_points(grid, grid.source_digest, range(60)) if row]
    assert [row["pause_ns.p99"] for row in rows if isinstance(row, dict)] == [
        *read["pause_ns.p99"],
    ]
    assert str(read["time_to_guest_ns"].dtype) == "Int64"
    assert read["time_to_guest_ns"].isna().all()
    assert read["network.bandwidth"].iloc[29] == 1_250_000_000
    sums = read.groupby("design", sort=False)["wire_bytes"].sum().to_dict()
    polars = pytest.importorskip("polars")
    frame = polars.read_parquet(path).group_by("design", maintain_order=True)
    assert dict(frame.agg(polars.col("wire_bytes").sum()).iter_rows()) == sums
    duckdb = pytest.importorskip("duckdb")
    relation = duckdb.read_parquet(str(path)).aggregate("design, sum(wire_bytes)")
    assert {design: int(total) for design, total in relation.fetchall()} == sums


def test_engines_make_no_difference(
    grid: Grid, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Two processes, threads of the caller's, and an order of their own: the same bytes."""
    with opened("local", 2) as engine:
        assert files_of(swept(grid, tmp_path / "two", engine)) == undisturbed
    with ThreadPoolExecutor(3) as threads, opened(threads, 3) as engine:
        assert files_of(swept(grid, tmp_path / "threads", engine)) == undisturbed


def killed_workers(grid: Grid, folder: Path, times: int) -> tuple[Store, int]:
    """Return a sweep by four processes, two of them killed so many times, and how many were."""
    left, killed = times, 0
    with opened("local", 4) as engine:
        executor = engine.executor
        assert isinstance(executor, Processes)

        def kill() -> None:
            nonlocal left, killed
            alive = [one.process for one in executor.workers if one.process.is_alive()]
            if left and len(alive) == 4:
                left -= 1
                for process in alive[left % 2 :: 2]:
                    process.kill()
                    killed += 1

        return swept(grid, folder, engine, progress=kill), killed


def test_killed_workers_change_nothing(
    grid: Grid, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Two of four workers are killed: what they were running runs again, nobody is blamed."""
    store, killed = killed_workers(grid, tmp_path / "killed", 1)
    assert (files_of(store), killed) == (undisturbed, 2)


@pytest.mark.slow
def test_workers_killed_ten_times_change_nothing(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty workers are killed in one sweep of 1,200 runs; the results are the undisturbed."""
    monkeypatch.setattr("colosim.executors.batches._BATCH_S", 0.05)  # more batches to kill
    many = type(grid)(grid.source, grid.scenario, grid.axes, tuple(range(1, 61)))
    calm = files_of(swept(many, tmp_path / "calm"))
    store, killed = killed_workers(many, tmp_path / "killed", 10)
    assert (files_of(store), killed) == (calm, 20)


def test_a_killed_driver_loses_nothing(
    grid: Grid, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """It is killed outright once some batches are there; the next one goes on from these."""
    folder = tmp_path / "driver"
    command = [sys.executable, "-m", "colosim", "sweep", "grid.yaml", "--out", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(colosim.__file__).parent.parent)}
    with subprocess.Popen(
        [*command, "--jobs", "2"], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    ) as driver:
        while len(list(folder.glob("batches/*.json"))) < 2 and driver.poll() is None:
            pass
        driver.kill()
    again = Store(grid, folder)
    known = again.done + len(again.failed)
    assert known >= 8
    ran: list[int] = []
    with opened("inline") as engine:
        run_sweep(again, engine, progress=lambda: ran.append(again.done + len(again.failed)))
    assert files_of(again) == undisturbed


def test_a_full_disk_ends_it_and_loses_nothing(
    grid: Grid, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """It is told; what was written stays and is whole, and the sweep goes on once there is room."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    folder = tmp_path / "full"

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))

    try:
        with pytest.raises(WriteError, match="a file may not become that large"):
            swept(grid, folder, progress=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    left = Store(grid, folder)
    assert (left.done, left.failed) == (4, {})
    assert files_of(swept(grid, folder)) == undisturbed


def test_an_interrupt_keeps_what_is_finished(
    grid: Grid, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Ctrl-C merges what there is; the next sweep runs the rest only."""
    folder = tmp_path / "interrupted"

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        swept(grid, folder, progress=interrupt)
    assert len(pd.read_parquet(folder / "results.parquet")) == 4
    assert files_of(swept(grid, folder)) == undisturbed


def test_a_finished_sweep_runs_nothing(
    grid: Grid, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is simulated again, failures neither; a results file that was lost comes back."""
    (tmp_path / "undisturbed" / "results.parquet").unlink()
    monkeypatch.setattr(points, "simulate", None)
    assert files_of(swept(grid, tmp_path / "undisturbed")) == undisturbed


def test_damaged_batches_run_again(
    grid: Grid, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """One that was cut off, one with other content, one that is no batch: none is believed."""
    folder = tmp_path / "undisturbed"
    first, second, *_ = sorted(folder.glob("batches/*.json"))
    first.write_bytes(first.read_bytes()[:-40])
    batch = json.loads(second.read_text())
    second.write_text(json.dumps(batch | {"done": [number + 1 for number in batch["done"]]}))
    (folder / "batches" / "x.json").write_text("[]")
    assert len(Store(grid, folder).table()) + len(Store(grid, folder).failed) < 120
    assert files_of(swept(grid, folder)) == undisturbed


def test_two_drivers_may_share_a_folder(
    grid: Grid, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """What both have run is there once."""
    one, other = (Store(grid, tmp_path / "shared") for _ in range(2))
    with opened("inline") as engine:
        run_sweep(one, engine, stop_at_first_failure=True)
        run_sweep(other, engine)
        run_sweep(one, engine)
    assert files_of(one) == undisturbed


def differing(grid: Grid) -> Iterator[tuple[Grid, str]]:
    """Yield other sweeps, and what is said to differ."""
    yield (
        type(grid)(grid.source, grid.scenario, grid.axes, (1,)),
        "seeds was [1, 2, 3, 4, 5, 6], is [1]; runs was 120, is 20; write to another folder",
    )
    slower = grid.scenario.vary({"network.latency": "1 ms"})
    yield (
        type(grid)(grid.source, slower, grid.axes, grid.seeds),
        'scenario.network.latency was "25 us", is "1 ms"; write to another folder',
    )


def test_results_of_another_sweep_are_refused(
    grid: Grid, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another grid, scenario or version: the message says what differs, and nothing is touched."""
    folder = tmp_path / "undisturbed"
    for other, told in differing(grid):
        with pytest.raises(ColosimError, match="has the results of another sweep") as error:
            Store(other, folder)
        assert told in str(error.value)
    monkeypatch.setattr("colosim.sweeps.grid.source_digest", lambda _designs: "other")
    with pytest.raises(
        ColosimError, match=r'version.source was "[0-9a-f]+\.\.\., is "other"; write'
    ):
        Store(grid, folder)
    monkeypatch.undo()
    assert files_of(Store(grid, folder)) == undisturbed
    (folder / "sweep.json").write_text("{")
    with pytest.raises(ColosimError, match=r"sweep.json cannot be read: .*; move it away"):
        Store(grid, folder)


def test_failed_runs_are_retried_alone(
    grid: Grid, undisturbed: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed by chance is run again on demand only, and nothing else is."""
    folder, ran = tmp_path / "chance", list[int]()
    with monkeypatch.context() as patched:
        patched.setattr(points, "simulate", unlucky)
        store = swept(grid, folder)
    assert store.failed[3] == "MemoryError: no luck"
    assert len(store.failed) == 60 + 20
    assert swept(grid, folder).failed == store.failed

    def counted(*given: Any, seed: int, **more: Any) -> Any:
        ran.append(seed)
        return simulate(*given, seed=seed, **more)

    monkeypatch.setattr(points, "simulate", counted)
    assert files_of(swept(grid, folder, retry_failed=True)) == undisturbed
    assert ran == [4, 5] * 10  # the 60 others fail before


def unlucky(*given: Any, seed: int, **more: Any) -> Any:
    """Simulate, but fail for two seeds."""
    if seed in {4, 5}:
        raise MemoryError("no luck")
    return simulate(*given, seed=seed, **more)


def test_a_run_that_kills_its_worker_has_a_message(grid: Grid, tmp_path: Path) -> None:
    """It is kept as a failure, with the command that runs it."""
    store = Store(grid, tmp_path / "lethal")
    store.begin()
    store.add([5], [KILLED])
    store.merge()
    assert store.failed == {5: KILLED.message}
    last = (tmp_path / "lethal" / "failures.csv").read_text().splitlines()[-1]
    assert last == f'1024,qsb,12500000,6,"{KILLED.message}",{grid.command(grid.point(5))}'


def test_a_worker_with_other_code_is_refused(grid: Grid) -> None:
    """Results of two versions are never mixed."""
    with pytest.raises(ColosimError, match="a worker has another version of colosim"):
        simulate_points(grid, "another", [0])


def test_from_python_it_is_a_frame(grid: Grid, undisturbed: dict[str, bytes]) -> None:
    """The same rows, with integers that may be missing, and failures in ``attrs``."""
    axes = {axis.key: list(axis.texts) for axis in grid.axes}
    frame = colosim.sweep(grid.source, axes, seeds="1..6")
    assert isinstance(frame.attrs["failures"], list)
    assert len(frame.attrs["failures"]) == 60
    again = pd.read_parquet(Path(grid.source).parent / "undisturbed" / "results.parquet")
    pd.testing.assert_frame_equal(frame, again, check_like=False)


def test_a_cluster_makes_no_difference(
    grid: Grid, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Two Dask workers behind an address, one of which is killed: the same bytes."""
    distributed = pytest.importorskip("distributed")
    workers = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**workers, silence_logs=50) as cluster:
        alive = [worker.process.process.pid for worker in cluster.workers.values()]

        def kill() -> None:
            if alive:
                os.kill(alive[0], signal.SIGKILL)
                alive.clear()

        with opened("dask", scheduler=cluster.scheduler_address) as engine:
            assert files_of(swept(grid, tmp_path / "dask", engine, progress=kill)) == undisturbed


def test_failed_is_told_apart(grid: Grid) -> None:
    """Each run of a batch is done or has failed for itself."""
    outcomes = simulate_points(grid, grid.source_digest, [0, 60])
    assert [isinstance(outcome, Failed) for outcome in outcomes] == [False, True]


def test_what_one_design_has_no_use_for_stands_for_the_others() -> None:
    """Clients with divergence: Remus compares nothing, and is swept beside who does."""
    text = "{name: x, duration: 1 s, service: {arrivals: {regular: 20 /s}, divergence: 1%}}"
    frame = colosim.sweep(loads(text), {"design": ["remus", "qemu-5.1"]}, seeds=[1])
    assert not frame.attrs["failures"]
    assert frame["design"].tolist() == ["remus", "qemu-5.1"]
