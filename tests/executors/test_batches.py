"""Batches of tasks: the same results on every engine; what is lost with a worker, and is not."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from colosim.errors import ColosimError
from colosim.executors import batches
from colosim.executors.batches import LOSSES_ALONE, run_all
from colosim.executors.engines import DASK, INLINE, LOCAL, Engine, Inline, Processes, opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def squared(items: list[int]) -> list[int]:
    """Return the squares."""
    return [item * item for item in items]


def squared_by(folder: Path, lethal: tuple[int, ...], items: list[int]) -> list[int]:
    """Return the squares, and note each; kill this process before a lethal one is squared."""
    for item in items:
        with (folder / str(os.getpid())).open("a") as stream:
            stream.write(f"{item}\n")
        if item in lethal:
            os.kill(os.getpid(), signal.SIGKILL)
    return squared(items)


def results_of(
    engine: Engine, work: Callable[[list[int]], list[int]], items: range, *, until: int = -1
) -> dict[int, int]:
    """Return the results of all items; an item that kills its worker has minus itself."""
    found: dict[int, int] = {}

    def finished(own: list[int], results: list[int]) -> bool:
        found.update(zip(own, results, strict=True))
        return until not in own

    run_all(engine, work, items, finished=finished, to_blame=lambda item: -item)
    return found


@pytest.mark.parametrize(("which", "jobs"), [(INLINE, 1), (LOCAL, 2)])
def test_every_engine_gives_the_same(which: str, jobs: int) -> None:
    """Each item has its result, whatever runs it."""
    with opened(which, jobs) as engine:
        assert results_of(engine, squared, range(300)) == {n: n * n for n in range(300)}


def test_an_item_that_kills_its_worker_is_blamed_alone(tmp_path: Path) -> None:
    """It is found by halves; every other item has its result, also those that ran beside it."""
    work = partial(squared_by, tmp_path, (2,))
    with opened(LOCAL, 2) as engine:
        found = results_of(engine, work, range(8))
    assert found == {**{n: n * n for n in range(8)}, 2: -2}
    last = [path.read_text().split()[-1] for path in tmp_path.iterdir()]
    assert last.count("2") == 2 + LOSSES_ALONE  # in four, in two, alone


def kill_itself() -> None:
    """Kill the process that runs this."""
    os.kill(os.getpid(), signal.SIGKILL)


def half_answered() -> None:
    """Write the beginning of an answer, and be killed."""
    (pipe,) = (found for found in gc.get_objects() if type(found).__name__ == "Connection")
    os.write(pipe.fileno(), b"\0\0\1\0 half")
    kill_itself()


def failing() -> None:
    """Fail in a way of its own."""
    raise ZeroDivisionError("on purpose")


def test_a_process_fails_as_its_task_does() -> None:
    """What a task raises is raised here; a killed one is told, also in the middle of its answer."""
    with Processes(1) as processes:
        with pytest.raises(ZeroDivisionError, match="on purpose") as error:
            processes.submit(failing).result()
        assert "in failing" in error.value.__notes__[0]
        for task in (kill_itself, half_answered):
            with pytest.raises(BrokenProcessPool, match="was killed"):
                processes.submit(task).result()
        assert processes.submit(squared, [3]).result() == [9]
        with pytest.raises((AttributeError, pickle.PicklingError)):
            processes.submit(lambda: None).result()
        assert processes.submit(squared, [4]).result() == [16]


class Killing(Executor):
    """Kills the worker of every third task, in place of running it."""

    def __init__(self) -> None:
        self.processes = Processes(2)
        self.killed: list[list[int]] = []
        self._given = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Give the task to a process, or kill one."""
        self._given += 1
        if self._given % 3 or len(self.killed) == 4:
            return self.processes.submit(fn, *args, **kwargs)
        future = self.processes.submit(kill_itself)
        self.killed.append(args[1])
        return future


