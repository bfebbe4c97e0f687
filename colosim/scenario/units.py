"""Quantities with units, read exactly: ``4 GiB``, ``10 Gbit/s``, ``200 ms``, ``0.27 ns/B``.

A quantity is a decimal number and one unit of a closed table. It is computed with `Fraction` and
must come out as a whole number of the kind's base unit (nanoseconds, bytes, pages, ...): nothing is
ever rounded. Units that people read in two ways (KB, MB, Mb/s) are refused, and the two readings
are named.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "BANDWIDTH",
    "COUNT",
    "DIRTY_RATE",
    "FACTOR",
    "FAULT_RATE",
    "KINDS",
    "PAGES",
    "PAGE_BYTES",
    "PER_BYTE",
    "PER_CHUNK",
    "PER_GIB",
    "PER_PAGE",
    "SHARE",
    "SIZE",
    "S_PER_GIGADAY",
    "TIME",
    "WORKING_SET",
    "Kind",
    "UnitError",
    "decimal_text",
    "nearest",
    "number",
    "parse",
    "show",
    "text_of",
]

PAGE_BYTES: Final = 4096
"""A page of guest RAM, as QEMU's TARGET_PAGE_SIZE on x86."""

_NUMBER_CHARACTERS_MAX: Final = 40
_EXPONENT_MAX: Final = 30
_SHOWN_CHARACTERS_MAX: Final = 60
_LIKENESS_MIN: Final = 0.6
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?\.?(inf|nan|infinity)\b", re.ASCII | re.IGNORECASE)
_BASED = re.compile(r"[+-]?0[xob][0-9a-f]", re.ASCII | re.IGNORECASE)
_SPLIT = re.compile(
    r"(?P<number>[+-]?[0-9.][0-9.,_]*(?:[eE][+-]?[0-9]+)?)[ \t]*(?P<unit>[^ \t].*)?", re.ASCII
)

