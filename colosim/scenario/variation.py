"""A scenario with other values: what stands behind `Scenario.vary`.

What the scenario states becomes a document again, the values are set in it as ``--set`` sets them,
and it is read as a file is.  Sections that no value leads into are kept as they are; the checks of
combinations see the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from colosim.scenario.canonical import plain_keys
from colosim.scenario.document import Mapping, marked
from colosim.scenario.load import Loading
from colosim.scenario.model import Scenario
from colosim.scenario.overrides import set_values

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingOf

__all__ = ["varied"]


def varied(scenario: Scenario, values: MappingOf[str, object]) -> Scenario:
    """Return `scenario` with `values` set by their dotted keys; see `Scenario.vary`.

    :raises ScenarioError: with every fault of the values and of what they make of the scenario.
    """
    opened = {key.partition(".")[0] for key in values}
    if "designs" in opened:
        opened |= {"expect", "measured"}
    kept = _sections(scenario, opened)
    stated = plain_keys(scenario, stated=True, but=kept)
    root = marked(stated, f"scenario {scenario.name}")
    assert isinstance(root, Mapping)  # noqa: S101 - keys make a mapping
    faults = set_values(root, values)
    return Loading(root, faults, kept=kept).scenario()


def _sections(scenario: Scenario, opened: set[str]) -> dict[str, Any]:
    """Return the sections that `scenario` states, by key, but for those `opened`."""
    sections = {}
    for name, field in Scenario.model_fields.items():
        key, value = field.alias or name, getattr(scenario, name)
        stated = name in scenario.model_fields_set and key not in opened
        if stated and isinstance(value, (BaseModel, dict, tuple)):
            sections[key] = value
    return sections
