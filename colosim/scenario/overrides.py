"""Values set from the command line: ``--set network.bandwidth=1 Gbit/s``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from colosim.errors import ScenarioError, ScenarioFault
from colosim.scenario.document import Entry, Mapping, Scalar, Sequence, read
from colosim.scenario.keys import exclusive_groups
from colosim.scenario.units import show

if TYPE_CHECKING:
    from collections.abc import Sequence as SequenceOf

    from colosim.scenario.document import Node

__all__ = ["FILE", "override"]

FILE: Final = "--set"
"""What stands for the file in the faults of an override; its line is the number of the override."""
_PARTS_MAX: Final = 10


def override(root: Mapping, settings: SequenceOf[str]) -> list[ScenarioFault]:
    """Apply each ``key=value`` to the tree, in order, and return what is wrong with them.

    A dotted key leads into mappings (made where there are none) and, by number, into lists. The
    value is YAML; ``null`` takes the key out, so that its default holds. Keys that exclude the one
    set are taken out, and with ``designs`` what the file expects of designs no longer among them.
    """
    faults: list[ScenarioFault] = []
    for line, setting in enumerate(settings, start=1):
        try:
            _apply(root, setting, line)
        except ScenarioError as error:
            faults += error.faults
    _forget_other_designs(root)
    return faults


def _forget_other_designs(root: Mapping) -> None:
    """Once ``designs`` is set, take out what the file says of designs that are not among them."""
    entry = root.entries.get("designs")
    if entry is None or entry.key.file != FILE or not isinstance(entry.value, Sequence):
        return
    kept = {item.text for item in entry.value.items if isinstance(item, Scalar)} | {"*"}
    for key in ("expect", "measured"):
        holder = root.entries.get(key)
        if holder is None or not isinstance(holder.value, Mapping):
            continue
        for name, stated in list(holder.value.entries.items()):
            if name not in kept and stated.key.file != FILE:
                del holder.value.entries[name]


def _fault(line: int, column: int, message: str) -> ScenarioError:
    return ScenarioError([ScenarioFault(FILE, line, column, message)])


def _apply(root: Mapping, setting: str, line: int) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise _fault(
            line, 1, f"{show(setting)} is not of the form key=value, such as network.latency=5 ms"
        )
    column = len(key) + 2
    if not text.strip():
        raise _fault(line, column, f"{show(key)} is given no value; 'null' takes a key out")
    value, faults = read(text, FILE, line=line, column=column)
    if faults:
        raise ScenarioError(faults)
    parts = _parts(key.strip())
    if len(parts) > _PARTS_MAX or not all(parts):
        raise _fault(line, 1, f"{show(key)} is not a dotted key, such as network.latency")
    holder: Node = root
    for depth, part in enumerate(parts[:-1]):
        if isinstance(holder, Mapping):
            _drop_excluded(holder, tuple(parts[:depth]), part)
        holder = _step(holder, part, line)
    last = parts[-1]
    if isinstance(holder, Mapping):
        _drop_excluded(holder, tuple(parts[:-1]), last)
        if isinstance(value, Scalar) and value.is_null:
            holder.entries.pop(last, None)
        else:
            holder.entries[last] = Entry(Scalar(FILE, line, 1, last), value)
    elif isinstance(holder, Sequence):
        holder.items[_index(holder, last, line)] = value
    else:
        raise _fault(line, 1, f"{show(key)}: {show(parts[-2])} is a single value and has no keys")


def _parts(key: str) -> list[str]:
    """Split a dotted key; the keys of ``expect`` have dots themselves."""
    if key.startswith("expect."):
        return key.split(".", 2)
    return key.split(".")


def _step(holder: Node, part: str, line: int) -> Node:
    if isinstance(holder, Sequence):
        return holder.items[_index(holder, part, line)]
    if isinstance(holder, Scalar):
        raise _fault(
            line, 1, f"{show(part)} leads into {show(holder.text)}, a single value without keys"
        )
    entry = holder.entries.get(part)
    if entry is None or (isinstance(entry.value, Scalar) and entry.value.is_null):
        entry = Entry(Scalar(FILE, line, 1, part), Mapping(FILE, line, 1))
        holder.entries[part] = entry
    return entry.value


def _index(holder: Sequence, part: str, line: int) -> int:
    if part.isdecimal() and len(part) < len("1000000") and int(part) < len(holder.items):
        return int(part)
    raise _fault(
        line, 1, f"{show(part)} is no position in a list of {len(holder.items)}, counted from 0"
    )


def _drop_excluded(holder: Mapping, path: tuple[str, ...], key: str) -> None:
    """Take out of ``holder`` what the file gives instead of the key now set."""
    groups = exclusive_groups(path)
    if not any(key in group for group in groups):
        return
    for group in groups:
        for other in group if key not in group else ():
            entry = holder.entries.get(other)
            if entry is not None and entry.key.file != FILE:
                del holder.entries[other]
