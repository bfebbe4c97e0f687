"""Named sets of values for hosts and networks, shipped as YAML with the origin of each value."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias

from colosim.errors import ScenarioError, ScenarioFault
from colosim.scenario.document import plain, read
from colosim.scenario.spread import StageSpread, parse_stage

Family: TypeAlias = Literal["hosts", "networks"]
_FOLDER: Final = Path(__file__).parent / "presets"
DEFAULT_HOST: Final = "kvm-xeon"
DEFAULT_NETWORK: Final = "10gbe"
TCG: Final = "tcg"
KVM: Final = "kvm"
ACCELERATORS: Final = (TCG, KVM)


@dataclass(frozen=True, slots=True)
class PresetValue:
    """A value as a scenario would write it, and where it comes from."""

    value: str | bool
    origin: str


@dataclass(frozen=True, slots=True)
class Preset:
    """A named set of values; ``description`` says what it stands for.

    ``accelerator`` is what ran the guest where the costs of a host were measured.
    """

    name: str
    description: str
    values: dict[str, PresetValue]
    accelerator: str = KVM
    spread: dict[str, StageSpread] = field(default_factory=dict)
    """How stages scatter on a host, where that was measured."""

    def texts(self) -> dict[str, str | bool]:
        """Return the values alone, by key."""
        return {key: value.value for key, value in self.values.items()}


class OwnPreset(str):
    """The name of a preset of one's own, as a scenario has it, with what its file held.

    ``found`` is None where nothing was left for a preset to give, so that no file was read; then
    ``spread`` is what a manifest has of it, or None.
    """

    __slots__ = ("found", "spread")
    found: Preset | None
    spread: dict[str, StageSpread] | None

    def __new__(
        cls, name: str, found: Preset | None, spread: dict[str, StageSpread] | None = None
    ) -> Self:
        """Make the name."""
        made = super().__new__(cls, name)
        made.found = found
        made.spread = spread if found is None else found.spread
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        """Return what a copy in another process is made of."""
        return str(self), self.found, self.spread


@cache
def preset_names(family: Family) -> tuple[str, ...]:
    """Return the names of the shipped presets of ``hosts`` or ``networks``, sorted."""
    return tuple(sorted(file.stem for file in (_FOLDER / family).glob("*.yaml")))


def preset(family: Family, name: str) -> Preset:
    """Return a shipped preset, or what an own one's file held.

    :raises KeyError: if there is none of that name.
    """
    own = name.found if isinstance(name, OwnPreset) else None
    return own or _shipped(family, str(name))


@cache
def _shipped(family: Family, name: str) -> Preset:
    if name not in preset_names(family):
        raise KeyError(name)
    text = (_FOLDER / family / f"{name}.yaml").read_text(encoding="utf-8")
    return _line_by_line(name, text) or parse_preset(name, text)


def spread_of(host: str) -> dict[str, StageSpread]:
    """Return how the stages scatter on a host preset, nothing if it does not say.

    :raises ScenarioError: if it is an own one whose file was not read, and no manifest has it.
    """
    if isinstance(host, OwnPreset):
        if host.spread is not None:
            return host.spread
        message = f"how the work on {str(host)!r} scatters stands in its file, which was not read"
        raise ScenarioError([ScenarioFault(str(host), 1, 1, message)])
    return preset("hosts", host).spread


def is_unread(name: str) -> bool:
    """Return whether it is an own preset whose file was not read."""
    return isinstance(name, OwnPreset) and name.found is None


@cache
def sums_of(host: str) -> tuple[dict[str, int], ...]:
    """Return the sums of costs that a shipped preset's fit determined: amounts by key.

    They stand in its first lines: ``#   cache_load + 4104 socket_read = 2710 ns``.
    """
    if isinstance(host, OwnPreset):
        return ()
    text = (_FOLDER / "hosts" / f"{host}.yaml").read_text(encoding="utf-8")
    found = []
    for terms in _SUM.findall(text):
        parts = (term.split() for term in terms.split(" + "))
        found.append({key: int(many[0]) if many else 1 for *many, key in parts})
    return tuple(found)


_SUM: Final = re.compile(r"^#   ([\w +]+) = [\d.]+ ns$", re.MULTILINE)
_DESCRIPTION: Final = re.compile(r'^description: ("[^"\n]*")$', re.MULTILINE)
_ACCELERATOR: Final = re.compile(r"^accelerator: (\w+)$", re.MULTILINE)
_VALUE: Final = re.compile(
    r'^  (\w+): \{value: ("[^"\n]*"|true|false), origin: ("[^"\n]*")\}$', re.MULTILINE
)

_STAGE: Final = re.compile(
    r'^  ([\w ]+): \{ratios: "([^"\n]*)", again: "([^"\n]*)", origin: "([^"\n]*)"\}$', re.MULTILINE
)


def _line_by_line(name: str, text: str) -> Preset | None:
    """Return the preset of a text that has a value a line, as shipped ones have; else None.

    Two presets are read by every process that loads a scenario, and a YAML reader takes longer
    for them than a short run takes.
    """
    description, values = _DESCRIPTION.search(text), _VALUE.findall(text)
    accelerator = _ACCELERATOR.search(text)
    stages = _STAGE.findall(text)
    if description is None or len(values) + len(stages) != text.count("\n  "):
        return None
    return Preset(
        name,
        json.loads(description[1]),
        {key: PresetValue(json.loads(value), json.loads(origin)) for key, value, origin in values},
        accelerator[1] if accelerator else KVM,
        {stage: parse_stage(stage, *texts) for stage, *texts in stages},
    )


def parse_preset(name: str, text: str) -> Preset:
    """Return the preset that a file's text holds.

    :raises AssertionError: if it has not the shape of one.
    :raises ScenarioError: if it is no YAML.
    """
    data: Any = plain(read(text, f"{name}.yaml")[0])
    try:
        values = {
            key: PresetValue(entry["value"], entry["origin"])
            for key, entry in data["values"].items()
        }
        spread = {
            stage: parse_stage(stage, entry["ratios"], entry["again"], entry["origin"])
            for stage, entry in data.get("spread", {}).items()
        }
        return Preset(name, data["description"], values, data.get("accelerator", KVM), spread)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AssertionError(f"{name} is no preset: {error}") from error
