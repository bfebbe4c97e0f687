"""A document to a section, each key by its own reader: every fault at once, each with its place.

Nothing is read twice. A section is made of what is sound in it; then each check that needs nothing
of what is wrong looks at the whole.
"""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import PydanticCustomError

from colosim.errors import ScenarioError, ScenarioFault
from colosim.scenario.checks import conflicts
from colosim.scenario.document import Mapping, Sequence, place, plain
from colosim.scenario.fields import MarkedReader, Reader
from colosim.scenario.not_simulated import not_simulated
from colosim.scenario.section import Each, Forms, FromPreset, Section, all_keys, measure_of
from colosim.scenario.units import nearest, show

if TYPE_CHECKING:
    from colosim.scenario.checks import Path
    from colosim.scenario.document import Entry, Node

_FAULTS_MAX: Final = 100
_WRONG: Final = object()
"""What is read where a fault was told."""


class Reading:
    """One document on its way to a section; gathers faults, then raises them all.

    ``folder`` is where the files are that it names, ``faults`` what is known to be wrong.
    """

    def __init__(
        self, root: Mapping, faults: list[ScenarioFault], folder: FilePath, model: type[Section]
    ) -> None:
        self._root = root
        self._faults = list(faults)
        self._folder = folder
        self._model = model
        self._wrong: set[Path] = set()
        self._above_wrong: set[Path] = set()
        self._reported: set[tuple[Path, int, int]] = set()

    def report(self, path: Path, at: Node, message: str) -> Any:
        """Note a fault of ``path``, once a place; return what is read instead."""
        reported = (path, at.line, at.column)
        if reported not in self._reported:
            self._reported.add(reported)
            self._wrong.add(path)
            self._above_wrong.update(path[:length] for length in range(len(path) + 1))
            self._faults.append(ScenarioFault(at.file, at.line, at.column, message))
        return _WRONG

    def whole(self, kept: dict[str, Any] | None = None) -> Any:
        """Return the document as a ``model``; ``kept`` are attributes that are known already.

        :raises ScenarioError: with every fault.
        """
        made = self._section(self._model, self._root, (), kept=kept)
        for conflict in conflicts(made, self._is_wrong):
            at = place(self._root, conflict.paths)
            self._faults.append(ScenarioFault(at.file, at.line, at.column, conflict.message))
        if self._faults:
            raise ScenarioError(_without_repeats(self._faults))
        return made

    def _is_wrong(self, path: Path) -> bool:
        """Whether a fault was told of ``path``, of a whole that it is part of, or of a part."""
        wholes = (path[:length] for length in range(len(path) + 1))
        return path in self._above_wrong or any(whole in self._wrong for whole in wholes)

    # --- values ---

    def _value(self, reads: Any, node: Node, path: Path, at: Node, base: Any = None) -> Any:
        """Return what ``node`` stands for; faults that are the whole value's point ``at`` it."""
        name = next(f"{part}: " for part in reversed(path) if isinstance(part, str))
        forms = reads if isinstance(reads, Forms) else None
        try:
            if forms:
                reads = forms.choose(plain(node))
            if isinstance(reads, MarkedReader):
                return reads.read_marked(node, path, at, self.report)
            if isinstance(reads, Reader):
                value = reads.read(plain(node))
                return _WRONG if path in self._wrong else value
        except PydanticCustomError as error:
            return self.report(path, at, f"{name}{error}")
        if isinstance(reads, Each):
            return self._each(reads, node, path, at, name)
        if isinstance(node, Mapping):
            required = any(field.is_required() for field in reads.model_fields.values())
            if forms and required and not node.entries:
                empty = f"{name}nothing stands in the braces; expected one of {forms.examples}"
                return self.report(path, at, empty)
            return self._section(reads, node, path, forms, base)
        such_as = f", such as {reads.example}" if reads.example else ""
        return self.report(path, at, f"{name}expected a mapping of keys to values{such_as}")

    def _each(self, reads: Each, node: Node, path: Path, at: Node, name: str) -> Any:
        """Return a list, with None for what is wrong in it, or a mapping without that."""
        if reads.named and isinstance(node, Mapping):
            named = {
                key: self._value(reads.item, entry.value, (*path, key), entry.place)
                for key, entry in node.entries.items()
            }
            return {key: value for key, value in named.items() if value is not _WRONG}
        if reads.named or not isinstance(node, Sequence):
            what = "mapping of keys to values" if reads.named else "list"
            return self.report(path, at, f"{name}expected a {what}, such as {reads.example}")
        if len(node.items) < reads.least:
            self.report(path, at, f"{name}the list is empty; expected at least one entry")
        if reads.most is not None and len(node.items) > reads.most:
            return self.report(path, at, f"{name}the list has more than {reads.most} entries")
        values = [
            self._value(reads.item, item, (*path, index), item)
            for index, item in enumerate(node.items)
        ]
        wrong = [self._is_wrong((*path, index)) for index in range(len(values))]
        return tuple(None if wrong[index] else value for index, value in enumerate(values))

    # --- sections ---

    def _section(
        self,
        model: type[Section],
        node: Mapping,
        path: Path,
        forms: Forms | None = None,
        base: Any = None,
        kept: dict[str, Any] | None = None,
    ) -> Section:
        """Return a section of what is sound in ``node``.

        What is not given is as in ``base``, a section that a preset filled, else at its default.
        """
        entries, data = node.entries, plain(node)
        assert isinstance(data, dict)  # noqa: S101 - of a mapping
        values = self._completed(model, data, node, path)
        if issubclass(model, FromPreset):
            if own := self._own_preset(model, node, data, path):
                values["preset"] = own
            named = values.get("preset", data.get("preset"))
            base = model.base(named, base.preset if base is not None else "")
        start = vars(base) if base is not None else {}
        keys, readers = model.keys(), model.readers()
        for key, entry in entries.items():
            name, here = keys.get(key), (*path, key)
            if name is None:
                self.report(here, entry.key, self._unknown(model, entries, path, key, forms))
            elif name not in values:
                given, reads, default = entry.value, readers[name], model.model_fields[name].default
                if default is None and isinstance(reads, type) and plain(given) is None:
                    values[name] = None
                else:
                    values[name] = self._value(reads, given, here, entry.place, start.get(name))
        values |= kept or {}
        for key, name in keys.items():
            is_there = name in values or name in start
            if not is_there and model.model_fields[name].is_required():
                needs = f"{_dotted(path) or model.called} needs the key {show(key)}"
                measure = measure_of(model.model_fields[name])
                such_as = f", such as '{key}: {measure.kind.example}'" if measure else ""
                self.report((*path, key), node, f"{needs}, which is missing{such_as}")
        values = {name: value for name, value in values.items() if value is not _WRONG}
        return model.model_construct(set(values), **{**start, **values})

    def _completed(
        self, model: type[Section], data: dict[str, Any], node: Mapping, path: Path
    ) -> dict[str, Any]:
        """Return the attributes that follow from what is given; those that cannot are wrong."""
        try:
            return model.completed(data, self._folder)
        except PydanticCustomError as error:
            key = (error.context or {})["key"]
            at = node.entries[key].place if key else node
            self.report(path, at, f"{_dotted((*path, key)) if key else path[-1]}: {error}")
            return dict.fromkeys(model.readers(), _WRONG)

    def _own_preset(
        self, model: type[FromPreset], node: Mapping, given: dict[str, Any], path: Path
    ) -> Any:
        """Return the own preset that a section names, if it does; a path in it starts at the file.

        What is set on the command line starts at the current folder.
        """
        entry = node.entries.get("preset")
        if entry is None:
            return None
        in_file = entry.value.file == self._root.file
        try:
            return model.own_preset(given, self._folder if in_file else FilePath())
        except ScenarioError as error:
            self._wrong.add((*path, "preset"))
            self._faults += error.faults
            return _WRONG

    def _unknown(
        self,
        model: type[Section],
        entries: dict[str, Entry],
        path: Path,
        key: str,
        forms: Forms | None,
    ) -> str:
        """Say of a key that is not one of the section's what it may be meant for."""
        what = f"the key {show(key)}"
        if len(self._faults) > _FAULTS_MAX:
            return f"{what} is unknown"  # it will hardly be shown: spare the search
        where = f" under {_dotted(path)}" if path else ""
        if advice := model.advice(key):
            return f"{what} {advice}"
        if why := not_simulated(key):
            return f"{what} is unknown{where}; {why}"
        groups = forms.exclusive if forms else ()
        if any(key in group for group in groups):
            others = [other for group in groups if key not in group for other in group]
            rivals = [show(other) for other in others if other in entries]
            return f"{what} excludes {' and '.join(rivals)}{where}; give one of them"
        in_list = any(isinstance(part, int) for part in path)
        paths = () if in_list else (found for found in all_keys(self._model) if found[-1] == key)
        if elsewhere := next(iter(paths), None):
            belongs = f"it belongs under another key: {'.'.join(elsewhere)!r}"
            own = [one for one in list(model.keys()) if one.endswith(f"_{key}")]
            if own:
                belongs = f"did you mean {own[0]!r}, or {'.'.join(elsewhere)!r}?"
            return f"{what} is unknown{where}; {belongs}"
        if near := nearest(key, model.keys()):
            return f"{what} is unknown{where}; did you mean {near!r}?"
        return f"{what} is unknown{where}; expected one of {', '.join(model.keys())}"


def _dotted(path: Path) -> str:
    return ".".join(str(part) for part in path)


def _without_repeats(faults: list[ScenarioFault]) -> list[ScenarioFault]:
    """Return each fault once, in file order, and no more than a reader can use."""
    unique = sorted(dict.fromkeys(faults))
    more = len(unique) - _FAULTS_MAX
    if more <= 0:
        return unique
    first = unique[_FAULTS_MAX]
    rest = ScenarioFault(first.file, first.line, first.column, f"... and {more} more faults")
    return [*unique[:_FAULTS_MAX], rest]
