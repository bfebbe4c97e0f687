"""Plain copies of validated models: the same attributes without the cost of a model's look-up."""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol, TypeVar, cast


class _Model(Protocol):
    """What has fields, such as a pydantic model."""

    @property
    def __pydantic_fields__(self) -> dict[str, object]:
        """Fields by name."""
        ...


M = TypeVar("M")


@cache
def _plain_class(name: str, names: tuple[str, ...]) -> type[Any]:
    """Return the class of plain copies, the same for all of one model's."""
    return type(name, (), {"__slots__": names})


def plain(model: M, *properties: str) -> M:
    """Return a copy of `model` with its fields, and `properties`, as plain attributes.

    Looking up an attribute of a pydantic model costs several times that of a plain object, and
    model code does it dozens of times a checkpoint.  The copy is for reading only.
    """
    names = (*cast("_Model", model).__pydantic_fields__, *properties)
    copy = _plain_class(f"Plain{type(model).__name__}", names)()
    for name in names:
        setattr(copy, name, getattr(model, name))
    return cast("M", copy)
