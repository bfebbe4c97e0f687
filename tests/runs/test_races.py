"""Several processes that write one run directory: each appears whole, the last one stays."""

from __future__ import annotations

import errno
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from colosim.files import NewFolder
from colosim.runs.directory import UNCHANGED, write_run
from colosim.runs.run import simulate
from colosim.runs.stored import read_run, verify
from colosim.scenario import loads

if TYPE_CHECKING:
    from pathlib import Path

    from colosim.runs.run import Run
    from colosim.scenario import Scenario

DESIGNS = ("qsb", "split")


@pytest.fixture
def pair(plain: Scenario) -> list[Run]:
    """Return runs of two designs."""
    return [simulate(plain, design) for design in DESIGNS]


def cannot_exchange(*_: Path) -> None:
    """Exchange nothing, as a system that cannot."""
    raise OSError(errno.ENOSYS, "")


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("stands_there", [True, False])
def test_another_run_may_come_in_between(
    pair: list[Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    at_once: bool,
    stands_there: bool,
) -> None:
    """Between the look at the target and the taking of its name another process may have had it."""
    if not at_once:
        monkeypatch.setattr("colosim.files._exchange_at_once", cannot_exchange)
    target, (first, second) = tmp_path / "a", pair
    if stands_there:
        write_run(first, target)
    put = NewFolder.put

    def late(folder: NewFolder, *, replace: bool) -> bool:
        monkeypatch.setattr(NewFolder, "put", put)
        if stands_there:
            target.rename(tmp_path / "gone")
        else:
            write_run(first, target)
        return put(folder, replace=replace)

    monkeypatch.setattr(NewFolder, "put", late)
    write_run(second, target)
    verify(target)
    assert read_run(target).design == second.design
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "gone"][: 1 + stands_there]


def test_the_folder_around_it_may_go_in_between(
    pair: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that fails removes the folders that it made; another one makes them anew."""
    make = NewFolder._make
    rest = [True, False]

    def gone(folder: NewFolder) -> None:
        make(folder)
        if rest.pop(0):
            folder.path.rmdir()
            folder.path.parent.rmdir()
            raise FileNotFoundError

    monkeypatch.setattr(NewFolder, "_make", gone)
    write_run(pair[0], tmp_path / "runs" / "a")
    verify(tmp_path / "runs" / "a")


def test_threads_that_write_one_directory(pair: list[Run], tmp_path: Path) -> None:
    """Nobody fails, whatever way they meet, and nothing is left beside the directory."""
    target = tmp_path / "runs" / "a"
    with ThreadPoolExecutor(4) as pool:
        became = list(pool.map(lambda number: write_run(pair[number % 2], target), range(24)))
    verify(target)
    assert {words.partition(",")[0] for words in became} <= {"written", UNCHANGED.partition(",")[0]}
    assert [path.name for path in target.parent.iterdir()] == ["a"]


def _write(number: int, target: Path) -> str:
    scenario = loads("name: plain\ncheckpoints: 3\n")
    return write_run(simulate(scenario, DESIGNS[number % 2]), target)


@pytest.mark.slow
def test_eight_processes_that_write_one_directory_a_hundred_times(tmp_path: Path) -> None:
    """Every time the directory is whole, nobody fails, and nothing is left beside it."""
    with ProcessPoolExecutor(8, mp_context=multiprocessing.get_context("spawn")) as pool:
        for number in range(100):
            target = tmp_path / str(number) / "a"
            became = list(pool.map(_write, range(8), [target] * 8))
            verify(target)
            assert any(words.startswith("written") for words in became)
            assert [path.name for path in target.parent.iterdir()] == ["a"]
