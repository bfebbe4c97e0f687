"""How one value of a scenario is read and written: what the sections annotate their fields with.

Texts come from YAML unresolved, so ``200`` is a text here and a bare number where a unit is needed
is refused. A Python ``int`` is taken as already being in the field's base unit, so programs can
build sections directly.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic_core import PydanticCustomError, core_schema

from colosim.scenario.units import (
    COUNT,
    FACTOR,
    PAGE_BYTES,
    SHARE,
    SIZE,
    TIME,
    Kind,
    UnitError,
    meant,
    parse,
    show,
    text_of,
)

if TYPE_CHECKING:
    from typing import TypeAlias

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

    from colosim.scenario.checks import Path
    from colosim.scenario.document import Node

    Report: TypeAlias = Callable[[Path, Node, str], Any]

TIME_NS_MAX: Final = 10**15
"""No time of a scenario is longer: 1,000,000 s."""
SIZE_BYTES_MAX: Final = 1 << 50
"""No size of a scenario is larger: 1 PiB."""
PAGES_MAX: Final = SIZE_BYTES_MAX // PAGE_BYTES
_DEVICES: Final = {
    *("CON", "PRN", "AUX", "NUL"),
    *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10)),
}
"""What Windows has instead of files of these names, whatever their ending."""
NAME_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._-]*"


def reject(message: str, key: str = "") -> PydanticCustomError:
    """Return the error that carries ``message``, as it is, out of a reader; ``key`` is to blame."""
    return PydanticCustomError("scenario", "{message}", {"message": message, "key": key})


def unexpected(value: object) -> str:
    """Say what of an unexpected shape is there instead of a value."""
    if value is None:
        return "there is no value"
    what = f"a Python {type(value).__name__}"
    if isinstance(value, bool):
        what = show(str(value).lower())
    elif isinstance(value, (dict, list, tuple)):
        what = "a mapping" if isinstance(value, dict) else "a list"
    return f"{what} stands here"


class Words(tuple[str, ...]):
    """Many short words that are written as one folded text."""

    __slots__ = ()


class Reader:
    """Reads one value, and writes it: to pydantic one function and one JSON Schema."""

    def read(self, value: object) -> Any:
        """Return what a text, or a value of Python, stands for.

        :raises PydanticCustomError: `reject`, if it is wrong.
        """
        raise NotImplementedError

    def text(self, value: Any) -> Any:
        """Return how a scenario writes a value; `read` gives the value back."""
        return value

    def json_schema(self) -> dict[str, Any]:
        """Return what an editor checks and shows."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Validate by `read`."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe by `json_schema`."""
        return self.json_schema()


class MarkedReader(Reader):
    """Reads a value in which several things can be wrong, each with a place of its own."""

    def read_marked(self, node: Node, path: Path, at: Node, report: Report) -> Any:
        """Return what is sound in ``node`` at ``path``; ``report`` each fault with its place."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Measure(Reader):
    """A quantity of one kind, ``least`` to ``most`` base units; ``none_word`` reads as None."""

    kind: Kind
    least: int
    most: int
    none_word: str | None = None

    def read(self, value: object) -> int | None:
        """Return base units (or None for the word that stands for none)."""
        if self.none_word is not None and value in (None, self.none_word):
            return None
        word = f"{self.none_word!r}" if self.none_word else ""
        if isinstance(value, str):
            try:
                number = parse(value, self.kind)
            except UnitError as error:
                raise reject(f"{error} (or {word})" if word else str(error)) from None
        elif isinstance(value, int) and not isinstance(value, bool):
            number = value
        else:
            why = f"{show(str(value).lower())} is no number"
            raise reject(
                f"{why if isinstance(value, bool) else unexpected(value)}; expected "
                f"{self.kind.such_as}{word and f', or {word}'}"
            )
        if self.least <= number <= self.most:
            return number
        shown = show(value) if abs(number) < 1 << 128 else "a huge number"
        name, least, most = self.kind.name, self.text(self.least), self.text(self.most)
        if number > self.most:
            raise reject(f"{shown} is too large; expected {name} of at most {most}")
        why = "is negative" if number < 0 and self.least in {0, 1} else "is too small"
        raise reject(f"{shown} {why}; expected {name} of at least {least}")

    def text(self, value: int | None) -> str:
        """Return the text that reads back as ``value``."""
        return str(self.none_word) if value is None else text_of(value, self.kind)

    def json_schema(self) -> dict[str, Any]:
        """Return the pattern of texts, and bounds of bare numbers."""
        choices: list[dict[str, Any]] = [{"type": "string", "pattern": self.kind.pattern}]
        integer = {"type": "integer", "minimum": self.least, "maximum": self.most}
        if self.kind == COUNT:
            choices = [integer]
        elif self.kind in {SHARE, FACTOR}:
            least, most = self.least / 10**6, self.most / 10**6
            choices.append({"type": "number", "minimum": least, "maximum": most})
        elif self.kind.bare is not None:
            choices.append(integer)
        if self.none_word is not None:
            choices.append({"const": self.none_word})
        schema: dict[str, Any] = choices[0] if len(choices) == 1 else {"anyOf": choices}
        return {**schema, "examples": [self.kind.example]}


