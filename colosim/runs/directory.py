"""Writing a run directory: whole or not at all, the same bytes on every machine.

Files are written into a folder beside the target, while the run goes on, which takes the target's
name when everything is in it.  No wall-clock time and no path of this machine is written.
"""

from __future__ import annotations

import json
import platform
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import colosim
from colosim.errors import RunDirectoryError
from colosim.files import NewFolder, writing
from colosim.runs.columns import COLUMNS, REQUEST_COLUMNS, REQUESTS, checkpoint_columns
from colosim.runs.run import Run, simulate
from colosim.runs.stored import FILES, MANIFEST, SCHEMA, SUMMARY, intact, read_manifest, sha256_of
from colosim.scenario import resolve
from colosim.scenario.presets import OwnPreset
from colosim.scenario.spread import MEASURED, stage_fields

if TYPE_CHECKING:
    from pathlib import Path

    from colosim.designs.design import Design
    from colosim.runs.simulation import Simulation
    from colosim.runs.table_files import TableFiles
    from colosim.runs.tables import Tables
    from colosim.scenario import Scenario
    from colosim.trace.columns import Table

WRITTEN, UNCHANGED = "written", "the same run is there already, left alone"
BATCH = 1 << 18
"""How many integers of the record are turned into tables in one go."""


class RunDirectory(NewFolder):
    """A run directory under way: rows go into a folder beside `target` until `commit`.

    Used with ``with``: what was not committed is removed at its end.  `form`: how it has its
    tables, of `colosim.runs.table_files.FORMATS`.
    """

    def __init__(self, target: Path, form: str = "csv") -> None:
        super().__init__(target)
        self._form = form
        self._files: TableFiles | None = None
        self._flat = array("q")
        self._tables: Tables | None = None
        self._simulation: Simulation | None = None

    def __exit__(self, *error: object) -> None:
        """Remove what was not committed, and folders that are empty for it."""
        with suppress(OSError):  # what made the run fail makes this fail again
            self._close()
        super().__exit__(*error)

    def _close(self) -> None:
        files, self._files = self._files, None
        if files is not None:
            files.close()

    # ---- tables --------------------------------------------------------------------------------

    def open_tables(
        self, checkpoints: Sequence[str] = COLUMNS["checkpoints"], *, requests: bool = False
    ) -> None:
        """Begin every file; `checkpoints` are the columns that may be more."""
        from colosim.runs.table_files import table_files  # noqa: PLC0415 - numpy is slow to import

        columns = {**COLUMNS, "checkpoints": tuple(checkpoints)}
        if requests:
            columns[REQUESTS] = REQUEST_COLUMNS
        with writing(self.target):
            self._files = table_files(self._form, self.path, columns)

    def write(self, tables: dict[str, Table]) -> None:
        """Write rows of tables; `open_tables` has begun their files."""
        if self._files is not None:
            with writing(self.target):
                self._files.write(tables)

    def follow(self, simulation: Simulation, *, requests: bool = False) -> None:
        """Write this simulation's tables while it runs; of its clients' `requests`, if asked."""
        from colosim.runs.tables import Tables  # noqa: PLC0415 - numpy is slow to import

        steps = simulation.record.own.steps
        self.open_tables(checkpoint_columns(steps), requests=requests)
        if requests and simulation.clients is not None:
            simulation.clients.log(lambda rows: self.write({REQUESTS: rows}))
        self._simulation = simulation
        self._tables = Tables(
            taps=simulation.taps(), own_steps=steps, starts_apart=simulation.starts_apart
        )
        simulation.record.writers.append(self._take)

    def _take(self, packed: bytes) -> None:
        self._flat.frombytes(packed)
        if len(self._flat) >= BATCH:
            self._write_batch()

    def _write_batch(self) -> None:
        """Write what rows the events since the last batch finish."""
        if self._tables is not None and self._flat:
            self.write(self._tables.feed(self._flat))
            self._flat = array("q")

    # ---- the end -------------------------------------------------------------------------------

    def commit(self, run: Run) -> str:
        """Write what is missing, put the directory in its place, and return what became of it.

        `WRITTEN`, with the digest of another run that stood there, or `UNCHANGED` if the same run
        stood there, with as many tables.

        :raises RunDirectoryError: if something else than a run stands there; it is left alone.
        :raises WriteError: if it cannot be written.
        """
        if self._tables is not None and self._simulation is not None:
            self._write_batch()
            self.write(self._tables.finish(self._simulation.end_ns))
        with writing(self.target):
            self._close()
            self._write_json(SUMMARY, run.summary)
            files = [path.name for path in sorted(self.path.iterdir())]
            digests = {name: sha256_of(self.path / name) for name in files}
            self._write_json(MANIFEST, _manifest(run, digests))
        while True:
            taken = self.target.exists()
            became = self._in_place_of_another(run, set(digests)) if taken else WRITTEN
            if became == UNCHANGED or self.put(replace=taken):
                return became

    def _in_place_of_another(self, run: Run, files: set[str]) -> str:
        """Return what is to become of what stands in the target."""
        target = self.target
        if target.is_file():
            raise RunDirectoryError(f"{target} is a file; move it, or write elsewhere")
        became = WRITTEN
        with suppress(RunDirectoryError):  # one that is damaged is written again
            there = read_manifest(target)
            if there["digest"] != run.digest:
                became = f"{WRITTEN}, in place of a run with the digest {there['digest']}"
            elif files <= set(there["files"]) and intact(target):
                return UNCHANGED
        with writing(target):
            others = [path.name for path in sorted(target.iterdir()) if path.name not in FILES]
        if others:
            raise RunDirectoryError(
                f"{target} has {', '.join(others)} in it, which no run directory has: it is left "
                "alone; move that, or write elsewhere"
            )
        return became

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        text = json.dumps(content, indent=2) + "\n"
        (self.path / name).write_text(text, encoding="utf-8", newline="\n")


