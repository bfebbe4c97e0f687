"""Finding designs: those of this package and those that other packages register.

Other packages are looked up once a process, and only when a name is not one of this package's or
when all are listed: `importlib.metadata` reads a file of every package that is installed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

from colosim.designs.device_first import DeviceFirst
from colosim.designs.flat import Flat
from colosim.designs.foreign import checked_name, imported
from colosim.designs.from_file import design_in, designs_from_files, is_file
from colosim.designs.qemu_3_1 import Qemu31
from colosim.designs.qemu_5_1 import Qemu51
from colosim.designs.qemu_11 import Qemu11
from colosim.designs.qsb import Qsb
from colosim.designs.remedied import remedied
from colosim.designs.remedies import OF_SOME, options_of
from colosim.designs.remus import Remus
from colosim.designs.split import Split
from colosim.designs.unprotected import Unprotected
from colosim.errors import DesignError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from colosim.designs.design import Design
    from colosim.designs.remedies import Option

GROUP = "colosim.designs"
OWN: tuple[type[Design], ...] = (
    *(Qsb, Split, DeviceFirst, Flat, Qemu31, Qemu51, Qemu11, Remus, Unprotected),
)
ALIASES = {"mainline": Qemu11.name}
"""Names of what is newest: never shown, but as what they mean."""
_OWN_BY_NAME = {design.name: design for design in OWN}


class DesignNames(Collection[str]):
    """The names of all designs, this package's first.

    Other packages are asked only for a name that is none of this package's.
    """

    def __contains__(self, name: object) -> bool:
        """Tell whether a design is called so; a registered one is not loaded for it."""
        return (
            name in _OWN_BY_NAME
            or name in ALIASES
            or name in designs_from_files()
            or name in _registered()
        )

    def __iter__(self) -> Iterator[str]:
        """Yield every name."""
        yield from _OWN_BY_NAME
        yield from _registered()

    def __len__(self) -> int:
        """Return how many designs there are."""
        return len(_OWN_BY_NAME) + len(_registered())

    def refusal(self, name: str) -> str | None:
        """Return what is wrong with the options behind a design's name, None if nothing is."""
        try:
            own_name, options = options_of(name)
            if any(option.remedy in OF_SOME for option in options):
                _check(_load_by_name(own_name), name, options)
        except DesignError as error:
            return str(error)
        return None

    def resolved(self, name: str) -> str:
        """Return the name that a design is shown by: the version that an alias means.

        Of ``FILE.py:CLASS`` it is that of the class, by which it is known from then on.

        :raises DesignError: if a file has no such design.
        """
        own, plus, options = name.partition("+")
        if is_file(own):
            own = design_in(own, _OWN_BY_NAME).name
        return f"{ALIASES.get(own, own)}{plus}{options}"


@cache
def _registered() -> dict[str, EntryPoint]:
    """Return what other packages register, sorted by name; names of this package are its own."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and seldom needed

    registered: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        if entry.name not in _OWN_BY_NAME:
            registered.setdefault(entry.name, entry)
    return registered


@cache
def _loaded(name: str) -> type[Design]:
    """Return the design that another package registers as `name`."""
    design = design_of(imported(_registered()[name]))
    if design.name != name:
        message = f"the design that is registered as {name!r} calls itself {design.name!r}"
        raise DesignError(message)
    return design


def design_of(design: str | type[Design]) -> type[Design]:
    """Return a design by its name, or the class that somebody hands over.

    :raises DesignError: as `load_design`, or if the class has no name of its own.
    """
    if isinstance(design, str):
        return load_design(design)
    if design in OWN or design.traits.remedies:
        return design
    return checked_name(design, _OWN_BY_NAME)


def load_designs() -> dict[str, type[Design]]:
    """Return every design by its name: this package's first, then others' by name.

    :raises DesignError: if a registered design cannot be loaded or is none.
    """
    return {**_OWN_BY_NAME, **{name: _loaded(name) for name in _registered()}}


@cache
def load_design(name: str) -> type[Design]:
    """Return the design called `name`; behind a ``+`` stand options, as in ``split+yank``.

    A design in a file of one's own is ``my_split.py:MySplit``, or ``my_split.py`` if it is the only
    one there. One name is one class, as long as the process lives; an alias is the class that it
    means.

    :raises DesignError: if there is no such design or remedy (the message has the nearest name),
        or if it is another package's and cannot be loaded.
    """
    shown = DesignNames().resolved(name)
    if shown != name:
        return load_design(shown)
    own_name, options = options_of(name)
    design = _load_by_name(own_name)
    _check(design, name, options)
    return remedied(design, name, options) if options else design


def designs_with(option: str) -> list[str]:
    """Return the designs of this package that may have an option of their own."""
    return [design.name for design in OWN if option in design.traits.may_have]


def _check(design: type[Design], name: str, options: Sequence[Option]) -> None:
    """Refuse an option that only other designs may have.

    :raises DesignError: with the designs that may.
    """
    for option in options:
        if option.remedy in OF_SOME and option.name not in design.traits.may_have:
            having = ", ".join(designs_with(option.name))
            raise DesignError(f"{name!r}: {design.name} cannot have {option.name!r}; {having} can")


def _load_by_name(name: str) -> type[Design]:
    if name in _OWN_BY_NAME:
        return _OWN_BY_NAME[name]
    if name in (of_files := designs_from_files()):
        return of_files[name]
    if name in _registered():
        return _loaded(name)
    names = DesignNames()
    near = get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    message = f"no design is called {name!r}; there are {', '.join(names)}{hint}"
    raise DesignError(message)
