"""A scenario written out in full: as YAML for people, as JSON for digests."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Container, Iterator
from textwrap import wrap
from typing import Any

from colosim.scenario.fields import Words
from colosim.scenario.section import Each, Forms, Section, measure_in

_LINE_CHARACTERS = 100


def resolve(scenario: Section) -> str:
    """Return ``scenario`` as YAML with every value filled in, in one fixed form.

    `loads` of the result gives an equal scenario, and `resolve` of that the same text.
    """
    return as_yaml(plain_keys(scenario))


def as_yaml(plain: dict[str, Any]) -> str:
    """Return a mapping of keys and texts, as `plain_keys` gives it, as YAML in one fixed form."""
    return "\n".join(_block(plain, 0)) + "\n"


def canonical_json(scenario: Section) -> str:
    """Return ``scenario`` as JSON: attribute names, base units, sorted keys, no spaces, ASCII."""
    return json.dumps(_jsonable(scenario), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Section):
        return {name: _jsonable(getattr(value, name)) for name in value.keys().values()}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    return [_jsonable(item) for item in value] if isinstance(value, tuple) else value


def plain_keys(model: Section, *, stated: bool = False, but: Container[str] = ()) -> dict[str, Any]:
    """Return the YAML keys of a section and their values as texts; what is unset is left out.

    `stated`: only what was given, without what defaults and presets fill in.  `but`: keys of this
    section to leave out.
    """
    plain: dict[str, Any] = {}
    kind = getattr(model, "kind", "")
    for key, name in sorted(model.keys().items(), key=lambda item: item[0] != kind):
        value, reads = getattr(model, name), model.readers()[name]
        if key in but or (stated and name not in model.model_fields_set) or value in ((), {}):
            continue
        if value is not None or getattr(reads, "none_word", None) is not None:
            plain[key] = _plain(value, reads, stated=stated)
    return plain


def _plain(value: Any, reads: Any, *, stated: bool) -> Any:
    if isinstance(value, Section):
        return plain_keys(value, stated=stated)
    if isinstance(reads, Each) and isinstance(value, dict):
        return {key: _plain(item, reads.item, stated=stated) for key, item in value.items()}
    if isinstance(reads, Each):
        return [_plain(item, reads.item, stated=stated) for item in value]
    reader: Any = measure_in(reads) if isinstance(reads, Forms) else reads
    return reader.text(value)


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
        elif isinstance(item, Words):
            yield f"{name} >-"
            lines = wrap(" ".join(item), _LINE_CHARACTERS, break_on_hyphens=False)
            yield from (f"{margin}  {line}" for line in lines)
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
