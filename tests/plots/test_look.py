"""How wide figures are and in whose style; nothing written in them lies on another."""

from __future__ import annotations

from io import BytesIO
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.text import Text

from colosim.analysis.sensitivity import sensitivity
from colosim.cli.main import main
from colosim.plots import (
    against,
    best,
    clients,
    distribution,
    gantt,
    hang,
    heatmap,
    memory,
    overview,
    plan,
    sequence,
    sweep,
    tornado,
    validation,
)
from colosim.plots.look import FigureError, inches, look, settings_in
from colosim.runs.run import Run, simulate
from colosim.scenario import loads
from tests.runs.conftest import FROZEN, PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matplotlib.figure import Figure

    from colosim.analysis.sensitivity import Sensitivity

LONG = "split+nodelay+send-timeout=5s+user-timeout=5s+yank"
NAMES = ["split", LONG, "qsb+nodelay+send-timeout=5s"]
CLIENTS = "service: {arrivals: {regular: 20 /s}}\n"


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    """Return runs of designs with many remedies, and with clients."""
    scenario = loads(PLAIN.replace("checkpoints: 4", "duration: 400 ms") + CLIENTS)
    return [simulate(scenario, name, requests=True) for name in NAMES]


@pytest.fixture(scope="module")
def frozen() -> list[Run]:
    """Return two of them whose secondary freezes."""
    scenario = loads(FROZEN.partition("expect")[0])
    return [simulate(scenario, name) for name in (LONG, "split")]


@pytest.fixture(scope="module")
def costs() -> Sensitivity:
    """Return which costs the pause of the long one hangs on."""
    return sensitivity("idle", LONG, "pause_ns.p50")


def swept() -> pd.DataFrame:
    """Return a table of a sweep over designs, dirty pages and latencies."""
    axes = product(enumerate(NAMES), (500, 1000, 2000, 8000), (1000, 10_000, 100_000))
    return pd.DataFrame(
        {
            "design": name,
            "guest.dirty.pages": pages,
            "network.latency": latency,
            "seed": 1,
            "pause_ns.p50": pages * 1000 * (1 + place) + latency * (20 - 9 * place),
        }
        for (place, name), pages, latency in axes
    )


def cells() -> pd.DataFrame:
    """Return a table of an exploration."""
    steps = [("primary", "stop"), ("primary", "RAM stream"), ("secondary", "RAM load")]
    faults = ("freeze", "kill", "slow bandwidth 0.01 30 s")
    struck = product(NAMES, steps, faults, ("primary", "secondary", "network"))
    rows = [(name, *step, fault, victim, "hung") for name, step, fault, victim in struck]
    return pd.DataFrame(rows, columns=["design", "side", "step", "fault", "victim", "verdict"])


def chosen() -> pd.DataFrame:
    """Return a table of a plan."""
    numbers = {"pause_ns.p50": [10**6, 2 * 10**6, 3 * 10**6]}
    numbers |= {"memory_peak_bytes.primary.extra_total": [3 << 20, 2 << 20, 1 << 20]}
    return pd.DataFrame(
        {"design": NAMES, **numbers, "meets": "yes", "front": "yes", "chosen": "yes"}
    )


def compared() -> pd.DataFrame:
    """Return a table of a validation."""
    times = {"measured_ns": [100, 200, 300], "simulated_ns": [105, 190, 310]}
    return pd.DataFrame({"design": NAMES, **times})


Y, PAGES, LATENCY = "pause_ns.p50", "guest.dirty.pages", "network.latency"
OF_RUNS: dict[str, Callable[[list[Run]], Figure]] = {
    "overview": overview.figure,
    "gantt": gantt.figure,
    "memory": memory.figure,
    "distribution": distribution.figure,
    "clients": clients.figure,
    "against": lambda runs: against.figure(
        against.data(runs[0].scenario, values=[500, 2000], designs=NAMES)
    ),
}
OF_FROZEN: dict[str, Callable[[list[Run]], Figure]] = {
    "hang": hang.figure,
    "gantt of a hang": lambda runs: gantt.figure(runs, 2),
    "sequence": lambda runs: sequence.figure(runs[0], 2),
}
OF_TABLES: dict[str, Callable[[], Figure]] = {
    "validation": lambda: validation.figure(compared()),
    "heatmap": lambda: heatmap.figure(cells()),
    "lines": lambda: sweep.figure(swept(), PAGES, Y),
    "designs along": lambda: sweep.figure(swept(), "design", Y, [LATENCY]),
    "panels of designs": lambda: sweep.figure(swept(), PAGES, Y, [LATENCY]),
    "map": lambda: sweep.figure(swept(), "design", PAGES, [Y]),
    "best": lambda: best.figure(swept(), PAGES, LATENCY, [Y]),
    "plan": lambda: plan.figure(chosen(), *chosen().columns[1:3]),
}
LEAST_MM = {"hang": 119.4, "sequence": 165.2}
"""What is refused in a column."""


def hidden_in(axes: Any) -> Iterator[Text]:
    """Yield the numbers and labels of an Axes that are not drawn, though they are there."""
    for axis in (axes.xaxis, axes.yaxis):
        shown = axis._update_ticks() if axes.axison and axes.get_visible() else []
        for tick in (*axis.majorTicks, *axis.minorTicks):
            if not any(tick is one for one in shown):
                yield from (tick.label1, tick.label2)
        if not axes.axison:
            yield axis.label


