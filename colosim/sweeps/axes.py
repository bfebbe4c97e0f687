"""The axes of a sweep: each a key of a scenario, and the values it takes, as integers and as texts.

Ranges are exact: no machine's logarithm decides an integer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic_core import PydanticCustomError

from colosim.designs import DesignNames
from colosim.scenario.document import Mapping, Scalar, Sequence, plain
from colosim.scenario.fields import MarkedReader, Measure, Reader, reject
from colosim.scenario.model import Scenario
from colosim.scenario.section import Each, Forms, all_keys, measure_in
from colosim.scenario.units import COUNT, meant, show
from colosim.trace.fields import SEED_MAX

if TYPE_CHECKING:
    from colosim.scenario.checks import Path
    from colosim.scenario.document import Node
    from colosim.scenario.fields import Report

Value: TypeAlias = "int | str | bool | None"
DESIGN: Final = "design"
_POINTS_MAX: Final = 10_000
_RANGE_MAX: Final = 1000
_NO_AXES: Final = {"name", "description", "designs", "seed", "expect", "measured"}
"""What no run depends on, or is given beside the axes."""
_SPACINGS: Final = ("log", "linear")
_RANGE: Final = "such as {log: [1000, 60000], points: 7}"
_SUCH_AS: Final = f"expected a list of values, or a range {_RANGE}"


@dataclass(frozen=True, slots=True)
class Axis:
    """A key and its values: in the key's base unit, and as a scenario writes them."""

    key: str
    values: tuple[Value, ...]
    texts: tuple[str, ...]

    def __len__(self) -> int:
        """Return how many values there are."""
        return len(self.values)


class Axes(MarkedReader):
    """Reads ``axes:``, values by key."""

    def read_marked(self, node: Node, path: Path, at: Node, report: Report) -> dict[str, Axis]:
        """Return the axes of a document, without those that are wrong."""
        if not isinstance(node, Mapping) or not node.entries:
            report(path, at, "axes: expected keys and their values, such as {design: [qsb, split]}")
            return {}
        read: dict[str, Axis] = {}
        for key, entry in node.entries.items():
            here = (*path, key)
            try:
                reads = _reader_of(key)
            except PydanticCustomError as error:
                report(here, entry.key, str(error))
                continue
            known = list(_values(reads, entry.value, entry.place, here, report))
            values = [value for value, _ in known]
            seen: set[Value] = set()
            for index, value in enumerate(values):
                if value in seen:
                    report(here, entry.place, f"{key}: {show(known[index][1])} is there twice")
                seen.add(value)
            if known:
                read[key] = Axis(key, tuple(values), tuple(text for _, text in known))
        return read

    def json_schema(self) -> dict[str, Any]:
        """Return a mapping of lists and ranges."""
        value = {"type": ["string", "integer", "number", "boolean"]}
        many = {"type": "array", "items": value, "minItems": 1}
        points = {"type": "integer", "minimum": 2, "maximum": _RANGE_MAX}
        ends = {"type": "array", "items": value, "minItems": 2, "maxItems": 2}
        ranges = [
            {
                "type": "object",
                "properties": {spacing: ends, "points": points},
                "required": [spacing, "points"],
                "additionalProperties": False,
            }
            for spacing in _SPACINGS
        ]
        return {
            "type": "object",
            "propertyNames": {"examples": list(_axis_keys())},
            "additionalProperties": {"anyOf": [value, many, *ranges]},
        }


class _Design(Reader):
    """Reads the name of a design."""

    def read(self, value: object) -> str:
        """Return the name; an alias is the version that it means."""
        names = DesignNames()
        own = value.partition("+")[0] if isinstance(value, str) else ""
        if not isinstance(value, str) or own not in names:
            known = f"there are {', '.join(names)}{meant(own, names)}"
            raise reject(f"the design {show(str(value))} is not known; {known}")
        if wrong := names.refusal(value):
            raise reject(wrong)
        return names.resolved(value)


def _axis_keys() -> Iterator[str]:
    """Yield every key that can be an axis; of lists without their positions."""
    yield DESIGN
    for path, reads in all_keys(Scenario).items():
        if path[0] not in _NO_AXES and _is_value(reads):
            yield ".".join(path)


def _is_value(reads: Any) -> bool:
    if isinstance(reads, Forms):
        return measure_in(reads) is not None
    return isinstance(reads, Reader) and not isinstance(reads, MarkedReader)


def _reader_of(key: str) -> Any:
    """Return what reads the values of an axis.

    :raises PydanticCustomError: `reject`, if the key can be none.
    """
    if key == DESIGN:
        return _Design()
    if key == "seed":
        raise reject("'seed' is no axis; give seeds: beside axes:, such as seeds: 1..5")
    bare = ".".join(part for part in key.split(".") if not part.isdecimal())
    known = dict.fromkeys(_axis_keys())
    if bare in known:
        placed = _with_positions(bare)
        if key.count(".") < placed.count("."):
            raise reject(f"{show(key)} names no position in a list; expected one, as in {placed!r}")
        return all_keys(Scenario)[tuple(bare.split("."))]
    inner = next((one for one in known if one.startswith(f"{bare}.")), None)
    if inner is not None:
        such = _with_positions(inner)
        raise reject(f"{show(key)} has keys of its own; name one, such as {such!r}")
    tail = [one for one in known if one.endswith(f".{bare}")]
    hint = f"; did you mean {_with_positions(tail[0])!r}?" if tail else meant(key, known)
    raise reject(f"{show(key)} is no key of a scenario{hint}")


