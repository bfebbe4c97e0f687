"""Where tasks run: an engine is a `concurrent.futures.Executor`, and how much it takes at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any

from colosim.errors import ColosimError

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
    """Processes that are started anew (spawn), each a pool of its own.

    A pool loses all that it runs when one of its processes is killed; here that is one task.  At
    most as many tasks as processes may be submitted at once, so each runs as soon as it comes.
    """

    def __init__(self, processes: int) -> None:
        self._pools: list[ProcessPoolExecutor | None] = [None] * processes
        self._last: list[Future[Any] | None] = [None] * processes

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Give a task to a process that has none."""
        place = next((at for at, last in enumerate(self._last) if last is None or last.done()), 0)
        try:
            future = self._submitted(place, fn, *args, **kwargs)
        except BrokenProcessPool:  # killed, perhaps while it had nothing to do
            self._pools[place] = None
            future = self._submitted(place, fn, *args, **kwargs)
        self._last[place] = future
        return future

    def _submitted(self, place: int, *task: Any, **kwargs: Any) -> Future[Any]:
        with _interrupts_later():
            pool = self._pool(place)
        with _interrupts_later():  # anew: the first pool starts a tracker, which lets them through
            return pool.submit(*task, **kwargs)

    def _pool(self, place: int) -> ProcessPoolExecutor:
        pool = self._pools[place]
        if pool is None:
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_the_parent)
            self._pools[place] = pool
        return pool

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as in Executor
        """End the processes, once each has finished what it runs."""
        for pool in self._pools:
            if pool is not None:
                pool.shutdown(wait=wait, cancel_futures=cancel_futures)


def _end_with_the_parent() -> None:
    """Let this process end when its parent is killed: a pool's waits for tasks for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - of a process that a pool has started
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
