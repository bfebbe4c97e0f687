"""Scenario files to models: read, override, validate, and tell every fault with its place."""

from __future__ import annotations

import csv
import io
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from colosim.errors import ScenarioError, ScenarioFault
from colosim.scenario.bounds import BoundError, parse_bound
from colosim.scenario.checks import conflicts
from colosim.scenario.document import (
    DOCUMENT_BYTES_MAX,
    Mapping,
    Scalar,
    Sequence,
    decode,
    plain,
    read,
)
from colosim.scenario.fields import Measure
from colosim.scenario.keys import allowed_keys, exclusive_groups, nearest_key
from colosim.scenario.model import MEASURED_VALUES_MAX, PAGES_MAX, Scenario
from colosim.scenario.overrides import override
from colosim.scenario.shipped_scenarios import find
from colosim.scenario.units import PAGES, nearest, show

if TYPE_CHECKING:
    from collections.abc import Collection
    from collections.abc import Sequence as SequenceOf

    from colosim.scenario.checks import Path
    from colosim.scenario.document import Node

__all__ = ["Loading", "load", "loads"]

_FAULTS_MAX: Final = 100
_ROUNDS_MAX: Final = 30
_CSV_BYTES_MAX: Final = 16 << 20
_STAND_IN_FAULT: Final = {"kill": "secondary", "at": "0 s"}


