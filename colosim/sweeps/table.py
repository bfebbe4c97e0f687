"""Rows as tables: Parquet of integers that may be null, a DataFrame, and the failures as CSV."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from colosim.files import csv_text
from colosim.trace.fields import SENTENCE, SUMMARY_KEYS, WORD, YES_NO

if TYPE_CHECKING:
    from colosim.sweeps.axes import Value
    from colosim.sweeps.grid import Grid

_NUMBER = " number"
"""A column while tables are joined; no key begins with a space."""
_SEED_BITS = 63
_PANDAS = {"int64": "Int64", "uint64": "UInt64", "bool": "boolean", "string": "object"}


def joined(grid: Grid, batches: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return the rows of all batches, each run once, in the order of the grid."""
    parts = [_part(grid, batch) for batch in batches if batch["done"]] or [_part(grid, _NO_ROWS)]
    whole = pa.concat_tables(parts, promote_options="default")
    _, first = np.unique(whole[_NUMBER].to_numpy(), return_index=True)
    ordered = whole.take(pa.array(first)).drop_columns([_NUMBER]).combine_chunks()
    axes = [*(axis.key for axis in grid.axes), "seed"]
    keys = sorted((name for name in ordered.column_names if name not in axes), key=_rank)
    chosen = ordered.select([*axes, *keys])
    return chosen.replace_schema_metadata({b"pandas": json.dumps(_for_pandas(chosen.schema))})


_NO_ROWS: dict[str, Any] = {"done": [], "columns": {key: [] for key in SUMMARY_KEYS}}
_KNOWN = {key: rank for rank, key in enumerate(SUMMARY_KEYS)}
_LAST = {key.rpartition(".")[0]: rank for key, rank in _KNOWN.items()}
"""The rank of the last key below each."""


def _rank(key: str) -> tuple[int, str]:
    """Rank the columns as a summary has its keys; a design's own accounts come after the known."""
    if key in _KNOWN:
        return _KNOWN[key], ""
    return _LAST.get(key.rpartition(".")[0], len(_KNOWN)), key


def _part(grid: Grid, batch: Mapping[str, Any]) -> pa.Table:
    points = [grid.point(number) for number in batch["done"]]
    columns: dict[str, pa.Array] = {_NUMBER: pa.array(batch["done"], pa.int64())}
    for at, axis in enumerate(grid.axes):
        values = [point.values[at] for point in points]
        columns[axis.key] = pa.array(_alike(axis.values, values), _type_of_axis(axis.values))
    seeds = pa.uint64() if max(grid.seeds) >> _SEED_BITS else pa.int64()
    columns["seed"] = pa.array([point.seed for point in points], seeds)
    for key, values in batch["columns"].items():
        columns[key] = pa.array(values, _type_of(key))
    return pa.table(columns)


def _type_of(key: str) -> pa.DataType:
    field = SUMMARY_KEYS.get(key)
    if field is None:
        return pa.int64()
    if field.unit == YES_NO:
        return pa.bool_()
    return pa.string() if field.unit in {WORD, SENTENCE} else pa.int64()


def _type_of_axis(values: Sequence[Value]) -> pa.DataType:
    kinds = {type(value) for value in values if value is not None}
    return {frozenset({int}): pa.int64(), frozenset({bool}): pa.bool_()}.get(
        frozenset(kinds), pa.string()
    )


def _alike(all_values: Sequence[Value], values: Sequence[Value]) -> Sequence[Value]:
    """Return texts where an axis has both numbers and words."""
    if _type_of_axis(all_values) != pa.string():
        return values
    return [None if value is None else str(value) for value in values]


def _for_pandas(schema: pa.Schema) -> dict[str, Any]:
    """Return what pandas writes of its own columns, so that it reads integers as integers."""
    return {
        "index_columns": [],
        "column_indexes": [],
        "columns": [
            {
                "name": field.name,
                "field_name": field.name,
                "pandas_type": "unicode" if str(field.type) == "string" else str(field.type),
                "numpy_type": _PANDAS[str(field.type)],
                "metadata": None,
            }
            for field in schema
        ],
    }


def as_parquet(table: pa.Table) -> bytes:
    """Return a table as a Parquet file: the same bytes under the same version of pyarrow."""
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


def as_csv(grid: Grid, failed: Mapping[int, str]) -> str:
    """Return the failures: the values of the axes, the seed, why, and the command that runs it."""
    points = ((grid.point(number), failed[number]) for number in sorted(failed))
    return csv_text(
        [*(axis.key for axis in grid.axes), "seed", "message", "command"],
        ([*point.values, point.seed, why, grid.command(point)] for point, why in points),
    )
