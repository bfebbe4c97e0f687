"""Values set from outside: ``--set network.bandwidth=1 Gbit/s``, and those of `Scenario.vary`."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import BaseModel

from colosim.errors import ScenarioError, ScenarioFault
from colosim.scenario.canonical import plain_keys
from colosim.scenario.document import Entry, Mapping, Scalar, Sequence, marked, read
from colosim.scenario.keys import exclusive_groups, measures
from colosim.scenario.units import show

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingOf
    from collections.abc import Sequence as SequenceOf

    from colosim.scenario.document import Node

__all__ = ["override", "set_values"]

_PARTS_MAX: Final = 10


class _Place(NamedTuple):
    """Where a value was set: ``--set`` or ``vary`` for the file, its number for the line."""

    file: str
    line: int

    def fault(self, message: str, column: int = 1) -> ScenarioError:
        """Return the error that says what is wrong with it."""
        return ScenarioError([ScenarioFault(self.file, self.line, column, message)])


def override(root: Mapping, settings: SequenceOf[str]) -> list[ScenarioFault]:
    """Apply each ``key=value`` to the tree, in order, and return what is wrong with them.

    A dotted key leads into mappings (made where there are none) and, by number, into lists. The
    value is YAML; ``null`` takes the key out, so that its default holds. Keys that exclude the one
    set are taken out, and with ``designs`` what the file expects of designs no longer among them.
    """
    faults: list[ScenarioFault] = []
    for line, setting in enumerate(settings, start=1):
        place = _Place("--set", line)
        try:
            key, value = _read(setting, place)
            _apply(root, key, value, place)
        except ScenarioError as error:
            faults += error.faults
    _forget_other_designs(root, "--set")
    return faults


def set_values(root: Mapping, values: MappingOf[str, object]) -> list[ScenarioFault]:
    """Apply values of Python to the tree as `override` applies texts."""
    faults: list[ScenarioFault] = []
    for line, (key, value) in enumerate(values.items(), start=1):
        place = _Place("vary", line)
        try:
            path = tuple(part for part in _parts(key) if not part.isdecimal())
            _apply(root, key, marked(_plain(value, path, place), *place), place)
        except ScenarioError as error:
            faults += error.faults
    _forget_other_designs(root, "vary")
    return faults


def _forget_other_designs(root: Mapping, file: str) -> None:
    """Once ``designs`` is set, take out what the file says of designs that are not among them."""
    entry = root.entries.get("designs")
    if entry is None or entry.key.file != file or not isinstance(entry.value, Sequence):
        return
    kept = {item.text for item in entry.value.items if isinstance(item, Scalar)} | {"*"}
    for key in ("expect", "measured"):
        holder = root.entries.get(key)
        if holder is None or not isinstance(holder.value, Mapping):
            continue
        for name, stated in list(holder.value.entries.items()):
            if name not in kept and stated.key.file != file:
                del holder.value.entries[name]


def _read(setting: str, place: _Place) -> tuple[str, Node]:
    """Return key and value of a ``key=value``."""
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise place.fault(
            f"{show(setting)} is not of the form key=value, such as network.latency=5 ms"
        )
    column = len(key) + 2
    if not text.strip():
        raise place.fault(f"{show(key)} is given no value; 'null' takes a key out", column)
    value, faults = read(text, place.file, line=place.line, column=column)
    if faults:
        raise ScenarioError(faults)
    return key, value


def _plain(value: object, path: tuple[str, ...], place: _Place) -> object:
    """Return a value as YAML would have it, numbers as texts."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, Integral):
        return _with_unit(int(value), path)
    if isinstance(value, Real):
        return str(float(value))
    if isinstance(value, BaseModel):
        return plain_keys(value, stated=True)
    if isinstance(value, dict):
        return {str(key): _plain(item, (*path, str(key)), place) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, path, place) for item in value]
    raise place.fault(
        f"{path[-1]}: a Python {type(value).__name__} stands here; expected a text, a number, "
        "True or False, None, a list or a mapping"
    )


def _with_unit(number: int, path: tuple[str, ...]) -> str:
    """Return a whole number with the base unit, where its key asks for one."""
    measure = measures().get(path)
    if measure is None or measure.kind.bare is not None:
        return str(number)
    return measure.text(number)


def _apply(root: Mapping, key: str, value: Node, place: _Place) -> None:
    parts = _parts(key.strip())
    if len(parts) > _PARTS_MAX or not all(parts):
        raise place.fault(f"{show(key)} is not a dotted key, such as network.latency")
    holder: Node = root
    for depth, part in enumerate(parts[:-1]):
        if isinstance(holder, Mapping):
            _drop_excluded(holder, tuple(parts[:depth]), part, place.file)
        holder = _step(holder, part, place)
    last = parts[-1]
    if isinstance(holder, Mapping):
        _drop_excluded(holder, tuple(parts[:-1]), last, place.file)
        if isinstance(value, Scalar) and value.is_null:
            holder.entries.pop(last, None)
        else:
            holder.entries[last] = Entry(Scalar(*place, 1, last), value)
    elif isinstance(holder, Sequence):
        holder.items[_index(holder, last, place)] = value
    else:
        raise place.fault(f"{show(key)}: {show(parts[-2])} is a single value and has no keys")


def _parts(key: str) -> list[str]:
    """Split a dotted key; the keys of ``expect`` have dots themselves."""
    if key.startswith("expect."):
        return key.split(".", 2)
    return key.split(".")


def _step(holder: Node, part: str, place: _Place) -> Node:
    if isinstance(holder, Sequence):
        return holder.items[_index(holder, part, place)]
    if isinstance(holder, Scalar):
        raise place.fault(
            f"{show(part)} leads into {show(holder.text)}, a single value without keys"
        )
    entry = holder.entries.get(part)
    if entry is None or (isinstance(entry.value, Scalar) and entry.value.is_null):
        entry = Entry(Scalar(*place, 1, part), Mapping(*place, 1))
        holder.entries[part] = entry
    return entry.value


def _index(holder: Sequence, part: str, place: _Place) -> int:
    if part.isdecimal() and len(part) < len("1000000") and int(part) < len(holder.items):
        return int(part)
    raise place.fault(
        f"{show(part)} is no position in a list of {len(holder.items)}, counted from 0"
    )


def _drop_excluded(holder: Mapping, path: tuple[str, ...], key: str, file: str) -> None:
    """Take out of ``holder`` what the file gives instead of the key now set."""
    groups = exclusive_groups(path)
    others = [other for group in groups if key not in group for other in group]
    if len(others) == sum(map(len, groups)):
        return  # no group has the key
    if path == _DIRTY and key in {"csv", "column"}:
        others.append("values")  # what was read from the CSV file that stood there before
    for other in others:
        entry = holder.entries.get(other)
        if entry is not None and entry.key.file != file:
            del holder.entries[other]


_DIRTY: Final = ("guest", "dirty")
