from __future__ import annotations

import pytest

from colosim.scenario import loads, preset, preset_names
from colosim.scenario.costs import Costs
from colosim.scenario.model import Network


@pytest.mark.parametrize("name", preset_names("hosts"))
def test_host_presets(name: str) -> None:
    """A host preset gives every cost, each with its origin, and nothing else."""
    found = preset("hosts", name)
    assert list(found.values) == [field.alias for field in Costs.model_fields.values()]
    assert all(value.origin for value in found.values.values())
    assert loads(f"name: x\nhosts: {{preset: {name}}}").hosts.secondary.preset == name


@pytest.mark.parametrize("name", preset_names("networks"))
def test_network_presets(name: str) -> None:
    """A network preset gives every value, each with its origin, and nothing else."""
    found = preset("networks", name)
    keys = [field.alias or key for key, field in Network.model_fields.items()]
    assert list(found.values) == [key for key in keys if key != "preset"]
    assert all(value.origin for value in found.values.values())
    assert loads(f"name: x\nnetwork: {{preset: {name}}}").network.preset == name


def test_unknown_preset() -> None:
    """A preset that there is not is a KeyError."""
    with pytest.raises(KeyError):
        preset("hosts", "no-such")


def test_a_side_overrides_the_pair() -> None:
    """A host's own preset goes before the pair's, and its own costs before both."""
    text = (
        "name: x\nhosts: {preset: lab-qemu25, secondary: {preset: kvm-xeon, costs: {reset: 1 ns}}}"
    )
    hosts = loads(text).hosts
    assert (hosts.primary.preset, hosts.secondary.preset) == ("lab-qemu25", "kvm-xeon")
    assert (hosts.secondary.costs.reset_ns, hosts.secondary.costs.vm_start_ns) == (1, 100_000)
