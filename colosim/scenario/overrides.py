"""Values set from outside: ``--set network.bandwidth=1 Gbit/s``, and those of `Scenario.vary`.

Both set values in a document, which is then read as a file is.
"""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Final

from colosim.errors import ScenarioError, ScenarioFault
from colosim.scenario.canonical import plain_keys
from colosim.scenario.document import Entry, Mapping, Scalar, Sequence, marked, read
from colosim.scenario.fields import Flag
from colosim.scenario.section import Forms, Section, all_keys, measure_in
from colosim.scenario.units import show

if TYPE_CHECKING:
    from colosim.scenario.document import Node

_PARTS_MAX: Final = 10


def override(
    model: type[Section],
    root: Mapping,
    settings: Iterable[str | tuple[str, object]],
    file: str = "--set",
) -> list[ScenarioFault]:
    """Apply each ``key=value``, or key and value of Python, in order; return what is wrong.

    A dotted key leads into mappings (made where there are none) and, by number, into lists. A
    text's value is YAML; ``null`` takes the key out, so that its default holds. Keys that exclude
    the one set are taken out, and with ``designs`` what the file expects of designs no longer among
    them. ``file`` stands for the file in faults.
    """
    faults: list[ScenarioFault] = []
    for line, given in enumerate(settings, start=1):
        setting = Setting(model, file, line)
        try:
            of_one = setting.of_text(given) if isinstance(given, str) else setting.of_value(*given)
            setting.apply(root, *of_one)
        except ScenarioError as error:
            faults += error.faults
    _forget_other_designs(root, file)
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


class Setting:
    """One value that is set: ``--set`` or ``vary`` stands for the file, its number for the line."""

    def __init__(self, model: type[Section], file: str, line: int) -> None:
        self._model = model
        self._file = file
        self._line = line

    def _fault(self, message: str, column: int = 1) -> ScenarioError:
        return ScenarioError([ScenarioFault(self._file, self._line, column, message)])

    # --- what is set ---

    def of_text(self, setting: str) -> tuple[str, Node]:
        """Return key and value of a ``key=value``."""
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            form = "not of the form key=value, such as network.latency=5 ms"
            raise self._fault(f"{show(setting)} is {form}")
        column = len(key) + 2
        if not text.strip():
            none = f"{show(key)} is given no value; 'null' takes a key out"
            raise self._fault(none, column)
        value, faults = read(text, self._file, line=self._line, column=column)
        if faults:
            raise ScenarioError(faults)
        return key, value

    def of_value(self, key: str, value: object) -> tuple[str, Node]:
        """Return a key and its value of Python as a document would have it."""
        path = tuple(part for part in _parts(key) if not part.isdecimal())
        if isinstance(value, str) and isinstance(all_keys(self._model).get(path), Flag):
            return self.of_text(f"{key}={value}")
        return key, marked(self._plain(value, path), self._file, self._line)

    def _plain(self, value: object, path: tuple[str, ...]) -> object:
        """Return a value as YAML would have it, numbers as texts, with the unit of their key."""
        if value is None or isinstance(value, (str, bool)):
            return value
        if isinstance(value, Integral):
            measure = measure_in(all_keys(self._model).get(path))
            has_unit = measure is not None and measure.kind.bare is None
            return measure.text(int(value)) if has_unit and measure else str(int(value))
        if isinstance(value, Real):
            return str(float(value))
        if isinstance(value, Section):
            return plain_keys(value, stated=True)
        if isinstance(value, dict):
            return {str(key): self._plain(item, (*path, str(key))) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._plain(item, path) for item in value]
        what = f"{path[-1]}: a Python {type(value).__name__} stands here"
        kinds = "a text, a number, True or False, None, a list or a mapping"
        raise self._fault(f"{what}; expected {kinds}")

    # --- where it is set ---

    def apply(self, root: Mapping, key: str, value: Node) -> None:
        """Set a value in the tree."""
        parts = _parts(key.strip())
        if len(parts) > _PARTS_MAX or not all(parts):
            raise self._fault(f"{show(key)} is not a dotted key, such as network.latency")
        holder: Node = root
        for depth, part in enumerate(parts[:-1]):
            if isinstance(holder, Mapping):
                self._drop_excluded(holder, parts[:depth], part)
            holder = self._step(holder, part)
        last = parts[-1]
        if isinstance(holder, Mapping):
            self._drop_excluded(holder, parts[:-1], last)
            if isinstance(value, Scalar) and value.is_null:
                holder.entries.pop(last, None)
            else:
                holder.entries[last] = Entry(Scalar(self._file, self._line, 1, last), value)
        elif isinstance(holder, Sequence):
            holder.items[self._index(holder, last)] = value
        else:
            single = f"{show(parts[-2])} is a single value and has no keys"
            raise self._fault(f"{show(key)}: {single}")

    def _step(self, holder: Node, part: str) -> Node:
        if isinstance(holder, Sequence):
            return holder.items[self._index(holder, part)]
        if isinstance(holder, Scalar):
            single = f"{show(holder.text)}, a single value without keys"
            raise self._fault(f"{show(part)} leads into {single}")
        entry = holder.entries.get(part)
        if entry is None or (isinstance(entry.value, Scalar) and entry.value.is_null):
            key = Scalar(self._file, self._line, 1, part)
            entry = Entry(key, Mapping(self._file, self._line, 1))
            holder.entries[part] = entry
        return entry.value

    def _index(self, holder: Sequence, part: str) -> int:
        if part.isdecimal() and len(part) < len("1000000") and int(part) < len(holder.items):
            return int(part)
        positions = f"a list of {len(holder.items)}, counted from 0"
        raise self._fault(f"{show(part)} is no position in {positions}")

    def _drop_excluded(self, holder: Mapping, path: list[str], key: str) -> None:
        """Take out of ``holder`` what the file gives instead of the key now set."""
        keys = tuple(part for part in path if not part.isdecimal())
        reads = all_keys(self._model).get(keys) if keys else self._model
        groups = reads.exclusive if isinstance(reads, Forms) or reads is self._model else ()
        own = next((group for group in groups if key in group), None)
        if own is None:
            return
        others = [other for group in groups if group is not own for other in group]
        if key in {"csv", "column"}:
            others.append("values")  # what was read from the CSV file that stood there before
        for other in others:
            entry = holder.entries.get(other)
            if entry is not None and entry.key.file != self._file:
                del holder.entries[other]


def _parts(key: str) -> list[str]:
    """Split a dotted key; the keys of ``expect`` have dots themselves."""
    return key.split(".", 2) if key.startswith("expect.") else key.split(".")
