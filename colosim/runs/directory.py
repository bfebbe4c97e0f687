"""Writing a run directory: whole or not at all, the same bytes on every machine.

Files are written into a folder beside the target, while the run goes on, and the folder is renamed
when everything is in it.  No wall-clock time and no path of this machine is written.
"""

from __future__ import annotations

import json
import platform
import shutil
from array import array
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Self

import colosim
from colosim.errors import RunDirectoryError
from colosim.runs.columns import COLUMNS, checkpoint_columns
from colosim.runs.run import Run, simulate
from colosim.runs.stored import MANIFEST, SCHEMA, SUMMARY, intact, read_manifest, sha256_of
from colosim.scenario import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from colosim.designs.design import Design
    from colosim.runs.simulation import Simulation
    from colosim.runs.table_files import TableFiles
    from colosim.runs.tables import Tables
    from colosim.scenario import Scenario
    from colosim.trace.columns import Table

__all__ = ["UNCHANGED", "WRITTEN", "RunDirectory", "run_into", "versions", "write_run"]

WRITTEN, UNCHANGED = "written", "unchanged"
BATCH = 1 << 18
"""How many integers of the record are turned into tables in one go."""


class RunDirectory:
    """A run directory under way: rows go into a folder beside `target` until `commit`.

    Used with ``with``: what was not committed is removed at its end.  `form`: how it has its
    tables, of `colosim.runs.table_files.FORMATS`.
    """

    def __init__(self, target: Path, form: str = "csv") -> None:
        self.target = target
        self._form = form
        self._partial = target.with_name(f".{target.name}.partial")
        self._files: TableFiles | None = None
        self._flat = array("q")
        self._tables: Tables | None = None
        self._simulation: Simulation | None = None

    def __enter__(self) -> Self:
        """Make the folder; one that an interrupted run left is replaced."""
        self._remove(self._partial)
        try:
            self._partial.mkdir(parents=True)
        except OSError as error:
            raise RunDirectoryError(f"cannot write {self._partial}: {error.strerror}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove what was not committed, and folders that are empty for it."""
        self._close()
        self._remove(self._partial)
        for parent in (self.target.parent, self.target.parent.parent):
            try:
                parent.rmdir()
            except OSError:
                break

    @staticmethod
    def _remove(folder: Path) -> None:
        if folder.exists():
            shutil.rmtree(folder)

    def _close(self) -> None:
        if self._files is not None:
            self._files.close()
            self._files = None

    # ---- tables --------------------------------------------------------------------------------

    def open_tables(self, checkpoints: Sequence[str] = COLUMNS["checkpoints"]) -> None:
        """Begin every file; `checkpoints` are the columns that may be more."""
        from colosim.runs.table_files import table_files  # noqa: PLC0415 - numpy is slow to import

        columns = {**COLUMNS, "checkpoints": tuple(checkpoints)}
        self._files = table_files(self._form, self._partial, columns)

    def write(self, tables: dict[str, Table]) -> None:
        """Write rows of tables; `open_tables` has begun their files."""
        if self._files is not None:
            self._files.write(tables)

    def follow(self, simulation: Simulation) -> None:
        """Write this simulation's tables while it runs."""
        from colosim.runs.tables import Tables  # noqa: PLC0415 - numpy is slow to import

        steps = simulation.record.own.steps
        self.open_tables(checkpoint_columns(steps))
        self._simulation = simulation
        self._tables = Tables(taps=simulation.taps(), own_steps=steps)
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

    def commit(self, run: Run, *, force: bool = False) -> str:
        """Write what is missing and put the directory in its place.

        Returns `WRITTEN`, or `UNCHANGED` if the same run stood there, with as many tables.

        :raises RunDirectoryError: if another run stands there and `force` is not given, or if
            what stands there is no run directory.
        """
        if self._tables is not None and self._simulation is not None:
            self._write_batch()
            self.write(self._tables.finish(self._simulation.end_ns))
        self._close()
        self._write_json(SUMMARY, run.summary)
        files = [path.name for path in sorted(self._partial.iterdir())]
        digests = {name: sha256_of(self._partial / name) for name in files}
        self._write_json(MANIFEST, _manifest(run, digests))
        if self.target.exists() and not self._may_replace(run, set(digests), force=force):
            return UNCHANGED
        old = self.target.with_name(f".{self.target.name}.replaced")
        self._remove(old)
        if self.target.exists():
            self.target.rename(old)
        self._partial.rename(self.target)
        self._remove(old)
        return WRITTEN

    def _may_replace(self, run: Run, files: set[str], *, force: bool) -> bool:
        """Tell whether what stands in the target is to be replaced; False: it is the same."""
        target = self.target
        if not target.is_dir():
            raise RunDirectoryError(f"{target} is a file")
        if not (target / MANIFEST).exists():
            if sorted(target.iterdir()):
                raise RunDirectoryError(f"{target} is no run directory; it is left alone")
            return True
        try:
            there = read_manifest(target)
            same = there["digest"] == run.digest
        except (RunDirectoryError, KeyError):
            same, there = False, {"files": {}}
        if same:
            return not (files <= set(there["files"]) and intact(target))
        if not force:
            raise RunDirectoryError(f"{target} holds another run; --force replaces it")
        return True

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        text = json.dumps(content, indent=2) + "\n"
        (self._partial / name).write_text(text, encoding="utf-8", newline="\n")


def versions() -> dict[str, str]:
    """Return the versions of what a run's bytes could depend on."""
    return {
        "colosim": colosim.__version__,
        "python": platform.python_version(),
        "simpy": version("simpy"),
        "numpy": version("numpy"),
    }


def _manifest(run: Run, files: dict[str, str]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "design": run.design,
        "seed": run.seed,
        "digest": run.digest,
        "digest_format": run.digest_format,
        "versions": versions(),
        "files": files,
        "scenario": resolve(run.scenario),
    }


def run_into(  # noqa: PLR0913 - what `simulate` takes, by name
    target: Path,
    scenario: Scenario,
    design: str | type[Design],
    *,
    seed: int | None = None,
    tables: str = "csv",
    force: bool = False,
    prepare: Callable[[Simulation], None] | None = None,
    checks: bool = True,
    replay: str | None = None,
) -> tuple[Run, str]:
    """Run one design, write its directory as it goes, and return the run and what became of it.

    Nothing of the record is kept in memory.  `tables`: ``csv``, ``parquet`` or ``none``.  `checks`
    and `replay` as of `simulate`.

    :raises RunDirectoryError: as `RunDirectory.commit`; nothing is changed then.
    """
    with RunDirectory(target, tables) as directory:

        def set_up(simulation: Simulation) -> None:
            if tables != "none":
                directory.follow(simulation)
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
        return run, directory.commit(run, force=force)


def write_run(run: Run, target: Path, *, force: bool = False, tables: str = "csv") -> str:
    """Write the directory of a run whose record is in memory, with tables as csv or parquet.

    :raises NoTablesError: if its record was not kept.
    :raises RunDirectoryError: as `RunDirectory.commit`.
    """
    with RunDirectory(target, tables) as directory:
        directory.open_tables(run.columns("checkpoints"))
        directory.write(run.tables)
        return directory.commit(run, force=force)