def load(
    path_or_name: str | FilePath,
    *,
    overrides: SequenceOf[str] = (),
    known_designs: Collection[str] | None = None,
) -> Scenario:
    """Load a scenario file, or a shipped scenario by its name.

    ``overrides`` are texts ``key=value`` with dotted keys, applied in order. ``known_designs`` are
    the names of the designs that there are; None leaves the names unchecked. If it has a method
    ``refusal(name)``, that says what is wrong with the remedies behind a name, or None.

    :raises ScenarioError: with every fault of the file and of the overrides.
    """
    path = find(path_or_name)
    file = str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(DOCUMENT_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        fault = ScenarioFault(file, 1, 1, f"the file cannot be read: {reason}")
        raise ScenarioError([fault]) from None
    return loads(
        decode(data, file),
        file=file,
        overrides=overrides,
        known_designs=known_designs,
        folder=path.parent,
    )


def loads(
    text: str,
    *,
    file: str = "<scenario>",
    overrides: SequenceOf[str] = (),
    known_designs: Collection[str] | None = None,
    folder: FilePath | None = None,
) -> Scenario:
    """Load a scenario from its text.

    ``file`` is its name in messages, ``folder`` where its CSV files are.

    :raises ScenarioError: with every fault of the text and of the overrides.
    """
    root, faults = read(text, file)
    faults = list(faults)
    if not isinstance(root, Mapping):
        what = "a list" if isinstance(root, Sequence) else show(root.text)
        message = f"{what} stands here; expected a mapping of keys to values, at least 'name: NAME'"
        raise ScenarioError([*faults, ScenarioFault(file, root.line, root.column, message)])
    faults += override(root, overrides)
    return Loading(root, faults, known_designs, folder).scenario()


class Loading:
    """One document on its way to a model; gathers faults, then raises them all.

    ``kept`` are sections, by key, that are models already and do not stand in the document.
    """

    def __init__(
        self,
        root: Mapping,
        faults: list[ScenarioFault],
        known_designs: Collection[str] | None = None,
        folder: FilePath | None = None,
        *,
        kept: dict[str, Any] | None = None,
    ) -> None:
        self._root = root
        self._faults = faults
        self._known_designs = known_designs
        self._folder = folder
        self._kept = kept or {}
        self._plain = plain(root)
        self._wrong: set[Path] = set()
        self._above_wrong: set[Path] = set()

    def scenario(self) -> Scenario:
        """Return the model, or raise every fault."""
        data: Any = plain(self._root)
        self._take_expectations(data)
        self._take_measured_pages(data)
        self._check_designs()
        model = self._validate(self._kept | data)
        if model is not None:
            for conflict in conflicts(model):
                if not any(self._is_wrong(path) for path in conflict.paths):
                    self._fault_at(self._first_present(conflict.paths), conflict.message)
        if self._faults:
            raise ScenarioError(_without_repeats(self._faults))
        assert model is not None  # noqa: S101 - without faults there was nothing to leave out
        return model

    # --- pydantic, round after round ---

    def _validate(self, data: dict[str, Any]) -> Scenario | None:
        """Validate; leave what is wrong out and try again, so that combinations get checked too."""
        for _ in range(_ROUNDS_MAX):
            try:
                return Scenario.model_validate(
                    data, by_alias=True, by_name=False, context={"conflicts": "later"}
                )
            except ValidationError as error:
                paths = [
                    self._note(dict(entry))
                    for entry in error.errors(include_url=False, include_input=False)
                ]
            for path in sorted(paths, key=len, reverse=True):
                self._leave_out(data, path)
        return None

    def _note(self, error: dict[str, Any]) -> Path:
        """Record one error of pydantic and return the path to leave out."""
        path: Path = tuple(part for part in error["loc"] if not str(part).startswith("tag:"))
        kind = error["type"]
        if kind == "missing":
            parent, key = path[:-1], path[-1]
            if not self._is_wrong(path):
                self._fault_at(
                    parent, f"{_section(parent)} needs the key {show(key)}, which is missing"
                )
                self._remember(path)
            return parent or path
        if self._is_wrong(path):
            return path
        self._remember(path)
        if kind == "extra_forbidden":
            self._fault_at(path, self._unknown_key(path), of_key=True)
        else:
            self._fault_at(path, f"{_name(path)}{_worded(kind, error, path)}")
        return path

    def _unknown_key(self, path: Path) -> str:
        parent, key = path[:-1], str(path[-1])
        if len(self._faults) > _FAULTS_MAX:
            return f"the key {show(key)} is unknown"  # it will hardly be shown: spare the search
        allowed = allowed_keys(parent, self._plain)
        near = nearest(key, allowed)
        where = "" if not parent else f" under {_dotted(parent)}"
        if (
            parent[:1] == ("faults",)
            and isinstance(parent[-1], int)
            and key in {"checkpoint", "step", "progress"}
        ):
            return (
                f"the key {show(key)} goes with a step of a checkpoint, under 'at', such as"
                " at: {checkpoint: 3, step: 'primary: RAM stream', progress: 40%}"
            )
        rivals = self._rivals(parent, key)
        if rivals:
            return f"the key {show(key)} excludes {' and '.join(rivals)}{where}; give one of them"
        if near:
            return f"the key {show(key)} is unknown{where}; did you mean {near!r}?"
        elsewhere = None if parent[:1] == ("faults",) else nearest_key(key)
        if elsewhere:
            return (
                f"the key {show(key)} is unknown{where}; it belongs under another key: "
                f"{elsewhere!r}"
            )
        return f"the key {show(key)} is unknown{where}; expected one of {', '.join(allowed)}"

    def _rivals(self, parent: Path, key: str) -> list[str]:
        """Return the keys beside ``key`` that it cannot stand with."""
        groups = exclusive_groups(parent)
        node = self._node(parent)
        if not isinstance(node, Mapping) or not any(key in group for group in groups):
            return []
        others = [other for group in groups if key not in group for other in group]
        return [show(other) for other in others if other in node.entries]

    def _leave_out(self, data: dict[str, Any], path: Path) -> None:
        """Take the value at ``path`` out of ``data``; what must be there gets a stand-in."""
        if path in {(), ("name",)}:
            data["name"] = "unnamed"
            return
        holder: Any = data
        for depth, part in enumerate(path[:-1]):
            if isinstance(holder, list) and path[0] == "faults":
                break
            if not isinstance(holder, (dict, list)) or (
                isinstance(holder, dict) and part not in holder
            ):
                # The value came from a preset: leave out what is left of the way there.
                self._leave_out(data, path[:depth])
                return
            holder = holder[part]  # type: ignore[index]
        if path[0] == "faults" and len(path) > 1:
            data["faults"][path[1]] = dict(_STAND_IN_FAULT)
            self._remember(path[:2])
        elif path[0] == "designs" and len(path) > 1:
            data["designs"][path[1]] = f"unnamed-{path[1]}"
        elif isinstance(holder, dict):
            holder.pop(path[-1], None)
        else:
            self._leave_out(data, path[:-1])

    # --- sections that need more than pydantic ---

    def _take_expectations(self, data: dict[str, Any]) -> None:
        """Read every bound of ``expect:`` with its own place."""
        stated = data.get("expect")
        if not isinstance(stated, dict):
            return
        for design, bounds in stated.items():
            if not isinstance(bounds, dict):
                self._wrong_at(
                    ("expect", design),
                    "expected a mapping such as {verdict: hung, pause_ns.p99: < 100 ms}",
                )
                stated[design] = {}
                continue
            for key, text in list(bounds.items()):
                path: Path = ("expect", design, key)
                node = self._node(path)
                if not isinstance(node, Scalar) or text is None:
                    self._wrong_at(
                        path,
                        (
                            f"{show(key)}: expected a bound such as '< 100 ms', '>= 3' or '1 "
                            "ms .. 5 ms'"
                        ),
                    )
                    del bounds[key]
                    continue
                try:
                    bounds[key] = parse_bound(key, node.text)
                except BoundError as error:
                    del bounds[key]
                    self._remember(path)
                    self._fault_at(
                        path, str(error) if error.of_key else f"{key}: {error}", of_key=error.of_key
                    )

    def _take_measured_pages(self, data: dict[str, Any]) -> None:
        """Read the CSV file of measured dirty pages into the data."""
        guest = data.get("guest")
        if not isinstance(guest, dict):
            return
        dirty = guest.get("dirty")
        if (
            not isinstance(dirty, dict)
            or not isinstance(dirty.get("csv"), str)
            or "values" in dirty
        ):
            return
        column = dirty.get("column", "dirty_pages")
        try:
            dirty["values"] = _column(
                (self._folder or FilePath()) / dirty["csv"], dirty["csv"], str(column)
            )
        except _CsvError as error:
            path: Path = (
                "guest",
                "dirty",
                "column" if error.of_column and "column" in dirty else "csv",
            )
            self._remember(("guest", "dirty"))
            self._fault_at(path, f"{_dotted(path)}: {error}")
            del guest["dirty"]

    def _check_designs(self) -> None:
        """Refuse designs that there are not."""
        if self._known_designs is None:
            return
        designs = self._node(("designs",))
        named: list[Path] = []
        if isinstance(designs, Sequence):
            named = [
                ("designs", index)
                for index, item in enumerate(designs.items)
                if isinstance(item, Scalar)
            ]
        for path in named:
            node = self._node(path)
            assert isinstance(node, Scalar)  # noqa: S101
            self._check_design(path, node.text, of_key=False)
        for section in ("expect", "measured"):
            node = self._node((section,))
            for name in node.entries if isinstance(node, Mapping) else ():
                if name != "*" or section != "expect":
                    self._check_design((section, name), name, of_key=True)

    def _check_design(self, path: Path, name: str, *, of_key: bool) -> None:
        assert self._known_designs is not None  # noqa: S101
        whole, name = name, name.partition("+")[0]
        if name in self._known_designs or not name:
            refusal = getattr(self._known_designs, "refusal", None)
            wrong = refusal(whole) if refusal and not self._is_wrong(path) else None
            if wrong:
                self._remember(path)
                self._fault_at(path, wrong if of_key else f"designs: {wrong}", of_key=of_key)
            return
        near = nearest(name, self._known_designs)
        hint = f"; did you mean {near!r}?" if near else ""
        self._remember(path)
        message = (
            f"the design {show(name)} is not known; there are "
            f"{', '.join(self._known_designs)}{hint}"
        )
        self._fault_at(path, message, of_key=of_key)

    # --- places ---

    def _is_wrong(self, path: Path) -> bool:
        """Tell whether a fault was already told of ``path``, or of a part or a whole of it."""
        return path in self._above_wrong or any(
            path[:length] in self._wrong for length in range(len(path) + 1)
        )

    def _remember(self, path: Path) -> None:
        """Keep in mind that something at ``path`` is wrong."""
        self._wrong.add(path)
        self._above_wrong.update(path[:length] for length in range(len(path) + 1))

    def _node(self, path: Path) -> Node | None:
        node: Node | None = self._root
        for part in path:
            node = _child(node, part)
        return node

    def _first_present(self, paths: SequenceOf[Path]) -> Path:
        return next((path for path in paths if self._node(path) is not None), paths[0])

    def _wrong_at(self, path: Path, message: str) -> None:
        self._remember(path)
        self._fault_at(path, message)

    def _fault_at(self, path: Path, message: str, *, of_key: bool = False) -> None:
        """Record a fault at the value (or key) of ``path``, or at the nearest key above it."""
        node: Node = self._root
        place: Node = self._root
        for depth, part in enumerate(path):
            child = _child(node, part)
            if child is None:
                break
            place = child
            last = depth == len(path) - 1
            if isinstance(node, Mapping):
                entry = node.entries[str(part)]
                if (
                    (last and of_key)
                    or (isinstance(child, (Mapping, Sequence)) and not last)
                    or not _has_place(child)
                ):
                    place = entry.key
            node = child
        self._faults.append(ScenarioFault(place.file, place.line, place.column, message))


def _has_place(node: Node) -> bool:
    """Whether a value has text of its own to point at."""
    return not (isinstance(node, Scalar) and not node.text and not node.quoted)


def _child(node: Node | None, part: str | int) -> Node | None:
    if isinstance(node, Mapping):
        entry = node.entries.get(str(part))
        return entry.value if entry else None
    if isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
        return node.items[part]
    return None


def _dotted(path: Path) -> str:
    return ".".join(str(part) for part in path)


def _name(path: Path) -> str:
    """Name the value of a message by its last key."""
    keys = [part for part in path if isinstance(part, str)]
    return f"{keys[-1]}: " if keys else ""


def _section(path: Path) -> str:
    return f"{_dotted(path)}" if path else "the scenario"


def _worded(kind: str, error: dict[str, Any], path: Path) -> str:
    """Say in a scenario's words what pydantic found."""
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        example = _EXAMPLES.get(str(path[-1]) if path else "", "")
        return f"expected a mapping of keys to values{example}"
    if kind in {"tuple_type", "list_type"}:
        example = "[qsb, split]" if path[-1:] == ("designs",) else "[{freeze: secondary, at: 2 s}]"
        return f"expected a list, such as {example}"
    if kind == "too_short":
        return "the list is empty; expected at least one entry"
    if kind == "too_long":
        return f"the list has more than {error['ctx']['max_length']} entries"
    if kind == "scenario":
        return str(error["ctx"]["message"])
    return str(error["msg"])


_EXAMPLES: Final = {
    "network": ", such as {preset: 10gbe}",
    "hosts": ", such as {preset: kvm-xeon}",
    "primary": ", such as {preset: kvm-xeon}",
    "secondary": ", such as {preset: kvm-xeon}",
    "dirty": ", such as {pages: 2000}",
    "costs": ", such as {reset: 500 us}",
    "measured": ", such as {qsb: qemu25/old-ram512-n16384-bw0}",
    "expect": ", such as {split: {verdict: hung}}",
    "guest": ", such as {ram: 4 GiB}",
    "manager": ", such as {timeout: 3 s}",
}


def _without_repeats(faults: list[ScenarioFault]) -> list[ScenarioFault]:
    """Return each fault once, in file order, and no more than a reader can use."""
    unique = sorted(dict.fromkeys(faults))
    if len(unique) <= _FAULTS_MAX:
        return unique
    first = unique[_FAULTS_MAX]
    more = ScenarioFault(
        first.file, first.line, first.column, f"... and {len(unique) - _FAULTS_MAX} more faults"
    )
    return [*unique[:_FAULTS_MAX], more]


# --- CSV ------------------------------------------------------------------------------------------


class _CsvError(ValueError):
    """A CSV file cannot be used; ``of_column`` tells whether its column is to blame."""

    def __init__(self, message: str, *, of_column: bool = False) -> None:
        self.of_column = of_column
        super().__init__(message)


def _column(path: FilePath, shown: str, column: str) -> list[int]:
    """Return the page counts in ``column`` of a CSV file with a header line."""
    if path.exists() and not path.is_file():
        message = f"{show(shown)} is not a file"
        raise _CsvError(message)
    try:
        with path.open("rb") as stream:
            data = stream.read(_CSV_BYTES_MAX + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        message = (
            f"{show(shown)} cannot be read: {error.strerror}; the path is relative "
            "to the scenario file"
        )
        raise _CsvError(message) from None
    except ValueError:
        message = f"{show(shown)} is not a text file in UTF-8"
        raise _CsvError(message) from None
    if len(data) > _CSV_BYTES_MAX:
        message = f"{show(shown)} is larger than {_CSV_BYTES_MAX >> 20} MiB"
        raise _CsvError(message)
    try:
        return _counts(csv.reader(io.StringIO(text)), shown, column)
    except csv.Error as error:
        message = f"{show(shown)} is no CSV file: {error}"
        raise _CsvError(message) from None


def _counts(rows: Any, shown: str, column: str) -> list[int]:
    header = [name.strip() for name in next(rows, [])]
    if column not in header:
        near = nearest(column, header)
        hint = f"; did you mean {near!r}?" if near else ""
        columns = ", ".join(header[:20]) or "none"
        message = f"{show(shown)} has no column {show(column)}; it has {columns}{hint}"
        raise _CsvError(message, of_column=True)
    index = header.index(column)
    reader = Measure(PAGES, 0, PAGES_MAX)
    counts: list[int] = []
    for row in rows:
        if not row:
            continue
        value = row[index].strip() if index < len(row) else ""
        try:
            counts.append(reader.read(value) or 0)
        except ValueError as error:
            message = f"{show(shown)}, line {rows.line_num}, column {show(column)}: {error}"
            raise _CsvError(message) from None
        if len(counts) > MEASURED_VALUES_MAX:
            message = f"{show(shown)} has more than {MEASURED_VALUES_MAX} rows"
            raise _CsvError(message)
    if not counts:
        message = f"{show(shown)} has no rows below its header"
        raise _CsvError(message)
    return counts
