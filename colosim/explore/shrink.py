"""The smallest scenario that still shows a verdict, and from what value of a key on it does.

Shrinking is trying smaller scenarios: each key is left out in turn (its default holds then), each
number that is left is replaced by a simpler one, and what still shows the verdict stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from colosim.designs.registry import DesignNames
from colosim.errors import ScenarioError
from colosim.explore.choices import ChoicesError
from colosim.explore.outcome import judged
from colosim.runs.simulation import Simulation
from colosim.runs.verdict import NOT_APPLICABLE
from colosim.scenario import loads
from colosim.scenario.canonical import as_yaml, plain_keys
from colosim.scenario.checks import conflicts
from colosim.scenario.guest import FixedDirty
from colosim.scenario.section import measure_of
from colosim.scenario.units import PAGE_BYTES

if TYPE_CHECKING:
    from pydantic import BaseModel

    from colosim.scenario.fields import Measure
    from colosim.scenario.model import Scenario

Path = tuple[str | int, ...]
_FIXED: Final[tuple[Path, ...]] = (("name",), ("designs",))
_NAME_CHARACTERS: Final = 80
_SIMPLE: Final = tuple(digit * 10**power for power in range(7) for digit in (1, 2, 5))


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A smallest scenario: its text, which says what it expects, and how many were tried."""

    name: str
    design: str
    verdict: str
    text: str
    tried: int


def verdict_of(scenario: Scenario, design: str) -> str:
    """Return the verdict of one design as an exploration judges it.

    ``""`` if not every fault strikes.
    """
    simulation = Simulation(scenario, design, keep=False)
    if simulation.missing_steps():
        return ""
    verdict = judged(simulation).verdict
    return "" if verdict == NOT_APPLICABLE else verdict


def name_of(design: str, verdict: str) -> str:
    """Return what a smallest scenario is called: a name that a scenario may have.

    What remedies have and a name may not (``+``, ``=``) becomes ``-``; a long one is cut, and a
    digest tells it from others.
    """
    name = f"shortest-{verdict.replace('_', '-')}-{re.sub('[^A-Za-z0-9._-]+', '-', design)}"
    if len(name) <= _NAME_CHARACTERS:
        return name
    return f"{name[:_NAME_CHARACTERS]}-{sha256(design.encode()).hexdigest()[:8]}"


class _Shrinker:
    """Tries smaller documents."""

    def __init__(self, design: str, verdict: str) -> None:
        self._design = design
        self._verdict = verdict
        self._known = DesignNames()
        self.tried = 0

    def shows(self, plain: dict[str, Any]) -> bool:
        """Whether a document is a scenario that shows the verdict."""
        self.tried += 1
        try:
            scenario = loads(as_yaml(plain), known_designs=self._known)
        except ScenarioError:
            return False
        return verdict_of(scenario, self._design) == self._verdict

    def without_keys(self, plain: dict[str, Any]) -> dict[str, Any]:
        """Leave out every key that can be: whole sections first, then what is in them."""
        done = False
        while not done:
            done = True
            for path in list(_paths(plain)):
                smaller = _left_out(plain, path)
                if path not in _FIXED and smaller is not None and self.shows(smaller):
                    plain, done = smaller, False
                    break
        return plain

    def simpler(self, plain: dict[str, Any]) -> dict[str, Any]:
        """Replace each number by the first simpler one that does."""
        for path in list(_paths(plain)):
            value = _at(plain, path)
            for simple in _simpler_than(value):
                smaller = _with(plain, path, simple)
                if self.shows(smaller):
                    plain = smaller
                    break
        return plain


