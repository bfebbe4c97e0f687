"""Quantities with units, read exactly: ``4 GiB``, ``10 Gbit/s``, ``200 ms``, ``0.27 ns/B``.

A quantity is a decimal number and one unit of a closed table. It is computed with `Fraction` and
must come out as a whole number of the kind's base unit (nanoseconds, bytes, pages, ...): nothing is
ever rounded. Units that people read in two ways (KB, MB, Mb/s) are refused, and the two readings
are named.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

PAGE_BYTES: Final = 4096
"""A page of guest RAM, as QEMU's TARGET_PAGE_SIZE on x86."""
S_PER_GIGADAY: Final = 86_400 * 10**9
"""Seconds in 10**9 days: what a rate of one a second is worth."""

_NUMBER_CHARACTERS_MAX: Final = 40
_EXPONENT_MAX: Final = 30
_SHOWN_CHARACTERS_MAX: Final = 60
_LIKENESS_MIN: Final = 0.6
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_NOT_FINITE: Final = re.compile(r"[+-]?\.?(inf|nan|infinity)\b", re.ASCII | re.IGNORECASE)
_BASED: Final = re.compile(r"[+-]?0[xob][0-9a-f]", re.ASCII | re.IGNORECASE)
_SPLIT: Final = re.compile(
    r"(?P<number>[+-]?[0-9.][0-9.,_]*(?:[eE][+-]?[0-9]+)?)[ \t]*(?P<unit>[^ \t].*)?", re.ASCII
)

_SHORT_NS: Final = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9}
_BYTES: Final = {"B": 1, **{f"{p}iB": 1 << 10 * i for i, p in enumerate("KMGTP", 1)}}
_BYTES_PER_S: Final[dict[str, int | Fraction]] = {
    **{unit: bytes_ for unit, bytes_ in _BYTES.items() if unit != "PiB"},
    **{f"{p}B": 10 ** (3 * i) for i, p in enumerate("kMGT", 1)},
    **{f"{p}bit": Fraction(10 ** (3 * i), 8) for i, p in enumerate(("", *"kMGT"))},
}
_SIZE_WORDS: Final = {
    "KiB": "K k KB kB kb Kb",
    "MiB": "M MB mb Mb",
    "GiB": "G GB gb Gb",
    "TiB": "T TB tb Tb",
    "PiB": "P PB pb Pb",
}
"""Words that people write for a size and read in two ways, by the unit that there is."""
_RATE_WORDS: Final = {
    "'bit/s' or 'B/s'": "b/s bps",
    "'kbit/s' or 'KiB/s'": "Kb/s kb/s Kbps kbps",
    "'Mbit/s' or 'MiB/s'": "Mb/s mb/s Mbps mbps",
    "'Gbit/s' or 'GiB/s'": "Gb/s gb/s Gbps gbps",
    "'kB/s' (1000) or 'KiB/s' (1024)": "KB/s",
    "'MB/s' or 'MiB/s'": "MBps",
    "'GB/s' or 'GiB/s'": "GBps",
}
"""Words that people write for a bandwidth, by what they may mean."""
_COMMON_WORDS: Final = {
    "ms": "msec millis millisecond milliseconds",
    "us": "usec microseconds",
    "ns": "nsec nanoseconds",
    "s": "sec secs second seconds",
    "min": "m mins minute minutes",
    "h": "hr hour hours",
    "B": "byte bytes",
    "pages": "page",
}
"""Other words for units."""


def _by_word(table: Mapping[str, str], sentence: str = "{}") -> dict[str, str]:
    """Return what a table says of each of its words, within a sentence."""
    return {word: sentence.format(key) for key, words in table.items() for word in words.split()}


_COMMON_NAMES: Final = _by_word(_COMMON_WORDS)
_AMBIGUOUS_SIZE: Final = _by_word(
    _SIZE_WORDS, "is ambiguous for a size; write '{}' (KiB, MiB, GiB)"
)
_AMBIGUOUS_RATE: Final = _by_word(_RATE_WORDS, "can be read in two ways; write {}")