@dataclass(frozen=True, slots=True)
class Choice(Reader):
    """One of a few words."""

    words: tuple[str, ...]
    what: str

    def read(self, value: object) -> str:
        """Return the word."""
        if isinstance(value, str) and value in self.words:
            return value
        expected = f"expected {self.what}: {', '.join(self.words)}"
        if not isinstance(value, str):
            raise reject(f"{unexpected(value)}; {expected}")
        raise reject(f"{show(value)} is not known; {expected}{meant(value, self.words)}")

    def json_schema(self) -> dict[str, Any]:
        """Return the words as an enumeration."""
        return {"enum": list(self.words)}


class Flag(Reader):
    """True or false."""

    def read(self, value: object) -> bool:
        """Return the truth value."""
        if isinstance(value, bool):
            return value
        what = (
            f"{show(value)} is not a truth value" if isinstance(value, str) else unexpected(value)
        )
        raise reject(f"{what}; expected true or false")

    def json_schema(self) -> dict[str, Any]:
        """Return the boolean type."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Text(Reader):
    """A text, whole matching ``pattern``; ``expected`` says what it is."""

    expected: str
    pattern: str = ""
    characters_max: int = 4096

    def read(self, value: object) -> str:
        """Return the text."""
        if not isinstance(value, str):
            raise reject(f"{unexpected(value)}; expected {self.expected}")
        if len(value) > self.characters_max:
            raise reject(f"{show(value)} is longer than {self.characters_max} characters")
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise reject(f"{show(value)} is not {self.expected}")
        return value

    def json_schema(self) -> dict[str, Any]:
        """Return a string with its pattern."""
        pattern = {"pattern": f"^{self.pattern}$"} if self.pattern else {}
        return {"type": "string", "maxLength": self.characters_max, **pattern}


class FileName(Text):
    """A text after which folders are called: Windows must be able to have them too."""

    def read(self, value: object) -> str:
        """Return the name."""
        name = super().read(value)
        if name.endswith(".") or name.partition(".")[0].upper() in _DEVICES:
            raise reject(f"{show(name)} can be no folder's name on Windows; expected another")
        return name


Time = Annotated[int, Measure(TIME, 0, TIME_NS_MAX)]
TimeAbove0 = Annotated[int, Measure(TIME, 1, TIME_NS_MAX)]
TimeOrNone = Annotated[int | None, Measure(TIME, 1, TIME_NS_MAX)]
A_SHARE: Final = Measure(SHARE, 0, 10**6)
Share = Annotated[int, A_SHARE]
Size = Annotated[int, Measure(SIZE, 0, SIZE_BYTES_MAX)]
Side = Annotated[str, Choice(("primary", "secondary"), "a side")]
Switch = Annotated[bool, Flag()]
Name = Annotated[
    str,
    FileName(
        "a name of letters, digits, '.', '_' and '-' that begins with a letter or digit",
        NAME_PATTERN,
        100,
    ),
]
