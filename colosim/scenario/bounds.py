"""What a scenario expects of a run's summary: ``pause_ns.p99: < 100 ms``.

Keys are those of ``summary.json``, dotted. A key's unit follows from its first part's suffix
(``_ns``, ``_bytes``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from colosim.scenario.units import COUNT, SIZE, TIME, Kind, UnitError, nearest, parse, show

__all__ = ["VERDICTS", "Bound", "BoundError", "parse_bound"]

VERDICTS: Final = (
    "completed",
    "failed_over",
    "unprotected",
    "stopped",
    "hung",
    "split_brain",
    "violated",
)
"""Every verdict of a run, best first."""
_STATISTICS: Final = ("count", "mean", "p50", "p90", "p99", "max")
_SIDES: Final = ("primary", "secondary")
_WORDS: Final = {
    "verdict": (*VERDICTS, "not_applicable"),
    "survivor": (*_SIDES, "none"),
    "scenario": (),
    "design": (),
    "digest": (),
}
_WHOLE: Final = (
    "seed",
    "wire_bytes",
    "events",
    "guest_stopped_ns_longest",
    "monitor_deaf_ns_longest",
    "time_to_service_ns",
)
_KEYS: Final = (
    *_WORDS,
    *_WHOLE,
    *(f"checkpoints.{part}" for part in ("completed", "aborted")),
    *(f"{key}.{part}" for key in ("pause_ns", "transaction_ns", "ram_ns") for part in _STATISTICS),
    *(f"lock_hold_ns.{side}.{part}" for side in _SIDES for part in _STATISTICS),
)
_ACCOUNTS: Final = (
    "staging_buffer",
    "device_buffer",
    "ram_cache",
    "bitmap",
    "socket_buffer",
    "extra_total",
)
_ACCOUNT_KEY: Final = re.compile(r"memory_peak_bytes\.(primary|secondary)\.[a-z][a-z0-9_]*")
_RANGE: Final = re.compile(r"(?P<low>.+?)[ \t]*\.\.[ \t]*(?P<high>.+)")
_COMPARED: Final = re.compile(r"(?P<operator><=|>=|==|<|>|=)[ \t]*(?P<value>.+)")
_TEXT_CHARACTERS_MAX: Final = 200
_MOST: Final = 10**21


class BoundError(ValueError):
    """An expectation's key or bound is wrong; ``of_key`` tells which."""

    def __init__(self, message: str, *, of_key: bool) -> None:
        self.of_key = of_key
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound on one value of the summary.

    ``low`` and ``high`` are in the key's base unit and None where open; ``word`` is set instead for
    texts; ``absent`` means that there must be no value at all.
    """

    text: str
    low: int | None = None
    high: int | None = None
    low_open: bool = False
    high_open: bool = False
    word: str | None = None
    absent: bool = False

    def holds(self, value: float | str | None) -> bool:
        """Tell whether ``value`` (None: not there) keeps within the bound."""
        if self.absent:
            return value is None
        if self.word is not None:
            return ("none" if value is None else value) == self.word
        if value is None or isinstance(value, str):
            return False
        if self.low is not None and (value < self.low or (self.low_open and value == self.low)):
            return False
        return self.high is None or not (
            value > self.high or (self.high_open and value == self.high)
        )

    def __str__(self) -> str:
        """Return the bound as the scenario states it."""
        return self.text


def parse_bound(key: str, text: str) -> Bound:
    """Read the bound that a scenario states for a dotted key of the summary.

    :raises BoundError: if the summary has no such key, or the bound is no bound of the key's kind.
    """
    _check_key(key)
    stated = " ".join(text.split())
    if not stated or len(stated) > _TEXT_CHARACTERS_MAX:
        message = f"{show(text)} is no bound; expected such as '< 100 ms', '>= 3' or '1 ms .. 5 ms'"
        raise BoundError(message, of_key=False)
    if key in _WORDS:
        return _word(key, stated)
    if stated == "absent":
        if key != "time_to_service_ns":
            message = f"'absent' is only for time_to_service_ns; {key} is always there"
            raise BoundError(message, of_key=False)
        return Bound(stated, absent=True)
    kind = _kind(key)
    if match := _COMPARED.fullmatch(stated):
        return _compared(match["operator"], _value(match["value"], kind), stated)
    if match := _RANGE.fullmatch(stated):
        low, high = _value(match["low"], kind), _value(match["high"], kind)
        if low > high:
            message = f"{show(stated)} is an empty range; the lower end comes first"
            raise BoundError(message, of_key=False)
        return Bound(stated, low=low, high=high)
    value = _value(stated, kind)
    return Bound(stated, low=value, high=value)


def _compared(operator: str, value: int, text: str) -> Bound:
    if operator in {"<", "<="}:
        return Bound(text, high=value, high_open=operator == "<")
    if operator in {">", ">="}:
        return Bound(text, low=value, low_open=operator == ">")
    return Bound(text, low=value, high=value)


def _check_key(key: str) -> None:
    if key in _KEYS or _ACCOUNT_KEY.fullmatch(key):
        return
    accounts = [f"memory_peak_bytes.{side}.{account}" for side in _SIDES for account in _ACCOUNTS]
    known = [*_KEYS, *accounts]
    inner = [name for name in known if name.startswith(f"{key}.")]
    near = nearest(key, known)
    top = nearest(key.partition(".")[0], dict.fromkeys(name.partition(".")[0] for name in known))
    if top is not None and (near is None or not near.startswith(top)):
        near = next(name for name in known if name.partition(".")[0] == top)
    if inner:
        hint = f"it has parts, such as {inner[0]!r}"
    elif near:
        hint = f"did you mean {near!r}?"
    else:
        hint = "such are verdict, survivor, pause_ns.p99"
    message = f"{show(key)} is not a key of summary.json; {hint}"
    raise BoundError(message, of_key=True)


def _kind(key: str) -> Kind:
    if key.endswith((".count", ".completed", ".aborted")):
        return COUNT
    parts = key.partition(".")[0].split("_")
    if "ns" in parts:
        return TIME
    return SIZE if "bytes" in parts else COUNT


def _value(text: str, kind: Kind) -> int:
    text = text.strip()
    try:
        # A bare number is in the unit that the key itself names.
        value = parse(text, COUNT if text.isdecimal() else kind)
    except UnitError as error:
        raise BoundError(str(error), of_key=False) from None
    if not 0 <= value <= _MOST:
        message = f"{show(text)} is out of range; expected {kind.expected} that a run can reach"
        raise BoundError(message, of_key=False)
    return value


def _word(key: str, stated: str) -> Bound:
    match = _COMPARED.fullmatch(stated)
    word = stated
    if match:
        if match["operator"] not in {"=", "=="}:
            message = f"{show(stated)}: {key} is a word and has no order; state it bare"
            raise BoundError(message, of_key=False)
        word = match["value"]
    words = _WORDS[key]
    if words and word not in words:
        near = nearest(word.replace("-", "_").replace(" ", "_"), words)
        hint = f"; did you mean {near!r}?" if near else ""
        message = f"{show(word)} is no {key}; expected {', '.join(words)}{hint}"
        raise BoundError(message, of_key=False)
    return Bound(stated, word=word)
