"""The JSON Schema of scenario files, for editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from colosim.scenario.canonical import measure_of, plain_keys
from colosim.scenario.model import (
    FAULT_KINDS,
    Costs,
    FixedDirty,
    Guest,
    Host,
    Hosts,
    HotColdDirty,
    Liveness,
    Manager,
    MeasuredDirty,
    Network,
    RandomMoment,
    RateDirty,
    Scenario,
    StepMoment,
    Watch,
    WriteLoad,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["SCHEMA_URL", "schema"]

SCHEMA_URL: Final = "https://json-schema.org/draft/2020-12/schema"
_MODELS: Final[tuple[type[BaseModel], ...]] = (
    Costs,
    FixedDirty,
    Guest,
    Host,
    Hosts,
    HotColdDirty,
    Liveness,
    Manager,
    MeasuredDirty,
    Network,
    RandomMoment,
    RateDirty,
    StepMoment,
    Watch,
    WriteLoad,
    *FAULT_KINDS.values(),
)


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12): descriptions, units, defaults, patterns."""
    made = Scenario.model_json_schema(by_alias=True, mode="validation")
    definitions = made.get("$defs", {})
    _complete(made, Scenario)
    for model in _MODELS:
        if model.__name__ in definitions:
            _complete(definitions[model.__name__], model)
    if "MeasuredDirty" in definitions:
        # A scenario names the file; the values stand only in what `colosim resolve` prints.
        definitions["MeasuredDirty"]["required"] = ["csv"]
        definitions["MeasuredDirty"]["properties"]["values"] = {
            "description": definitions["MeasuredDirty"]["properties"]["values"].get(
                "description", ""
            ),
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "integer", "minimum": 0}},
            ],
        }
    return {
        "$schema": SCHEMA_URL,
        "title": "colosim scenario",
        **{k: v for k, v in made.items() if k != "title"},
    }


def _complete(section: dict[str, Any], model: type[BaseModel]) -> None:
    """Give each property its default as a scenario writes it; drop the machine-made titles."""
    section.pop("title", None)
    properties = section.get("properties", {})
    for name, field in model.model_fields.items():
        entry = properties.get(field.alias or name)
        if entry is None:
            continue
        entry.pop("title", None)
        measure = measure_of(field)
        if measure is not None:
            if measure.kind.base:
                entry["x-unit"] = measure.kind.base
            if "default" in entry:
                default = entry.pop("default")
                if default is not None:
                    text = measure.text(default)
                    entry["default"] = int(text) if measure.kind.name == "a whole number" else text
        elif entry.get("default", 0) is None:
            del entry["default"]
    defaults = _DEFAULTS.get(model.__name__)
    for key, value in (plain_keys(defaults()) if defaults else {}).items():
        if key in properties and not isinstance(value, dict):
            properties[key]["default"] = value


_DEFAULTS: Final = {"Network": lambda: Network.model_validate({})}
