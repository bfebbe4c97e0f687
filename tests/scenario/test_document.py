from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.errors import ScenarioError
from colosim.scenario.document import DOCUMENT_BYTES_MAX, Mapping, Scalar, decode, plain, read

if TYPE_CHECKING:
    from colosim.scenario.document import Node


def marks(node: Node) -> object:
    """Return each scalar of a tree as text@line:column."""
    if isinstance(node, Scalar):
        return f"{node.text}@{node.line}:{node.column}"
    if isinstance(node, Mapping):
        return {marks(entry.key): marks(entry.value) for entry in node.entries.values()}
    return [marks(item) for item in node.items]


def test_marks() -> None:
    """Each key and value knows its line and column, counted from 1."""
    root, faults = read("a: 1\nb:\n  - {c: x y, d: '2'}\n", "f")
    assert marks(root) == {
        "a@1:1": "1@1:4",
        "b@2:1": [{"c@3:6": "x y@3:9", "d@3:14": "2@3:17"}],
    }
    assert faults == []


def test_plain() -> None:
    """Only unquoted null, true and false are more than texts; no is a word and 1:30 no number."""
    root, _ = read("[null, ~, true, 'true', no, 12:30:00, 1e3, 0o7, '']", "f")
    assert plain(root) == [None, None, True, "true", "no", "12:30:00", "1e3", "0o7", ""]


def test_offset() -> None:
    """A text that stands within another is marked where it stands."""
    root, _ = read("{a: 1}", "--set", line=3, column=10)
    assert marks(root) == {"a@3:11": "1@3:14"}


def test_all_duplicate_keys_are_told() -> None:
    """A key given twice does not end the reading; the first value stays."""
    root, faults = read("a: 1\na: 2\nb: {c: 1, c: 2}\n", "f")
    assert (plain(root), [str(fault) for fault in faults]) == (
        {"a": "1", "b": {"c": "1"}},
        [
            "f:2:1: the key 'a' is given twice; it stands already at line 1",
            "f:3:11: the key 'c' is given twice; it stands already at line 3",
        ],
    )


HOSTILE = {
    "aliases by the billion": "a: &a [x, x]\n"
    + "".join(f"k{i}: &k{i} [{'*a, ' * 9}*a]\n" for i in range(50)),
    "brackets": "[" * DOCUMENT_BYTES_MAX,
    "bracket lines": "[\n" * 4_999,
    "braces": "{a: " * 4_999,
    "keys": "".join(f"k{i}: 1\n" for i in range(70_000)),
    "items": "- 1\n" * 200_000,
    "documents": "---\n" * 200_000,
    "comments": "# x\n" * 250_000,
    "dashes": "- " * 9_000,
    "indentation": "".join(f"{' ' * i}a:\n" for i in range(1_000)),
    "colons": ":" * 19_999,
    "directives": "%TAG ! x\n" * 100_000,
    "quotes": "'" * 19_999,
    "escape too large": 'a: "\\UFFFFFFFF"',
    "unknown version": "%YAML 9.9\n---\na: 1",
    "half a surrogate": 'a: "\\uD800"',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_one_fault(text: str) -> None:
    """What is made to cost time or memory is refused at its first fault."""
    with pytest.raises(ScenarioError) as caught:
        read(text[:DOCUMENT_BYTES_MAX], "f")
    assert len(caught.value.faults) == 1


def test_large_file_is_refused() -> None:
    """A file over 1 MiB is refused before it is decoded."""
    with pytest.raises(ScenarioError) as caught:
        decode(b"\xff" * (DOCUMENT_BYTES_MAX + 1), "f")
    assert str(caught.value) == (
        "f:1:1: the file is larger than 1048576 bytes (1 MiB); a scenario is smaller"
    )


def test_byte_order_mark_is_taken_off() -> None:
    """A UTF-8 byte order mark, as Windows editors write it, does no harm."""
    assert decode(b"\xef\xbb\xbfname: x", "f") == "name: x"


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Any bytes give a tree or a ScenarioError, never anything else."""
    try:
        read(decode(data, "f"), "f")
    except ScenarioError as error:
        assert error.faults  # noqa: PT017 - no error is as good


@given(st.text(alphabet="ab:-[]{}&*!|>'\"%#?,@` \n\t\\x0\u2028\ufeff", max_size=60))
def test_any_marks_of_yaml(text: str) -> None:
    """Any mixture of YAML's marks gives a tree or a ScenarioError, never anything else."""
    try:
        read(text, "f")
    except ScenarioError as error:
        assert error.faults  # noqa: PT017 - no error is as good
