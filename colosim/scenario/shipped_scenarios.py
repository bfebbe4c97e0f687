"""Scenarios that come with colosim, found by name: ``hang``, ``lab/old-ram512-n16384-bw0``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from colosim.errors import ScenarioError, ScenarioFault
from colosim.scenario.units import meant, show


@cache
def shipped_folder() -> Path | None:
    """Return the folder of the shipped scenarios: that of the package, else of the checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_scenarios", package.parent / "scenarios"):
        if folder.is_dir():
            return folder
    return None


def shipped() -> list[str]:
    """Return the sorted names of the shipped scenarios: paths in the folder, less ``.yaml``."""
    folder = shipped_folder()
    if folder is None:
        return []
    return sorted(
        path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")
    )


def in_folder(name: str) -> list[str]:
    """Return the names of the shipped scenarios in a folder of theirs, ``published``."""
    return [one for one in shipped() if one.startswith(f"{name.rstrip('/')}/")]


def find(path_or_name: str | Path) -> Path:
    """Return the file of that path, else the shipped scenario of that name.

    :raises ScenarioError: if it is neither; the message has the nearest name.
    """
    path = Path(path_or_name)
    name = str(path_or_name)
    try:
        if path.is_file():
            return path
        is_folder, is_there = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:
        message = f"{show(name)} is no path: {getattr(error, 'strerror', None) or error}"
        raise ScenarioError([ScenarioFault("<command line>", 1, 1, message)]) from None
    names, folder, known = shipped(), shipped_folder(), name.removesuffix(".yaml")
    if folder is not None and known in names:
        return folder / f"{known}.yaml"
    if is_there and not is_folder:
        return path
    what = "is neither a file nor a shipped scenario"
    if is_folder:
        what = "is a folder; expected a scenario file"
    message = f"{show(name)} {what}{meant(known, names)}"
    raise ScenarioError([ScenarioFault(show(name)[1:-1], 1, 1, message)])
