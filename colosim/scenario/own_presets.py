"""Presets of one's own: a file beside the scenario, or one in the folder of the user's presets.

``preset: ./my-host.yaml`` is a path from the scenario file, ``preset: my-host`` the file
``hosts/my-host.yaml`` (``networks/`` for a network) in ``~/.config/colosim``, or in the folder that
the environment variable ``COLOSIM_PRESETS`` names.  A shipped preset goes before an own one of the
same name.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import PydanticCustomError

from colosim.errors import ScenarioError, ScenarioFault
from colosim.scenario.document import Mapping, Scalar, plain, read, text_of_file
from colosim.scenario.presets import ACCELERATORS, KVM, Family, Preset, PresetValue, preset_names
from colosim.scenario.spread import STAGES, StageSpread, parse_stage
from colosim.scenario.units import meant, nearest, show

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingOf

    from colosim.scenario.document import Node

ENDINGS: Final = (".yaml", ".yml")


def own_folder(family: Family) -> Path:
    """Return the folder of the user's presets of ``hosts`` or ``networks``."""
    folder = os.environ.get("COLOSIM_PRESETS") or "~/.config/colosim"
    return Path(folder).expanduser() / family


def own_names(family: Family) -> tuple[str, ...]:
    """Return the names of the user's presets, sorted; those of shipped ones are none."""
    return tuple(sorted(_in_own_folder(family) - set(preset_names(family))))


def hidden_names(family: Family) -> tuple[str, ...]:
    """Return the names in the user's folder that are not read, since shipped presets have them."""
    return tuple(sorted(_in_own_folder(family) & set(preset_names(family))))


def _in_own_folder(family: Family) -> set[str]:
    try:
        return {file.stem for file in own_folder(family).glob("*.yaml")}
    except OSError:
        return set()


def is_path(name: str) -> bool:
    """Tell whether the name of a preset is the path of a file."""
    return "/" in name or os.sep in name or name.endswith(ENDINGS)


def file_of(family: Family, name: str, folder: Path) -> Path | None:
    """Return the file of an own preset, None if the name is neither a path nor the user's."""
    if is_path(name):
        return folder / Path(name).expanduser()
    return own_folder(family) / f"{name}.yaml" if name in own_names(family) else None


def read_preset_file(file: Path, readers: MappingOf[str, Any]) -> Preset:
    """Return the preset in a file; ``readers`` has what reads each key's value.

    :raises ScenarioError: with every fault of the file.
    """
    shown = str(file)
    root, faults = read(text_of_file(file, what="preset"), shown)
    return _Reader(shown, faults, readers).preset(root)


class _Reader:
    """Reads one preset file, and gathers its faults."""

    def __init__(
        self, shown: str, faults: list[ScenarioFault], readers: MappingOf[str, Any]
    ) -> None:
        self._shown = shown
        self._faults = faults
        self._readers = readers

    def preset(self, root: Node) -> Preset:
        """Return what the document holds.

        :raises ScenarioError: with every fault.
        """
        keys = ("description", "accelerator", "values", "spread")
        top = self._entries(root, "the preset", keys, needed=("description", "values"))
        description = self._text(top.get("description"), "description")
        accelerator = self._text(top.get("accelerator"), "accelerator") or KVM
        if accelerator not in ACCELERATORS:
            message = f"accelerator: {show(accelerator)} is not known; expected one of "
            self._fault(top["accelerator"], message + ", ".join(ACCELERATORS))
        values = {}
        if "values" in top:
            given = self._entries(top["values"], "values", tuple(self._readers), needed=None)
            values = {key: self._value(key, given[key]) for key in self._readers if key in given}
        spread = self._spread(top["spread"]) if "spread" in top else {}
        if self._faults:
            raise ScenarioError(sorted(self._faults))
        return Preset(Path(self._shown).stem, description, values, accelerator, spread)

    def _spread(self, node: Node) -> dict[str, StageSpread]:
        """Return how stages scatter."""
        found = {}
        keys = ("ratios", "again", "origin")
        for stage, entry in self._entries(node, "spread", STAGES, needed=()).items():
            own = self._entries(entry, stage, keys, needed=None)
            try:
                texts = [self._text(own.get(key), key) for key in keys]
                found[stage] = parse_stage(stage, *texts)
            except ValueError as error:
                self._fault(entry, f"{stage}: {error}")
        return found

    def _value(self, key: str, node: Node) -> PresetValue:
        own = self._entries(node, key, ("value", "origin"), needed=None)
        value: Any = plain(own["value"]) if "value" in own else None
        try:
            if "value" in own:
                self._readers[key].read(value)
        except PydanticCustomError as error:
            self._fault(own["value"], f"{key}: {error}")
        return PresetValue(value, self._text(own.get("origin"), "origin"))

    def _entries(
        self, node: Node, what: str, keys: tuple[str, ...], needed: tuple[str, ...] | None
    ) -> dict[str, Node]:
        """Return the nodes of a mapping; of its ``keys`` those ``needed`` (all) must be there."""
        if not isinstance(node, Mapping):
            self._fault(node, f"{what}: expected a mapping with the keys {', '.join(keys)}")
            return {}
        unknown = [key for key in node.entries if key not in keys]
        for key, entry in node.entries.items():
            if key in unknown:
                message = f"the key {show(key)} is unknown in {what}{meant(key, keys)}"
                self._fault(entry.key, message)
        meant_keys = {nearest(one, keys) for one in unknown}
        required = keys if needed is None else needed
        missing = [show(key) for key in required if key not in {*node.entries, *meant_keys}]
        if missing:
            of_them = "the key {}, which is" if len(missing) == 1 else "the keys {}, which are"
            self._fault(node, f"{what} needs {of_them.format(', '.join(missing))} missing")
        return {key: entry.value for key, entry in node.entries.items() if key in keys}

    def _text(self, node: Node | None, key: str) -> str:
        if node is None:
            return ""
        if not isinstance(node, Scalar) or not node.text:
            self._fault(node, f"{key}: expected a text")
            return ""
        return node.text

    def _fault(self, node: Node, message: str) -> None:
        self._faults.append(ScenarioFault(self._shown, node.line, node.column, message))