def shrink(scenario: Scenario, design: str, verdict: str) -> Shrunk:
    """Return the smallest scenario with the simplest values under which `design` shows `verdict`.

    :raises ValueError: if `scenario` itself does not show it.
    """
    shrinker = _Shrinker(design, verdict)
    name = name_of(design, verdict)
    plain = {**plain_keys(scenario), "name": name, "designs": [design]}
    if not shrinker.shows(plain):
        raise ValueError(f"{scenario.name} does not end {verdict} with {design}")
    plain = shrinker.without_keys(plain)
    plain = shrinker.without_keys(shrinker.simpler(plain))
    plain["expect"] = {design: {"verdict": verdict}}
    return Shrunk(name, design, verdict, as_yaml(plain), shrinker.tried)


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield every path below, a whole before its parts."""
    keys: list[str | int] = []
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, (list, tuple)):
        keys = list(range(len(value)))
    for key in keys:
        yield (*path, key)
        yield from _paths(value[key], (*path, key))


def _at(plain: Any, path: Path) -> Any:
    for part in path:
        plain = plain[part]
    return plain


def _with(plain: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    changed = deepcopy(plain)
    _at(changed, path[:-1])[path[-1]] = value
    return changed


def _left_out(plain: dict[str, Any], path: Path) -> dict[str, Any] | None:
    """Return the document without what is at `path`, None if that cannot be taken out."""
    changed = deepcopy(plain)
    holder: Any = _at(changed, path[:-1])
    if isinstance(holder, tuple):
        return None
    del holder[path[-1]]
    return changed


def _simpler_than(value: Any) -> list[str]:
    """Return simpler values than a number with its unit, the simplest first."""
    number, _, unit = str(value).partition(" ")
    if isinstance(value, bool) or not number.isdigit():
        return []
    tail = f" {unit}" if unit else ""
    return [f"{simple}{tail}" for simple in (0, *_SIMPLE) if simple < int(number)]


# --- from what value on ---------------------------------------------------------------------------

_CHECKPOINTS_MOST: Final = 10_000
"""A longer run is not tried: it would take more than a second each time."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Where a verdict begins as one key grows (`rises`), or where it ends.

    `shows` is the last value with the verdict next to `shows_not`, the first without, whose verdict
    is `otherwise`; without `shows_not` it shows at every value from `shows` to `tried`.
    """

    key: str
    verdict: str
    shows: str
    shows_not: str | None
    otherwise: str
    rises: bool
    tried: str

    def __str__(self) -> str:
        """Return it as a sentence."""
        if self.shows_not is None:
            return f"{self.key}: {self.verdict} at every value tried, {self.shows} to {self.tried}"
        bound = "from" if self.rises else "up to"
        on = " on" if self.rises else ""
        return (
            f"{self.key}: {self.verdict} {bound} {self.shows}{on}; "
            f"at {self.shows_not} it is {self.otherwise}"
        )


def threshold(scenario: Scenario, design: str, verdict: str, key: str) -> Threshold:
    """Return where the verdict begins or ends as `key` varies, by bisection.

    That assumes one such place between the smallest value and the scenario's, or else above it;
    the two values next to it are both run.  Only values are tried with which the scenario is still
    valid.  ``guest.dirty`` means fixed dirty pages a checkpoint.

    :raises ChoicesError: if `key` is no quantity of the scenario.
    """
    field = _Field(scenario, key)
    present = field.value
    seen: dict[int, str] = {}

    def shows(value: int) -> bool:
        if value not in seen:
            seen[value] = verdict_of(field.with_value(value), design) or "never struck"
        return seen[value] == verdict

    def made(value: int, other: int | None, tried: int) -> Threshold:
        return Threshold(
            key,
            verdict,
            shows=field.text(value),
            shows_not=None if other is None else field.text(other),
            otherwise="" if other is None else seen[other],
            rises=other is None or other < value,
            tried=field.text(tried),
        )

    least, most = field.least, field.most
    if shows(least):
        low, high = present, max(present, 1)
        while high < most and shows(high):
            low, high = high, min(most, 2 * high)
        if shows(high):
            return made(least, None, high)
        low, high = _bisect(low, high, lambda value: not shows(value))
        return made(low, high, high)
    low, high = _bisect(least, present, shows)
    return made(high, low, present)


def check_key(scenario: Scenario, key: str) -> None:
    """Refuse a key that `threshold` could not vary.

    :raises ChoicesError: if it is no quantity of the scenario.
    """
    _Field(scenario, key)


def _bisect(low: int, high: int, holds: Callable[[int], bool]) -> tuple[int, int]:
    """Return neighbours of which only the second holds; `low` does not, `high` does."""
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    holds(low)
    return low, high


class _Field:
    """A quantity of a scenario by its dotted key.

    Its values are counted in `_unit` base units: RAM has whole pages.  `least` and `most` are the
    bounds within which the scenario is valid; what the scenario's checks forbid lies below or above
    what it has.
    """

    def __init__(self, scenario: Scenario, key: str) -> None:
        self._scenario = scenario
        parts = key.split(".")
        if parts == ["guest", "dirty"]:
            self._whole_dirty()
            parts = ["guest", "dirty", "pages"]
        self._names: list[str] = []
        measure: Measure | None = None
        holder: Any = self._scenario
        for part in parts:
            fields = getattr(type(holder), "model_fields", {})
            name = next((n for n, field in fields.items() if (field.alias or n) == part), None)
            if name is None:
                raise ChoicesError(f"{key!r} is no key of this scenario")
            self._names.append(name)
            measure = measure_of(fields[name])
            holder = getattr(holder, name)
        if not isinstance(holder, int) or isinstance(holder, bool) or measure is None:
            raise ChoicesError(f"{key!r} is no quantity that can be made smaller")
        self._measure = measure
        self._unit = PAGE_BYTES if self._names[-1] == "ram_bytes" else 1
        self.value = holder // self._unit
        self.least = self._last_valid(-(-self._measure.least // self._unit))
        most = self._measure.most // self._unit
        if self._names[-1] == "checkpoints":
            most = max(self.value, _CHECKPOINTS_MOST)
        self.most = self._last_valid(most)

    def _last_valid(self, bound: int) -> int:
        """Return the value nearest to `bound`, on the way there from its own, that is valid."""
        valid, wrong = self.value, bound
        if self._is_valid(bound):
            return bound
        while abs(wrong - valid) > 1:
            middle = (valid + wrong) // 2
            if self._is_valid(middle):
                valid = middle
            else:
                wrong = middle
        return valid

    def _is_valid(self, value: int) -> bool:
        return not any(conflicts(self.with_value(value)))

    def _whole_dirty(self) -> None:
        """Let every page of RAM be dirty, where dirty pages have no fixed number."""
        guest = self._scenario.guest
        if not isinstance(guest.dirty, FixedDirty):
            dirty = FixedDirty(pages=guest.ram_pages)
            guest = guest.model_copy(update={"dirty": dirty})
            self._scenario = self._scenario.model_copy(update={"guest": guest})

    def text(self, value: int) -> str:
        """Return a value as a scenario writes it, with what it counts."""
        text = self._measure.text(value * self._unit)
        return f"{text} pages" if text.isdigit() and self._names[-1] == "pages" else text

    def with_value(self, value: int) -> Scenario:
        """Return the scenario with another value."""

        def changed(model: BaseModel, names: list[str]) -> BaseModel:
            name, *rest = names
            inner = value * self._unit if not rest else changed(getattr(model, name), rest)
            return model.model_copy(update={name: inner})

        made = changed(self._scenario, self._names)
        assert isinstance(made, type(self._scenario))  # noqa: S101 - a copy
        return made
