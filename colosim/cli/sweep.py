"""``colosim sweep SWEEP.yaml``."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from colosim.cli.main import STATUS_FAILED, STATUS_VIOLATED
from colosim.cli.options import jobs_option
from colosim.cli.progress import Pace

if TYPE_CHECKING:
    import pyarrow as pa

    from colosim.sweeps.store import Store


@click.command("sweep")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="SWEEP.yaml")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the results.  [default: sweeps/NAME, of NAME.yaml]",
)
@jobs_option
@click.option(
    "--executor",
    type=click.Choice(["local", "dask"]),
    help="Processes of this machine, or Dask.  [default: local, with --scheduler dask]",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="A Dask scheduler, as in tcp://10.0.0.1:8786; without it Dask runs on this machine.",
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "simulate"]),
    default="auto",
    show_default=True,
    help="Answer on arrays what can be, and simulate the others; or all. The rows are the same.",
)
@click.option(
    "--with",
    "with_keys",
    multiple=True,
    metavar="KEY",
    help="A key that only a simulation gives, such as digest or memory_peak_bytes.",
)
@click.option("--dry-run", is_flag=True, help="Say how many runs there are and are done, and stop.")
@click.option(
    "--retry", type=click.Choice(["failed"]), help="Run what has failed again, and nothing else."
)
@click.option("--stop-at-first-failure", is_flag=True, help="Run no more once a run has failed.")
def command(  # noqa: PLR0913 - an option each
    *,
    file: Path,
    out: Path | None,
    jobs: int,
    executor: str | None,
    scheduler: str | None,
    engine: str,
    with_keys: tuple[str, ...],
    dry_run: bool,
    retry: str | None,
    stop_at_first_failure: bool,
) -> int:
    """Run a grid of scenarios, and go on where it was left.

    SWEEP.yaml names a scenario, the axes of the grid, and seeds. DIR gets results.parquet, a row a
    run, failures.csv and sweep.json. The same values whatever runs it, in whatever order, with
    whatever interruptions: what is finished is kept, and the same command goes on from there. The
    exit status is 1 if a run failed, which ends no other; 4 if a safety rule broke.
    """
    from colosim.executors.engines import opened
    from colosim.sweeps.grid import load_grid
    from colosim.sweeps.store import Store
    from colosim.sweeps.sweep import AUTO, answer_on_arrays, run_sweep

    if scheduler is not None and executor == "local":
        raise click.UsageError("--scheduler is for --executor dask")
    folder = out or Path("sweeps") / file.stem
    store = Store(load_grid(file), folder, with_keys)
    if dry_run:
        _estimate(store, file.stem, jobs)
        return 0
    click.echo(_counts(store, file.stem), err=True)
    before, begun_s = store.done, time.monotonic()
    if engine == AUTO and retry is None:
        refused = answer_on_arrays(store)
        if answered := store.done - before:
            click.echo(f"{answered:,} on arrays in {_since(begun_s)}", err=True)
        for why, count in refused.most_common():
            click.echo(f"{count:,} refused: {why}", err=True)
    before, begun_s = store.done + len(store.failed), time.monotonic()
    which = executor or ("local" if scheduler is None else "dask")
    with (
        opened(which, jobs, scheduler) as workers,
        Pace(len(store.grid), store.done + len(store.failed)) as pace,
    ):
        table = run_sweep(
            store,
            workers,
            retry_failed=retry is not None,
            stop_at_first_failure=stop_at_first_failure,
            progress=lambda: pace.show(store.done, len(store.failed)),
        )
    if simulated := store.done + len(store.failed) - before:
        click.echo(f"{simulated:,} simulated in {_since(begun_s)}", err=True)
    return _print(store, table, folder)


def _since(begun_s: float) -> str:
    return f"{time.monotonic() - begun_s:,.1f} s"


def _counts(store: Store, name: str) -> str:
    runs, failed = len(store.grid), len(store.failed)
    unfinished = runs - store.done - failed
    return f"{name}: {runs:,} runs, {store.done:,} done, {failed:,} failed, {unfinished:,} to do"


def _estimate(store: Store, name: str, jobs: int) -> None:
    from colosim.sweeps.sweep import seconds_a_run

    click.echo(_counts(store, name))
    to_do = len(store.grid) - store.done - len(store.failed)
    if to_do:
        each_s = seconds_a_run(store)
        left_s = each_s * to_do / jobs
        click.echo(f"some {left_s:,.0f} s with {jobs} processes ({each_s * 1000:,.1f} ms a run)")


def _print(store: Store, table: pa.Table, folder: Path) -> int:
    """Print the verdicts by design and what was written; return the exit status."""
    from colosim.cli.show import print_table
    from colosim.sweeps.store import FAILURES, RESULTS
    from colosim.trace.fields import VERDICTS

    designs, verdicts = (table[key].to_pylist() for key in ("design", "verdict"))
    counts = Counter(zip(designs, verdicts, strict=True))
    words = [word for word in VERDICTS if word in verdicts]
    rows = [
        [
            design,
            *(f"{counts[design, word]:,}" for word in words),
            f"{designs.count(design):,}",
        ]
        for design in store.grid.designs
    ]
    heads = ("design", *words, "runs")
    print_table(store.grid.scenario.name, [name.replace("_", "\n") for name in heads], rows)
    click.echo(f"{folder / RESULTS}: written")
    to_do = len(store.grid) - store.done - len(store.failed)
    if to_do:
        click.echo(f"{to_do:,} runs are unfinished; the same command goes on from here", err=True)
    if store.failed:
        many = f"{len(store.failed):,} runs failed" if len(store.failed) > 1 else "1 run failed"
        why = "says why, and how to run each alone"
        click.echo(f"colosim: {many}; {folder / FAILURES} {why}", err=True)
    if "violated" in verdicts:
        return STATUS_VIOLATED
    return STATUS_FAILED if store.failed else 0
