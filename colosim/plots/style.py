"""What all figures share: the style sheet, who has which colour and mark, and how one is saved."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Patch
from matplotlib.style import context
from matplotlib.textpath import TextPath

from colosim.files import write_file
from colosim.plots.look import FigureError, columns_of, settings, width_of

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from colosim.runs.run import Run


class Colour(StrEnum):
    """Those of Okabe and Ito, "Color Universal Design", 2008, and greys."""

    BLACK, WHITE, GREY, DARK_GREY, INK = "#000000", "#ffffff", "#8c8c8c", "#595959", "#404040"
    ORANGE, SKY, GREEN, YELLOW = "#e69f00", "#56b4e9", "#009e73", "#f0e442"
    BLUE, VERMILLION, PURPLE = "#0072b2", "#d55e00", "#cc79a7"


SMALL_PT = 6.5
"""Letters in bars and beside arrows."""

STYLE = Path(__file__).with_name("colosim.mplstyle")
"""The style sheet; also ``plt.style.use("colosim.plots.colosim")``."""

FORMATS = (".png", ".svg", ".pdf")
"""The kinds of file that a figure can be saved as."""

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Line(NamedTuple):
    """How a design's curve looks: told apart by colour, dashes and marker alike."""

    colour: str
    dashes: str | tuple[int, tuple[float, ...]]
    marker: str


class Fill(NamedTuple):
    """How an area looks: told apart by colour and hatch alike; on a dark one letters are white."""

    colour: str
    hatch: str
    edge: str = Colour.BLACK
    is_dark: bool = False

    def patch(self, label: str, linewidth: float) -> Patch:
        """Return it as a legend's entry."""
        return Patch(
            facecolor=self.colour,
            edgecolor=self.edge,
            hatch=self.hatch,
            linewidth=linewidth,
            label=label,
        )


_DOTTED = (0, (1.0, 1.2))
_LINES = {
    "qsb": Line(Colour.VERMILLION, "-", "o"),
    "split": Line(Colour.BLUE, (0, (5.0, 1.5)), "s"),
    "device-first": Line(Colour.SKY, _DOTTED, "D"),
    "flat": Line(Colour.ORANGE, (0, (5.0, 1.2, 1.0, 1.2)), "^"),
    "qemu-5.1": Line(Colour.GREEN, (0, (3.0, 1.0, 1.0, 1.0, 1.0, 1.0)), "v"),
    "qemu-11": Line(Colour.BLACK, "--", "X"),
    "remus": Line(Colour.PURPLE, (0, (5.0, 1.5, 1.0, 1.5)), "P"),
    "unprotected": Line(Colour.GREY, "-", "*"),
}
_OTHERS = (
    Line(Colour.PURPLE, "-", "P"),
    Line(Colour.GREY, "-.", "*"),
    Line(Colour.YELLOW, ":", "h"),
    Line(Colour.BLUE, "--", "<"),
    Line(Colour.VERMILLION, _DOTTED, ">"),
)


def line_of(name: str, index: int = 0) -> Line:
    """Return how a design's curve looks; a design of one's own gets the `index`-th other look."""
    return _LINES.get(name) or _OTHERS[index % len(_OTHERS)]


def labels(runs: Sequence[Run]) -> list[str]:
    """Return a name for each run: its design, with scenario and seed where that is not enough.

    Beside a simulated one a real run is called so.
    """
    both = len({run.source is None for run in runs}) > 1

    def design_of(run: Run) -> str:
        return f"{run.design} (real)" if both and run.source is not None else run.design

    forms: tuple[Callable[[Run], str], ...] = (
        design_of,
        lambda run: f"{run.scenario.name}, {design_of(run)}",
        lambda run: f"{run.scenario.name}, {design_of(run)}, seed {run.seed}",
    )
    for form in forms:
        names = [form(run) for run in runs]
        if len(set(names)) == len(names):
            return names
    return [f"{name}, {number}" for number, name in enumerate(names, start=1)]


def looks(runs: Sequence[Run]) -> Iterator[tuple[str, Run, Line]]:
    """Yield each run with its label and how its curve looks; two of one design look different."""
    used: list[Line] = []
    for index, (label, run) in enumerate(zip(labels(runs), runs, strict=True)):
        look = line_of(run.design, index)
        if look in used:
            others = (one for one in (*_OTHERS, *_LINES.values()) if one not in used)
            look = next(others, look)
        used.append(look)
        yield label, run, look


