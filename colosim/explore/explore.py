"""Running the cases of an exploration: in processes, in order, interruptible."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from typing import TYPE_CHECKING

from colosim.errors import ColosimError
from colosim.explore.cases import Space
from colosim.explore.choices import ChoicesError
from colosim.explore.outcome import run_case
from colosim.explore.results import Results, digest_of
from colosim.runs.run import as_scenario

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from colosim.explore.cases import Case
    from colosim.explore.outcome import Outcome
    from colosim.scenario.model import Scenario

    Progress = Callable[[int, int], None]
    """Is told how many cases are finished, and how many there are."""

_AT_ONCE = 16
"""Cases that a process is given at a time: few enough that an interrupt loses little."""
_AHEAD = 3
"""Batches that wait for each process."""


@dataclass(frozen=True, slots=True)
class Exploration:
    """The outcomes of an exploration, in the order of its choices.

    `found` is the first case with the verdict that was looked for: with it the exploration ends.
    """

    space: Space
    outcomes: tuple[Outcome, ...]
    found: Outcome | None = None

    @property
    def scenario(self) -> Scenario:
        """The scenario as its cases ran it, without faults."""
        return self.space.base

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many cases of each design ended with each verdict."""
        counts: dict[str, dict[str, int]] = {design: {} for design in self.space.designs}
        for outcome in self.outcomes:
            of_design = counts[outcome.design]
            of_design[outcome.verdict] = of_design.get(outcome.verdict, 0) + 1
        return counts


def explore(  # noqa: PLR0913 - a study has that many parameters, given by name
    scenario: str | PathLike[str] | Scenario,
    designs: Sequence[str] = (),
    faults: Sequence[str] = (),
    *,
    jobs: int = 1,
    depth: int = 1,
    find: str | None = None,
    overrides: Sequence[str] = (),
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Exploration:
    """Run every case of a scenario: each fault at each protocol step of each design.

    :param designs: instead of the scenario's.
    :param faults: words such as ``freeze`` or ``vanish 30 s``; none means all kinds.
    :param jobs: how many processes; the result does not depend on it.
    :param depth: how many faults strike in one case.
    :param find: stop at the first case with this verdict.
    :param folder: where finished cases are kept, so that a rerun goes on from there.
    :raises ScenarioError: if the scenario is wrong.
    :raises ChoicesError: if a fault is none, or none can strike in any of the designs.
    """
    loaded = as_scenario(scenario, overrides)
    command = ["colosim", "run", loaded.name if scenario is loaded else str(scenario)]
    for override in overrides:
        command += ["--set", override]
    space = Space(loaded, designs, faults, depth, command)
    return explore_space(space, jobs=jobs, find=find, folder=folder, progress=progress)


def explore_space(
    space: Space,
    *,
    jobs: int = 1,
    find: str | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Exploration:
    """Run every case of a space; the parameters are those of `explore`.

    :raises ChoicesError: if it has no case.
    """
    total = space.count()
    if not total:
        raise ChoicesError(
            f"there is no case: nothing of {', '.join(space.faults)} can strike in "
            f"{', '.join(space.designs)}"
        )
    outcomes: list[Outcome] = []
    with Results(folder, digest_of(space.base, space.designs)) as results:
        for batch in _batches(space, results, jobs):
            for outcome in batch:
                outcomes.append(outcome)
                if outcome.verdict == find:
                    return Exploration(space, tuple(outcomes), outcome)
            if progress is not None:
                progress(len(outcomes), total)
    return Exploration(space, tuple(outcomes))


def _batches(space: Space, results: Results, jobs: int) -> Iterator[list[Outcome]]:
    """Yield outcomes in order, finished ones from `results`, others as they are run."""
    cases = iter(space)
    batches = iter(lambda: list(islice(cases, _AT_ONCE)), [])
    if jobs <= 1:
        for batch in batches:
            fresh = _run(space.base, _unfinished(batch, space, results))
            yield _kept(batch, fresh, results)
        return
    pool = workers(jobs)
    waiting: deque[tuple[list[Case], Future[list[Outcome]]]] = deque()
    try:
        for batch in batches:
            with _interrupts_later():
                future = pool.submit(_run, space.base, _unfinished(batch, space, results))
            waiting.append((batch, future))
            if len(waiting) > jobs * _AHEAD:
                first, ready = waiting.popleft()
                yield _kept(first, ready.result(), results)
        while waiting:
            first, ready = waiting.popleft()
            yield _kept(first, ready.result(), results)
    except BrokenProcessPool as error:
        raise ColosimError(
            "a process that ran cases was killed, perhaps for want of memory; with --out, a rerun "
            "goes on from what is finished: try it with fewer --jobs"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for batch, future in waiting:
            if future.done() and not future.cancelled() and future.exception() is None:
                _kept(batch, future.result(), results)


def _unfinished(batch: Iterable[Case], space: Space, results: Results) -> list[tuple[Case, str]]:
    """Return the cases of a batch that are not finished, each with the command that replays it."""
    return [(case, space.replay_command(case)) for case in batch if results.get(case.text) is None]


def _kept(batch: Iterable[Case], fresh: Sequence[Outcome], results: Results) -> list[Outcome]:
    """Keep fresh outcomes, and return those of the whole batch."""
    results.add(fresh)
    found = [results.get(case.text) for case in batch]
    return [outcome for outcome in found if outcome is not None]


def _run(base: Scenario, cases: Sequence[tuple[Case, str]]) -> list[Outcome]:
    return [run_case(base, case, replay) for case, replay in cases]


_STOPPING = {getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)}
_WINDOWS_MAX = 61
"""How many processes Windows lets one wait for."""


def workers(jobs: int) -> ProcessPoolExecutor:
    """Return a pool of processes that end with this one, also if that is killed outright."""
    if sys.platform == "win32":
        jobs = min(jobs, _WINDOWS_MAX)
    with _interrupts_later():
        return ProcessPoolExecutor(
            jobs,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_end_with_parent,
        )


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


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
