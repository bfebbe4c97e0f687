"""A sweep: every run of a grid that is not finished yet, on whatever engine, its results kept."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from os import PathLike
from typing import TYPE_CHECKING

from colosim.executors.engines import INLINE, opened
from colosim.sweeps.grid import grid_of
from colosim.sweeps.on_arrays import only_simulated, rows_on_arrays
from colosim.sweeps.points import Failed, simulate_all, simulate_points
from colosim.sweeps.store import Store

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa

    from colosim.executors.engines import Engine
    from colosim.scenario.model import Scenario
    from colosim.sweeps.points import Row

AUTO = "auto"
_KEPT_AT_ONCE = 1000
_MEASURED_RUNS = 3
_MEASURED_S = 1.0


def sweep(  # noqa: PLR0913 - as the command has options
    scenario: str | PathLike[str] | Scenario,
    axes: Mapping[str, object],
    *,
    seeds: str | int | Iterable[int] = (),
    together: Sequence[Sequence[str]] = (),
    executor: str | Executor = INLINE,
    jobs: int = 1,
    scheduler: str | None = None,
    folder: Path | None = None,
    engine: str = AUTO,
    with_keys: Sequence[str] = (),
) -> pd.DataFrame:
    """Run a grid and return a row for each of its runs.

    Columns: the axes in their base units, ``seed``, then the keys of the summary, dotted; integers
    may be missing.  Runs that failed have no row: ``attrs["failures"]`` has their messages and the
    commands that run them.

    :param axes: values by key of a scenario, and ``design``: lists, or ranges as a file has them.
        Whole numbers are in the key's base unit.
    :param seeds: of each point; the scenario's if none are given.
    :param together: lists of axes that go together.
    :param executor: ``inline``, ``local`` (`jobs` processes), ``dask`` (at `scheduler`), or an
        executor of `concurrent.futures`, which is given `jobs` tasks at once.
    :param folder: where finished runs are kept, so that the next call goes on from there.
    :param engine: ``auto`` answers on arrays what can be (`colosim.sweeps.on_arrays`), and
        simulates the others; ``simulate`` all.  The rows are the same; ``attrs["refused"]`` counts
        what was not answered on arrays, by why.
    :param with_keys: keys of the summary that only a simulation gives, such as ``digest`` or
        ``memory_peak_bytes``: no row has them else, and with them every run is simulated.
    :raises ScenarioError: if the scenario, an axis or a value is wrong.
    :raises ColosimError: if the folder has the results of another sweep, a key is none of the
        summary, or there is no engine.
    """
    store = Store(grid_of(scenario, axes, seeds=seeds, together=together), folder, with_keys)
    refused = answer_on_arrays(store) if engine == AUTO else Counter()
    with opened(executor, jobs, scheduler) as workers:
        frame: pd.DataFrame = run_sweep(store, workers).to_pandas()
    frame.attrs["refused"] = dict(refused)
    frame.attrs["failures"] = [
        {"message": message, "command": store.grid.command(store.grid.point(number))}
        for number, message in sorted(store.failed.items())
    ]
    return frame


def answer_on_arrays(store: Store) -> Counter[str]:
    """Answer what is unfinished on arrays; return how many runs are refused, by why.

    :raises GridError: if a run that is simulated to compare differs.
    """
    if asked := only_simulated(store.extra):
        return Counter({f"{asked[0]} is asked for": sum(1 for _ in store.unfinished())})
    store.begin()
    rows, refused = rows_on_arrays(store.grid, store.unfinished())
    numbers = iter(rows)
    while some := list(islice(numbers, _KEPT_AT_ONCE)):
        store.add(some, [rows[number] for number in some])
    return refused


def run_sweep(
    store: Store,
    engine: Engine,
    *,
    retry_failed: bool = False,
    stop_at_first_failure: bool = False,
    progress: Callable[[], None] | None = None,
) -> pa.Table:
    """Run what is unfinished, merge what there is, also at an interrupt, and return the table.

    :param retry_failed: run what has failed instead, and nothing else.
    :param progress: called after each batch.
    :raises WriteError: if results cannot be written; those that were stay.
    """
    store.begin()

    def finished(numbers: Sequence[int], outcomes: Sequence[Row | Failed]) -> bool:
        store.add(numbers, outcomes)
        if progress is not None:
            progress()
        failed = any(isinstance(outcome, Failed) for outcome in outcomes)
        return not (failed and stop_at_first_failure)

    try:
        runs = sorted(store.failed) if retry_failed else store.unfinished()
        simulate_all(store.grid, engine, runs, finished)
    finally:
        table = store.merge()
    return table


def seconds_a_run(store: Store) -> float:
    """Return how long a run takes here, measured on some that are unfinished; 0 if none are."""
    numbers = list(store.unfinished())
    some = list(islice(numbers, 0, None, -(-len(numbers) // _MEASURED_RUNS) or 1))
    begun_s, ran = time.perf_counter(), 0
    simulate_points(store.grid, store.grid.source_digest, some[:1])  # what the first one imports
    begun_s = time.perf_counter()
    for number in some:
        simulate_points(store.grid, store.grid.source_digest, [number])
        ran += 1
        if time.perf_counter() - begun_s > _MEASURED_S:
            break
    return (time.perf_counter() - begun_s) / max(1, ran)
