"""Dirty pages as measured: a column of a CSV file, or the values themselves."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import PydanticCustomError

from colosim.scenario.fields import PAGES_MAX, Measure, Reader, Words, reject
from colosim.scenario.units import PAGES, meant, show

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_CSV_BYTES_MAX: Final = 16 << 20
_VALUES_MAX: Final = 50_000
_COUNT: Final = Measure(PAGES, 0, PAGES_MAX)


class PageCounts(Reader):
    """Numbers of pages, as a list or as one text with spaces between them."""

    def read(self, value: object) -> tuple[int | None, ...]:
        """Return the numbers."""
        if isinstance(value, str):
            value = value.split()
        if not isinstance(value, (list, tuple)) or not value:
            raise reject("there are no values; expected a list of page counts")
        if len(value) > _VALUES_MAX:
            raise reject(f"{len(value)} values; expected at most {_VALUES_MAX}")
        return tuple(_COUNT.read(item) for item in value)

    def text(self, value: Iterable[int]) -> Words:
        """Return the words of one text."""
        return Words(str(count) for count in value)

    def json_schema(self) -> dict[str, Any]:
        """Return both ways to write them."""
        numbers = {"type": "array", "items": {"type": "integer", "minimum": 0}}
        return {"anyOf": [{"type": "string"}, numbers]}


def column(path: Path, shown: str, name: str, blame: str) -> tuple[int | None, ...]:
    """Return the page counts in the column ``name`` of a CSV file with a header line.

    ``shown`` is the file as the scenario has it, ``blame`` the key that says which column.

    :raises PydanticCustomError: with the key to blame, if they cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise reject(f"{show(shown)} is not a file", "csv")
        with path.open("rb") as stream:
            data = stream.read(_CSV_BYTES_MAX + 1)
        rows = csv.reader(io.StringIO(data.decode("utf-8-sig")))
        if len(data) > _CSV_BYTES_MAX:
            raise reject(f"{show(shown)} is larger than {_CSV_BYTES_MAX >> 20} MiB", "csv")
        header = [cell.strip() for cell in next(rows, [])]
        if name not in header:
            columns = f"it has {', '.join(header[:20]) or 'none'}{meant(name, header)}"
            raise reject(f"{show(shown)} has no column {show(name)}; {columns}", blame)
        index = header.index(name)
        counts = []
        for row in filter(None, rows):
            where = f"{show(shown)}, line {rows.line_num}, column {show(name)}"
            counts.append(_count(row[index].strip() if index < len(row) else "", where))
            if len(counts) > _VALUES_MAX:
                raise reject(f"{show(shown)} has more than {_VALUES_MAX} rows", "csv")
    except OSError as error:
        why = f"cannot be read: {error.strerror}; the path is relative to the scenario file"
        raise reject(f"{show(shown)} {why}", "csv") from None
    except UnicodeDecodeError:
        raise reject(f"{show(shown)} is not a text file in UTF-8", "csv") from None
    except csv.Error as error:
        raise reject(f"{show(shown)} is no CSV file: {error}", "csv") from None
    if not counts:
        raise reject(f"{show(shown)} has no rows below its header", "csv")
    return tuple(counts)


def _count(cell: str, where: str) -> int | None:
    try:
        return _COUNT.read(cell)
    except PydanticCustomError as error:
        raise reject(f"{where}: {error}", "csv") from None
