"""Rows of tables as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["rows_of", "whole"]


def rows_of(table: pd.DataFrame) -> Iterator[Any]:
    """Yield a table's rows as named tuples."""
    yield from table.itertuples(index=False)


def whole(value: Any) -> int | None:
    """Return an integer of a table, None if it is empty."""
    return None if pd.isna(value) else int(value)
