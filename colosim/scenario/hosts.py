"""The two hosts of a scenario: each a preset, and the costs that differ from it."""

from __future__ import annotations

from typing import Annotated, Any, Final

from colosim.scenario.costs import Costs
from colosim.scenario.fields import Choice
from colosim.scenario.presets import DEFAULT_HOST, preset_names
from colosim.scenario.section import FromPreset, read_preset

TCG: Final = "tcg"
KVM: Final = "kvm"
ACCELERATORS: Final = (TCG, KVM)
EMULATED: Final = ("lab-qemu25", "lab-qemu72", "lab-qemu111")
"""Host presets measured under software emulation."""

_Preset = Annotated[str, Choice(preset_names("hosts"), "a host preset")]


class Host(FromPreset):
    """One host: where its costs come from, and the costs."""

    family = "hosts"
    example = "{preset: kvm-xeon}"

    preset: _Preset = DEFAULT_HOST
    """Preset that gives every cost not stated."""
    accelerator: Annotated[str, Choice(ACCELERATORS, "an accelerator")]
    """What runs the guest there; unless stated, as the preset was measured. Under KVM the first
    checkpoint of QEMU since 3.1 flushes all of guest RAM on the secondary.
    """
    costs: Costs
    """Costs that differ from the preset's."""

    @classmethod
    def values_of(cls, name: str) -> dict[str, Any]:
        """Return the costs of a preset, none of them stated."""
        return {
            "accelerator": TCG if name in EMULATED else KVM,
            "costs": Costs.model_construct(set(), **read_preset(Costs, "hosts", name)),
        }


class Hosts(FromPreset):
    """The two hosts of the pair."""

    family = "hosts"
    example = "{preset: kvm-xeon}"

    preset: _Preset = DEFAULT_HOST
    """Preset of both hosts, unless one names its own."""
    primary: Host
    """Host that runs the guest at first."""
    secondary: Host
    """Host that receives the checkpoints."""

    @classmethod
    def values_of(cls, name: str) -> dict[str, Any]:
        """Return two hosts of one preset."""
        return {"primary": Host.of(name), "secondary": Host.of(name)}
