"""The map of every fault at every step: what README shows, held to the code."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import matplotlib as mpl
import pandas as pd
import pytest

from colosim.explore.cases import Space
from colosim.explore.explore import explore
from colosim.explore.outcome import run_case
from colosim.plots import heatmap
from colosim.plots.style import save
from colosim.runs.run import as_scenario

if TYPE_CHECKING:
    from colosim.explore.cases import Case

ROOT = Path(__file__).parents[2]
SCENARIO = ROOT / "scenarios" / "hang.yaml"
DESIGNS = ("qsb", "split", "qemu-5.1")
VERSIONS = ("split", "qemu-3.1", "qemu-5.1", "qemu-11")
YANKED = tuple(f"{version}+yank" for version in VERSIONS)


class Kept(NamedTuple):
    """A map that is kept: of which designs, its cells, its picture and the designs in that."""

    designs: tuple[str, ...]
    cells: Path
    picture: Path
    shown: tuple[str, ...]


RESULTS, DOCS = ROOT / "results" / "explore", ROOT / "docs"
HANG = Kept(DESIGNS, RESULTS / "hang.csv", DOCS / "map-of-hang.svg", DESIGNS)
BY_VERSION = Kept(
    (*VERSIONS, *YANKED), RESULTS / "versions.csv", DOCS / "map-of-versions.svg", VERSIONS
)
MAPS = pytest.mark.parametrize("kept", [HANG, BY_VERSION], ids=["hang", "versions"])
SAMPLE = {HANG: 41, BY_VERSION: 211}
"""Of so many cells one is explored anew by every test run, all of its cases."""
FENCED_SAMPLE = 67
"""Of so many cases under fencing one is run."""
SILENCES = ("freeze", "kill", "vanish", "freeze 30 s", "vanish 30 s")
FENCED = ("manager.fence=true", "manager.policy=yank-then-lost-heartbeat")


@cache
def kept_cells(kept: Kept, *, update: bool) -> pd.DataFrame:
    """Return the kept cells; with `update` (``--update-results``) explore and write them first."""
    if update:
        kept.cells.parent.mkdir(exist_ok=True)
        every_cell(kept).to_csv(kept.cells, index=False, lineterminator="\n")
    return pd.read_csv(kept.cells)


@pytest.fixture(name="cells")
def fixture_cells(kept: Kept, pytestconfig: pytest.Config) -> pd.DataFrame:
    """Return the cells of a kept map."""
    return kept_cells(kept, update=bool(pytestconfig.getoption("--update-results")))


def every_cell(kept: Kept) -> pd.DataFrame:
    """Explore every fault at every step, and return the cells."""
    explored = explore(SCENARIO, kept.designs, jobs=2)
    return heatmap.data(pd.DataFrame([outcome.to_dict() for outcome in explored.outcomes]))


def cell_of(case: Case) -> tuple[str, ...]:
    """Return the cell to which a case belongs: all that stands before its verdict."""
    chosen = case.choices
    side, fault = chosen["side"], heatmap._column(chosen["fault"])
    return case.design, side, chosen["step"], fault, heatmap._struck(side, chosen["victim"])


@MAPS
def test_a_sample_of_the_kept_cells_is_what_an_exploration_gives(
    kept: Kept, cells: pd.DataFrame
) -> None:
    """Every case of one cell in 41 (versions: 211) is run again: the worst verdict is kept."""
    sample = cells.iloc[:: SAMPLE[kept]].reset_index(drop=True)
    wanted = set(sample.drop(columns="verdict").itertuples(index=False, name=None))
    space = Space(as_scenario(SCENARIO), kept.designs)
    again = [run_case(space.base, case).to_dict() for case in space if cell_of(case) in wanted]
    pd.testing.assert_frame_equal(heatmap.data(pd.DataFrame(again)), sample)


@pytest.mark.slow
@MAPS
def test_the_kept_cells_are_what_an_exploration_gives(kept: Kept, cells: pd.DataFrame) -> None:
    """Every fault at every step, explored anew, gives the kept cells."""
    pd.testing.assert_frame_equal(every_cell(kept), cells)


@pytest.mark.slow
@pytest.mark.parametrize("kept", [HANG, BY_VERSION], ids=["hang", "versions"])
def test_the_map_is_drawn_from_the_kept_cells(
    kept: Kept, cells: pd.DataFrame, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """The picture is that of the kept cells, where matplotlib is the same."""
    update = bool(pytestconfig.getoption("--update-results"))
    picture = kept.picture if update else tmp_path / kept.picture.name
    save(heatmap.figure(cells[cells["design"].isin(kept.shown)]), picture)
    text = kept.picture.read_text(encoding="utf-8")
    drawn_by = re.search(r"Matplotlib v([\d.]+\w*)", text)
    assert drawn_by is not None
    assert drawn_by[1] != mpl.__version__ or picture.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("kept", [HANG])
def test_the_map_shows_what_the_readme_says_of_it(cells: pd.DataFrame) -> None:
    """Who hangs: split by its frozen peer, qemu-5.1's secondary by a silent primary; qsb by none.

    A lock that an error path leaks hangs each; error returns stop each, and one that ends the
    secondary's COLO before it reads RAM hangs split; none breaks a rule.
    """
    hung = cells[cells["verdict"] == "hung"]
    causes = {
        design: sorted(set(rows["fault"])) for design, rows in hung.groupby("design", sort=True)
    }
    assert causes == {
        "qemu-5.1": ["freeze", "leak", "vanish"],
        "qsb": ["leak"],
        "split": ["fail", "freeze", "leak"],
    }
    assert set(cells[cells["fault"] == "fail"]["verdict"]) == {"stopped", "hung"}
    assert "violated" not in set(cells["verdict"])


SILENT = ("freeze", "kill", "vanish")


@pytest.mark.parametrize("kept", [BY_VERSION])
def test_the_map_by_version_shows_what_each_change_moved(cells: pd.DataFrame) -> None:
    """Who hangs by whose silence: the primary, the secondary, the primary again; with yank nobody.

    Only before 5.1 a primary that dies in the middle leaves a torn secondary.
    """
    cells = cells.assign(
        struck=[
            side if victim == "itself" else {"primary": "secondary"}.get(side, "primary")
            for side, victim in zip(cells["side"], cells["victim"], strict=True)
        ]
    )
    hung = cells[(cells["verdict"] == "hung") & cells["fault"].isin(SILENT)]
    found = {
        (design, struck): len(rows) for (design, struck), rows in hung.groupby(["design", "struck"])
    }
    assert found == {
        ("split", "secondary"): 10,
        ("qemu-3.1", "primary"): 13,
        ("qemu-5.1", "primary"): 15,
        ("qemu-11", "secondary"): 9,
    }
    violated = cells[cells["verdict"] == "violated"]
    assert violated.groupby("design").size().to_dict() == {"qemu-3.1": 12, "qemu-3.1+yank": 9}
    left = cells[(cells["verdict"] == "hung") & cells["design"].isin(YANKED)]
    assert set(left["fault"]) == {"leak", "fail"}


@pytest.mark.parametrize(
    "sample", [FENCED_SAMPLE, pytest.param(1, marks=pytest.mark.slow)], ids=["sample", "whole"]
)
def test_with_fencing_and_yank_every_silence_ends_in_a_failover(sample: int) -> None:
    """So it is in every design, whoever falls silent where and for however long."""
    space = Space(as_scenario(SCENARIO, FENCED), (), SILENCES)
    outcomes = [run_case(space.base, case) for case in list(space)[::sample]]
    assert {outcome.design for outcome in outcomes} == set(space.designs)
    assert {outcome.verdict for outcome in outcomes} == {"failed_over"}