def written(figure: Figure) -> Iterator[Text]:
    """Yield every text that is shown."""
    figure.savefig(BytesIO(), format="png", dpi=figure.dpi)
    unseen = {id(text) for axes in figure.axes for text in hidden_in(axes)}
    for text in figure.findobj(Text):
        hidden = text.axes is not None and not text.axes.get_visible()
        if text.get_visible() and text.get_text().strip() and id(text) not in unseen and not hidden:
            yield text


def assert_legible(figure: Figure, width_mm: float | None) -> None:
    """Hold every text to lie on the page, and on no other; and the page to its width."""
    page = figure.bbox.padded(1)
    boxes = [(text.get_text(), text.get_window_extent().padded(-0.5)) for text in written(figure)]
    off = [text for text, box in boxes if not page.x0 < box.x0 <= box.x1 < page.x1]
    off += [text for text, box in boxes if not page.y0 < box.y0 <= box.y1 < page.y1]
    hit = [(one, two) for (one, a), (two, b) in combinations(boxes, 2) if a.overlaps(b)]
    assert (off, hit) == ([], [])
    if width_mm is not None:
        assert figure.get_figwidth() * 25.4 == pytest.approx(width_mm)


@pytest.mark.slow
@pytest.mark.parametrize("width", [None, "122mm", "85mm"])
@pytest.mark.parametrize("kind", [*OF_RUNS, *OF_FROZEN, *OF_TABLES, "tornado"])
def test_long_names_never_collide(
    kind: str, width: str | None, runs: list[Run], frozen: list[Run], costs: Sensitivity
) -> None:
    """On a page, in a book and in a column every kind is legible, or says what width it needs."""
    millimetres = None if width is None else float(width.removesuffix("mm"))
    with look(width):
        if (millimetres or 999) < LEAST_MM.get(kind, 0):
            with pytest.raises(FigureError, match=r"needs a width of 1\d\d mm at least"):
                OF_FROZEN[kind](frozen)
            return
        if kind in OF_RUNS:
            made = OF_RUNS[kind](runs)
        elif kind in OF_FROZEN:
            made = OF_FROZEN[kind](frozen)
        else:
            made = OF_TABLES[kind]() if kind in OF_TABLES else tornado.figure(costs)
        assert_legible(made, millimetres)


@pytest.mark.parametrize("kind", ["overview", "heatmap", "designs along"])
def test_long_names_do_not_collide_in_a_column(kind: str, runs: list[Run]) -> None:
    """Names are broken at their options, panels stand below each other, and the width is exact."""
    with look("85mm"):
        made = OF_RUNS[kind](runs) if kind in OF_RUNS else OF_TABLES[kind]()
        assert_legible(made, 85)


def test_a_width_is_read_in_the_units_of_documents() -> None:
    """Millimetres, centimetres, inches and TeX's points, from 51 mm to 1 m."""
    assert [round(inches(text), 3) for text in ("85mm", "8.5 cm", "3.35in", "241.14749pt")] == [
        3.346,
        3.346,
        3.35,
        3.337,
    ]
    for wrong, said in (("85", "no width"), ("85 px", "mm, cm, in, pt"), ("1mm", "51 mm to 1 m")):
        with pytest.raises(FigureError, match=said):
            inches(wrong)


def test_a_style_file_is_on_top_of_colosims_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its fonts and sizes are drawn, in every command that draws; what it leaves out stays."""
    monkeypatch.chdir(tmp_path)
    own = "font.family: DejaVu Serif  # of the document\nfont.size: 9\nsvg.fonttype: none\n"
    (tmp_path / "paper.mplstyle").write_text(own)
    for command, width in ((["plot", "--kind", "memory"], 85), (["sequence"], 170)):
        look = ["--style", "paper.mplstyle", "--width", f"{width}mm"]
        assert main([*command, "idle", "--design", "split", *look, "-o", "x.svg"]) == 0
        text = (tmp_path / "x.svg").read_text()
        assert "DejaVu Serif" in text
        assert f'width="{width / 25.4 * 72:.6f}pt"' in text
    assert mpl.rcParams["svg.fonttype"] == mpl.rcParamsDefault["svg.fonttype"]


def test_every_wrong_line_of_a_style_file_is_told(tmp_path: Path) -> None:
    """A key or value that is none is refused with its line, a font that is missing by name."""
    path = tmp_path / "x.mplstyle"
    path.write_text('font.sizes: 8\n\nfont.size: big\ngrid.color: "#ff0000"\ntext.usetex: True\n')
    with pytest.raises(FigureError) as told:
        settings_in(path)
    first, second, third = str(told.value).splitlines()
    assert first.endswith(
        "line 1: 'font.sizes' is no setting of matplotlib; did you mean 'font.size'?"
    )
    assert second.startswith(f"{path}, line 3: ")
    assert "line 5: leave text.usetex out" in third
    path.write_text("font.family: No Such Font\n")
    with pytest.raises(FigureError, match="no font of No Such Font is installed here"):
        settings_in(path)
    with pytest.raises(FigureError, match="no style file that can be read"):
        settings_in(tmp_path)


@pytest.mark.parametrize("command", [["sequence", "idle"], ["sensitivity", "idle"]])
def test_a_width_without_a_figure_is_refused(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that only draws when it is asked to says so before it does anything."""
    assert main([*command, "--design", "split", "--width", "85mm"]) == 2
    assert "--width is for a figure; write one with -o FILE.svg" in capsys.readouterr().err