def test_a_killed_worker_loses_its_own_batch_only() -> None:
    """Four workers killed while others run: each of their batches runs again, nobody is blamed."""
    killing = Killing()
    ran: list[int] = []

    def finished(own: list[int], results: list[int]) -> bool:
        assert results == squared(own)
        ran.extend(own)
        return True

    with killing.processes:
        engine = Engine(killing, lambda: 2)
        run_all(engine, squared, range(400), finished=finished, to_blame=lambda item: -item)
    assert len(killing.killed) == 4
    assert sorted(ran) == list(range(400))  # each exactly once: nothing else was lost


def test_it_ends_where_it_is_told_to() -> None:
    """What `finished` declines to go on after is the last."""
    with opened(INLINE) as engine:
        found = results_of(engine, squared, range(10_000), until=2)
    assert found == {n: n * n for n in range(4)}


class Interrupted(Inline):
    """Is interrupted as its second task comes; the first is then still under way."""

    def __init__(self) -> None:
        self.first: Future[Any] = Future()

    def submit(self, _fn: Callable[..., Any], /, *args: Any, **_kwargs: Any) -> Future[Any]:
        """Begin the first task, finish it as the second is interrupted."""
        if not self.first.running():
            self.first.set_running_or_notify_cancel()
            self.items = args[1]
            return self.first
        self.first.set_result((squared(self.items), 0.1))
        raise KeyboardInterrupt


def test_an_interrupt_keeps_what_is_under_way() -> None:
    """Batches that have begun are finished and handed over before the interrupt goes on."""
    found: list[int] = []

    def finished(_own: list[int], results: list[int]) -> bool:
        found.extend(results)
        return True

    engine = Engine(Interrupted(), lambda: 2)
    with pytest.raises(KeyboardInterrupt):
        run_all(engine, squared, range(100), finished=finished, to_blame=lambda item: -item)
    assert found == [0, 1, 4, 9]


def test_what_cannot_be_kept_ends_it() -> None:
    """An error of `finished`, as of a full disk, ends the run and is not asked for again."""
    asked: list[list[int]] = []

    def finished(own: list[int], _results: list[int]) -> bool:
        asked.append(own)
        raise ColosimError("no space")

    with opened(INLINE) as engine, pytest.raises(ColosimError, match="no space"):
        run_all(engine, squared, range(100), finished=finished, to_blame=lambda item: -item)
    assert asked == [[0, 1, 2, 3]]


class Broken(Executor):
    """An executor of the caller's whose processes are gone."""

    def submit(self, _fn: Callable[..., Any], /, *_args: Any, **_kwargs: Any) -> Future[Any]:
        """Refuse a task."""
        raise BrokenProcessPool("a child process was terminated")


def test_a_callers_executor_that_is_broken_is_told() -> None:
    """A caller's executor is not made anew; what it said is said."""
    with opened(Broken()) as engine, pytest.raises(ColosimError, match="takes no more tasks: a ch"):
        results_of(engine, squared, range(10))


def test_batches_are_sized_by_what_an_item_took() -> None:
    """Half a second each, within 1 and 100 items."""
    assert [batches._size(10, s) for s in (0.0, 0.01, 0.05, 0.1, 1.0, 60.0)] == [
        *(100, 100, 100, 50, 5, 1),
    ]


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Whoever reads the output of a driver that is killed sees the end of that of its workers."""
    script = tmp_path / "driver.py"
    script.write_text(
        "import signal, threading\n"
        "from colosim.executors.engines import Processes\n"
        "def forever():\n"
        "    print('works', flush=True)\n"
        "    threading.Event().wait()\n"
        "if __name__ == '__main__':\n"
        "    Processes(1).submit(forever).result()\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "works\n"
        driver.kill()
        assert driver.stdout.read() == ""


def test_no_scheduler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address at which nobody answers is one message."""
    pytest.importorskip("distributed")
    monkeypatch.setattr("colosim.executors.engines._CONNECT_S", 0.2)
    with pytest.raises(ColosimError, match="no Dask scheduler answers at tcp:"):
        opened(DASK, scheduler="tcp://127.0.0.1:1").__enter__()