class UnitError(ValueError):
    """A text is not a quantity of the kind that was wanted; the message says what was expected."""


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One kind of quantity: its base unit, and what each unit is worth in it.

    ``units`` maps a unit to its exact worth in ``base`` units. ``bare`` is what a number without a
    unit is worth, or None where a unit is required. ``shown`` are the units used by `text_of`,
    small to large; messages name them, and those in ``also``. ``ambiguous`` says of other units
    why they are refused.
    """

    name: str
    base: str
    units: Mapping[str, int | Fraction]
    shown: tuple[str, ...]
    example: str
    bare: int | None = None
    ambiguous: Mapping[str, str] = field(default_factory=dict)
    also: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """What a message says was expected."""
        *most, last = (*self.shown, *self.also) or ("",)
        names = f"{', '.join(most)} or {last}" if most else last
        if self.bare is None:
            return f"{self.name} in {names}"
        return f"{self.name}, with or without the unit {names}" if names else self.name

    @property
    def such_as(self) -> str:
        """What a message says was expected, with an example."""
        return f"{self.expected}, such as {self.example!r}"

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


def _per(what: str, base: str, per_ns: int, shown: tuple[str, ...], example: str) -> Kind:
    """Return the kind of times per something, of which one ``ns/what`` is worth ``per_ns``."""
    units: dict[str, int | Fraction] = {
        f"{unit}/{what}": worth * per_ns for unit, worth in _SHORT_NS.items()
    }
    units[f"ps/{what}"] = Fraction(per_ns, 1000)
    names = tuple(f"{unit}/{what}" for unit in shown)
    name = f"a time a {'byte' if what == 'B' else what}"
    return Kind(name, f"{base}/{what}", units, names, example)


_PAGE: Final = {"pages": 1, "page": 1}
_PAGES_SIZED: Final[dict[str, int | Fraction]] = {
    **_PAGE,
    **{unit: Fraction(size, PAGE_BYTES) for unit, size in _BYTES.items() if unit != "B"},
}
_PER_DAYS: Final = {
    "/s": S_PER_GIGADAY,
    "/min": S_PER_GIGADAY // 60,
    "/h": S_PER_GIGADAY // 3600,
    "/day": 10**9,
}
_PERCENT: Final = {"%": 10_000}
_TIMES: Final = {**_SHORT_NS, "min": 60 * 10**9, "h": 3600 * 10**9}
_RATES: Final = {f"{unit}/s": worth for unit, worth in _BYTES_PER_S.items()}
_RATES_SHOWN: Final = ("B/s", "KiB/s", "MiB/s", "GiB/s", "bit/s", "kbit/s", "Mbit/s", "Gbit/s")
_RATES_TOO: Final = ("kB/s", "MB/s", "GB/s")

TIME: Final = Kind("a time", "ns", _TIMES, ("ns", "us", "ms", "s", "min", "h"), "200 ms")
SIZE: Final = Kind("a size", "B", _BYTES, tuple(_BYTES), "4 MiB", ambiguous=_AMBIGUOUS_SIZE)
BANDWIDTH: Final = Kind(
    "a bandwidth",
    "B/s",
    _RATES,
    _RATES_SHOWN,
    "10 Gbit/s",
    ambiguous=_AMBIGUOUS_RATE,
    also=_RATES_TOO,
)
PAGES: Final = Kind("a number of pages", "pages", _PAGE, ("pages",), "16384 pages", 1)
WORKING_SET: Final = Kind(
    "a number of pages or a size",
    "pages",
    _PAGES_SIZED,
    ("pages", "KiB", "MiB", "GiB"),
    "96 MiB",
    ambiguous=_AMBIGUOUS_SIZE,
)
DIRTY_RATE: Final = Kind(
    "a rate of page writes",
    "pages/s",
    {"pages/s": 1, "page/s": 1},
    ("pages/s",),
    "50000 pages/s",
)
FAULT_RATE: Final = Kind(
    "a rate of faults", "faults in 10^9 days", _PER_DAYS, ("/day", "/h", "/min", "/s"), "2 /h"
)
REQUEST_RATE: Final = Kind(
    "a rate of requests",
    "requests in 10^6 s",
    {"/s": 10**6, "/ms": 10**9},
    ("/s", "/ms"),
    "200 /s",
)
COUNT: Final = Kind("a whole number", "", {}, (), "20", 1)
SHARE: Final = Kind("a share from 0 to 1", "ppm", _PERCENT, ("%",), "10%", 10**6)
FACTOR: Final = Kind("a factor", "ppm", _PERCENT, ("%",), "0.5", 10**6)
PER_PAGE: Final = _per("page", "ps", 1000, ("ps", "ns", "us"), "190 ns/page")
PER_BYTE: Final = _per("B", "fs", 10**6, ("ps", "ns"), "0.27 ns/B")
PER_GIB: Final = _per("GiB", "ns", 1, ("ns", "us", "ms"), "40 us/GiB")
PER_CHUNK: Final = _per("chunk", "ps", 1000, ("ps", "ns"), "2 ns/chunk")

KINDS: Final = (
    *(TIME, SIZE, BANDWIDTH, PAGES, WORKING_SET, DIRTY_RATE, FAULT_RATE, COUNT, SHARE, FACTOR),
    *(PER_PAGE, PER_BYTE, PER_GIB, PER_CHUNK, REQUEST_RATE),
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
    if matches:
        return matches[0]
    lower = {candidate.casefold(): candidate for candidate in reversed(words)}
    matches = difflib.get_close_matches(folded, list(lower), n=1, cutoff=_LIKENESS_MIN)
    return lower[matches[0]] if matches else None


def meant(word: str, known: Iterable[str]) -> str:
    """Return the end of a message that asks for the known word most like ``word``, if one is."""
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else ""


def number(text: str) -> Fraction:
    """Read a decimal number exactly.

    :raises UnitError: if it is no decimal number, or one too long or with too large an exponent to
        be meant.
    """
    if _NOT_FINITE.match(text):
        raise UnitError(f"{show(text)} is not a finite number")
    if not _NUMBER.fullmatch(text):
        hint = "; write digits without separators" if re.fullmatch(r"[0-9][0-9,_.]*", text) else ""
        if re.fullmatch(r"\.[0-9]+", text):
            hint = f"; write 0{text}"
        raise UnitError(f"{show(text)} is not a number{hint}")
    mantissa, _, exponent = text.lower().partition("e")
    if (
        len(mantissa) > _NUMBER_CHARACTERS_MAX
        or len(exponent) > len("+99")
        or abs(int(exponent or 0)) > _EXPONENT_MAX
    ):
        most = f"at most {_NUMBER_CHARACTERS_MAX} digits, exponent up to {_EXPONENT_MAX}"
        raise UnitError(f"{show(text)} is out of all proportion ({most})")
    return Fraction(text)


def parse(text: str, kind: Kind) -> int:
    """Read ``text`` as a whole number of ``kind.base``, exactly.

    :raises UnitError: if it is no number, has no unit, an unknown or an ambiguous one, or is not
        whole in the base unit.
    """
    text = text.strip(" \t")
    odd = _NOT_FINITE.match(text) or _BASED.match(text)
    match = None if odd else _SPLIT.fullmatch(text)
    if match is None:
        what = "a finite number" if _NOT_FINITE.match(text) else "a quantity"
        raise UnitError(f"{show(text)} is not {what}; expected {kind.such_as}")
    try:
        value = number(match["number"])
    except UnitError as error:
        raise UnitError(f"{error}; expected {kind.such_as}") from None
    exact = value * _worth(text, match["unit"], kind)
    if exact.denominator != 1:
        whole = f"a whole number of {kind.base}" if kind.base else "a whole number"
        raise UnitError(f"{show(text)} is not {whole}; expected {kind.such_as}")
    return int(exact)


def _worth(text: str, unit: str | None, kind: Kind) -> int | Fraction:
    """Return what one ``unit`` is worth in the base unit of ``kind``."""
    if unit is None:
        if kind.bare is None:
            raise UnitError(f"{show(text)} has no unit; expected {kind.such_as}")
        return kind.bare
    unit = unit.rstrip()
    if unit in kind.units:
        return kind.units[unit]
    if unit in kind.ambiguous:
        raise UnitError(f"{show(text)}: the unit {show(unit)} {kind.ambiguous[unit]}")
    if not kind.shown:
        raise UnitError(f"{show(text)}: no unit is wanted here; expected {kind.such_as}")
    other = next((kind for kind in KINDS if unit in kind.units), None)
    if other is not None:
        of = f"{show(unit)} is a unit of {other.name}"
        raise UnitError(f"{show(text)}: {of}; expected {kind.expected}")
    common = _COMMON_NAMES.get(unit.casefold(), unit)
    hint = meant(common, kind.shown) or meant(common, kind.units)
    unknown = f"{show(text)} has the unknown unit {show(unit)}"
    raise UnitError(f"{unknown}; expected {kind.expected}{hint}")


def decimal_text(value: Fraction) -> str | None:
    """Return ``value`` as an exact decimal text, or None if it has none."""
    scaled, places = abs(value), 0
    while scaled.denominator != 1:
        if scaled.denominator % 2 and scaled.denominator % 5:
            return None
        scaled, places = scaled * 10, places + 1
    sign, digits = "-" if value < 0 else "", str(scaled.numerator).rjust(places + 1, "0")
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else f"{sign}{digits}"


def text_of(value: int, kind: Kind) -> str:
    """Return the shortest usual text of ``value`` base units that `parse` reads back exactly.

    The largest unit that gives a whole number is taken; if none does, the smallest that gives a
    decimal.
    """
    if not kind.shown:
        return str(value)
    if kind in {SHARE, FACTOR}:
        return decimal_text(Fraction(value, 10**6)) or ""
    if kind in {PAGES, WORKING_SET}:
        return f"{value} pages"
    exact = {unit: Fraction(value) / kind.units[unit] for unit in kind.shown}
    for unit in reversed(kind.shown):
        if value and exact[unit].denominator == 1:
            return f"{exact[unit]} {unit}"
    for unit in kind.shown:
        text = decimal_text(exact[unit])
        if text is not None:
            return f"{text} {unit}"
    raise AssertionError(f"{value} {kind.base} has no exact decimal text")  # no unit leads here
