"""Designs that stand in a file of one's own: ``my_split.py:MySplit``, or ``my_split.py``.

A file is imported once a process, and its design is known by its own name from then on. Worker
processes learn of it through the environment, which they inherit.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from colosim.designs.design import Design
from colosim.designs.foreign import checked_name, imported
from colosim.errors import DesignError

if TYPE_CHECKING:
    from collections.abc import Collection

_FILES: Final = "COLOSIM_DESIGN_FILES"
_NAMED: Final = ".py"


class _Place(NamedTuple):
    """A class in a file, as what other packages register: something with `load`."""

    name: str
    value: str

    def load(self) -> object:
        """Import the file and return its class, or its only design if none is named."""
        path, wanted = _parts(self.value)
        if not path.is_file():
            raise DesignError(f"there is no file {str(path)!r}")
        module_name = f"colosim_design_{path.stem}"
        spec = spec_from_file_location(module_name, path)
        if spec is None or spec.loader is None:
            raise DesignError(f"{str(path)!r} is no Python file")
        module = sys.modules[module_name] = module_from_spec(spec)
        spec.loader.exec_module(module)
        found = {
            name: value
            for name, value in vars(module).items()
            if isinstance(value, type)
            and issubclass(value, Design)
            and value.__module__ == module_name
        }
        there_are = ", ".join(found) or "none"
        if wanted and wanted not in vars(module):
            raise DesignError(f"it has no class {wanted!r}; its designs: {there_are}")
        if not wanted and len(found) != 1:
            raise DesignError(f"name one of its designs, as in {path.name}:CLASS: {there_are}")
        return vars(module)[wanted] if wanted else next(iter(found.values()))


def is_file(name: str) -> bool:
    """Tell whether a design's name is that of a file, with or without a class behind a colon."""
    return name.partition(":")[0].endswith(_NAMED)


def _parts(place: str) -> tuple[Path, str]:
    path, _, wanted = place.partition(f"{_NAMED}:")
    return (Path(f"{path}{_NAMED}"), wanted) if wanted else (Path(place.rstrip(":")), "")


def design_in(place: str, taken: Collection[str]) -> type[Design]:
    """Return the design at ``FILE.py:CLASS``; its worker processes will know it by its name.

    :raises DesignError: if it cannot be imported, is no design, or its name is one of `taken`.
    """
    path, wanted = _parts(place)
    whole = f"{path.resolve()}:{wanted}"
    design = checked_name(_design_at(whole), taken)
    known = os.environ.get(_FILES, "").split("\n")
    if whole not in known:
        os.environ[_FILES] = "\n".join(filter(None, [*known, whole]))
    return design


@cache
def _design_at(place: str) -> type[Design]:
    return imported(_Place(_parts(place)[0].name, place))


def designs_from_files() -> dict[str, type[Design]]:
    """Return the designs of files that were named so far, here or in the process that began this.

    :raises DesignError: if one cannot be imported.
    """
    places = filter(None, os.environ.get(_FILES, "").split("\n"))
    return {design.name: design for design in map(_design_at, places)}
