from __future__ import annotations

from fractions import Fraction
from typing import Any

import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.scenario import units
from colosim.scenario.units import (
    BANDWIDTH,
    COUNT,
    DIRTY_RATE,
    FACTOR,
    KINDS,
    PAGES,
    PER_BYTE,
    PER_CHUNK,
    PER_GIB,
    PER_PAGE,
    SHARE,
    SIZE,
    TIME,
    WORKING_SET,
    Kind,
    UnitError,
    nearest,
    parse,
    show,
    text_of,
)

READ = [
    ("200 ms", TIME, 200_000_000),
    ("1.5min", TIME, 90_000_000_000),
    ("250 µs", TIME, 250_000),
    ("1e3 s", TIME, 10**12),
    ("4 GiB", SIZE, 1 << 32),
    ("0.5 KiB", SIZE, 512),
    ("10 Gbit/s", BANDWIDTH, 1_250_000_000),
    ("125 MB/s", BANDWIDTH, 125_000_000),
    ("1 MiB/s", BANDWIDTH, 1 << 20),
    ("16384 pages", PAGES, 16_384),
    ("16384", PAGES, 16_384),
    ("96 MiB", WORKING_SET, 24_576),
    ("50000 pages/s", DIRTY_RATE, 50_000),
    ("20", COUNT, 20),
    ("10%", SHARE, 100_000),
    ("0.1", SHARE, 100_000),
    ("2.5", FACTOR, 2_500_000),
    ("190 ns/page", PER_PAGE, 190_000),
    ("0.27 ns/B", PER_BYTE, 270_000),
    ("40 us/GiB", PER_GIB, 40_000),
    ("0.08 ns/chunk", PER_CHUNK, 80),
]


@pytest.mark.parametrize(("text", "kind", "value"), READ)
def test_read(text: str, kind: Kind, value: int) -> None:
    """A quantity is a whole number of the kind's base unit."""
    assert parse(text, kind) == value


REFUSED = [
    ("4 GB", SIZE, "'4 GB': the unit 'GB' is ambiguous for a size; write 'GiB' (KiB, MiB, GiB)"),
    (
        "4 MB",
        WORKING_SET,
        "'4 MB': the unit 'MB' is ambiguous for a size; write 'MiB' (KiB, MiB, GiB)",
    ),
    (
        "1 Mb/s",
        BANDWIDTH,
        "'1 Mb/s': the unit 'Mb/s' can be read in two ways; write 'Mbit/s' or 'MiB/s'",
    ),
    (
        "1 KB/s",
        BANDWIDTH,
        "'1 KB/s': the unit 'KB/s' can be read in two ways; write 'kB/s' (1000) or 'KiB/s' (1024)",
    ),
    (
        "200",
        TIME,
        "'200' has no unit; expected a time in ns, us, ms, s, min or h, such as '200 ms'",
    ),
    (
        "5 minutes",
        TIME,
        (
            "'5 minutes' has the unknown unit 'minutes';"
            " expected a time in ns, us, ms, s, min or h; did you mean 'min'?"
        ),
    ),
    (
        "5 MiB",
        TIME,
        "'5 MiB': 'MiB' is a unit of a size; expected a time in ns, us, ms, s, min or h",
    ),
    (
        "0.1 ns",
        TIME,
        (
            "'0.1 ns' is not a whole number of ns;"
            " expected a time in ns, us, ms, s, min or h, such as '200 ms'"
        ),
    ),
    ("3 x", COUNT, "'3 x': no unit is wanted here; expected a whole number, such as '20'"),
    ("2.5", COUNT, "'2.5' is not a whole number; expected a whole number, such as '20'"),
    ("-.inf", COUNT, "'-.inf' is not a finite number; expected a whole number, such as '20'"),
    ("NaN", COUNT, "'NaN' is not a finite number; expected a whole number, such as '20'"),
    ("0x10", COUNT, "'0x10' is not a quantity; expected a whole number, such as '20'"),
    ("", COUNT, "'' is not a quantity; expected a whole number, such as '20'"),
    (
        "1_000",
        COUNT,
        (
            "'1_000' is not a number; write digits without separators;"
            " expected a whole number, such as '20'"
        ),
    ),
    (
        "1e999999999",
        COUNT,
        (
            "'1e999999999' is out of all proportion (at most 40 digits, exponent up to 30);"
            " expected a whole number, such as '20'"
        ),
    ),
]


