"""How wide figures are and in whose style: what ``--width`` and ``--style`` say, for a document.

Letters keep their size: a narrower figure has fewer panels beside each other, not smaller ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matplotlib import RcParams, rc_context
from matplotlib.font_manager import FontProperties, findfont

from colosim.errors import ColosimError
from colosim.files import read_file
from colosim.scenario.units import meant

if TYPE_CHECKING:
    from pathlib import Path

PAGE_IN: Final = 7.2
"""How wide a figure of the width of a page is, unless another was asked for, in inches."""
_IN: Final = MappingProxyType({"mm": 25.4, "cm": 2.54, "in": 1.0, "pt": 72.27})
"""How many of each are an inch; a point is TeX's, of which LaTeX's ``\\columnwidth`` is told."""
_LEAST_IN, _MOST_IN = 2.0, 40.0
_LENGTH: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([a-z]+)\s*", re.ASCII)
_COMMENT: Final = re.compile(r'^((?:[^#"]|"[^"]*")*)#.*')
"""A ``#`` between quotes begins none."""
_TEX: Final = "text.usetex"
_KNOWN: Final[Any] = RcParams.validate


class FigureError(ColosimError):
    """A figure was asked for that its runs or its table cannot give."""


class Look(NamedTuple):
    """What was asked of figures: a width in inches, settings of matplotlib."""

    width_in: float | None = None
    settings: Mapping[str, Any] = MappingProxyType({})


_USUAL: Final = Look()
_LOOK: ContextVar[Look] = ContextVar("look", default=_USUAL)


@contextmanager
def look(width: str | None = None, style: Path | None = None) -> Iterator[None]:
    """Let all figures be so wide, and in the style of a document, on top of colosim's own.

    :param width: such as ``85mm``, ``8.5 cm``, ``3.35in`` or ``241pt``.
    :param style: a style file of matplotlib, as ``plt.style.use`` takes it.
    :raises FigureError: as `inches` and `settings_in`.
    """
    before = _LOOK.get()
    made = Look(
        before.width_in if width is None else inches(width),
        before.settings if style is None else {**before.settings, **settings_in(style)},
    )
    token = _LOOK.set(made)
    try:
        yield
    finally:
        _LOOK.reset(token)


def settings() -> dict[str, Any]:
    """Return the settings of matplotlib that a document's style file has."""
    return dict(_LOOK.get().settings)


def width_of(usual_in: float = PAGE_IN) -> float:
    """Return how wide a figure is: as was asked for, or as usual."""
    asked = _LOOK.get().width_in
    return usual_in if asked is None else asked


def at_least(needed_in: float, what: str) -> None:
    """Refuse a width in which a figure cannot be read.

    :raises FigureError: if a narrower one was asked for.
    """
    if width_of(needed_in) < needed_in:
        raise FigureError(f"{what} needs a width of {needed_in * _IN['mm']:.0f} mm at least")


def columns_of(count: int, panel_in: float) -> int:
    """Return how many of so many panels stand beside each other: all, unless a width was asked for.

    Then as many as have `panel_in` inches each.
    """
    return min(count, max(1, int(width_of(count * panel_in) / panel_in)))


def inches(text: str) -> float:
    """Return a width that was asked for in inches.

    :raises FigureError: if it is none, or none for a figure.
    """
    found = _LENGTH.fullmatch(text)
    if found is None or found[2] not in _IN:
        raise FigureError(f"{text!r} is no width; expected one in {', '.join(_IN)}, as in 85mm")
    width = float(found[1]) / _IN[found[2]]
    if not _LEAST_IN <= width <= _MOST_IN:
        raise FigureError(f"{text!r}: a figure is 51 mm to 1 m wide")
    return width


def settings_in(path: Path) -> dict[str, Any]:
    """Return the settings of a style file, each checked.

    :raises FigureError: if it cannot be read; if keys or values are none, all of them with their
        lines; if no font of it is installed, as matplotlib would draw another in its place.
    """
    try:
        lines = read_file(path).decode().splitlines()
    except (OSError, ValueError) as error:
        raise FigureError(f"{path} is no style file that can be read: {error}") from None
    found: Any = {}
    faults = []
    for number, line in enumerate(lines, start=1):
        if plain := _COMMENT.sub(r"\1", line).strip():
            try:
                _set(found, *plain.partition(":"))
            except ValueError as error:
                faults.append(f"{path}, line {number}: {error}")
    if faults:
        raise FigureError("\n".join(faults))
    with rc_context(found):
        try:
            findfont(FontProperties(), fallback_to_default=False)
        except ValueError:
            family = ", ".join(FontProperties().get_family())
            raise FigureError(f"{path}: no font of {family} is installed here") from None
    return dict(found)


def _set(found: Any, key: str, colon: str, value: str) -> None:
    """Set one line of a style file.

    :raises ValueError: if there is no such setting, or no such value of it.
    """
    key = key.strip()
    if key not in _KNOWN:
        raise ValueError(f"{key!r} is no setting of matplotlib{meant(key, _KNOWN)}")
    if key == _TEX:
        raise ValueError(f"leave {_TEX} out: names of designs and keys are no TeX")
    if not colon:
        raise ValueError(f"expected '{key}: VALUE'")
    found[key] = _KNOWN[key](value.strip().strip('"'))
