"""What all figures share: the style sheet, who has which colour and mark, and how one is saved."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

from matplotlib.figure import Figure
from matplotlib.style import context

from colosim.errors import ColosimError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from colosim.runs.run import Run

__all__ = [
    "BLACK",
    "BLUE",
    "DARK_GREY",
    "FORMATS",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "SKY",
    "SMALL_PT",
    "STYLE",
    "VERMILLION",
    "WHITE",
    "YELLOW",
    "FigureError",
    "Fill",
    "Line",
    "axes_or_new",
    "check_path",
    "labels",
    "line_of",
    "save",
    "styled",
]

BLACK, WHITE, GREY = "#000000", "#ffffff", "#8c8c8c"
DARK_GREY = "#595959"
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


class FigureError(ColosimError):
    """A figure was asked for that its runs or its table cannot give."""


class Line(NamedTuple):
    """How a design's curve looks: told apart by colour, dashes and marker alike."""

    colour: str
    dashes: str | tuple[int, tuple[float, ...]]
    marker: str


class Fill(NamedTuple):
    """How an area looks: told apart by colour and hatch alike; on a dark one letters are white."""

    colour: str
    hatch: str
    edge: str = BLACK
    is_dark: bool = False


_DOTTED = (0, (1.0, 1.2))
_LINES = {
    "qsb": Line(VERMILLION, "-", "o"),
    "split": Line(BLUE, (0, (5.0, 1.5)), "s"),
    "device-first": Line(SKY, _DOTTED, "D"),
    "flat": Line(ORANGE, (0, (5.0, 1.2, 1.0, 1.2)), "^"),
    "qemu-5.1": Line(GREEN, (0, (3.0, 1.0, 1.0, 1.0, 1.0, 1.0)), "v"),
}
_OTHERS = (
    Line(PURPLE, "-", "P"),
    Line(BLACK, "--", "X"),
    Line(GREY, "-.", "*"),
    Line(YELLOW, ":", "h"),
)


def line_of(name: str, index: int = 0) -> Line:
    """Return how a design's curve looks; a design of one's own gets the `index`-th other look."""
    return _LINES.get(name) or _OTHERS[index % len(_OTHERS)]


def labels(runs: Sequence[Run]) -> list[str]:
    """Return a name for each run: its design, with scenario and seed where that is not enough."""
    forms: tuple[Callable[[Run], str], ...] = (
        lambda run: run.design,
        lambda run: f"{run.scenario.name}, {run.design}",
        lambda run: f"{run.scenario.name}, {run.design}, seed {run.seed}",
    )
    for form in forms:
        names = [form(run) for run in runs]
        if len(set(names)) == len(names):
            return names
    return [f"{name}, {number}" for number, name in enumerate(names, start=1)]


def styled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let a function draw in colosim's style, whatever the reader's own settings are."""

    @wraps(function)
    def in_style(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with context(["default", STYLE]):
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

    :raises FigureError: if the file's suffix is none of `FORMATS`, or it cannot be written.
    """
    suffix = check_path(path)
    dateless = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    partial = path.with_name(f".{path.name}.partial")
    try:
        figure.savefig(partial, format=suffix[1:], metadata=dateless.get(suffix))
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise FigureError(f"cannot write {path}: {error.strerror}") from error
