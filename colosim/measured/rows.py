"""Many rows of one kind in little memory: a number takes 8 bytes, what is equal is kept once."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeVar, overload

NUMBER_MAX: Final = 1 << 62
"""A number beyond it, or below its negative, is kept as that."""
_NONE: Final = -(1 << 63)

_AT_ONCE: Final = 4096
"""How many rows wait to be taken into the columns."""

Row = TypeVar("Row", bound=NamedTuple)


class Rows(Sequence[Row]):
    """Named tuples as columns.

    :param kind: their class.
    :param numbers: its fields that are integers or None; the values of others must be hashable.
    """

    def __init__(self, kind: type[Row], numbers: Iterable[str], rows: Iterable[Row] = ()) -> None:
        self._kind = kind
        self._numbers = frozenset(numbers)
        self._same: dict[Any, Any] = {}
        self._columns: list[Any] = [
            array("q") if name in self._numbers else [] for name in kind._fields
        ]
        self._fresh: list[Row] = []
        self.extend(rows)

    def append(self, row: Row) -> None:
        """Add a row."""
        self._fresh.append(row)
        if len(self._fresh) >= _AT_ONCE:
            self._pack()

    def extend(self, rows: Iterable[Row]) -> None:
        """Add rows."""
        for row in rows:
            self.append(row)

    def _pack(self) -> None:
        """Take the latest rows into the columns."""
        for column, cells in zip(self._columns, zip(*self._fresh, strict=True), strict=False):
            if isinstance(column, list):
                column.extend(map(self._same.setdefault, cells, cells))
            else:
                column.extend(map(_number, cells))
        self._fresh.clear()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._columns[0]) + len(self._fresh)

    def __iter__(self) -> Iterator[Row]:
        """Return each."""
        if self._fresh:
            self._pack()
        return map(self._kind._make, zip(*map(_cells, self._columns), strict=True))

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Rows[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Rows[Row]:
        """Return one, or some."""
        if self._fresh:
            self._pack()
        if isinstance(index, slice):
            part = Rows(self._kind, self._numbers)
            part._columns = [column[index] for column in self._columns]
            return part
        cells = [column[index] for column in self._columns]
        return self._kind._make(None if cell == _NONE else cell for cell in cells)

    def __setitem__(self, index: int, row: Row) -> None:
        """Put another in place of one."""
        self._pack()
        for column, cell in zip(self._columns, row, strict=True):
            column[index] = cell if isinstance(column, list) else _number(cell)


def _number(cell: int | None) -> int:
    if cell is None:
        return _NONE
    return cell if -NUMBER_MAX < cell < NUMBER_MAX else NUMBER_MAX if cell > 0 else -NUMBER_MAX


def _cells(column: Sequence[Any]) -> Iterable[Any]:
    if isinstance(column, array) and _NONE in column:
        return (None if number == _NONE else number for number in column)
    return column
