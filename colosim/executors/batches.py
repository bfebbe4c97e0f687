"""Many tasks as batches: how many at once, and what becomes of those whose worker is killed.

A batch has so many items as take half a second of CPU, by what those before it took.  One whose
worker is killed runs again in two halves, so an item that kills its worker is at last alone in its
batch.  It is run again at the end, with nothing beside it, and when it has lost `LOSSES_ALONE`
workers, it is to blame, and no other.  Whatever else was running goes on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

from colosim.errors import ColosimError

if TYPE_CHECKING:
    from colosim.executors.engines import Engine

LOSSES_ALONE = 3
"""A worker may be killed by chance, for want of memory or by hand, but hardly so often in a row."""
_FIRST = 4
_MOST = 100
_BATCH_S = 0.5
"""Long beside what it costs to hand a batch over (1 ms), short enough to lose one."""
_LOST_TO_DASK = "KilledWorker"
"""What Dask says of a task that has lost several workers; its module is there only with Dask."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Batch(Generic[Item]):
    items: list[Item]
    losses: int = 0


def run_all(
    engine: Engine,
    work: Callable[[list[Item]], list[Result]],
    items: Iterable[Item],
    *,
    finished: Callable[[list[Item], list[Result]], bool],
    to_blame: Callable[[Item], Result],
) -> None:
    """Run `work` on all items, a batch of them at a time.

    When it is interrupted, batches that a process is running are finished first and handed over.

    :param work: returns a result for each item; it and the items go to other processes.
    :param finished: is given the items and results of a batch as soon as it is finished, in any
        order, and says whether to go on.
    :param to_blame: returns the result of an item that kills its worker.
    :raises ColosimError: if the executor is the caller's and takes no more tasks.
    """
    batches = _Batches(engine, work, iter(items))
    is_sound = True
    try:
        while batches.submit():
            for batch, results in batches.ended():
                is_sound = False
                goes_on = finished(batch.items, results or [to_blame(batch.items[0])])
                is_sound = True
                if not goes_on:
                    return
    finally:
        for batch, results in batches.under_way():
            if is_sound:
                finished(batch.items, results)


class _Batches(Generic[Item, Result]):
    """Batches that are running, and those that run again."""

    def __init__(
        self,
        engine: Engine,
        work: Callable[[list[Item]], list[Result]],
        source: Iterator[Item],
    ) -> None:
        self._engine = engine
        self._work = work
        self._source = source
        self._again: deque[_Batch[Item]] = deque()
        self._suspects: deque[_Batch[Item]] = deque()
        self._running: dict[Future[tuple[list[Result], float]], _Batch[Item]] = {}
        self._size = _FIRST

    def submit(self) -> bool:
        """Hand over as many batches as the engine takes, and say whether any is running."""
        while len(self._running) < self._engine.capacity():
            batch = self._next()
            if batch is None:
                break
            try:
                future = self._engine.executor.submit(_timed, self._work, batch.items)
            except BrokenExecutor as error:
                raise ColosimError(f"the executor takes no more tasks: {error}") from error
            self._running[future] = batch
        return bool(self._running)

    def _next(self) -> _Batch[Item] | None:
        if self._again:
            return self._again.popleft()
        if items := list(islice(self._source, self._size)):
            return _Batch(items)
        return self._suspects.popleft() if self._suspects and not self._running else None

    def ended(self) -> Iterator[tuple[_Batch[Item], list[Result]]]:
        """Wait, and yield batches that have ended; no results where the one item is to blame."""
        ended, _ = wait(self._running, return_when=FIRST_COMPLETED)
        for future in [future for future in self._running if future in ended]:
            failure, batch = future.exception(), self._running.pop(future)
            if failure is None:
                results, took_s = future.result()
                self._size = _size(len(results), took_s)
                yield batch, results
            elif not _is_loss(failure):
                raise failure
            elif half := len(batch.items) // 2:
                self._again += [_Batch(batch.items[:half]), _Batch(batch.items[half:])]
            elif batch.losses + 1 < LOSSES_ALONE:
                self._suspects.append(_Batch(batch.items, batch.losses + 1))
            else:
                yield batch, []

    def under_way(self) -> Iterator[tuple[_Batch[Item], list[Result]]]:
        """Cancel what has not begun, wait for the rest, and yield what that has brought."""
        begun = [(future, one) for future, one in self._running.items() if not future.cancel()]
        for future, batch in begun:
            wait([future])
            if future.exception() is None:
                yield batch, future.result()[0]


def _timed(
    work: Callable[[list[Item]], list[Result]], items: list[Item]
) -> tuple[list[Result], float]:
    begun_s = time.thread_time()  # whatever else this machine does
    results = work(items)
    return results, time.thread_time() - begun_s


def _size(count: int, took_s: float) -> int:
    return max(1, min(_MOST, int(_BATCH_S * count / max(took_s, 1e-6))))


def _is_loss(error: BaseException) -> bool:
    return isinstance(error, BrokenExecutor) or type(error).__name__ == _LOST_TO_DASK