_TIME_NS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
}
_SIZE_BYTES: Final = {
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
    "PiB": 1 << 50,
}
_DECIMAL_BYTES: Final = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BITS: Final = {"bit": 1, "kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9, "Tbit": 10**12}

_AMBIGUOUS_SIZE: Final = {
    "K": "KiB", "k": "KiB", "KB": "KiB", "kB": "KiB", "kb": "KiB", "Kb": "KiB",
    "M": "MiB", "MB": "MiB", "mb": "MiB", "Mb": "MiB",
    "G": "GiB", "GB": "GiB", "gb": "GiB", "Gb": "GiB",
    "T": "TiB", "TB": "TiB", "tb": "TiB", "Tb": "TiB",
    "P": "PiB", "PB": "PiB", "pb": "PiB", "Pb": "PiB",
}  # fmt: skip
_AMBIGUOUS_RATE: Final = {
    "b/s": "bit/s' or 'B/s",
    "bps": "bit/s' or 'B/s",
    "Kb/s": "kbit/s' or 'KiB/s",
    "kb/s": "kbit/s' or 'KiB/s",
    "kbps": "kbit/s' or 'KiB/s",
    "Kbps": "kbit/s' or 'KiB/s",
    "KB/s": "kB/s' (1000) or 'KiB/s' (1024",
    "Mb/s": "Mbit/s' or 'MiB/s",
    "mb/s": "Mbit/s' or 'MiB/s",
    "Mbps": "Mbit/s' or 'MiB/s",
    "mbps": "Mbit/s' or 'MiB/s",
    "MBps": "MB/s' or 'MiB/s",
    "Gb/s": "Gbit/s' or 'GiB/s",
    "gb/s": "Gbit/s' or 'GiB/s",
    "Gbps": "Gbit/s' or 'GiB/s",
    "gbps": "Gbit/s' or 'GiB/s",
    "GBps": "GB/s' or 'GiB/s",
}

_COMMON_NAMES: Final = {
    "msec": "ms",
    "millis": "ms",
    "milliseconds": "ms",
    "millisecond": "ms",
    "usec": "us",
    "microseconds": "us",
    "nsec": "ns",
    "nanoseconds": "ns",
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "m": "min",
    "mins": "min",
    "minute": "min",
    "minutes": "min",
    "hour": "h",
    "hours": "h",
    "hr": "h",
    "byte": "B",
    "bytes": "B",
    "page": "pages",
    "pages": "pages",
}


class UnitError(ValueError):
    """A text is not a quantity of the kind that was wanted; the message says what was expected."""


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One kind of quantity: its base unit, and what each unit is worth in it.

    ``units`` maps a unit to its exact worth in ``base`` units. ``bare`` is what a number without a
    unit is worth, or None where a unit is required. ``shown`` are the units named in messages and
    used by `text_of`, small to large.
    """

    name: str
    base: str
    units: Mapping[str, Fraction]
    shown: tuple[str, ...]
    example: str
    bare: Fraction | None = None
    ambiguous: Mapping[str, str] | None = None

    @property
    def expected(self) -> str:
        """What a message says was expected."""
        names = (
            ", ".join(self.shown[:-1]) + " or " + self.shown[-1]
            if len(self.shown) > 1
            else "".join(self.shown)
        )
        if self.bare is not None and not self.shown:
            return self.name
        if self.bare is not None:
            return f"{self.name}, with or without the unit {names}"
        return f"{self.name} in {names}"

    @property
    def pattern(self) -> str:
        """Regular expression (ECMA dialect, for JSON Schema) of the texts of this kind."""
        units = "|".join(
            re.escape(unit).replace("/", "\\/")
            for unit in sorted(self.units, key=lambda u: (-len(u), u))
        )
        optional = "?" if self.bare is not None else ""
        number = r"\+?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?"
        return f"^{number}$" if not units else f"^{number}[ \\t]*({units}){optional}$"


def _table(worth: Mapping[str, int | Fraction]) -> Mapping[str, Fraction]:
    return MappingProxyType({unit: Fraction(value) for unit, value in worth.items()})


def _per(suffix: str, scale: int | Fraction) -> Mapping[str, Fraction]:
    """Times per something: ``ns/page`` is worth ``scale`` base units."""
    short = {
        unit: value
        for unit, value in _TIME_NS.items()
        if unit in {"ns", "us", "µs", "μs", "ms", "s"}
    }
    table = {f"{unit}/{suffix}": value * Fraction(scale) for unit, value in short.items()}
    table[f"ps/{suffix}"] = Fraction(scale) / 1000
    return MappingProxyType(table)


TIME: Final = Kind("a time", "ns", _table(_TIME_NS), ("ns", "us", "ms", "s", "min", "h"), "200 ms")
SIZE: Final = Kind(
    "a size",
    "B",
    _table(_SIZE_BYTES),
    ("B", "KiB", "MiB", "GiB", "TiB", "PiB"),
    "4 MiB",
    ambiguous=_AMBIGUOUS_SIZE,
)
BANDWIDTH: Final = Kind(
    "a bandwidth",
    "B/s",
    _table(
        {f"{unit}/s": Fraction(value, 8) for unit, value in _BITS.items()}
        | {
            f"{unit}/s": Fraction(value)
            for unit, value in (_SIZE_BYTES | _DECIMAL_BYTES).items()
            if unit != "PiB"
        }
    ),
    ("B/s", "KiB/s", "MiB/s", "GiB/s", "bit/s", "kbit/s", "Mbit/s", "Gbit/s"),
    "10 Gbit/s",
    ambiguous=_AMBIGUOUS_RATE,
)
PAGES: Final = Kind(
    "a number of pages",
    "pages",
    _table({"pages": 1, "page": 1}),
    ("pages",),
    "16384 pages",
    Fraction(1),
)
WORKING_SET: Final = Kind(
    "a number of pages or a size",
    "pages",
    _table(
        {"pages": 1, "page": 1}
        | {unit: Fraction(value, PAGE_BYTES) for unit, value in _SIZE_BYTES.items() if unit != "B"}
    ),
    ("pages", "KiB", "MiB", "GiB"),
    "96 MiB",
    ambiguous=_AMBIGUOUS_SIZE,
)
DIRTY_RATE: Final = Kind(
    "a rate of page writes",
    "pages/s",
    _table({"pages/s": 1, "page/s": 1}),
    ("pages/s",),
    "50000 pages/s",
)
S_PER_GIGADAY: Final = 86_400 * 10**9
"""Seconds in 10**9 days: what a rate of one a second is worth."""
FAULT_RATE: Final = Kind(
    "a rate of faults",
    "faults in 10^9 days",
    _table(
        {
            "/s": S_PER_GIGADAY,
            "/min": S_PER_GIGADAY // 60,
            "/h": S_PER_GIGADAY // 3600,
            "/day": 10**9,
        }
    ),
    ("/day", "/h", "/min", "/s"),
    "2 /h",
)
COUNT: Final = Kind("a whole number", "", MappingProxyType({}), (), "20", Fraction(1))
SHARE: Final = Kind(
    "a share from 0 to 1", "ppm", _table({"%": 10_000}), ("%",), "10%", Fraction(10**6)
)
FACTOR: Final = Kind("a factor", "ppm", _table({"%": 10_000}), ("%",), "0.5", Fraction(10**6))
PER_PAGE: Final = Kind(
    "a time a page", "ps/page", _per("page", 1000), ("ps/page", "ns/page", "us/page"), "190 ns/page"
)
PER_BYTE: Final = Kind("a time a byte", "fs/B", _per("B", 10**6), ("ps/B", "ns/B"), "0.27 ns/B")
PER_GIB: Final = Kind(
    "a time a GiB", "ns/GiB", _per("GiB", 1), ("ns/GiB", "us/GiB", "ms/GiB"), "40 us/GiB"
)
PER_CHUNK: Final = Kind(
    "a time a chunk", "ps/chunk", _per("chunk", 1000), ("ps/chunk", "ns/chunk"), "2 ns/chunk"
)

KINDS: Final = (
    TIME,
    SIZE,
    BANDWIDTH,
    PAGES,
    WORKING_SET,
    DIRTY_RATE,
    FAULT_RATE,
    COUNT,
    SHARE,
    FACTOR,
    PER_PAGE,
    PER_BYTE,
    PER_GIB,
    PER_CHUNK,
)
"""Every kind of quantity that a scenario knows."""


def show(value: object) -> str:
    """Quote an offending value for a message, shortened, with nothing unprintable in it."""
    text = str(value)
    if len(text) > _SHOWN_CHARACTERS_MAX:
        text = f"{text[:_SHOWN_CHARACTERS_MAX]}..."
    return "'" + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text) + "'"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like ``word``, or None; equal but for case and spaces wins."""
    words = list(known)
    word = word[:_SHOWN_CHARACTERS_MAX]
    folded = word.casefold().replace(" ", "")
    for candidate in words:
        if candidate.casefold() == folded:
            return candidate
    matches = difflib.get_close_matches(word, words, n=1, cutoff=_LIKENESS_MIN)
    if not matches:
        lower = {candidate.casefold(): candidate for candidate in reversed(words)}
        matches = [
            lower[match]
            for match in difflib.get_close_matches(folded, list(lower), n=1, cutoff=_LIKENESS_MIN)
        ]
    return matches[0] if matches else None


def number(text: str) -> Fraction:
    """Read a decimal number exactly.

    :raises UnitError: if it is no decimal number, or one too long or with too large an exponent to
        be meant.
    """
    if _NOT_FINITE.match(text):
        message = f"{show(text)} is not a finite number"
        raise UnitError(message)
    if not _NUMBER.fullmatch(text):
        hint = "; write digits without separators" if re.fullmatch(r"[0-9][0-9,_.]*", text) else ""
        message = f"{show(text)} is not a number{hint}"
        raise UnitError(message)
    mantissa, _, exponent = text.lower().partition("e")
    if (
        len(mantissa) > _NUMBER_CHARACTERS_MAX
        or len(exponent) > len("+99")
        or abs(int(exponent or 0)) > _EXPONENT_MAX
    ):
        message = (
            f"{show(text)} is out of all proportion (at most "
            f"{_NUMBER_CHARACTERS_MAX} digits, exponent up to 30)"
        )
        raise UnitError(message)
    return Fraction(text)


def parse(text: str, kind: Kind) -> int:
    """Read ``text`` as a whole number of ``kind.base``, exactly.

    :raises UnitError: if it is no number, has no unit, an unknown or an ambiguous one, or is not
        whole in the base unit.
    """
    text = text.strip(" \t")
    based = _NOT_FINITE.match(text) or _BASED.match(text)
    match = None if based else _SPLIT.fullmatch(text)
    if match is None:
        if _NOT_FINITE.match(text):
            message = (
                f"{show(text)} is not a finite number; expected {kind.expected}, "
                f"such as {kind.example!r}"
            )
        else:
            message = (
                f"{show(text)} is not a quantity; expected {kind.expected}, such as "
                f"{kind.example!r}"
            )
        raise UnitError(message)
    try:
        value = number(match["number"])
    except UnitError as error:
        message = f"{error}; expected {kind.expected}, such as {kind.example!r}"
        raise UnitError(message) from None
    exact = value * _worth(text, match["unit"], kind)
    if exact.denominator != 1:
        whole = f"a whole number of {kind.base}" if kind.base else "a whole number"
        message = f"{show(text)} is not {whole}; expected {kind.expected}, such as {kind.example!r}"
        raise UnitError(message)
    return int(exact)


def _worth(text: str, unit: str | None, kind: Kind) -> Fraction:
    """Return what one ``unit`` is worth in the base unit of ``kind``."""
    if unit is None:
        if kind.bare is None:
            message = (
                f"{show(text)} has no unit; expected {kind.expected}, such as {kind.example!r}"
            )
            raise UnitError(message)
        return kind.bare
    unit = unit.rstrip()
    if unit in kind.units:
        return kind.units[unit]
    if kind.ambiguous and unit in kind.ambiguous:
        right = kind.ambiguous[unit]
        if " or " in right or "(" in right:
            message = (
                f"{show(text)}: the unit {show(unit)} can be read in two ways; "
                f"write {_quoted(right)}"
            )
        else:
            message = (
                f"{show(text)}: the unit {show(unit)} is ambiguous for a size; "
                f"write {right!r} (KiB, MiB, GiB)"
            )
        raise UnitError(message)
    if not kind.shown:
        message = (
            f"{show(text)}: no unit is wanted here; expected {kind.expected}, such "
            f"as {kind.example!r}"
        )
        raise UnitError(message)
    other = next((kind for kind in KINDS if unit in kind.units), None)
    if other is not None:
        message = f"{show(text)}: {show(unit)} is a unit of {other.name}; expected {kind.expected}"
        raise UnitError(message)
    common = _COMMON_NAMES.get(unit.casefold(), unit)
    near = nearest(common, kind.shown) or nearest(common, kind.units)
    hint = f"; did you mean {near!r}?" if near else ""
    message = f"{show(text)} has the unknown unit {show(unit)}; expected {kind.expected}{hint}"
    raise UnitError(message)


def _quoted(right: str) -> str:
    return f"'{right})" if "(" in right.rpartition("'")[2] else f"'{right}'"


def decimal_text(value: Fraction) -> str | None:
    """Return ``value`` as an exact decimal text, or None if it has none."""
    denominator = value.denominator
    places = 0
    while denominator % 10 == 0:
        denominator //= 10
        places += 1
    twos = fives = 0
    while denominator % 2 == 0:
        denominator //= 2
        twos += 1
    while denominator % 5 == 0:
        denominator //= 5
        fives += 1
    if denominator != 1:
        return None
    places += max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator)
    sign = "-" if value < 0 else ""
    if not places:
        return sign + digits
    digits = digits.rjust(places + 1, "0")
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def text_of(value: int, kind: Kind) -> str:
    """Return the shortest usual text of ``value`` base units that `parse` reads back exactly.

    The largest unit that gives a whole number is taken; if none does, the smallest that gives a
    decimal.
    """
    if not kind.shown:
        return str(value)
    if kind in (SHARE, FACTOR):
        return decimal_text(Fraction(value, 10**6)) or ""
    if kind in (PAGES, WORKING_SET):
        return f"{value} pages"
    if value:
        for unit in reversed(kind.shown):
            exact = value / kind.units[unit]
            if exact.denominator == 1:
                return f"{exact} {unit}"
    for unit in kind.shown:
        text = decimal_text(value / kind.units[unit])
        if text is not None:
            return f"{text} {unit}"
    message = f"{value} {kind.base} has no exact decimal text"  # no unit of the table leads here
    raise AssertionError(message)