def versions() -> dict[str, str]:
    """Return the versions of what a run's bytes could depend on."""
    return {
        "colosim": colosim.__version__,
        "python": platform.python_version(),
        "simpy": version("simpy"),
        "numpy": version("numpy"),
    }


def _manifest(run: Run, files: dict[str, str]) -> dict[str, Any]:
    hosts = run.scenario.hosts
    spreads = {
        str(own): {stage: stage_fields(spread) for stage, spread in own.spread.items()}
        for own in (hosts.primary.preset, hosts.secondary.preset)
        if isinstance(own, OwnPreset) and own.spread is not None
    }
    return {
        "schema": SCHEMA,
        "design": run.design,
        "seed": run.seed,
        "digest": run.digest,
        "digest_format": run.digest_format,
        "versions": versions(),
        "files": files,
        "scenario": resolve(run.scenario),
        **({"spreads": spreads} if run.scenario.spread == MEASURED and spreads else {}),
    }


def run_into(  # noqa: PLR0913 - one keyword for each thing that a run may leave
    target: Path,
    scenario: Scenario,
    design: str | type[Design],
    *,
    seed: int | None = None,
    tables: str = "csv",
    requests: bool = False,
    prepare: Callable[[Simulation], None] | None = None,
    checks: bool = True,
    replay: str | None = None,
) -> tuple[Run, str]:
    """Run one design, write its directory as it goes, and return the run and what became of it.

    Nothing of the record is kept in memory.  `tables`: ``csv``, ``parquet`` or ``none``.
    `requests`, `checks` and `replay` as of `simulate`.

    :raises RunDirectoryError: as `RunDirectory.commit`; nothing is changed then.
    :raises WriteError: likewise.
    """
    with RunDirectory(target, tables) as directory:

        def set_up(simulation: Simulation) -> None:
            if tables != "none":
                directory.follow(simulation, requests=requests)
            if prepare is not None:
                prepare(simulation)

        run = simulate(
            scenario,
            design,
            seed=seed,
            tables=False,
            prepare=set_up,
            checks=checks,
            replay=replay,
        )
        return run, directory.commit(run)


def write_run(run: Run, target: Path, *, tables: str = "csv") -> str:
    """Write the directory of a run whose record is in memory, with tables as csv or parquet.

    What becomes of it is returned in words; another run that stands there is replaced.

    :raises NoTablesError: if its record was not kept.
    :raises RunDirectoryError: as `RunDirectory.commit`.
    :raises WriteError: likewise.
    """
    with RunDirectory(target, tables) as directory:
        directory.open_tables(run.columns("checkpoints"), requests=REQUESTS in run.tables)
        directory.write(run.tables)
        return directory.commit(run)
