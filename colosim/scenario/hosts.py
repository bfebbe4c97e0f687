"""The two hosts of a scenario: each a preset, and the costs that differ from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final

from colosim.scenario.costs import Costs
from colosim.scenario.fields import Choice, Share
from colosim.scenario.presets import ACCELERATORS, DEFAULT_HOST, is_unread, preset
from colosim.scenario.section import FromPreset, PresetName, Section

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
    channel_lead_ppm: Share
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


BOTH: Final = "both"
"""The side of a cost that the hosts have in common: one preset, so one uncertainty."""


@dataclass(frozen=True, slots=True)
class HostCost:
    """A cost of a side, and its origin, ``""`` where the value is not the preset's."""

    cost: str
    side: str
    value: int
    origin: str

    @property
    def is_assumed(self) -> bool:
        """Whether the origin says so, before it gives its reason."""
        return "assumed" in self.origin.partition(":")[0]


def each_cost(hosts: Hosts) -> Iterator[HostCost]:
    """Yield every cost: once where both hosts are alike, else for each."""
    alike = (hosts.primary.preset, hosts.primary.costs) == (
        hosts.secondary.preset,
        hosts.secondary.costs,
    )
    sides = {BOTH: hosts.primary} if alike else vars(hosts)
    for side, host in sides.items():
        if isinstance(host, Host):
            unread = is_unread(host.preset)
            origins = {} if unread else preset("hosts", host.preset).values
            usual = host.costs if unread else Host.of(host.preset).costs
            for key, name in Costs.keys().items():
                value = getattr(host.costs, name)
                own = key not in origins or value != getattr(usual, name)
                yield HostCost(key, side, value, "" if own else origins[key].origin)


def assumed_in_words(hosts: Hosts) -> str:
    """Say how many costs are assumed, of those that are not 0; ``""`` if none is."""
    costs = [one for one in each_cost(hosts) if one.value]
    assumed = sum(one.is_assumed for one in costs)
    return f"{assumed} of {len(costs)} costs are assumed" if assumed else ""
