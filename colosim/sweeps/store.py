"""What a sweep has found, on disk: a file a batch, written whole, and what is made of them.

A batch's file is named by a hash of the sweep and of its runs, so any number of drivers may write
to one folder, on a shared file system too, without a lock; one that is damaged does not bear its
name, and its runs are taken for unfinished.  ``results.parquet`` and ``failures.csv`` follow from
the batches and the grid alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import colosim
from colosim.errors import ColosimError
from colosim.files import read_file, write_file, writing
from colosim.sweeps.on_arrays import answered, only_simulated
from colosim.sweeps.points import Failed

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from colosim.sweeps.grid import Grid
    from colosim.sweeps.points import Row

RESULTS, FAILURES, _SWEEP, _BATCHES = "results.parquet", "failures.csv", "sweep.json", "batches"
_MADE_WITH = "made_with"
_PACKAGES = ("numpy", "pyarrow", "simpy")
_DIGITS = 32
_TOLD_MAX, _SHOWN_MAX = 3, 60


class Store:
    """The finished runs of a grid: done or failed, all others are unfinished.

    :param folder: where they are kept, and found again; None keeps them in memory.
    :param extra: what rows have of the keys that only a simulation gives (`only_simulated`).
    :raises ColosimError: if the results of another sweep are there, and it says what differs; if
        a key is none of the summary.
    """

    def __init__(self, grid: Grid, folder: Path | None = None, extra: Sequence[str] = ()) -> None:
        self.grid = grid
        self.extra = tuple(only_simulated(sorted(set(extra))))
        self.folder = folder
        self.failed: dict[int, str] = {}
        self._done: set[int] = set()
        self._in_memory: list[dict[str, Any]] = []
        self._sweep = {
            **grid.to_dict(),
            "runs": len(grid),
            **({"with": list(self.extra)} if self.extra else {}),
            "version": {"colosim": colosim.__version__, "source": grid.source_digest},
        }
        self._digest = sha256(json.dumps(self._sweep).encode()).hexdigest()
        if folder is not None:
            self._refuse_another(folder)
        for batch in self._batches():
            self._know(batch)

    @property
    def done(self) -> int:
        """How many runs have a row."""
        return len(self._done)

    def unfinished(self) -> Iterator[int]:
        """Yield the numbers of the runs that are neither done nor failed, in order."""
        runs = range(len(self.grid))
        return (one for one in runs if one not in self._done and one not in self.failed)

    def begin(self) -> None:
        """Write down what the sweep is.

        :raises WriteError: if it cannot be written.
        """
        if self.folder is None:
            return
        with writing(self.folder):
            (self.folder / _BATCHES).mkdir(parents=True, exist_ok=True)
        made_with = {"python": sys.version.split()[0]} | {one: version(one) for one in _PACKAGES}
        text = json.dumps({**self._sweep, _MADE_WITH: made_with}, indent=1)
        write_file(self.folder / _SWEEP, f"{text}\n".encode())

    def add(self, numbers: Sequence[int], outcomes: Sequence[Row | Failed]) -> None:
        """Keep the rows, or failures, of these runs.

        :raises WriteError: if they cannot be written.
        """
        rows = {
            number: {key: value for key, value in row.items() if self._keeps(key)}
            for number, row in zip(numbers, outcomes, strict=True)
            if not isinstance(row, Failed)
        }
        columns = dict.fromkeys(key for row in rows.values() for key in row)
        batch = {
            "done": list(rows),
            "columns": {key: [row.get(key) for row in rows.values()] for key in columns},
            "failed": {
                str(number): outcome.message
                for number, outcome in zip(numbers, outcomes, strict=True)
                if isinstance(outcome, Failed)
            },
        }
        if self.folder is None:
            self._in_memory.append(batch)
        else:
            text = json.dumps(batch, separators=(",", ":"))
            write_file(self.folder / _BATCHES / self._name(batch), text.encode())
        self._know(batch)

    def _keeps(self, key: str) -> bool:
        return answered(key) or any(f"{key}.".startswith(f"{own}.") for own in self.extra)

    def table(self) -> pa.Table:
        """Return the rows of the runs that are done, in their order."""
        from colosim.sweeps.table import joined  # noqa: PLC0415 - pyarrow is slow to import

        return joined(self.grid, self._batches())

    def merge(self) -> pa.Table:
        """Write ``results.parquet`` and ``failures.csv`` anew, and return the table of the first.

        :raises WriteError: if they cannot be written.
        """
        from colosim.sweeps.table import as_csv, as_parquet  # noqa: PLC0415 - likewise

        table = self.table()
        if self.folder is not None:
            write_file(self.folder / RESULTS, as_parquet(table))
            write_file(self.folder / FAILURES, as_csv(self.grid, self.failed).encode())
        return table

    def _know(self, batch: dict[str, Any]) -> None:
        self._done.update(batch["done"])
        self.failed |= {int(number): message for number, message in batch["failed"].items()}
        for number in self.failed.keys() & self._done:  # run again since, and done
            del self.failed[number]

    def _name(self, batch: dict[str, Any]) -> str:
        runs = f"{self._digest} {batch['done']} {[*batch['failed']]}"
        return f"{sha256(runs.encode()).hexdigest()[:_DIGITS]}.json"

    def _batches(self) -> Iterator[dict[str, Any]]:
        """Yield every batch that is whole."""
        yield from self._in_memory
        if self.folder is None:
            return
        for path in sorted((self.folder / _BATCHES).glob("*.json")):
            try:
                batch = json.loads(read_file(path))
                lengths = {len(values) for values in batch["columns"].values()}
                is_whole = path.name == self._name(batch) and lengths <= {len(batch["done"])}
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue
            if is_whole:
                yield batch

    def _refuse_another(self, folder: Path) -> None:
        path = folder / _SWEEP
        if not path.exists():
            return
        try:
            there = json.loads(path.read_bytes())
            found, own = _flat(there), _flat(self._sweep)
        except (OSError, ValueError, AttributeError) as error:
            raise ColosimError(f"{path} cannot be read: {error}; move it away") from error
        differ = [
            f"{key} was {_short(found.get(key))}, is {_short(own.get(key))}"
            for key in dict.fromkeys((*own, *found))
            if found.get(key) != own.get(key) and not key.startswith(_MADE_WITH)
        ]
        if differ:
            more = len(differ) - _TOLD_MAX
            told = "; ".join((*differ[:_TOLD_MAX], *([f"and {more} more"] if more > 0 else [])))
            what = f"{folder} has the results of another sweep: {told}"
            raise ColosimError(f"{what}; write to another folder (--out), or remove this one")


def _flat(value: dict[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{above}{key}.") if isinstance(inner, dict) else {above + key: inner}
    return flat


def _short(value: object) -> str:
    text = "absent" if value is None else json.dumps(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
