"""Points of a grid as columns: which numbers of a scenario differ, and by how much.

Every key of a point is resolved once for each of its values, as a file would be; points that differ
in more than numbers (a preset, a switch) are columns of scenarios of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colosim.arrays.column import column
from colosim.scenario.guest import has_bursts
from colosim.scenario.model import Scenario
from colosim.scenario.section import Section, all_keys, measure_in
from colosim.scenario.units import FACTOR, SHARE

if TYPE_CHECKING:
    from colosim.arrays.column import Ints
    from colosim.scenario.fields import Measure

    Path = tuple[str, ...]
    Point = Mapping[str, object]

_COLUMNS: Final = (
    ("checkpoint_delay_ns",),
    ("seed",),
    ("guest",),
    ("network",),
    ("disk",),
    ("hosts", "primary", "channel_lead_ppm"),
    ("hosts", "secondary", "channel_lead_ppm"),
    ("hosts", "primary", "costs"),
    ("hosts", "secondary", "costs"),
)
"""What may be a column; a point that differs in anything else is one of another scenario."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Points of one scenario that differ in numbers alone: `index` are their places in the grid."""

    scenario: Scenario
    index: Ints
    numbers: dict[Path, Ints]
    keys: dict[str, tuple[Path, ...]]
    """What each key sets."""

    def __len__(self) -> int:
        """Return how many points there are."""
        return len(self.index)

    def part(self, where: Ints) -> Columns:
        """Return some of the points."""
        values = {path: numbers[where] for path, numbers in self.numbers.items()}
        return Columns(self.scenario, self.index[where], values, self.keys)

    def put_together(self) -> Scenario:
        """Return the scenario with a column for each number that differs."""
        made = self.scenario
        for path, numbers in self.numbers.items():
            made = _with(made, path, column(numbers))
        return made


def _with(section: Any, path: Path, value: Any) -> Any:
    first, *rest = path
    if rest:
        value = _with(getattr(section, first), tuple(rest), value)
    return section.model_copy(update={first: value})


def columns_of(scenario: Scenario, points: Sequence[Point]) -> Iterator[Columns]:
    """Yield the points, those together that differ in numbers alone.

    :raises ScenarioError: as `Scenario.vary`, if a value is wrong.
    """
    yield from _columns(scenario, points, np.arange(len(points)))


def _columns(scenario: Scenario, points: Sequence[Point], index: Ints) -> Iterator[Columns]:
    first = points[0]
    base = scenario.vary(first)
    values: dict[Path, Ints] = {}
    keys: dict[str, tuple[Path, ...]] = {}
    for key in first:
        given = [point[key] for point in points]
        resolved = {value: _differences(base, scenario, first, key, value) for value in set(given)}
        paths = dict.fromkeys(path for found in resolved.values() for path in found)
        if not all(_is_column(base, path, resolved.values()) for path in paths):
            yield from _apart(scenario, points, index, key)
            return
        keys[key] = tuple(paths)
        for path in paths:
            usual = _at(base, path)
            numbers = [resolved[value].get(path, usual) for value in given]
            values[path] = np.array(numbers, np.int64)
    yield Columns(base, index, values, keys)


def _apart(scenario: Scenario, points: Sequence[Point], index: Ints, key: str) -> Iterator[Columns]:
    """Yield the points of each value of a key, in which more than a number differs."""
    places: dict[object, list[int]] = {}
    for place, point in enumerate(points):
        places.setdefault(point[key], []).append(place)
    for value, own in places.items():
        fixed = scenario.vary({key: value})
        rest = [{name: of for name, of in points[at].items() if name != key} for at in own]
        yield from _columns(fixed, rest, index[own])


def _is_column(base: Scenario, path: Path, resolved: Any) -> bool:
    """Whether what stands there is a whole number at every point, and may be a column."""
    draws_bursts = has_bursts(base.guest) and path[:2] in {("seed",), ("guest", "dirty")}
    if draws_bursts or not any(path[: len(allowed)] == allowed for allowed in _COLUMNS):
        return False
    found = [_at(base, path), *(one[path] for one in resolved if path in one)]
    return all(type(value) is int and abs(value) < 1 << 62 for value in found)


def _at(section: Any, path: Path) -> Any:
    for name in path:
        section = getattr(section, name, None)
    return section


def _differences(
    base: Scenario, scenario: Scenario, first: Point, key: str, value: object
) -> dict[Path, Any]:
    """Return what is another than in `base`, by path, where a key has another value."""
    path, measure = _path_of(base, key), measure_in(all_keys(Scenario).get(tuple(key.split("."))))
    if path and measure is not None and _is_plain(value, measure):
        number = measure.read(value)
        return {} if number == _at(base, path) else {path: number}
    if value == first[key]:
        return {}
    return dict(_unlike(base, scenario.vary({**first, key: value}), ()))


def _is_plain(value: object, measure: Measure) -> bool:
    """Whether a value is read as `Scenario.vary` reads it."""
    return isinstance(value, str) or (type(value) is int and measure.kind not in {SHARE, FACTOR})


def _path_of(base: Scenario, key: str) -> Path:
    """Return where a key's number stands in a scenario, nothing if it is not there."""
    path: list[str] = []
    section: Any = base
    for part in key.split("."):
        name = type(section).keys().get(part) if isinstance(section, Section) else None
        if name is None:
            return ()
        path.append(name)
        section = getattr(section, name)
    return tuple(path) if type(section) is int else ()


def _unlike(one: Any, other: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Yield where two scenarios differ, and what the other one has there."""
    if isinstance(one, Section) and type(one) is type(other):
        for name in type(one).model_fields:
            yield from _unlike(getattr(one, name), getattr(other, name), (*path, name))
    elif one != other:
        yield path, other
