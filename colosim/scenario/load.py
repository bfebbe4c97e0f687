"""Scenario files to scenarios: read, override, validate, and tell every fault with its place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import replace
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from colosim.errors import ScenarioError, ScenarioFault
from colosim.scenario.document import Mapping, Scalar, Sequence, read, text_of_file
from colosim.scenario.model import Scenario
from colosim.scenario.overrides import override
from colosim.scenario.reading import Reading
from colosim.scenario.shipped_scenarios import find
from colosim.scenario.units import meant, show

if TYPE_CHECKING:
    from colosim.scenario.checks import Path
    from colosim.scenario.document import Node


def load(
    path_or_name: str | FilePath,
    *,
    overrides: SequenceOf[str] = (),
    known_designs: Collection[str] | None = None,
) -> Scenario:
    """Load a scenario file, or a shipped scenario by its name.

    ``overrides`` are texts ``key=value`` with dotted keys, applied in order. ``known_designs`` are
    the names of the designs that there are; None leaves the names unchecked. If it has a method
    ``refusal(name)``, that says what is wrong with the options behind a name, or None; if it has
    ``resolved(name)``, the scenario has the name that this returns for an alias.

    :raises ScenarioError: with every fault of the file and of the overrides.
    """
    path = find(path_or_name)
    return loads(
        text_of_file(path),
        file=str(path),
        overrides=overrides,
        known_designs=known_designs,
        folder=path.parent,
    )


def loads(
    text: str,
    *,
    file: str = "<scenario>",
    overrides: SequenceOf[str] = (),
    known_designs: Collection[str] | None = None,
    folder: FilePath | None = None,
) -> Scenario:
    """Load a scenario from its text.

    ``file`` is its name in messages, ``folder`` where its CSV files are; the rest is as in `load`.

    :raises ScenarioError: with every fault of the text and of the overrides.
    """
    root, faults = read(text, file)
    if not isinstance(root, Mapping):
        what = "a list" if isinstance(root, Sequence) else show(root.text)
        message = f"{what} stands here; expected a mapping of keys to values, at least 'name: NAME'"
        raise ScenarioError([*faults, ScenarioFault(file, root.line, root.column, message)])
    faults += override(Scenario, root, overrides)
    reading = Reading(root, faults, folder or FilePath(), Scenario)
    if known_designs is not None:
        _resolve_aliases(root, getattr(known_designs, "resolved", str))
        for path, at, name, prefix in _designs_named(root):
            if wrong := _refusal(name, known_designs, prefix):
                reading.report(path, at, wrong)
    made: Scenario = reading.whole()
    if folder is not None and made.measured:
        own = {design: _beside(folder, name) for design, name in made.measured.items()}
        made = made.model_copy(update={"measured": own})
    return made


def _beside(folder: FilePath, name: str) -> str:
    """Return the path of a run directory as it stands beside the scenario file, if it does."""
    path = folder / name
    return path.as_posix() if path.is_dir() else name


def _resolve_aliases(root: Mapping, resolved: Callable[[str], str]) -> None:
    """Put the version that it means in the place of a design's alias."""
    for section, entry in root.entries.items():
        node = entry.value
        if section == "designs" and isinstance(node, Sequence):
            node.items[:] = [
                replace(item, text=resolved(item.text)) if isinstance(item, Scalar) else item
                for item in node.items
            ]
        elif section in {"expect", "measured"} and isinstance(node, Mapping):
            for name in tuple(node.entries):
                if resolved(name) not in node.entries:
                    node.entries[resolved(name)] = node.entries.pop(name)


def _designs_named(root: Mapping) -> Iterator[tuple[Path, Node, str, str]]:
    """Yield where a document names designs, each name, and how messages of its text begin."""
    nodes = {key: entry.value for key, entry in root.entries.items()}
    designs = nodes.get("designs")
    for index, item in enumerate(designs.items if isinstance(designs, Sequence) else ()):
        if isinstance(item, Scalar):
            yield ("designs", index), item, item.text, "designs: "
    for section in ("expect", "measured"):
        node = nodes.get(section)
        for name, entry in node.entries.items() if isinstance(node, Mapping) else ():
            if (section, name) != ("expect", "*"):
                yield (section, name), entry.key, name, ""


def _refusal(name: str, known: Collection[str], prefix: str) -> str | None:
    """Say what is wrong with a design's name, if anything is."""
    own = name.partition("+")[0]
    if own and own not in known:
        there_are = f"there are {', '.join(known)}"
        return f"the design {show(own)} is not known; {there_are}{meant(own, known)}"
    refusal = getattr(known, "refusal", None)
    wrong = refusal(name) if refusal and own else None
    return f"{prefix}{wrong}" if wrong else None
