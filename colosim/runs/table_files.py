"""The files of tables in a run directory, written part by part and read back: CSV or Parquet.

One ``NAME.csv`` or ``NAME.parquet`` for each table, with the same columns.  In Parquet, words
such as the events' names are coded by a dictionary, and what may be missing is null.  Only Parquet
needs pyarrow, and nothing here is imported by a run without tables.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Protocol

from colosim.runs.columns import SLOPE, TEXT
from colosim.runs.tables import rows_of
from colosim.trace.columns import IntColumn, WordColumn

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from colosim.trace.columns import Table

CSV: Final = "csv"
PARQUET: Final = "parquet"
NONE: Final = "none"
FORMATS: Final = (CSV, PARQUET, NONE)
"""How a run directory may have its tables."""
_WRITTEN_CELLS: Final = 1 << 21
"""A group of rows of a Parquet file is written when so many cells have come."""


class TableFiles(Protocol):
    """The files of all tables of one run, open to be written."""

    def write(self, tables: Mapping[str, Table]) -> None:
        """Write the next rows of tables."""
        ...

    def close(self) -> None:
        """End every file, also if one of them cannot be written."""
        ...


def table_files(form: str, folder: Path, columns: Mapping[str, Sequence[str]]) -> TableFiles:
    """Begin the files of tables with these columns, as `CSV` or as `PARQUET`."""
    return (_ParquetFiles if form == PARQUET else _CsvFiles)(folder, columns)


class _CsvFiles:
    def __init__(self, folder: Path, columns: Mapping[str, Sequence[str]]) -> None:
        self._streams = ExitStack()
        self._writers: dict[str, Callable[[Iterator[Sequence[Any]]], Any]] = {}
        for name, header in columns.items():
            file = folder / f"{name}.csv"
            stream = self._streams.enter_context(file.open("w", encoding="utf-8", newline=""))
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(header)
            self._writers[name] = writer.writerows

    def write(self, tables: Mapping[str, Table]) -> None:
        for name, table in tables.items():
            self._writers[name](iter(rows_of(table)))

    def close(self) -> None:
        self._streams.close()


class _ParquetFiles:
    def __init__(self, folder: Path, columns: Mapping[str, Sequence[str]]) -> None:
        import pyarrow as pa  # noqa: PLC0415 - only Parquet needs it
        import pyarrow.parquet as pq  # noqa: PLC0415

        self._schemas = {
            name: pa.schema([(column, _type_of(column)) for column in header])
            for name, header in columns.items()
        }
        self._parts: dict[str, list[pa.Table]] = {name: [] for name in columns}
        self._writers: dict[str, pq.ParquetWriter] = {}
        with ExitStack() as undone:
            undone.callback(self.close)
            for name, schema in self._schemas.items():
                self._writers[name] = pq.ParquetWriter(
                    folder / f"{name}.parquet", schema, use_dictionary=_words(schema)
                )
            undone.pop_all()

    def write(self, tables: Mapping[str, Table]) -> None:
        import pyarrow as pa  # noqa: PLC0415

        for name, table in tables.items():
            schema = self._schemas[name]
            arrays = [_array_of(table[field.name]) for field in schema]
            parts = self._parts[name]
            parts.append(pa.Table.from_arrays(arrays, schema=schema))
            if sum(map(len, parts)) * len(schema) >= _WRITTEN_CELLS:
                self._flush(name)

    def _flush(self, name: str) -> None:
        import pyarrow as pa  # noqa: PLC0415

        parts = self._parts[name]
        if parts:
            self._writers[name].write_table(pa.concat_tables(parts).unify_dictionaries())
            parts.clear()

    def close(self) -> None:
        with ExitStack() as ends:
            for name in self._writers:
                ends.callback(self._end, name)

    def _end(self, name: str) -> None:
        writer = self._writers[name]
        try:
            self._flush(name)
            writer.close()
        finally:
            writer.is_open = False  # else it is closed again, and that told of, when collected


def _type_of(column: str) -> pa.DataType:
    import pyarrow as pa  # noqa: PLC0415

    if column in TEXT:
        return pa.dictionary(pa.int32(), pa.string())
    return pa.float64() if column == SLOPE else pa.int64()


def _words(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if field.name in TEXT]


def _array_of(column: Any) -> pa.Array:
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(column, IntColumn):
        return pa.array(column.values, mask=None if column.known.all() else ~column.known)
    if isinstance(column, WordColumn):
        words = pa.array(column.words, type=pa.string())
        return pa.DictionaryArray.from_arrays(pa.array(column.kind, type=pa.int32()), words)
    return pa.array(column)


def events_in(path: Path) -> Iterator[tuple[int, str, int]]:
    """Yield (time_ns, sentence, value) of a file of events, of either kind."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as stream:
            rows = csv.reader(stream)
            next(rows, None)
            for at_ns, sentence, value in rows:
                yield int(at_ns), sentence, int(value)
        return
    import pyarrow.parquet as pq  # noqa: PLC0415

    for batch in pq.ParquetFile(path).iter_batches():
        yield from zip(*(batch.column(at).to_pylist() for at in range(3)), strict=True)
