"""Which keys a scenario knows, and where: what stands behind "did you mean"."""

from __future__ import annotations

import typing
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Tag

from colosim.scenario.canonical import measures_in
from colosim.scenario.model import (
    FAULT_KINDS,
    Scenario,
    _dirty_tag,
    _fault_tag,
    _moment_tag,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colosim.scenario.checks import Path
    from colosim.scenario.fields import Measure

__all__ = ["allowed_keys", "exclusive_groups", "measures", "nearest_key"]


def allowed_keys(path: Path, data: object) -> list[str]:
    """Return the keys that may stand in the mapping at ``path`` of the plain ``data``."""
    model: type[BaseModel] | None = Scenario
    for part in path:
        data = _inner(data, part)
        if isinstance(part, int):
            continue
        if model is None or part not in _fields(model):
            return []
        model = _model_of(_fields(model)[part], data)
        if part == "faults":
            faults = data if isinstance(data, list) else []
            index = next((p for p in path if isinstance(p, int)), 0)
            fault = faults[index] if index < len(faults) else {}
            model = FAULT_KINDS[_fault_tag(fault).removeprefix("tag:")]
    return list(_fields(model)) if model is not None else []


def nearest_key(key: str) -> str | None:
    """Return the dotted path of ``key`` where it belongs, or None if no section has it."""
    return next((".".join(path) for path in _all_keys() if path[-1] == key), None)


@cache
def measures() -> dict[tuple[str, ...], Measure]:
    """Return how the quantity of each key is read, by its path without list positions."""
    return {
        path: measure
        for path, annotation in _all_keys().items()
        for measure in islice(measures_in((annotation,)), 1)
    }


def exclusive_groups(path: Path) -> tuple[tuple[str, ...], ...]:
    """Return the groups of keys of a mapping of which only one may be given."""
    groups: dict[Path, tuple[tuple[str, ...], ...]] = {
        (): (("checkpoints",), ("duration",)),
        ("guest", "dirty"): (
            ("pages",),
            ("rate", "working_set", "pattern"),
            ("hot", "cold"),
            ("csv", "column", "values"),
        ),
    }
    if path[:1] == ("faults",) and path[-1] == "at":
        return (("checkpoint", "step", "progress"), ("rate", "stream"))
    return groups.get(path, ())


def _inner(data: object, part: str | int) -> object:
    if isinstance(data, dict):
        return data.get(part)
    if isinstance(data, list) and isinstance(part, int) and part < len(data):
        return data[part]
    return None


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """Return the annotation of each key."""
    return {
        field.alias or name: field.rebuild_annotation()
        for name, field in model.model_fields.items()
    }


def _model_of(annotation: Any, data: object) -> type[BaseModel] | None:
    """Return the model within an annotation; of several, the one that the data chooses."""
    members = list(_members(annotation))
    if not members:
        return None
    tags = (_dirty_tag(data), _moment_tag(data))
    return next((model for model, name in members if name in tags), members[0][0])


def _members(annotation: Any, tag: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, tag
        return
    own = next(
        (
            str(item.tag)
            for item in getattr(annotation, "__metadata__", ())
            if isinstance(item, Tag)
        ),
        tag,
    )
    for argument in typing.get_args(annotation):
        yield from _members(argument, own)


@cache
def _all_keys() -> dict[tuple[str, ...], Any]:
    """Return the annotation of every key by its path; where several have it, the first."""
    found: dict[tuple[str, ...], Any] = {}
    for path, annotation in _walk(Scenario, ()):
        found.setdefault(path, annotation)
    return found


def _walk(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield path and annotation of each key, the shallow before the deep."""
    fields = _fields(model)
    for key, annotation in fields.items():
        yield (*path, key), annotation
    for key, annotation in fields.items():
        for inner, _ in _members(annotation):
            yield from _walk(inner, (*path, key))
