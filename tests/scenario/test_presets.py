from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal

import pytest

from colosim.scenario import loads, preset, preset_names, presets
from colosim.scenario.costs import Costs
from colosim.scenario.network import Network
from colosim.scenario.presets import parse_preset


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
    fields = Network.model_fields.items()
    assert list(found.values) == [one.alias or key for key, one in fields if one.is_required()]
    assert all(value.origin for value in found.values.values())
    assert loads(f"name: x\nnetwork: {{preset: {name}}}").network.preset == name


@pytest.mark.parametrize("family", ["hosts", "networks"])
def test_shipped_presets_are_yaml(family: Literal["hosts", "networks"]) -> None:
    """What is read line by line is what a YAML reader finds in the file."""
    for name in preset_names(family):
        text = (presets._FOLDER / family / f"{name}.yaml").read_text(encoding="utf-8")
        assert preset(family, name) == parse_preset(name, text) == presets._line_by_line(name, text)


def test_a_preset_in_another_form_is_not_read_line_by_line() -> None:
    """Whatever else YAML may say is left to its reader."""
    text = 'description: x\nvalues:\n  reset: {value: "1 ms", origin: "y"}\n'
    other = text.replace("x", '"x"').replace('"1 ms"', "1 ms")
    assert presets._line_by_line("a", text) is presets._line_by_line("a", other) is None
    assert parse_preset("a", text) == parse_preset("a", other)


def test_each_cost_of_the_default_host_lies_in_the_range_that_its_origin_ends_with() -> None:
    """Published, measured or assumed: ``: 40 to 60 us``, in the unit of the value."""
    for key, cost in preset("hosts", "kvm-xeon").values.items():
        value, unit = str(cost.value).split()
        if Decimal(value):
            ends = re.fullmatch(rf".*: ([\d.]+) to ([\d.]+) {re.escape(unit)}", cost.origin)
            assert ends, (key, cost.origin)
            assert Decimal(ends[1]) <= Decimal(value) <= Decimal(ends[2]), key


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
    assert (hosts.secondary.costs.reset_ns, hosts.secondary.costs.vm_start_ns) == (1, 520_000)
