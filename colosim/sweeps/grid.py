"""A grid of runs: a scenario, what varies in it, and seeds; each point and seed has a number.

A point is numbered by the positions of its values, the first axis the slowest and the seed the
fastest; axes that go together have one position.  So a number is all that a task needs to say, and
the numbers' order is that of the rows.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from colosim.errors import ScenarioError, ScenarioFault
from colosim.runs.run import as_scenario
from colosim.runs.source import source_digest
from colosim.scenario.canonical import plain_keys
from colosim.scenario.checks import Conflict, check
from colosim.scenario.document import Entry, Mapping, Scalar, read, text_of_file
from colosim.scenario.fields import Text
from colosim.scenario.model import Scenario
from colosim.scenario.overrides import Setting
from colosim.scenario.reading import Reading
from colosim.scenario.section import Example, Section
from colosim.scenario.shipped_scenarios import find
from colosim.scenario.units import meant, show
from colosim.sweeps.axes import DESIGN, Axes, Axis, Seeds

if TYPE_CHECKING:
    from colosim.sweeps.axes import Value

_POINTS_MAX = 10_000_000


class SweepFile(Section):
    """What ``SWEEP.yaml`` says."""

    called = "the sweep"

    scenario: Annotated[str, Text("the name of a shipped scenario, or its file")]
    """The scenario: the name of a shipped one, or a file, looked for beside the sweep's first."""
    axes: Annotated[dict[str, Axis], Axes()]
    """What varies: keys of a scenario, and ``design``, each with a list of values or a range."""
    seeds: Annotated[tuple[int, ...], Seeds()] = ()
    """Seeds of every point, such as 1..5; the scenario's, if none are given."""
    together: Annotated[
        tuple[tuple[Annotated[str, Text("a key")], ...], ...],
        Example("[[guest.ram, guest.dirty.pages]]"),
    ] = Field(default=(), alias="zip")
    """Lists of axes that go together: their first values, their second, and so on."""

    @check("axes", "zip")
    def _zips_axes_of_one_length(self) -> Iterator[Conflict]:
        for index, keys in enumerate(self.together):
            at = (("zip", index),)
            for key in keys:
                if key not in self.axes:
                    known = f"zip: {show(key)} is no axis{meant(key, self.axes)}"
                    yield Conflict(known, at)
            lengths = {key: len(self.axes[key]) for key in keys if key in self.axes}
            if len(set(lengths.values())) > 1:
                shown = ", ".join(f"{key} {length}" for key, length in lengths.items())
                yield Conflict(f"zip: axes that go together have as many values: {shown}", at)
        often = Counter(key for keys in self.together for key in keys)
        for key, times in often.items():
            if times > 1:
                yield Conflict(f"zip: {show(key)} is there {times} times", (("zip",),))


@dataclass(frozen=True, slots=True)
class Point:
    """One run of a grid: the values of its axes, as integers and as a scenario writes them."""

    design: str
    seed: int
    values: tuple[Value, ...]
    settings: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """Return the design and the settings."""
        return ", ".join([self.design, *map("=".join, self.settings)])


@dataclass(frozen=True)
class Grid:
    """Every run of a sweep, numbered from 0.

    `source` is the scenario as a command names it.  One of the axes is ``design``.
    """

    source: str
    scenario: Scenario
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]
    together: tuple[tuple[str, ...], ...] = ()

    @cached_property
    def _moving(self) -> tuple[tuple[int, ...], ...]:
        """The axes by their positions, those that go together in one tuple."""
        place = {axis.key: at for at, axis in enumerate(self.axes)}
        group_of = {key: keys for keys in self.together for key in keys}
        groups = (group_of.get(axis.key, (axis.key,)) for axis in self.axes)
        return tuple(tuple(place[key] for key in keys) for keys in dict.fromkeys(groups))

    def __len__(self) -> int:
        """Return how many runs there are."""
        count = len(self.seeds)
        for moving in self._moving:
            count *= len(self.axes[moving[0]])
        return count

    def point(self, number: int) -> Point:
        """Return a run by its number."""
        number, seed = divmod(number, len(self.seeds))
        at = [0] * len(self.axes)
        for moving in reversed(self._moving):
            number, own = divmod(number, len(self.axes[moving[0]]))
            for axis in moving:
                at[axis] = own
        texts = {axis.key: axis.texts[own] for axis, own in zip(self.axes, at, strict=True)}
        return Point(
            texts.pop(DESIGN),
            self.seeds[seed],
            tuple(axis.values[own] for axis, own in zip(self.axes, at, strict=True)),
            tuple(texts.items()),
        )

    @cached_property
    def designs(self) -> tuple[str, ...]:
        """The values of the axis ``design``."""
        return next(axis.texts for axis in self.axes if axis.key == DESIGN)

    @property
    def source_digest(self) -> str:
        """A digest of the code that the runs depend on."""
        return source_digest(self.designs)

    def command(self, point: Point) -> str:
        """Return the command that runs a point, as a shell reads it."""
        words = ["colosim", "run", self.source, "--design", point.design, "--seed", str(point.seed)]
        for key, text in point.settings:
            words += ["--set", f"{key}={text}"]
        return shlex.join(words)

    def to_dict(self) -> dict[str, Any]:
        """Return everything that the results depend on but the code, in base units or as texts."""
        return {
            "scenario": plain_keys(self.scenario, but=("name", "description", "designs", "seed")),
            "axes": {axis.key: list(axis.values) for axis in self.axes},
            "zip": [list(keys) for keys in self.together],
            "seeds": list(self.seeds),
        }


