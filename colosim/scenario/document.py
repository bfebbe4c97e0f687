"""YAML text to a tree of marked nodes, within bounds.

The reader works on ruamel.yaml's events (YAML 1.2) and stops at the first thing that a scenario
never needs: a second document, a tag, an anchor or alias (so no bomb is ever expanded and no loop
ever closed), a key given twice, nesting or size beyond a limit. Scalars stay text: what a text
means is decided by the field it stands in.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from colosim.errors import ScenarioError, ScenarioFault
from colosim.scenario.units import show

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TypeAlias

DOCUMENT_BYTES_MAX: Final = 1 << 20
"""Largest scenario file that is read: 1 MiB."""
_NODES_MAX: Final = 10_000
_DEPTH_MAX: Final = 20
_LINE_CHARACTERS_MAX: Final = 20_000
_FLOW_OPEN_MAX: Final = 5_000
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_HINTS: Final = (
    ("scanning a block scalar", "; put a bound that begins with '>' in quotes"),
    ("found character '>'", "; put a bound that begins with '>' in quotes"),
    ("scanning an alias", "; put a '*' that stands for every design in quotes"),
    ("'\\t'", "; indent with spaces"),
)
_BOOLEANS: Final = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True, slots=True)
class _Marked:
    """Something with its place (1-based)."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Scalar(_Marked):
    """A text; ``quoted`` tells ``"null"`` from ``null``."""

    text: str
    quoted: bool = False

    @property
    def is_null(self) -> bool:
        """Whether nothing, or YAML's null, stands here."""
        return not self.quoted and self.text in _NULLS


