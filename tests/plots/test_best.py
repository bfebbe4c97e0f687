"""Which design is best where: the regions, and the picture of docs/sweeps.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest

import colosim
from colosim.plots import best
from colosim.plots.look import FigureError
from colosim.plots.style import save
from colosim.runs.run import as_scenario

PICTURE = Path(__file__).parents[2] / "docs" / "best-design.svg"
X, Y, PAUSE, HOLD = (
    "network.bandwidth",
    "guest.dirty.pages",
    "pause_ns.p50",
    "lock_hold_ns.secondary.p50",
)


def whole() -> pd.DataFrame:
    """Return the grid of the picture: 3,456 runs on arrays."""
    servers = {"hosts.preset": "kvm-xeon", "network.preset": "10gbe", "network.nagle": False}
    axes: dict[str, Any] = {
        "design": ["qsb", "split", "flat", "qemu-5.1"],
        Y: {"log": [250, 64_000], "points": 24},
        X: {"log": ["200 Mbit/s", "100 Gbit/s"], "points": 36},
        "checkpoints": 6,
    }
    return colosim.sweep(as_scenario("compare").vary(servers), axes, engine="auto")


def test_the_best_is_the_first_that_is_even() -> None:
    """A design within a hundredth of the best that stands before it is taken."""
    rows = [("b", 1, 1, 100), ("a", 1, 1, 100), ("b", 2, 1, 102), ("a", 2, 1, 100)]
    table = pd.DataFrame(rows, columns=["design", "x", "y", "pause"])
    found = best.data(table, "x", "y", "pause")
    assert found["design"].tolist() == ["b", "a"]
    assert found["pause"].tolist() == [100, 100]
    with pytest.raises(FigureError, match="'z' is no column"):
        best.data(table, "x", "y", "z")


def test_the_picture_of_regions_is_what_colosim_draws(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """The kept drawing is today's where matplotlib is the same; `--update-results` writes it."""
    update = bool(pytestconfig.getoption("--update-results"))
    picture = PICTURE if update else tmp_path / PICTURE.name
    table = whole()
    save(best.figure(table, X, Y, [PAUSE, HOLD]), picture)
    regions = best.data(table, X, Y, PAUSE)
    assert set(regions["design"]) == {"split", "qemu-5.1"}
    kept = PICTURE.read_text(encoding="utf-8")
    drawn_by = re.search(r"Matplotlib v([\d.]+\w*)", kept)
    assert drawn_by is not None
    assert drawn_by[1] != mpl.__version__ or picture.read_text(encoding="utf-8") == kept
