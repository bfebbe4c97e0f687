"""The two hosts of a scenario: each a preset, and the costs that differ from it."""

from __future__ import annotations

from typing import Annotated, Any, Final

from colosim.scenario.costs import Costs
from colosim.scenario.fields import Choice, Measure
from colosim.scenario.presets import ACCELERATORS, DEFAULT_HOST, preset
from colosim.scenario.section import FromPreset, PresetName, Section
from colosim.scenario.units import SHARE

_Preset = Annotated[str, PresetName("hosts", "a host preset")]
LEAD_PPM: Final = {"lab-qemu111": 460_000, "lab-qemu111-kvm": 460_000}
"""Of checkpoints over multifd channels those with one channel ahead of the others, by host preset.

Measured: 21 of the 46 in which it decides of a second stall (4,000 pages over 4 and 8 channels, the
idle runs of qemu111).  The repeats on a busy machine, not used, had 19 of 46."""


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
    channel_lead_ppm: Annotated[int, Measure(SHARE, 0, 10**6)]
    """Of checkpoints sent over multifd channels without a bandwidth limit, the share in which one
    channel's thread keeps its CPU and takes a dozen packets in a row; drawn from the seed. Unless
    stated, as the preset was measured: 46% in lab-qemu111, in others 0, a CPU for each thread.
    """
    costs: Costs
    """Costs that differ from the preset's."""

    @classmethod
    def values_of(cls, name: str) -> dict[str, Any]:
        """Return the costs of a preset, none of them stated."""
        return {
            "accelerator": preset("hosts", name).accelerator,
            "channel_lead_ppm": LEAD_PPM.get(name, 0),
            "costs": Costs.model_construct(set(), **super().values_of(name)),
        }

    @classmethod
    def filled(cls) -> type[Section]:
        """Return the section of the costs."""
        return Costs


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

    @classmethod
    def filled(cls) -> type[Section]:
        """Return the section of the costs."""
        return Costs
