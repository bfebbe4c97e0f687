"""Tables to DataFrames: integers that may be missing, words, and the one column of real numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from colosim.runs.columns import SLOPE, TEXT
from colosim.trace.columns import IntColumn

if TYPE_CHECKING:
    from pathlib import Path

    from colosim.runs.tables import Table

__all__ = ["frame", "read_csv"]


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
        else pd.Series(found, dtype=dtype_of(column))
        for column, found in table.items()
    }
    made = pd.DataFrame(data)
    made.attrs["table"] = name
    return made


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
