"""Where tasks run: an engine is a `concurrent.futures.Executor`, and how much it takes at once."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from threading import Thread
from typing import TYPE_CHECKING, Any

from colosim.errors import ColosimError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

INLINE, LOCAL, DASK = "inline", "local", "dask"
_STOPPING = {getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)}
_CONNECT_S = 10
_COUNT_EVERY_S = 5.0
"""How often the workers of a cluster are counted: they come and go."""
_AHEAD = 2
"""Tasks that each worker of a cluster is given: one to run, one that has come already."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An executor, and how many tasks it is given at once, asked again as they finish."""

    executor: Executor
    capacity: Callable[[], int]


@contextmanager
def opened(
    which: str | Executor = LOCAL, jobs: int = 1, scheduler: str | None = None
) -> Iterator[Engine]:
    """Open an engine, and close it at the end.

    :param which: ``inline`` (this process), ``local`` (`jobs` processes; one is this process),
        ``dask`` (the cluster of `scheduler`, or `jobs` workers of its own on this machine), or an
        executor of the caller's, who closes it.
    :param scheduler: the address of a Dask scheduler, as in ``tcp://10.0.0.1:8786``.
    :raises ColosimError: if Dask is not installed, or no scheduler answers there.
    """
    if isinstance(which, Executor):
        yield Engine(which, lambda: jobs)
    elif which == DASK:
        with _dask(jobs, scheduler) as engine:
            yield engine
    else:
        executor = Inline() if which == INLINE or jobs == 1 else Processes(jobs)
        with executor:
            yield Engine(executor, lambda: 1 if which == INLINE else jobs)


class Inline(Executor):
    """Runs each task as it is submitted, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a task now."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the future has it
            future.set_exception(error)
        return future


class Processes(Executor):
    """Processes that are started anew (spawn), each behind a pipe of its own.

    So one that is killed loses its own task and no other (the pool of `concurrent.futures` loses
    all that it runs, and waits for ever for the rest of a result that was half written); the next
    task starts another.  At most as many tasks as processes run at once.
    """

    def __init__(self, processes: int) -> None:
        self._threads = ThreadPoolExecutor(processes)
        self._idle: list[_Worker] = []
        self.workers: list[_Worker] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Give a task to a process that has none."""
        return self._threads.submit(self._run, fn, args, kwargs)

    def _run(self, *task: Any) -> Any:
        worker = self._one()
        try:
            result = worker.run(task)
        except BrokenProcessPool:
            self.workers.remove(worker)
            raise
        except Exception:
            self._idle.append(worker)
            raise
        self._idle.append(worker)
        return result

    def _one(self) -> _Worker:
        """Return a process that has nothing to do and lives, perhaps a new one."""
        with suppress(IndexError):
            while True:
                worker = self._idle.pop()
                if worker.process.is_alive():
                    return worker
                self.workers.remove(worker)
        self.workers.append(worker := _Worker())
        return worker

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as in Executor
        """End the processes, once each has finished what it runs."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        for worker in self.workers:
            worker.end()


class _Worker:
    """A process, and this end of its pipe."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        resource_tracker.ensure_running()  # as it starts it lets interrupts through
        with _interrupts_later():
            self.process.start()
        theirs.close()  # else the pipe would stay open when the process is gone

    def run(self, task: tuple[Any, ...]) -> Any:
        """Return what the process makes of a task, or raise what it raises.

        :raises BrokenProcessPool: if it is killed.
        """
        words = pickle.dumps(task)
        try:
            self._pipe.send_bytes(words)
            result, error = pickle.loads(self._pipe.recv_bytes())  # noqa: S301 - of our own process
        except (EOFError, OSError) as lost:
            self.end()
            raise BrokenProcessPool("the process that ran it was killed") from lost
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        """Let the process end, and wait for it."""
        self._pipe.close()
        self.process.join()


def _serve(pipe: Connection) -> None:
    """Run the tasks that come through the pipe, until it is closed."""
    _end_with_the_parent()
    with suppress(EOFError, OSError):
        while True:
            words = pipe.recv_bytes()
            try:
                fn, args, kwargs = pickle.loads(words)  # noqa: S301 - of our own parent
                answer = pickle.dumps((fn(*args, **kwargs), None))
            except Exception as error:  # noqa: BLE001 - it is raised in the parent
                error.add_note(traceback.format_exc())
                answer = pickle.dumps((None, error))
            pipe.send_bytes(answer)


def _end_with_the_parent() -> None:
    """Let this process end when its parent is killed, also in the middle of a task."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - of a process that `_Worker` has started
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Hold signals back while processes are started, and Ctrl-C from these for good.

    They inherit what is blocked, so Ctrl-C reaches the parent alone from their first moment on:
    that finishes what is under way and keeps it.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *_STOPPING})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _dask(jobs: int, scheduler: str | None) -> Iterator[Engine]:
    try:
        import distributed  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ColosimError("Dask is not installed: pip install 'colosim[dask]'") from error
    dask: Any = distributed
    cluster = (
        dask.LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
        if scheduler is None
        else None
    )
    try:
        client = dask.Client(cluster or scheduler, timeout=_CONNECT_S)
    except (OSError, ValueError) as error:
        message = f"no Dask scheduler answers at {scheduler}, such as tcp://10.0.0.1:8786: {error}"
        raise ColosimError(message) from error
    counted, counted_at_s = 0, float("-inf")

    def capacity() -> int:
        nonlocal counted, counted_at_s
        if time.monotonic() - counted_at_s > _COUNT_EVERY_S:
            counted = sum(client.nthreads().values())
            counted_at_s = time.monotonic()
        return _AHEAD * max(1, counted)

    try:
        with client:
            yield Engine(client.get_executor(pure=False), capacity)
    finally:
        if cluster is not None:
            cluster.close()
