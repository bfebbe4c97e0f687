"""What a scenario expects of a run's summary: ``pause_ns.p99: < 100 ms``.

Keys are those of ``summary.json``, dotted (`colosim.trace.fields.SUMMARY`).
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from colosim.errors import ColosimError
from colosim.scenario.document import Mapping, Scalar, marked
from colosim.scenario.fields import MarkedReader, reject
from colosim.scenario.units import (
    COUNT,
    SHARE,
    SIZE,
    TIME,
    Kind,
    UnitError,
    meant,
    nearest,
    parse,
    show,
)
from colosim.trace.fields import (
    BYTES,
    NS,
    NUMBER,
    PPM,
    SENTENCE,
    STANDS_FOR,
    SUMMARY_KEYS,
    WORD,
    YES_NO,
    Field,
)
from colosim.trace.steps import misspelt

if TYPE_CHECKING:
    from colosim.scenario.checks import Path
    from colosim.scenario.document import Node
    from colosim.scenario.fields import Report

    _Tests = tuple[tuple[str, int | str | None], ...]

_KINDS: Final = {NS: TIME, BYTES: SIZE, NUMBER: COUNT, PPM: SHARE}
_OLD: Final = {
    "time_to_service_ns": "time_to_guest_ns (until a guest runs again) or, of a client that is "
    "answered again, time_to_client_ns"
}
"""What keys are called now."""
_BOUNDED: Final = {key: field for key, field in SUMMARY_KEYS.items() if field.unit != SENTENCE}
_ACCOUNT_KEY: Final = re.compile(r"memory_peak_bytes\.(primary|secondary)\.[a-z][a-z0-9_]*")
_RANGE: Final = re.compile(r"(?P<low>.+?)[ \t]*\.\.[ \t]*(?P<high>.+)")
_COMPARED: Final = re.compile(r"(?P<operator><=|>=|==|<|>|=)[ \t]*(?P<value>.+)")
_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
}
_SUCH_AS: Final = "such as '< 100 ms', '>= 3' or '1 ms .. 5 ms'"
_TEXT_CHARACTERS_MAX: Final = 200
_MOST: Final = 10**21


class BoundError(ColosimError):
    """An expectation's key or bound is wrong; ``of_key`` tells which."""

    def __init__(self, message: str, *, of_key: bool = False) -> None:
        self.of_key = of_key
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound on one value of the summary: `tests` has operators, each with what it compares to.

    Numbers are in the base unit of `key`; None is no value at all.
    """

    text: str
    tests: _Tests
    key: str

    def holds(self, value: float | str | None) -> bool:
        """Tell whether ``value`` (None: not there) keeps within the bound."""
        if value is None:
            return self.tests in {(("==", None),), (("==", "none"),)}
        return all(_OPERATORS[sign](value, bound) for sign, bound in self.tests)

    def missed_by(self, value: float | str | None) -> float:
        """Return by what share of it a value misses the bound: 0 if it does not."""
        if self.holds(value):
            return 0.0
        if not isinstance(value, int):
            return math.inf
        limit = next(bound for sign, bound in self.tests if not _OPERATORS[sign](value, bound))
        return abs(value - limit) / max(1, abs(limit)) if isinstance(limit, int) else math.inf

    def cost(self, value: float | str | None) -> float:
        """Return a number that is less the better a value is; of words, what keeps the bound."""
        sign = self.tests[0][0]
        if isinstance(value, (int, float)) and sign[0] in "<>":
            return value if sign.startswith("<") else -value
        return self.missed_by(value)

    def __str__(self) -> str:
        """Return the bound as the scenario states it."""
        return self.text


def parse_bound(key: str, text: str) -> Bound:
    """Read the bound that a scenario states for a dotted key of the summary.

    :raises BoundError: if the summary has no such key, or the bound is no bound of the key's kind.
    """
    field = _field(key)
    stated = " ".join(text.split())
    if not stated or len(stated) > _TEXT_CHARACTERS_MAX:
        raise BoundError(f"{show(text)} is no bound; expected {_SUCH_AS}")
    return Bound(stated, _tests(field, key, stated), key)


def read_bound(text: str) -> Bound:
    """Read a key and its bound, such as ``pause_ns.p99 < 50 ms``.

    :raises BoundError: if it is none.
    """
    key, _, bound = text.strip().partition(" ")
    return parse_bound(key, bound)


def _tests(field: Field, key: str, stated: str) -> _Tests:
    if field.unit in {WORD, YES_NO}:
        return _word(field, stated)
    if stated == "absent":
        if not field.absent:
            may_be = [f.name for f in SUMMARY_KEYS.values() if f.absent and f.unit in _KINDS]
            raise BoundError(f"'absent' is only for {', '.join(may_be)}; {key} is always there")
        return (("==", None),)
    kind = COUNT if key.endswith(".count") else _KINDS[field.unit]
    if match := _COMPARED.fullmatch(stated):
        return ((match["operator"], _value(match["value"], kind)),)
    match = _RANGE.fullmatch(stated)
    if not match:
        return (("==", _value(stated, kind)),)
    low, high = (_value(end, kind) for end in match.groups())
    if low > high:
        raise BoundError(f"{show(stated)} is an empty range; the lower end comes first")
    return (">=", low), ("<=", high)


def _field(key: str) -> Field:
    """Return what a dotted key of the summary is; a design may have accounts of its own."""
    if key in _BOUNDED:
        return _BOUNDED[key]
    holder, _, account = key.rpartition(".")
    if _ACCOUNT_KEY.fullmatch(key) and not misspelt(account, STANDS_FOR["ACCOUNT"]):
        return _BOUNDED[f"{holder}.extra_total"]
    if key in SUMMARY_KEYS:
        raise BoundError(f"{show(key)} is a sentence; bound the verdict instead", of_key=True)
    if key in _OLD:
        raise BoundError(f"{show(key)} is now {_OLD[key]}", of_key=True)
    inner = next((name for name in _BOUNDED if name.startswith(f"{key}.")), None)
    near = nearest(key, _BOUNDED)
    tops = dict.fromkeys(name.partition(".")[0] for name in _BOUNDED)
    top = nearest(key.partition(".")[0], tops)
    if top is not None and (near is None or not near.startswith(top)):
        near = next(name for name in _BOUNDED if name.partition(".")[0] == top)
    hint = f"did you mean {near!r}?" if near else "such are verdict, survivor, pause_ns.p99"
    if inner:
        hint = f"it has parts, such as {inner!r}"
    raise BoundError(f"{show(key)} is not a key of summary.json; {hint}", of_key=True)


def _value(text: str, kind: Kind) -> int:
    text = text.strip()
    try:
        # A bare number is in the unit that the key itself names.
        value = parse(text, COUNT if text.isdecimal() else kind)
    except UnitError as error:
        raise BoundError(str(error)) from None
    if not 0 <= value <= _MOST:
        out = f"{show(text)} is out of range"
        raise BoundError(f"{out}; expected {kind.expected} that a run can reach")
    return value


def _word(field: Field, stated: str) -> _Tests:
    match = _COMPARED.fullmatch(stated)
    if match and match["operator"] not in {"=", "=="}:
        raise BoundError(f"{show(stated)}: {field.name} is a word and has no order; state it bare")
    word = match["value"] if match else stated
    words = (*field.words, *(("none",) if field.absent else ()))
    if words and word not in words:
        hint = meant(word.replace("-", "_").replace(" ", "_"), words)
        raise BoundError(f"{show(word)} is no {field.name}; expected {', '.join(words)}{hint}")
    return (("==", word == "true" if field.unit == YES_NO else word),)


class Expectations(MarkedReader):
    """Reads ``expect:``, bounds by key by design."""

    def read(self, value: object) -> dict[str, dict[str, Bound]]:
        """Return the bounds of a mapping of Python."""
        faults: list[str] = []
        node = marked(value, "")
        read = self.read_marked(node, (), node, lambda _path, _at, fault: faults.append(fault))
        if faults:
            raise reject("; ".join(faults))
        return read

    def read_marked(
        self, node: Node, path: Path, at: Node, report: Report
    ) -> dict[str, dict[str, Bound]]:
        """Return the bounds of a document, without those that are wrong."""
        if not isinstance(node, Mapping):
            report(
                path, at, "expect: expected a mapping of designs, such as {split: {verdict: hung}}"
            )
            return {}
        read: dict[str, dict[str, Bound]] = {}
        for design, entry in node.entries.items():
            read[design] = {}
            if not isinstance(entry.value, Mapping):
                such_as = "such as {verdict: hung, pause_ns.p99: < 100 ms}"
                report((*path, design), entry.place, f"expected a mapping {such_as}")
                continue
            for key, bound in entry.value.entries.items():
                here, text = (*path, design, key), bound.value
                if not isinstance(text, Scalar) or text.is_null:
                    report(here, bound.place, f"{show(key)}: expected a bound {_SUCH_AS}")
                    continue
                try:
                    read[design][key] = parse_bound(key, text.text)
                except BoundError as error:
                    of_key = error.of_key
                    at = bound.key if of_key else bound.place
                    report(here, at, str(error) if of_key else f"{key}: {error}")
        return read

    def text(self, value: dict[str, dict[str, Bound]]) -> dict[str, dict[str, str]]:
        """Return the bounds as they were stated."""
        return {
            design: {key: bound.text for key, bound in stated.items()}
            for design, stated in value.items()
        }

    def json_schema(self) -> dict[str, Any]:
        """Return a mapping of mappings."""
        examples = ["< 100 ms", "<= 5 MiB", ">= 3", "1 ms .. 5 ms", "hung"]
        bound = {"type": ["string", "integer"], "examples": examples}
        keys = {"anyOf": [{"enum": [*_BOUNDED]}, {"pattern": f"^{_ACCOUNT_KEY.pattern}$"}]}
        bounds = {"type": "object", "propertyNames": keys, "additionalProperties": bound}
        return {"type": "object", "additionalProperties": bounds}
