"""Named sets of values for hosts and networks, shipped as YAML with the origin of each value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from colosim.scenario.document import Mapping, Scalar, read

if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    Family: TypeAlias = Literal["hosts", "networks"]

__all__ = [
    "DEFAULT_HOST",
    "DEFAULT_NETWORK",
    "Preset",
    "PresetValue",
    "parse_preset",
    "preset",
    "preset_names",
]

DEFAULT_HOST: Final = "kvm-xeon"
DEFAULT_NETWORK: Final = "10gbe"


@dataclass(frozen=True, slots=True)
class PresetValue:
    """A value as a scenario would write it, and where it comes from."""

    value: str | bool
    origin: str


@dataclass(frozen=True, slots=True)
class Preset:
    """A named set of values; ``description`` says what it stands for."""

    name: str
    description: str
    values: dict[str, PresetValue]

    def texts(self) -> dict[str, str | bool]:
        """Return the values alone, by key."""
        return {key: value.value for key, value in self.values.items()}


@cache
def preset_names(family: Family) -> tuple[str, ...]:
    """Return the names of the shipped presets of ``hosts`` or ``networks``, sorted."""
    folder = resources.files("colosim.scenario") / "presets" / family
    return tuple(
        sorted(
            entry.name.removesuffix(".yaml")
            for entry in folder.iterdir()
            if entry.name.endswith(".yaml")
        )
    )


@cache
def preset(family: Family, name: str) -> Preset:
    """Return a shipped preset.

    :raises KeyError: if there is none of that name.
    """
    if name not in preset_names(family):
        raise KeyError(name)
    file = resources.files("colosim.scenario") / "presets" / family / f"{name}.yaml"
    return parse_preset(name, file.read_text(encoding="utf-8"))


def parse_preset(name: str, text: str) -> Preset:
    """Return the preset that a file's text holds.

    :raises AssertionError: if it has not the shape of one.
    :raises ScenarioError: if it is no YAML.
    """
    root, _ = read(text, f"{name}.yaml")
    assert isinstance(root, Mapping)  # noqa: S101 - shipped files, held to this by a test
    description, values = root.entries["description"].value, root.entries["values"].value
    assert isinstance(description, Scalar)  # noqa: S101
    assert isinstance(values, Mapping)  # noqa: S101
    return Preset(
        name, description.text, {key: _value(entry.value) for key, entry in values.entries.items()}
    )


def _value(node: object) -> PresetValue:
    assert isinstance(node, Mapping)  # noqa: S101
    value, origin = node.entries["value"].value, node.entries["origin"].value
    assert isinstance(value, Scalar)  # noqa: S101
    assert isinstance(origin, Scalar)  # noqa: S101
    booleans = {"true": True, "false": False}
    return PresetValue(
        booleans.get(value.text, value.text) if not value.quoted else value.text, origin.text
    )
