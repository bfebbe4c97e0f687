"""How one value of a scenario is read: what pydantic's models annotate their fields with.

Texts come from YAML unresolved, so ``200`` is a text here and a bare number where a unit is needed
is refused. A Python ``int`` is taken as already being in the field's base unit, so programs can
build models directly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import PydanticCustomError, core_schema

from colosim.scenario.units import (
    COUNT,
    FACTOR,
    SHARE,
    Kind,
    UnitError,
    nearest,
    parse,
    show,
    text_of,
)

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

__all__ = ["Choice", "Flag", "Measure", "Text", "reject"]

_TEXT_CHARACTERS_MAX: Final = 4096


def reject(message: str) -> PydanticCustomError:
    """Return the error that carries ``message``, as it is, out of a validator."""
    return PydanticCustomError("scenario", "{message}", {"message": message})


class _Reader:
    """A value's reader as pydantic sees it: one function and one JSON Schema."""

    def read(self, value: object) -> object:
        raise NotImplementedError

    def json_schema(self) -> dict[str, Any]:
        raise NotImplementedError

    def __get_pydantic_core_schema__(
        self, _source: object, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return self.json_schema()


@dataclass(frozen=True, slots=True)
class Measure(_Reader):
    """A quantity of one kind, ``least`` to ``most`` base units; ``none_word`` reads as None."""

    kind: Kind
    least: int
    most: int
    none_word: str | None = None

    @property
    def expected(self) -> str:
        """What a message says was expected."""
        word = f", or {self.none_word!r}" if self.none_word else ""
        return f"{self.kind.expected}, such as {self.kind.example!r}{word}"

    def read(self, value: object) -> int | None:
        """Return base units (or None for the word that stands for none)."""
        if self.none_word is not None and (value is None or value == self.none_word):
            return None
        if isinstance(value, bool):
            message = f"{show(str(value).lower())} is no number; expected {self.expected}"
            raise reject(message)
        if value is None:
            message = f"there is no value; expected {self.expected}"
            raise reject(message)
        if isinstance(value, int):
            number = value
            shown = str(value) if abs(value) < 1 << 128 else "a huge number"
        elif isinstance(value, str):
            try:
                number = parse(value, self.kind)
            except UnitError as error:
                word = f" (or {self.none_word!r})" if self.none_word else ""
                raise reject(f"{error}{word}") from None
            shown = value
        else:
            message = f"{_what(value)} stands here; expected {self.expected}"
            raise reject(message)
        if not self.least <= number <= self.most:
            raise reject(self._out_of_range(shown, number))
        return number

    def _out_of_range(self, shown: str, number: int) -> str:
        if number < self.least:
            why = "is negative" if number < 0 and self.least in {0, 1} else "is too small"
            return (
                f"{show(shown)} {why}; expected {self.kind.name} of at least "
                f"{self.text(self.least)}"
            )
        return (
            f"{show(shown)} is too large; expected {self.kind.name} of at most "
            f"{self.text(self.most)}"
        )

    def text(self, value: int | None) -> str:
        """Return the text that reads back as ``value``."""
        return str(self.none_word) if value is None else text_of(value, self.kind)

    def json_schema(self) -> dict[str, Any]:
        """Return what an editor checks and shows."""
        text: dict[str, Any] = {"type": "string", "pattern": self.kind.pattern}
        choices: list[dict[str, Any]] = [text]
        if self.kind == COUNT:
            choices = [{"type": "integer", "minimum": self.least, "maximum": self.most}]
        elif self.kind in (SHARE, FACTOR):
            choices.append(
                {"type": "number", "minimum": self.least / 10**6, "maximum": self.most / 10**6}
            )
        elif self.kind.bare is not None:
            choices.append({"type": "integer", "minimum": self.least, "maximum": self.most})
        if self.none_word is not None:
            choices.append({"const": self.none_word})
        schema: dict[str, Any] = choices[0] if len(choices) == 1 else {"anyOf": choices}
        return {**schema, "examples": [self.kind.example]}


@dataclass(frozen=True, slots=True)
class Choice(_Reader):
    """One of a few words."""

    words: tuple[str, ...]
    what: str

    def read(self, value: object) -> str:
        """Return the word."""
        if isinstance(value, str) and value in self.words:
            return value
        expected = f"expected {self.what}: {', '.join(self.words)}"
        if not isinstance(value, str):
            message = f"{_what(value)} stands here; {expected}"
            raise reject(message)
        near = nearest(value, self.words)
        hint = f"; did you mean {near!r}?" if near else ""
        message = f"{show(value)} is not known; {expected}{hint}"
        raise reject(message)

    def json_schema(self) -> dict[str, Any]:
        """Return the words as an enumeration."""
        return {"enum": list(self.words)}


@dataclass(frozen=True, slots=True)
class Flag(_Reader):
    """True or false."""

    def read(self, value: object) -> bool:
        """Return the truth value."""
        if isinstance(value, bool):
            return value
        given = show(value) if isinstance(value, str) else _what(value)
        message = f"{given} is not a truth value; expected true or false"
        raise reject(message)

    def json_schema(self) -> dict[str, Any]:
        """Return the boolean type."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Text(_Reader):
    """A text, whole matching ``pattern``; ``expected`` says what it is."""

    expected: str
    pattern: str = ""
    characters_max: int = _TEXT_CHARACTERS_MAX

    def read(self, value: object) -> str:
        """Return the text."""
        if not isinstance(value, str):
            message = f"{_what(value)} stands here; expected {self.expected}"
            raise reject(message)
        if len(value) > self.characters_max:
            message = f"{show(value)} is longer than {self.characters_max} characters"
            raise reject(message)
        if self.pattern and not re.fullmatch(self.pattern, value):
            message = f"{show(value)} is not {self.expected}"
            raise reject(message)
        return value

    def json_schema(self) -> dict[str, Any]:
        """Return a string with its pattern."""
        schema: dict[str, Any] = {"type": "string", "maxLength": self.characters_max}
        if self.pattern:
            schema["pattern"] = f"^{self.pattern}$"
        return schema


def _what(value: object) -> str:
    """Name a value of the wrong shape."""
    if value is None:
        return "no value"
    if isinstance(value, bool):
        return show(str(value).lower())
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"a Python {type(value).__name__}"
