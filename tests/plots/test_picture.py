"""The README's picture, and the numbers in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

from colosim.cli.main import main

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "old-against-split.svg"
NUMBERS = PICTURE.with_suffix(".csv")
DESIGNS = ("--design", "qsb", "--design", "split")


def test_the_picture_is_what_colosim_draws(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """The kept numbers are today's, and so is the kept drawing where matplotlib is the same.

    ``--update-results`` writes both anew, as the command in docs/README.md does.
    """
    update = bool(pytestconfig.getoption("--update-results"))
    picture = PICTURE if update else tmp_path / PICTURE.name
    numbers = picture.with_suffix(".csv")
    scenario = str(ROOT / "scenarios" / "compare.yaml")
    assert main(["plot", scenario, *DESIGNS, "-o", str(picture), "--data", str(numbers)]) == 0
    assert numbers.read_text(encoding="utf-8") == NUMBERS.read_text(encoding="utf-8")
    kept = PICTURE.read_text(encoding="utf-8")
    drawn_by = re.search(r"Matplotlib v([\d.]+\w*)", kept)
    assert drawn_by is not None
    assert drawn_by[1] != mpl.__version__ or picture.read_text(encoding="utf-8") == kept


def test_the_documented_command_is_the_one_that_is_tested() -> None:
    """docs/README.md gives the command that draws the picture."""
    command = f"colosim plot scenarios/compare.yaml {' '.join(DESIGNS)} -o docs/{PICTURE.name}"
    assert command in (PICTURE.parent / "README.md").read_text(encoding="utf-8")
