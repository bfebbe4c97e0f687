"""``docs/fields.md`` says what every key and every column is, as the types that define them do.

``pytest --update-results tests/test_fields.py`` writes the page anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from colosim.runs.columns import ROWS, SLOPE, TABLE_FIELDS
from colosim.runs.run import simulate
from colosim.scenario import loads
from colosim.trace import events
from colosim.trace.fields import BYTES, NS, STANDS_FOR, SUMMARY, VERDICTS
from tests.designs.own import CHECKPOINTING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest

    from colosim.runs.run import Run
    from colosim.trace.fields import Field

PAGE = Path(__file__).parent.parent / "docs" / "fields.md"
HEAD = """# Keys and columns

Generated from `colosim/trace/fields.py`, `colosim/runs/columns.py` and `colosim/trace/events.py` by
`tests/test_fields.py`; [results.md](results.md#what-stays-the-same) says what of it stays the same.

Times are integer nanoseconds since COLO was entered (of a real run: since its first request), sizes
integer bytes. Where *designs* are named, only these have it, of those that ship and make
checkpoints. Of a real run, what its log does not show is empty as well. `service` and
`time_to_client_ns` are there where the scenario has a `service:`. In italics stands a step, or an
event's sentence.
"""


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def meaning_of(field: Field) -> str:
    """Return what a field means, with the words that it can be."""
    words = f": {', '.join(field.words)}" if field.words else ""
    return field.meaning + words


def few(designs: list[str]) -> str:
    """Return the names of designs, nothing where all that make checkpoints are among them."""
    return "" if set(designs) == set(CHECKPOINTING) else ", ".join(designs)


def summary(runs: dict[str, Run]) -> Iterator[str]:
    """Yield what the page says of ``summary.json``."""
    yield "\n## summary.json\n\n"
    rows = ((f"`{f.name}`", f.unit, meaning_of(f), f.absent) for f in SUMMARY)
    yield table(["key", "unit", "meaning", "null if"], rows)
    for part, words in STANDS_FOR.items():
        yield f"\n{part} is one of\n\n"
        if part == "ACCOUNT":
            yield table(
                ["word", "meaning", "sides", "designs"],
                ((f"`{word}`", says, *who_has(word, runs)) for word, says in words.items()),
            )
        else:
            yield table(["word", "meaning"], ((f"`{word}`", says) for word, says in words.items()))
    yield "\nVerdicts, best first:\n\n"
    yield table(["verdict", "meaning"], ((f"`{word}`", says) for word, says in VERDICTS.items()))


def who_has(account: str, runs: dict[str, Run]) -> tuple[str, str]:
    """Return the sides and the designs that have an account of memory, if not all have it."""
    peaks = {name: run.summary["memory_peak_bytes"] for name, run in runs.items()}
    found = [
        (side, name) for name, sides in peaks.items() for side in sides if account in sides[side]
    ]
    sides = list(dict.fromkeys(side for side, _ in found))
    return (
        "" if len(sides) > 1 else "".join(sides),
        few([name for name in runs if name in {design for _, design in found}]),
    )


def tables(runs: dict[str, Run]) -> Iterator[str]:
    """Yield what the page says of the tables."""
    for name, fields in TABLE_FIELDS.items():
        yield f"\n## {name}\n\nA row is {ROWS[name]}.\n\n"
        if name == "checkpoints":
            columns = {design: run.tables[name] for design, run in runs.items()}
            has = {
                field.name: few([one for one, made in columns.items() if any_in(made[field.name])])
                for field in fields
            }
            yield table(
                ["column", "unit", "meaning", "designs", "empty if"],
                ((f"`{f.name}`", f.unit, meaning_of(f), has[f.name], f.absent) for f in fields),
            )
            yield (
                "\nA step of a design's own has such a column too, at the end of these: "
                "`primary_my_step_ns`.\n"
            )
        else:
            yield table(
                ["column", "unit", "meaning", "empty if"],
                ((f"`{f.name}`", f.unit, meaning_of(f), f.absent) for f in fields),
            )


def any_in(column: object) -> bool:
    """Tell whether a column of a table has any value."""
    return any(value is not None for value in column.tolist())  # type: ignore[attr-defined]


def kinds() -> Iterator[str]:
    """Yield what the page says of each kind of event."""
    yield "\n## Events\n\nWords in braces are those of the event at hand.\n\n"
    found = (getattr(events, name) for name in vars(events))
    yield table(
        ["event", "meaning", "value (0 where nothing stands)"],
        (row_of(one) for one in found if isinstance(one, type) and hasattr(one, "sentence")),
    )


def row_of(kind: type[events.Event]) -> tuple[str, str, str]:
    """Return the sentence of a kind of event, its meaning, and that of its value."""
    before = "{side}: " if issubclass(kind, events.OnSide) else ""
    before = "cluster manager: " if issubclass(kind, events.ByManager) else before
    text = " ".join((kind.__doc__ or "").replace("``", "`").split())
    says, _, value = text.partition("Value: ")
    value, _, more = value.partition(". ")
    return f"*{before}{kind.sentence}*", f"{says}{more}".strip(), value.rstrip(".")


def page() -> str:
    """Return the page as the types have it, and three checkpoints of each design that makes any."""
    scenario = loads("{name: fields, checkpoints: 3}")
    runs = {design: simulate(scenario, design) for design in CHECKPOINTING}
    return "".join((HEAD, *summary(runs), *tables(runs), *kinds()))


def test_the_page_of_keys_and_columns_is_that_of_the_types(pytestconfig: pytest.Config) -> None:
    """The page has every key and column with unit and meaning, and which designs have it."""
    made = page()
    if pytestconfig.getoption("--update-results"):
        PAGE.write_text(made, encoding="utf-8", newline="\n")
    assert PAGE.read_text(encoding="utf-8") == made


def test_a_name_says_its_unit() -> None:
    """A time has ``ns`` in its name and a size ``bytes``, as the promise of results.md has it."""
    fields = [
        *SUMMARY,
        *(field for table_fields in TABLE_FIELDS.values() for field in table_fields),
    ]
    for unit in (NS, BYTES):
        named = {field.name for field in fields if unit in re.split(r"[_.]", field.name)}
        assert {field.name for field in fields if field.unit == unit} == named - {SLOPE}