def _with_positions(key: str) -> str:
    """Return a key with the first position behind each list in it."""
    keys, path, placed = all_keys(Scenario), tuple(key.split(".")), list[str]()
    for depth, part in enumerate(path, 1):
        inside = depth < len(path) and isinstance(keys[path[:depth]], Each)
        placed += [part, "0"] if inside else [part]
    return ".".join(placed)


def _values(
    reads: Any, node: Node, at: Node, path: Path, report: Report
) -> Iterator[tuple[Value, str]]:
    """Yield the sound values of an axis, each with its text."""
    if isinstance(node, Mapping):
        yield from _range(reads, node, path, report)
        return
    items = node.items if isinstance(node, Sequence) else [node]
    if not items:
        report(path, at, f"{path[-1]}: the list is empty; {_SUCH_AS}")
    for index, item in enumerate(items):
        if not isinstance(item, Scalar) or item.is_null:
            report((*path, index), item, f"{path[-1]}: {_SUCH_AS}")
            continue
        try:
            value = _value(reads, item)
        except PydanticCustomError as error:
            report((*path, index), item, f"{path[-1]}: {error}")
        else:
            yield value, value if isinstance(reads, _Design) else item.text


def _value(reads: Any, node: Node) -> Any:
    given = plain(node)
    reader = reads.choose(given) if isinstance(reads, Forms) else reads
    return reader.read(given)


def _range(reads: Any, node: Mapping, path: Path, report: Report) -> Iterator[tuple[Value, str]]:
    """Yield the values of a range."""
    given = {key: entry.value for key, entry in node.entries.items()}
    spacing = next((key for key in _SPACINGS if key in given), "")
    ends, points, measure = given.get(spacing), given.get("points"), measure_in(reads)
    is_range = set(given) == {spacing, "points"} and isinstance(points, Scalar)
    if not (is_range and isinstance(ends, Sequence) and len(ends.items) == 2):  # noqa: PLR2004
        report(path, node, f"{path[-1]}: {_SUCH_AS}")
        return
    if measure is None:
        report(path, node, f"{path[-1]} has no numbers, and so no range; expected a list of values")
        return
    try:
        low, high = (_value(measure, end) for end in ends.items)
        count = _POINTS.read(plain(given["points"]))
        yield from ((value, measure.text(value)) for value in _spaced(spacing, low, high, count))
    except PydanticCustomError as error:
        report(path, node, f"{path[-1]}: {error}")


def _spaced(spacing: str, low: int | None, high: int | None, points: int | None) -> list[int]:
    """Return so many integers from `low` to `high`, both included."""
    if (
        low is None
        or high is None
        or points is None
        or low >= high
        or (not low and spacing == "log")
    ):
        above = " above 0" if spacing == "log" else ""
        raise reject(f"a range goes from a smaller number{above} to a larger one")
    steps = points - 1
    if spacing == "linear":
        made = [(2 * (low * (steps - n) + high * n) + steps) // (2 * steps) for n in range(points)]
    else:
        made = [_between(low, high, n, steps) for n in range(points)]
    if len(set(made)) < points:
        raise reject(f"{points} points are more than there are between {low} and {high}")
    return made


def _between(low: int, high: int, step: int, steps: int) -> int:
    """Return the integer nearest to ``low * (high / low) ** (step / steps)``.

    A guess with floats is corrected by integers: ``low ** (steps - step) * high ** step`` is at
    least ``(2 x - 1) / 2`` to the power of `steps`, and less than ``(2 x + 1) / 2`` to it.
    """
    power = low ** (steps - step) * high**step << steps
    guess = round(low * math.pow(high / low, step / steps))
    while (2 * guess + 1) ** steps <= power:
        guess += 1
    while (2 * guess - 1) ** steps > power:
        guess -= 1
    return guess


class Seeds(MarkedReader):
    """Reads ``seeds:``: a list, or the first and the last as in ``1..5``."""

    def read_marked(self, node: Node, path: Path, at: Node, report: Report) -> tuple[int, ...]:
        """Return the seeds."""
        items = node.items if isinstance(node, Sequence) else [node]
        seeds: list[int] = []
        for item in items:
            text = item.text if isinstance(item, Scalar) else ""
            first, dots, last = text.partition("..")
            try:
                low, high = _SEED.read(first.strip()), _SEED.read((last if dots else first).strip())
            except PydanticCustomError:
                low = high = None
            if low is None or high is None or high < low:
                what = "expected seeds such as 1..5, 7 or [1, 2, 3]"
                report(path, item if text else at, f"seeds: {show(text)}: {what}")
            elif high - low >= _POINTS_MAX:
                report(path, item, f"seeds: more than {_POINTS_MAX}")
            else:
                seeds += range(low, high + 1)
        if len(set(seeds)) < len(seeds):
            report(path, at, "seeds: one is there twice")
        return tuple(seeds)

    def json_schema(self) -> dict[str, Any]:
        """Return a number, a range as text, or a list."""
        one = {"type": ["integer", "string"], "examples": ["1..5"]}
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


_POINTS: Final = Measure(COUNT, 2, _RANGE_MAX)
_SEED: Final = Measure(COUNT, 0, SEED_MAX)
