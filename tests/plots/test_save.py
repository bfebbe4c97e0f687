"""Figures as files."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import matplotlib as mpl
import pytest

from colosim.cli.main import main
from colosim.errors import WriteError
from colosim.plots import distribution, gantt, hang, memory, overview
from colosim.plots.look import FigureError
from colosim.plots.style import FORMATS, labels, save
from colosim.plots.units import short_size, short_time, size_unit, time_unit

if TYPE_CHECKING:
    from pathlib import Path

    from colosim.runs.run import Run

SIGNATURES = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.mark.parametrize("suffix", FORMATS)
def test_each_format_is_the_same_bytes_twice(pair: list[Run], tmp_path: Path, suffix: str) -> None:
    """The same figure, made twice, is the same file, of the kind that its name says."""
    paths = [tmp_path / f"{name}{suffix}" for name in ("a", "b")]
    for path in paths:
        save(memory.figure(pair[:1]), path)
    first, second = (path.read_bytes() for path in paths)
    assert first.startswith(SIGNATURES[suffix])
    assert first == second
    assert sorted(tmp_path.iterdir()) == paths


def test_another_process_and_another_time_give_the_same_svg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither clock, nor hash seed, nor the reader's own settings of matplotlib are in the file."""
    (tmp_path / "matplotlibrc").write_text("axes.grid: False\nfont.size: 14\nsvg.fonttype: none\n")
    command = ["plot", "idle", "--design", "split", "--kind", "memory", "-o"]
    here, there = (tmp_path / name for name in ("here.svg", "there.svg"))
    assert main([*command, str(here)]) == 0
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setenv("MATPLOTLIBRC", str(tmp_path))
    subprocess.run(
        [sys.executable, "-m", "colosim", *command, there], check=True, capture_output=True
    )
    assert here.read_bytes() == there.read_bytes()
    assert b"<dc:date>" not in here.read_bytes()


def test_drawing_leaves_the_readers_settings_alone(pair: list[Run]) -> None:
    """The style of colosim ends with its figure."""
    before = dict(mpl.rcParams)
    memory.figure(pair)
    assert dict(mpl.rcParams) == before


@pytest.mark.slow
def test_nothing_is_clipped(pair: list[Run], frozen_pair: list[Run]) -> None:
    """Everything that is drawn lies on the page."""
    drawn = [kind.figure(pair) for kind in (overview, memory, gantt, distribution)]
    drawn += [memory.figure(pair[:1]), gantt.figure(frozen_pair, 2), hang.figure(frozen_pair)]
    for figure in drawn:
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert min(box.x0, box.y0) >= 0
        assert box.x1 <= width
        assert box.y1 <= height


def test_another_suffix_is_refused(pair: list[Run], tmp_path: Path) -> None:
    """A file that ends in nothing that can be written is refused, with what can."""
    with pytest.raises(FigureError, match=r"none of \.png, \.svg, \.pdf"):
        save(memory.figure(pair), tmp_path / "x.jpg")
    with pytest.raises(WriteError, match="cannot write"):
        save(memory.figure(pair), tmp_path / "nowhere" / "x.svg")


def test_labels_say_no_more_than_is_needed(pair: list[Run], frozen_pair: list[Run]) -> None:
    """A run is called by its design, and by more only where two would be called alike."""
    assert labels(pair) == ["qsb", "split"]
    assert labels([*pair, pair[0]]) == [
        "plain, qsb, seed 1, 1",
        "plain, split, seed 1, 2",
        "plain, qsb, seed 1, 3",
    ]


def test_units_leave_at_least_two() -> None:
    """An axis is in the largest unit of which it shows two; text has three digits."""
    assert [time_unit(ns).symbol for ns in (1, 2_000, 1_999_999, 2_000_000, 2 * 10**9)] == [
        "ns",
        "µs",
        "µs",
        "ms",
        "s",
    ]
    assert size_unit(2**31).symbol == "GiB"
    assert [short_time(ns) for ns in (7, 87_600_000, 2_567_000_000)] == [
        "7 ns",
        "87.6 ms",
        "2.57 s",
    ]
    assert [short_size(n) for n in (12, 4 << 20, 67_792_896)] == ["12 B", "4.00 MiB", "64.7 MiB"]
