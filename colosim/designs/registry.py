"""Finding designs: those of this package and those that other packages register."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.metadata import entry_points

from colosim.designs.design import Design
from colosim.designs.device_first import DeviceFirst
from colosim.designs.flat import Flat
from colosim.designs.mainline import Mainline
from colosim.designs.qsb import Qsb
from colosim.designs.remedied import remedied
from colosim.designs.split import Split
from colosim.errors import DesignError
from colosim.scenario.remedies import options_of

GROUP = "colosim.designs"
OWN: tuple[type[Design], ...] = (Qsb, Split, DeviceFirst, Flat, Mainline)


def load_designs() -> dict[str, type[Design]]:
    """Return every design by its name: this package's first, then others' by name.

    :raises DesignError: if a registered design cannot be loaded or is none.
    """
    designs: dict[str, type[Design]] = {design.name: design for design in OWN}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        if entry.name in designs:
            continue
        try:
            found = entry.load()
        except Exception as error:
            message = f"design {entry.name!r} ({entry.value}) cannot be loaded: {error}"
            raise DesignError(message) from error
        if not (isinstance(found, type) and issubclass(found, Design)):
            message = (
                f"design {entry.name!r} ({entry.value}) is not a subclass of colosim.designs.Design"
            )
            raise DesignError(message)
        designs[entry.name] = found
    return designs


def load_design(name: str) -> type[Design]:
    """Return the design called `name`; behind a ``+`` stand remedies, as in ``split+yank``.

    :raises DesignError: if there is no such design or remedy; the message has the nearest name.
    """
    own_name, options = options_of(name)
    design = _load_by_name(own_name)
    return remedied(design, name, options) if options else design


def _load_by_name(name: str) -> type[Design]:
    designs = load_designs()
    if name in designs:
        return designs[name]
    near = get_close_matches(name, designs, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    message = f"no design is called {name!r}; there are {', '.join(designs)}{hint}"
    raise DesignError(message)
