"""Values as measured: a column of a CSV file, or the values themselves."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from pydantic_core import PydanticCustomError

from colosim.scenario.fields import Measure, Reader, Text, Words, reject
from colosim.scenario.section import Section
from colosim.scenario.units import meant, show

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_CSV_BYTES_MAX: Final = 16 << 20
_VALUES_MAX: Final = 50_000
COLUMN_NAME: Final = Text("the name of a column", r"[^\x00-\x1f]+", 200)


@dataclass(frozen=True, slots=True)
class Values(Reader):
    """Quantities of one kind, as a list or as one text with spaces between them."""

    one: Measure

    def read(self, value: object) -> tuple[int | None, ...]:
        """Return the quantities."""
        if isinstance(value, str):
            value = value.split()
        if not isinstance(value, (list, tuple)) or not value:
            raise reject(f"there are no values; expected a list, each {self.one.kind.such_as}")
        if len(value) > _VALUES_MAX:
            raise reject(f"{len(value)} values; expected at most {_VALUES_MAX}")
        return tuple(self.one.read(item) for item in value)

    def text(self, value: Iterable[int]) -> Words:
        """Return the words of one text."""
        return Words(self._word(one) for one in value)

    def _word(self, value: int) -> str:
        if self.one.kind.bare is not None:
            return str(value)
        return self.one.text(value).replace(" ", "")

    def json_schema(self) -> dict[str, Any]:
        """Return both ways to write them."""
        many = {"type": "array", "items": self.one.json_schema()}
        return {"anyOf": [{"type": "string"}, many]}


class FromColumn(Section):
    """A section with a column of a CSV file, in the attribute `values_name`."""

    values_name: ClassVar[str]
    one: ClassVar[Measure]

    csv: Annotated[str, Text("the path of a CSV file", r"[^\x00-\x1f]+", 1024)]
    """CSV file with a header line, relative to the scenario file."""
    column: Annotated[str, COLUMN_NAME]
    """Column that has the values."""

    @classmethod
    def completed(cls, given: dict[str, Any], folder: Path | None) -> dict[str, Any]:
        """Read the file, if there is a folder that it can stand in."""
        file = given.get("csv")
        if folder is None or {"values", cls.values_name} & given.keys():
            return {}
        if not isinstance(file, str):
            return {cls.values_name: ()}  # no file is named, which is told already
        name = given.get("column", cls.model_fields["column"].default)
        blame = "column" if "column" in given else "csv"
        return {cls.values_name: column(folder / file, file, str(name), blame, cls.one)}


def column(path: Path, shown: str, name: str, blame: str, one: Measure) -> tuple[int | None, ...]:
    """Return the quantities in the column ``name`` of a CSV file with a header line.

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
        found = []
        for row in filter(None, rows):
            where = f"{show(shown)}, line {rows.line_num}, column {show(name)}"
            found.append(_read(one, row[index].strip() if index < len(row) else "", where))
            if len(found) > _VALUES_MAX:
                raise reject(f"{show(shown)} has more than {_VALUES_MAX} rows", "csv")
    except OSError as error:
        why = f"cannot be read: {error.strerror}; the path is relative to the scenario file"
        raise reject(f"{show(shown)} {why}", "csv") from None
    except UnicodeDecodeError:
        raise reject(f"{show(shown)} is not a text file in UTF-8", "csv") from None
    except csv.Error as error:
        raise reject(f"{show(shown)} is no CSV file: {error}", "csv") from None
    if not found:
        raise reject(f"{show(shown)} has no rows below its header", "csv")
    return tuple(found)


def _read(one: Measure, cell: str, where: str) -> int | None:
    try:
        return one.read(cell)
    except PydanticCustomError as error:
        raise reject(f"{where}: {error}", "csv") from None