@dataclass(frozen=True, slots=True)
class Sequence(_Marked):
    """A list."""

    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and its value."""

    key: Scalar
    value: Node

    @property
    def place(self) -> Node:
        """What to point at: the value, or its key where it has no text of its own."""
        value = self.value
        empty = isinstance(value, Scalar) and not value.text and not value.quoted
        return self.key if empty else value


@dataclass(frozen=True, slots=True)
class Mapping(_Marked):
    """A mapping; keys are texts, each there once."""

    entries: dict[str, Entry] = field(default_factory=dict)


Node: TypeAlias = "Scalar | Sequence | Mapping"
_BEGINS: Final = (ScalarEvent, MappingStartEvent, SequenceStartEvent, AliasEvent)


def decode(data: bytes, file: str) -> str:
    """Return the text of a scenario file.

    :raises ScenarioError: if it is over 1 MiB or not UTF-8.
    """
    if len(data) > DOCUMENT_BYTES_MAX:
        larger = f"the file is larger than {DOCUMENT_BYTES_MAX} bytes (1 MiB)"
        raise _error(file, 1, 1, f"{larger}; a scenario is smaller")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _error(file, 1, 1, "the file is UTF-16; expected UTF-8 text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        message = f"byte 0x{data[error.start]:02x} is not UTF-8 text; expected a YAML file in UTF-8"
        raise _error(file, line, column, message) from None


def text_of_file(path: Path, *, what: str = "file") -> str:
    """Return the text of a scenario file, or of another document of its kind.

    ``what`` it is called where it cannot be read.

    :raises ScenarioError: if it cannot be read, or `decode` refuses it.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(DOCUMENT_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _error(str(path), 1, 1, f"the {what} cannot be read: {reason}") from None
    return decode(data, str(path))


def read(
    text: str, file: str, *, line: int = 1, column: int = 1
) -> tuple[Node, list[ScenarioFault]]:
    """Read one YAML document into marked nodes.

    The text's first character stands at ``line``, ``column``. Beside the tree stand the faults
    that reading could go on from: a key given twice, a tag.

    :raises ScenarioError: if the text is no YAML, empty, or goes beyond what a scenario may hold.
    """
    if len(text) > DOCUMENT_BYTES_MAX or len(text.encode("utf-8", "replace")) > DOCUMENT_BYTES_MAX:
        larger = f"the text is larger than {DOCUMENT_BYTES_MAX} bytes (1 MiB)"
        raise _error(file, line, column, larger)
    _refuse_by_sight(text, file, line, column)
    builder = _Builder(file, line - 1, column - 1)
    root = builder.document(text)
    return root, builder.faults


def _refuse_by_sight(text: str, file: str, line: int, column: int) -> None:
    """Refuse what would cost the YAML scanner much time, before it starts."""
    for number, content in enumerate(text.split("\n"), start=line):
        if len(content) > _LINE_CHARACTERS_MAX:
            longer = f"the line is longer than {_LINE_CHARACTERS_MAX} characters"
            raise _error(file, number, column, longer)
    if text.count("[") + text.count("{") > _FLOW_OPEN_MAX:
        more = f"more than {_FLOW_OPEN_MAX} brackets and braces; a scenario needs fewer"
        raise _error(file, line, column, more)
    if not text.strip():
        empty = "the file is empty; expected a scenario, at least 'name: NAME'"
        raise _error(file, line, column, empty)


def _error(file: str, line: int, column: int, message: str) -> ScenarioError:
    return ScenarioError([ScenarioFault(file, line, column, message)])


class _Builder:
    """Builds the node tree from events, counting as it goes."""

    def __init__(self, file: str, line_offset: int, column_offset: int) -> None:
        self._file = file
        self._line_offset = line_offset
        self._column_offset = column_offset
        self._nodes = 0
        self._depth = 0
        self.faults: list[ScenarioFault] = []

    def document(self, text: str) -> Node:
        """Return the one document of ``text``."""
        reader = YAML(typ="safe", pure=True)
        try:
            return self._document(iter(reader.parse(text)), text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = self._place(mark.line, mark.column) if mark is not None else self._place(0, 0)
            said = " ".join(str(part) for part in (error.context, error.problem) if part)
            hint = next((hint for words, hint in _HINTS if words in said), "")
            raise _error(self._file, *where, f"not YAML: {_plain_words(said)}{hint}") from None
        except ReaderError as error:
            before = text[: error.position]
            where = self._place(before.count("\n"), len(before.rpartition("\n")[2]))
            message = f"the character U+{_code(error.character):04X} is not allowed in YAML"
            raise _error(self._file, *where, message) from None
        except ScenarioError:
            raise
        except Exception as error:  # noqa: BLE001 - malformed escapes and directives fail in a dozen ways in the scanner
            said = _plain_words(str(error).splitlines()[0] if str(error) else type(error).__name__)
            raise _error(self._file, *self._place(0, 0), f"not YAML: {said}") from None

    def _document(self, events: Iterator[Event], text: str) -> Node:
        root: Node | None = None
        for event in events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    self._refuse(event, "a second YAML document begins; a scenario is one document")
                if event.version not in {None, (1, 2)}:
                    stated = ".".join(map(str, event.version))
                    where = self._place(f"\n{text}".partition("\n%YAML")[0].count("\n"), 0)
                    what = f"'%YAML {stated}' is asked for; a scenario is YAML 1.2"
                    raise _error(self._file, *where, what)
            if isinstance(event, _BEGINS):
                root = self._node(event, events)
        if root is None:
            raise _error(self._file, *self._place(0, 0), "the file is empty; expected a scenario")
        return root

    def _node(self, event: Event, events: Iterator[Event]) -> Node:
        self._check(event)
        line, column = self._place(event.start_mark.line, event.start_mark.column)
        if isinstance(event, ScalarEvent):
            return Scalar(self._file, line, column, event.value, event.style is not None)
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            self._refuse(event, f"nested deeper than {_DEPTH_MAX} levels; a scenario needs fewer")
        node: Node
        if isinstance(event, MappingStartEvent):
            node = Mapping(self._file, line, column)
            self._fill_mapping(node, events)
        else:
            node = Sequence(self._file, line, column)
            for child in events:
                if isinstance(child, SequenceEndEvent):
                    break
                node.items.append(self._node(child, events))
        self._depth -= 1
        return node

    def _fill_mapping(self, node: Mapping, events: Iterator[Event]) -> None:
        for event in events:
            if isinstance(event, MappingEndEvent):
                return
            if not isinstance(event, (ScalarEvent, AliasEvent)):
                self._refuse(event, "a key is a list or a mapping; expected a plain word")
            key = self._node(event, events)
            assert isinstance(key, Scalar)  # noqa: S101 - an alias was refused in _node
            if key.is_null or key.text == "<<":
                self._refuse(event, f"{show(key.text or 'null')} is no key; expected a word")
            value = self._node(next(events), events)
            if key.text in node.entries:
                first = node.entries[key.text].key
                twice = f"the key {show(key.text)} is given twice"
                self._note(event, f"{twice}; it stands already at line {first.line}")
            else:
                node.entries[key.text] = Entry(key, value)

    def _check(self, event: Event) -> None:
        self._nodes += 1
        if self._nodes > _NODES_MAX:
            self._refuse(event, f"more than {_NODES_MAX} keys and values; a scenario needs fewer")
        anchor = getattr(event, "anchor", None)
        if isinstance(event, AliasEvent):
            used = f"the alias {show(f'*{anchor}')} is used"
            self._refuse(event, f"{used}; write the value out, or quote the '*'")
        if anchor is not None:
            used = f"the anchor {show(f'&{anchor}')} is used"
            self._refuse(event, f"{used}; write the value out each time")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._note(event, f"the tag {show(tag)} is used; scenarios have no tags")
        if isinstance(event, ScalarEvent) and any("\ud800" <= c <= "\udfff" for c in event.value):
            self._refuse(event, "half of a surrogate pair is no character")

    def _place(self, line: int, column: int) -> tuple[int, int]:
        offset = self._column_offset if line == 0 else 0
        return line + self._line_offset + 1, column + offset + 1

    def _note(self, event: Event, message: str) -> None:
        """Record a fault that reading can go on from."""
        place = self._place(event.start_mark.line, event.start_mark.column)
        self.faults.append(ScenarioFault(self._file, *place, message))

    def _refuse(self, event: Event, message: str) -> NoReturn:
        """Stop at a fault, with those noted before it."""
        self._note(event, message)
        raise ScenarioError(self.faults)


def _code(character: object) -> int:
    return character if isinstance(character, int) else ord(str(character)[0])


def _plain_words(said: str) -> str:
    text = " ".join(said.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)[:200]


def plain(node: Node) -> object:
    """Return ``node`` as dicts, lists and texts; True, False and None where they stand unquoted."""
    if isinstance(node, Mapping):
        return {key: plain(entry.value) for key, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    if node.is_null:
        return None
    if not node.quoted and node.text in _BOOLEANS:
        return _BOOLEANS[node.text]
    return node.text


def place(root: Mapping, paths: Iterable[tuple[str | int, ...]]) -> Node:
    """Return where the first of ``paths`` stands that is there; else the nearest key above it."""
    nearest: Node | None = None
    for path in paths:
        node: Node = root
        above: Node = root
        for part in path:
            if isinstance(node, Mapping) and part in node.entries:
                entry = node.entries[str(part)]
                node, above, exact = entry.value, entry.key, entry.place
            elif isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
                node = above = exact = node.items[part]
            else:
                break
        else:
            return exact
        nearest = nearest or above
    return nearest or root


def marked(value: object, file: str, line: int = 1) -> Node:
    """Return the nodes of which `plain` makes ``value``, all at one place."""
    if isinstance(value, dict):
        entries = {
            key: Entry(Scalar(file, line, 1, key), marked(item, file, line))
            for key, item in value.items()
        }
        return Mapping(file, line, 1, entries)
    if isinstance(value, (list, tuple)):
        return Sequence(file, line, 1, [marked(item, file, line) for item in value])
    if value is None:
        return Scalar(file, line, 1, "null")
    if isinstance(value, bool):
        return Scalar(file, line, 1, str(value).lower())
    text = value if isinstance(value, str) else str(value)  # an own preset's name stays one
    return Scalar(file, line, 1, text, quoted=True)