def load_grid(path: Path) -> Grid:
    """Return the grid of a ``SWEEP.yaml``.

    :raises ScenarioError: with every fault of the file, or of its scenario.
    """
    file = str(path)
    root, faults = read(text_of_file(path), file)
    if not isinstance(root, Mapping):
        expected = "expected a sweep: scenario: and axes:"
        raise ScenarioError([*faults, ScenarioFault(file, root.line, root.column, expected)])
    made: SweepFile = Reading(root, faults, path.parent, SweepFile).whole()
    beside = path.parent / made.scenario
    source = str(beside) if beside.is_file() else made.scenario
    try:
        find(source)
    except ScenarioError as error:
        at, (told,) = root.entries["scenario"].place, error.faults
        fault = ScenarioFault(file, at.line, at.column, f"scenario: {told.message}")
        raise ScenarioError([fault]) from None
    return _grid(source, made, root)


def grid_of(
    scenario: str | PathLike[str] | Scenario,
    axes: MappingOf[str, object],
    *,
    seeds: str | int | Iterable[int] = (),
    together: Sequence[Sequence[str]] = (),
) -> Grid:
    """Return a grid from values of Python: whole numbers are in a key's base unit, as in `vary`.

    :raises ScenarioError: with every fault; the line is the axis's number.
    """
    given: dict[str, object] = {"scenario": "given", "axes": {}, "zip": [*map(list, together)]}
    if seeds != ():
        given["seeds"] = seeds
    root = Mapping("sweep", 1, 1, {})
    for key, value in given.items():
        root.entries[key] = _entry(key, value, 1)
    holder = root.entries["axes"].value
    assert isinstance(holder, Mapping)  # noqa: S101 - of a mapping
    for line, (key, value) in enumerate(axes.items(), start=1):
        holder.entries[key] = _entry(key, value, line)
    made: SweepFile = Reading(root, [], Path(), SweepFile).whole()
    loaded = as_scenario(scenario)
    return _grid(loaded.name if scenario is loaded else str(scenario), made, root, loaded)


def _entry(key: str, value: object, line: int) -> Entry:
    if isinstance(value, Iterable) and not isinstance(value, (str, dict)):
        value = list(value)  # of numpy, a range, ...
    node = Setting(Scenario, "sweep", line).of_value(key, value)[1]
    return Entry(Scalar("sweep", line, 1, key), node)


def _grid(source: str, made: SweepFile, root: Mapping, loaded: Scenario | None = None) -> Grid:
    scenario = as_scenario(source) if loaded is None else loaded
    axes = tuple(made.axes.values())
    if DESIGN not in made.axes:
        axes = (Axis(DESIGN, scenario.designs, scenario.designs), *axes)
    grid = Grid(
        source,
        scenario.vary({"expect": None, "measured": None}),
        axes,
        made.seeds or (scenario.seed,),
        made.together,
    )
    if len(grid) > _POINTS_MAX:
        at = root.entries["axes"].key
        many = f"{len(grid):,} runs are more than {_POINTS_MAX:,}"
        raise ScenarioError([ScenarioFault(at.file, at.line, at.column, many)])
    return grid
