from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from colosim.scenario import loads, resolve, schema, template

SCENARIOS = Path(__file__).parent.parent / "scenarios"
SCHEMA = schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def parsed(text: str) -> Any:
    """Return YAML 1.2 as an editor reads it."""
    return YAML(typ="safe", pure=True).load(text)


def test_schema_is_a_schema() -> None:
    """The schema itself is a JSON Schema of the draft that it names."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "path", sorted((SCENARIOS / "valid").glob("*.yaml")), ids=lambda path: path.stem
)
def test_valid_scenarios_pass(path: Path) -> None:
    """An editor finds no fault in a valid scenario."""
    assert [error.message for error in VALIDATOR.iter_errors(parsed(path.read_text("utf-8")))] == []


@pytest.mark.parametrize(
    "text", [template("x"), resolve(loads("name: x"))], ids=["init", "resolve"]
)
def test_written_scenarios_pass(text: str) -> None:
    """An editor finds no fault in what init and resolve write."""
    assert [error.message for error in VALIDATOR.iter_errors(parsed(text))] == []


@pytest.mark.parametrize(
    "name", ["units", "keys", "shapes", "presets", "no_name", "misspelt_bound"]
)
def test_invalid_scenarios_fail(name: str) -> None:
    """An editor finds faults of units, keys, shapes and names by itself."""
    assert not VALIDATOR.is_valid(
        parsed((SCENARIOS / "invalid" / f"{name}.yaml").read_text("utf-8"))
    )


def test_properties_tell_meaning_default_and_unit() -> None:
    """A property has its description, its default as a scenario writes it, and its base unit."""
    delay = SCHEMA["properties"]["checkpoint_delay"]
    assert (delay["default"], delay["x-unit"], delay["description"]) == (
        "200 ms",
        "ns",
        "From the end of a transaction to the start of the next (x-checkpoint-delay).",
    )


def test_every_property_is_described() -> None:
    """No key of a scenario is without a description."""
    sections = [SCHEMA, *SCHEMA["$defs"].values()]
    silent = [
        key
        for section in sections
        for key, entry in section.get("properties", {}).items()
        if not entry.get("description")
    ]
    assert silent == []
