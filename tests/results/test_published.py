"""Published measurements beside what the shipped scenarios of them give: the page and its figure.

``pytest --update-results`` writes the table of ``docs/published.md`` and the figure anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from matplotlib.figure import Figure

from colosim.cli.main import main
from colosim.designs import load_designs
from colosim.plots.style import Colour, save, styled
from colosim.runs.run import simulate
from colosim.scenario import load, shipped
from colosim.trace.fields import value_of

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = Path(__file__).parent.parent.parent / "docs" / "published.md"
FIGURE = PAGE.with_suffix(".svg")
TABLE = re.compile(r"(?<=<!-- rows -->\n).*?(?=<!-- end -->)", re.DOTALL)
MS = 1_000_000


class Row(NamedTuple):
    """A published number: what, of which scenario and design, and if a cost is fitted to it."""

    label: str
    scenario: str
    design: str
    key: str
    published_ms: float
    fitted: bool = False
    pages: int | None = None


def transfer(service: str, pages: int, published_ms: float) -> Row:
    """Return the transfer of one row of PLOVER's table 4."""
    return Row(
        f"PLOVER, {service}: {pages:,} pages sent",
        "published/plover",
        "remus",
        "ram_ns.p50",
        published_ms,
        pages=pages,
    )


def remus(pages: int, stop_ms: float, sent_ms: float) -> tuple[Row, Row]:
    """Return the two bars of Remus' figure 5 for so many pages."""
    name = f"Remus, {pages:,} pages"
    of = ("published/remus-nsdi08", "remus")
    return (
        Row(f"{name}: stop", *of, "pause_ns.p50", stop_ms, pages=pages),
        Row(f"{name}: sent", *of, "ram_ns.p50", sent_ms, pages=pages),
    )


STRAUB = ("published/straub",)
ROWS = (
    Row("Chen: 2,456 pages loaded", "published/chen", "qemu-5.1", "ram_ns.p50", 16.0, fitted=True),
    Row("Straub: plain", *STRAUB, "qemu-11", "ram_ns.p50", 24.30, fitted=True),
    Row("Straub: 4 channels", *STRAUB, "qemu-11+multifd=4", "ram_ns.p50", 14.12, fitted=True),
    Row("Derek Su: pause, 1 GiB", "published/derek-su", "qemu-5.1", "pause_ns.p50", 2388.8),
    transfer("SSDB 25 ms", 2_700, 7.8),
    transfer("SSDB 100 ms", 4_800, 20.0),
    transfer("PgSql 25 ms", 7_900, 39.0),
    transfer("Redis 100 ms", 11_000, 35.1),
    transfer("Tomcat 100 ms", 12_200, 39.8),
    transfer("Node.js 100 ms", 21_300, 42.5),
    transfer("lighttpd 100 ms", 33_900, 55.7),
    *remus(256, 1.59, 13.7),
    *remus(512, 2.58, 35.0),
    *remus(1024, 4.37, 56.6),
)


def simulated_ns(row: Row) -> int:
    """Return what the row's scenario gives."""
    overrides = [] if row.pages is None else [f"guest.dirty.pages={row.pages}"]
    scenario = load(row.scenario, overrides=overrides, known_designs=tuple(load_designs()))
    run = simulate(scenario, row.design, tables=False)
    return int(value_of(run.summary, row.key))


def table_of(found: Sequence[tuple[Row, float]]) -> str:
    """Return the rows of the page's table."""
    lines = ["| published | ms | simulated, ms | ratio | |", "| --- | --- | --- | --- | --- |"]
    for row, own_ms in found:
        ratio, kind = own_ms / row.published_ms, "fitted" if row.fitted else "predicted"
        lines.append(
            f"| {row.label} | {row.published_ms:g} | {own_ms:.3g} | {ratio:.2f} | {kind} |"
        )
    return "\n".join(lines) + "\n"


@styled
def figure(found: Sequence[tuple[Row, float]]) -> Figure:
    """Draw simulated over published, a row each, on a logarithmic axis."""
    made = Figure(figsize=(5.2, 3.8))
    place = made.subplots()
    place.axvspan(0.5, 2, color=Colour.GREY, alpha=0.2, linewidth=0)
    place.axvline(1, color=Colour.BLACK, linewidth=0.8)
    for index, (row, own_ms) in enumerate(found):
        colour = Colour.GREY if row.fitted else Colour.BLUE
        place.plot(own_ms / row.published_ms, index, "s" if row.fitted else "o", color=colour)
    place.set_yticks(range(len(found)), [row.label for row, _ in found])
    place.invert_yaxis()
    place.set_xscale("log")
    place.set_xlim(0.2, 5)
    place.set_xticks([0.25, 0.5, 1, 2, 4], ["1/4", "1/2", "1", "2", "4"])
    place.minorticks_off()
    place.set_xlabel("simulated over published; band: a factor of 2")
    return made


@pytest.fixture(scope="module")
def found() -> list[tuple[Row, float]]:
    """Return each row with what is simulated."""
    return [(row, simulated_ns(row) / MS) for row in ROWS]


def test_the_page_shows_what_is_simulated(
    found: list[tuple[Row, float]], pytestconfig: pytest.Config
) -> None:
    """Each row of docs/published.md has the value and the ratio that its scenario gives."""
    text = PAGE.read_text("utf-8")
    if pytestconfig.getoption("--update-results"):
        PAGE.write_text(TABLE.sub(lambda _: table_of(found), text), "utf-8", newline="\n")
        save(figure(found), FIGURE)
        return
    shown = TABLE.search(text)
    assert shown is not None
    assert shown[0] == table_of(found)
    assert FIGURE.is_file()


def test_no_fitted_row_is_a_prediction(found: list[tuple[Row, float]]) -> None:
    """Fitted rows come out within a quarter, predictions within a factor of four."""
    for row, own_ms in found:
        ratio = own_ms / row.published_ms
        assert (0.75 < ratio < 1.25) if row.fitted else (0.25 < ratio < 4), row.label


def test_check_published_runs_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    """``colosim check published`` holds each shipped scenario of a measurement to its bounds."""
    assert main(["check", "published"]) == 0
    told = capsys.readouterr().out
    names = [name.removeprefix("published/") for name in shipped() if name.startswith("published/")]
    assert len(names) == 5
    assert all(f"pass  {name} " in told for name in names)
    assert "FAIL" not in told
