"""A scenario written out in full: as YAML for people, as JSON for digests."""

from __future__ import annotations

import dataclasses
import json
import typing
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import BaseModel

from colosim.scenario.bounds import Bound
from colosim.scenario.fields import Measure
from colosim.scenario.model import Framing, MeasuredDirty, Scenario

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from pydantic.fields import FieldInfo

__all__ = ["as_yaml", "canonical_json", "measure_of", "measures_in", "plain_keys", "resolve"]

_LINE_CHARACTERS = 100


def resolve(scenario: Scenario) -> str:
    """Return ``scenario`` as YAML with every value filled in, in one fixed form.

    `loads` of the result gives an equal scenario, and `resolve` of that the same text.
    """
    return as_yaml(plain_keys(scenario))


def as_yaml(plain: dict[str, Any]) -> str:
    """Return a mapping of keys and texts, as `plain_keys` gives it, as YAML in one fixed form."""
    return "\n".join(_block(plain, 0)) + "\n"


def canonical_json(scenario: Scenario) -> str:
    """Return ``scenario`` as JSON: attribute names, base units, sorted keys, no spaces, ASCII."""
    return json.dumps(_jsonable(scenario), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def measure_of(field: FieldInfo) -> Measure | None:
    """Return how a field's quantity is read, also where it is one of several forms."""
    return next(measures_in((field.annotation, *field.metadata)), None)


def measures_in(parts: Iterable[Any]) -> Iterator[Measure]:
    """Yield how quantities are read in parts of an annotation."""
    for part in parts:
        if isinstance(part, Measure):
            yield part
        elif typing.get_origin(part) in {Union, UnionType, Annotated}:
            yield from measures_in((*typing.get_args(part), *getattr(part, "__metadata__", ())))


def _jsonable(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _jsonable(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Bound):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Framing):
        return value._asdict()
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_jsonable(item) for item in value]
    return value


def plain_keys(
    model: BaseModel, *, stated: bool = False, but: Container[str] = ()
) -> dict[str, Any]:
    """Return the YAML keys of a model and their values as texts; what is unset is left out.

    `stated`: only what was given, without what defaults and presets fill in.  `but`: keys of this
    model to leave out.
    """
    plain: dict[str, Any] = {}
    kind = getattr(model, "kind", "")
    fields = type(model).model_fields
    for name in sorted(fields, key=lambda name: name != kind):
        field = fields[name]
        key = field.alias or name
        if key in but or (stated and name not in model.model_fields_set):
            continue
        value = getattr(model, name)
        measure = measure_of(field)
        if value is None and (measure is None or measure.none_word is None):
            continue
        if value in ((), {}):
            continue
        if isinstance(model, MeasuredDirty) and name == "measured_pages":
            plain[key] = _Words(str(count) for count in value)
        else:
            plain[key] = (
                measure.text(value)
                if measure is not None and not isinstance(value, BaseModel)
                else _value(value, stated=stated)
            )
    return plain


class _Words(tuple[str, ...]):
    """Many short words that make one folded text."""

    __slots__ = ()


def _value(value: Any, *, stated: bool) -> Any:
    if isinstance(value, BaseModel):
        return plain_keys(value, stated=stated)
    if isinstance(value, Bound):
        return value.text
    if isinstance(value, Framing):
        return f"{value.payload_bytes}/{value.frame_bytes}"
    if isinstance(value, dict):
        return {key: _value(item, stated=stated) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_value(item, stated=stated) for item in value]
    return value


def _block(value: dict[str, Any], depth: int) -> Iterator[str]:
    """Yield the lines of a mapping."""
    margin = "  " * depth
    for key, item in value.items():
        name = f"{margin}{_scalar(key)}:"
        if isinstance(item, dict):
            yield name if item else f"{name} {{}}"
            yield from _block(item, depth + 1)
        elif isinstance(item, list):
            yield name
            yield from _list(item, depth + 1)
        elif isinstance(item, _Words):
            yield f"{name} >-"
            yield from (f"{margin}  {line}" for line in _filled(item))
        else:
            yield f"{name} {_scalar(item)}"


def _list(items: list[Any], depth: int) -> Iterator[str]:
    margin = "  " * depth
    for item in items:
        if isinstance(item, dict):
            lines = list(_block(item, 0))
            yield f"{margin}- {lines[0]}"
            yield from (f"{margin}  {line}" for line in lines[1:])
        else:
            yield f"{margin}- {_scalar(item)}"


def _filled(words: _Words) -> Iterator[str]:
    line: list[str] = []
    width = 0
    for word in words:
        if width + len(word) > _LINE_CHARACTERS and line:
            yield " ".join(line)
            line, width = [], 0
        line.append(word)
        width += len(word) + 1
    yield " ".join(line)


_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/ %")
_WORDS_OF_YAML = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def _scalar(value: object) -> str:
    """Return a scalar that every YAML reader takes for what it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    bare = (
        text != ""
        and set(text) <= _BARE
        and text[0] not in "-. %"
        and not text.endswith((" ", "-"))
        and text.lower() not in _WORDS_OF_YAML
    )
    if bare:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else _escaped(c) for c in quoted)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"