def panels(
    count: int, size_in: tuple[float, float], usual_in: float | None = None, **shared: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many panels, those beside each other for which its width has room.

    :param size_in: the least width of a panel, and its height.
    :param usual_in: how wide the figure is if no width was asked for.
    """
    panel_in, height_in = size_in
    columns = columns_of(count, panel_in)
    rows = -(-count // columns)
    width = width_of(panel_in * columns if usual_in is None else usual_in)
    made = Figure(figsize=(width, height_in * rows))
    places = list(made.subplots(rows, columns, squeeze=False, **shared).flat)
    for place in places[count:]:
        place.set_visible(False)
    return made, places[:count]


def handles(
    fills: Mapping[str, Fill], used: Collection[str], linewidth: float = 0.35
) -> list[Patch]:
    """Return legend entries of those fills that are used, in their order."""
    return [fill.patch(name, linewidth) for name, fill in fills.items() if name in used]


def legend_below(
    owner: Axes | Figure, handles: Sequence[Artist], columns: int, **look: Any
) -> None:
    """Draw a legend with up to so many columns, as many as fit into the width of the figure.

    Below a figure's panels; of an Axes `look` says where.
    """
    if isinstance(owner, Figure):
        look = {"loc": "outside lower center", **look}
        room = owner.bbox.width
    else:
        look = {"loc": "upper center", **look}
        spec = owner.get_subplotspec()
        room = owner.figure.bbox.width / (1 if spec is None else spec.get_gridspec().ncols)
    for ncols in range(columns, 0, -1):
        legend = owner.legend(handles=handles, ncols=ncols, **look)
        if (too_wide := legend.get_window_extent().width - room) <= 0:
            return
        if ncols > 1:
            legend.remove()
    names = legend.get_texts()
    widest = max(text.get_window_extent().width for text in names)
    for text in names:
        size = text.get_fontsize()
        text.set_text(broken(text.get_text(), (widest - too_wide) / legend.figure.dpi, size))


def broken(
    text: str, room_in: float, size: str | float = "axes.titlesize", weight: str = ""
) -> str:
    """Return text in lines that are no longer than so many inches, if its words are not.

    It is broken at spaces and ``_`` and before ``+`` and ``:``.

    :param size: of its letters in points, or the key of the style that says it.
    """
    known: Any = rcParams
    size_pt = known[size] if isinstance(size, str) else size
    if size == "axes.titlesize":
        weight = rcParams["axes.titleweight"]
    font = FontProperties(size=size_pt, weight=weight or "normal")
    lines = [""]
    for part in re.findall(r"[+:]?[^+:_ ]*[_ ]?", text):
        longer = lines[-1] + part
        if not lines[-1] or _width_in(longer.rstrip(), font) <= room_in:
            lines[-1] = longer
        else:
            lines.append(part)
    return "\n".join(line.rstrip() for line in lines)


def _width_in(text: str, font: FontProperties) -> float:
    return float(TextPath((0, 0), text, prop=font).get_extents().width) / 72 if text else 0.0


def write_title(axes: Axes, text: str, room_in: float, **look: Any) -> None:
    """Write the title of a panel, in as many lines as its width makes it."""
    axes.set_title(broken(text, room_in), **look)


def write_small(axes: Axes, x: float, y: float, text: str, **look: Any) -> None:
    """Write small text at a place: centred, if `look` says nothing else."""
    axes.text(x, y, text, **{"ha": "center", "va": "center", "fontsize": SMALL_PT, **look})


def styled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let a function draw in colosim's style and that of `look`, whatever the reader's own is."""

    @wraps(function)
    def in_style(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with context(["default", STYLE, settings()]):
            return function(*args, **kwargs)

    return in_style


def axes_or_new(axes: Axes | None) -> Axes:
    """Return `axes`, or the Axes of a new figure."""
    return Figure().subplots() if axes is None else axes


def check_path(path: Path) -> str:
    """Return the suffix of a figure's file, in lower case.

    :raises FigureError: if it is none of `FORMATS`.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise FigureError(f"{path} ends in none of {', '.join(FORMATS)}")
    return suffix


@styled
def save(figure: Figure, path: Path) -> None:
    """Write a figure whole or not at all; the same figure is the same bytes.

    :raises FigureError: if the file's suffix is none of `FORMATS`.
    :raises WriteError: if it cannot be written.
    """
    suffix = check_path(path)
    dateless = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    content = BytesIO()
    figure.savefig(content, format=suffix[1:], metadata=dateless.get(suffix))
    write_file(path, content.getvalue())
