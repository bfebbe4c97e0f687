"""Tables to DataFrames: integers that may be missing, words, and the one column of real numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from colosim.runs.columns import SLOPE, TEXT
from colosim.trace.columns import IntColumn, WordColumn

if TYPE_CHECKING:
    from pathlib import Path

    from colosim.trace.columns import Table


def dtype_of(column: str) -> str:
    """Return the pandas type of a column."""
    if column in TEXT:
        return "object"
    return "float64" if column == SLOPE else "Int64"


def frame(name: str, table: Table) -> pd.DataFrame:
    """Return the DataFrame of a table."""
    data: dict[str, Any] = {
        column: pd.arrays.IntegerArray(found.values, ~found.known)
        if isinstance(found, IntColumn)
        else pd.Series(
            found.tolist() if isinstance(found, WordColumn) else found, dtype=dtype_of(column)
        )
        for column, found in table.items()
    }
    made = pd.DataFrame(data)
    made.attrs["table"] = name
    return made


def read(table: str, path: Path) -> pd.DataFrame:
    """Return the DataFrame of a table that was written, as CSV or as Parquet."""
    made = _read_csv(path) if path.suffix == ".csv" else _read_parquet(path)
    made.attrs["table"] = table
    return made


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow as pa  # noqa: PLC0415 - only Parquet needs it
    import pyarrow.parquet as pq  # noqa: PLC0415

    # Integers that may be missing stay integers.
    made: pd.DataFrame = pq.read_table(path).to_pandas(
        types_mapper={pa.int64(): pd.Int64Dtype()}.get
    )
    return made.astype({column: dtype_of(column) for column in made.columns})


def _read_csv(path: Path) -> pd.DataFrame:
    with path.open(encoding="utf-8") as stream:
        columns = stream.readline().rstrip("\n").split(",")
    # Before version 3 pandas itself read the last digit of some real numbers wrong.
    types = {column: "object" if column == SLOPE else dtype_of(column) for column in columns}
    made: pd.DataFrame = pd.read_csv(
        path,
        dtype=types,
        keep_default_na=False,
        na_values={column: [""] for column in columns if column not in TEXT},
    )
    return made.astype({column: dtype_of(column) for column in columns if column == SLOPE})
