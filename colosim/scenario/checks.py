"""Values that cannot stand together: a check names the keys it needs, and runs if they are sound.

A check is a method of the section that has its keys. It stands below the sections and knows none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

Path: TypeAlias = tuple[str | int, ...]
"""Keys and list positions from the root of a scenario to a value, by their YAML names."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Conflict:
    """Values that cannot stand together; ``paths`` has the keys, the one to point at first."""

    message: str
    paths: tuple[Path, ...]


Check: TypeAlias = Callable[[Any], Iterator[str | Conflict]]
"""Yields what is wrong: a message, where its keys are those that it needs, or a `Conflict`."""


def check(*needs: str) -> Callable[[Check], Check]:
    """Declare a method a check that needs the values of these dotted keys of its section."""

    def declared(method: Check) -> Check:
        vars(method)["needs"] = tuple(tuple(need.split(".")) for need in needs)
        return method

    return declared


def entries(items: Iterable[_T]) -> Iterator[tuple[int, _T]]:
    """Yield position and entry of a list; one that is wrong is None in what checks see."""
    return ((index, item) for index, item in enumerate(items) if item is not None)


def conflicts(
    section: Any, is_wrong: Callable[[Path], bool] = lambda _: False, path: Path = ()
) -> Iterator[Conflict]:
    """Yield every impossible combination in ``section``, which stands at ``path``, and below.

    Nothing is said of what `is_wrong`, or has a part that is; checks that need it do not run.
    """
    for method in section.checks:
        needs = tuple((*path, *need) for need in vars(method)["needs"])
        for said in () if any(map(is_wrong, needs)) else method(section):
            found = Conflict(said, needs)
            if isinstance(said, Conflict):
                found = Conflict(said.message, tuple((*path, *inner) for inner in said.paths))
            if not any(map(is_wrong, found.paths)):
                yield found
    for key, name in section.keys().items():
        value = getattr(section, name, None)
        if hasattr(value, "checks"):
            yield from conflicts(value, is_wrong, (*path, key))
        elif type(value) is tuple:  # nothing is asked of a column of numbers
            for index, item in entries(value):
                if hasattr(item, "checks"):
                    yield from conflicts(item, is_wrong, (*path, key, index))
