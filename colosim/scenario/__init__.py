r"""YAML in, validated immutable model out.

>>> from colosim.scenario import loads
>>> loads("name: idle\nguest: {ram: 4 GiB}").guest.ram_bytes
4294967296
"""

from colosim.scenario.bounds import Bound
from colosim.scenario.canonical import canonical_json, resolve
from colosim.scenario.costs import Costs
from colosim.scenario.faults import Fault, StepMoment
from colosim.scenario.guest import (
    FixedDirty,
    Guest,
    HotColdDirty,
    MeasuredDirty,
    RateDirty,
    WriteLoad,
)
from colosim.scenario.hosts import Host, Hosts
from colosim.scenario.liveness import Liveness
from colosim.scenario.load import load, loads
from colosim.scenario.manager import Manager
from colosim.scenario.model import DEFAULT_DESIGNS, Scenario
from colosim.scenario.network import Framing, Network
from colosim.scenario.presets import Preset, PresetValue, preset, preset_names
from colosim.scenario.schema import schema
from colosim.scenario.shipped_scenarios import find, shipped, shipped_folder
from colosim.scenario.template import template

__all__ = [
    "DEFAULT_DESIGNS",
    "Bound",
    "Costs",
    "Fault",
    "FixedDirty",
    "Framing",
    "Guest",
    "Host",
    "Hosts",
    "HotColdDirty",
    "Liveness",
    "Manager",
    "MeasuredDirty",
    "Network",
    "Preset",
    "PresetValue",
    "RateDirty",
    "Scenario",
    "StepMoment",
    "WriteLoad",
    "canonical_json",
    "find",
    "load",
    "loads",
    "preset",
    "preset_names",
    "resolve",
    "schema",
    "shipped",
    "shipped_folder",
    "template",
]
