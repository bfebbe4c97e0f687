"""Published measurements beside what their scenarios give: the suite, its page and its figure.

``pytest --update-results`` writes the table of ``docs/published.md`` and the figure anew.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from matplotlib.figure import Figure

from colosim.cli.main import main
from colosim.plots.style import Colour, save, styled
from colosim.runs.published import FITTED, GIVEN, PREDICTED, Row, rows
from colosim.runs.wording import in_words
from colosim.scenario import preset, shipped

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = Path(__file__).parent.parent.parent / "docs" / "published.md"
FIGURE = PAGE.with_suffix(".svg")
TABLE = re.compile(r"(?<=<!-- rows -->\n).*?(?=<!-- end -->)", re.DOTALL)
COSTS = re.compile(r"(?<=<!-- costs -->\n).*?(?=<!-- end -->)", re.DOTALL)
MARKS = {
    GIVEN: ("d", Colour.GREY, False),
    FITTED: ("s", Colour.GREY, True),
    PREDICTED: ("o", Colour.BLUE, True),
}


def table_of(found: Mapping[str, int]) -> str:
    """Return the rows of the page's table."""
    lines = [
        "| published | | simulated | ratio | within | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows():
        value = found[row.row]
        words = " | ".join((row.row, in_words(row.key, row.value), in_words(row.key, value)))
        lines.append(f"| {words} | {value / row.value:.2f} | {row.within} | {row.kind} |")
    return "\n".join(lines) + "\n"


def costs() -> str:
    """Return the table of the default host's costs: value and range."""
    lines = ["| cost | value | range | |", "| --- | --- | --- | --- |"]
    for key, cost in preset("hosts", "kvm-xeon").values.items():
        origin, _, ends = cost.origin.rpartition(": ")
        if " to " in ends:
            kind = "assumed" if "assumed" in origin.partition(":")[0] else ""
            lines.append(f"| `{key}` | {cost.value} | {ends} | {kind} |")
    return "\n".join(lines) + "\n"


@styled
def figure(found: Mapping[str, int]) -> Figure:
    """Draw simulated over published on a logarithmic axis: a line a source, a mark a row."""
    made = Figure(figsize=(5.2, 3.6))
    place = made.subplots()
    place.axvspan(0.5, 2, color=Colour.GREY, alpha=0.2, linewidth=0)
    place.axvline(1, color=Colour.BLACK, linewidth=0.8)
    groups = list(dict.fromkeys(group_of(row) for row in rows()))
    told: set[str] = set()
    for row in rows():
        mark, colour, filled = MARKS[row.kind]
        label = "" if row.kind in told else row.kind
        told.add(row.kind)
        place.plot(
            found[row.row] / row.value,
            groups.index(group_of(row)),
            mark,
            color=colour,
            markerfacecolor=colour if filled else "none",
            alpha=0.7,
            label=label,
            linestyle="none",
        )
    place.set_yticks(range(len(groups)), groups)
    place.invert_yaxis()
    place.set_xscale("log")
    place.set_xlim(0.12, 5)
    place.set_xticks([0.125, 0.25, 0.5, 1, 2, 4], ["1/8", "1/4", "1/2", "1", "2", "4"])
    place.minorticks_off()
    place.set_xlabel("simulated over published; band: a factor of 2")
    place.legend(loc="lower right")
    return made


def group_of(row: Row) -> str:
    """Return what stands before the colon of a row's name: source and quantity."""
    return row.row.partition(":")[0]


@pytest.fixture(scope="module")
def found() -> dict[str, int]:
    """Return what is simulated for each row, as ``colosim check published`` finds it."""
    return {}


def test_check_published_holds_every_row(
    capsys: pytest.CaptureFixture[str], found: dict[str, int]
) -> None:
    """``colosim check published`` passes: each scenario completes, each row is within its bound."""
    status = main(["check", "published", "--format", "json"])
    outcomes = json.loads(capsys.readouterr().out)
    assert (status, [one for one in outcomes if not one["passed"]]) == (0, [])
    keys = {row.row: row.key for row in rows()}
    found |= {one["scenario"]: one["value"] for one in outcomes if one["scenario"] in keys}
    assert found.keys() == keys.keys()
    used = {f"published/{row.scenario}" for row in rows()}
    assert used == {name for name in shipped() if name.startswith("published/")}


def test_the_page_shows_what_is_simulated(
    found: dict[str, int], pytestconfig: pytest.Config
) -> None:
    """Each row of docs/published.md has what its scenario gives, each cost what its preset has."""
    text = PAGE.read_text("utf-8")
    if pytestconfig.getoption("--update-results"):
        text = COSTS.sub(lambda _: costs(), TABLE.sub(lambda _: table_of(found), text))
        PAGE.write_text(text, "utf-8", newline="\n")
        save(figure(found), FIGURE)
        return
    shown = [part[0] for kind in (TABLE, COSTS) if (part := kind.search(text))]
    assert shown == [table_of(found), costs()]
    assert FIGURE.is_file()


def test_a_row_is_held_by_the_factor_that_it_states() -> None:
    """The bound of a row goes from its value divided by the factor to its value times it."""
    (row,) = [row for row in rows() if row.row == "Straub: plain"]
    assert row.bound.tests == ((">=", 15_187_500), ("<=", 38_880_000))
    assert str(row.bound) == "24.30 ms as published within a factor of 1.6 (fitted)"