@pytest.mark.parametrize(("text", "kind", "message"), REFUSED)
def test_refused(text: str, kind: Kind, message: str) -> None:
    """What is no quantity of the kind is refused with what was expected."""
    with pytest.raises(UnitError) as caught:
        parse(text, kind)
    assert str(caught.value) == message


@pytest.mark.parametrize("digits", [41, 10_000, 1_000_000])
def test_refuses_endless_digits(digits: int) -> None:
    """A number of thousands of digits is refused without computing it."""
    with pytest.raises(UnitError, match="out of all proportion"):
        parse("9" * digits, COUNT)


REGISTRY: Any = pint.UnitRegistry(non_int_type=Fraction)
PINT_NAMES = {"min": "minute", "h": "hour", "B": "byte"}
PINT_KINDS = ((TIME, "ns"), (SIZE, "byte"), (BANDWIDTH, "byte/s"))


def in_pint(unit: str) -> str:
    """Return a unit of ours as pint names it."""
    top, slash, bottom = unit.partition("/")
    return f"{PINT_NAMES.get(top, top)}{slash}{PINT_NAMES.get(bottom, bottom)}"


NUMBERS = st.decimals(min_value=0, max_value=10**9, places=6, allow_nan=False).map(
    lambda number: f"{number:f}"
)


@given(st.sampled_from(PINT_KINDS), st.data(), NUMBERS)
def test_agrees_with_pint(
    kind_and_base: tuple[Kind, str], data: st.DataObject, number: str
) -> None:
    """Exact pint reads every unit of time, size and bandwidth as this parser does."""
    kind, base = kind_and_base
    unit = data.draw(st.sampled_from(sorted(kind.units)))
    quantity = REGISTRY.Quantity(Fraction(number), REGISTRY.Unit(in_pint(unit)))
    exact = quantity.to(base).magnitude
    if exact.denominator == 1:
        assert parse(f"{number} {unit}", kind) == exact
    else:
        with pytest.raises(UnitError, match="is not a whole number of"):
            parse(f"{number} {unit}", kind)


@given(st.sampled_from(KINDS), st.integers(min_value=0, max_value=10**18))
def test_text_reads_back(kind: Kind, value: int) -> None:
    """The text of a value reads back as the value, in every kind."""
    assert parse(text_of(value, kind), kind) == value


@given(st.sampled_from(KINDS), st.text(max_size=60))
def test_any_text_is_read_or_refused(kind: Kind, text: str) -> None:
    """Any text gives a whole number or a UnitError, never anything else."""
    try:
        value = parse(text, kind)
    except UnitError as error:
        assert str(error).isprintable()  # noqa: PT017 - no error is as good
    else:
        assert isinstance(value, int)


@pytest.mark.parametrize(
    ("word", "known", "found"),
    [
        ("mib", ["KiB", "MiB"], "MiB"),
        ("SPLIT", ["qsb", "split"], "split"),
        ("bandwith", ["bandwidth", "latency"], "bandwidth"),
        ("xyzzy", ["bandwidth", "latency"], None),
    ],
)
def test_nearest(word: str, known: list[str], found: str | None) -> None:
    """The nearest known word is found, case aside, or none if none is near."""
    assert nearest(word, known) == found


def test_show() -> None:
    """A value in a message is short and printable."""
    assert show("a\x00\n" + "x" * 100) == "'a\\x00\\n" + "x" * 57 + "...'"


def test_every_kind_shows_its_own_units() -> None:
    """The units that a message names are units of the kind, and its example reads."""
    assert all(set(kind.shown) <= set(kind.units) for kind in units.KINDS)
    assert all(parse(kind.example, kind) > 0 for kind in units.KINDS)
