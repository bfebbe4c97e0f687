"""Rows to DataFrames: integers that may be missing, words, and the one column of real numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from colosim.runs.columns import TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["frame", "read_csv", "rows_of"]

SLOPE = "slope_bytes_per_ns"


def dtype_of(column: str) -> str:
    """Return the pandas type of a column."""
    if column in TEXT:
        return "object"
    return "float64" if column == SLOPE else "Int64"


def frame(table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Return the DataFrame of a table."""
    data = {
        column: pd.Series([row[index] for row in rows], dtype=dtype_of(column))
        for index, column in enumerate(columns)
    }
    made = pd.DataFrame(data, columns=list(columns))
    made.attrs["table"] = table
    return made


def rows_of(made: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Yield the rows that a DataFrame was made of, None where a value is missing."""
    columns = [
        [None if value is pd.NA else value for value in made[column].tolist()] for column in made
    ]
    return zip(*columns, strict=True)


def read_csv(table: str, path: Path) -> pd.DataFrame:
    """Return the DataFrame of a table that was written as CSV."""
    with path.open(encoding="utf-8") as stream:
        columns = stream.readline().rstrip("\n").split(",")
    made = pd.read_csv(
        path,
        dtype={column: dtype_of(column) for column in columns},
        keep_default_na=False,
        na_values={column: [""] for column in columns if column not in TEXT},
    )
    made.attrs["table"] = table
    return made
