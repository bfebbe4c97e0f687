"""The JSON Schema of scenario files, for editors."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from typing import Any, Final

from colosim.scenario.canonical import plain_keys
from colosim.scenario.model import Scenario
from colosim.scenario.network import Network
from colosim.scenario.presets import DEFAULT_NETWORK
from colosim.scenario.section import FromPreset, Section, all_keys, measure_of, sections_in

SCHEMA_URL: Final = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of scenario files."""
    made = schema_of(Scenario, "colosim scenario")
    definitions = made["$defs"]
    # A scenario names the file; the values stand only in what `colosim resolve` prints.
    for name in ("MeasuredDirty", "MeasuredArrivals", "MeasuredTime"):
        definitions[name]["required"] = ["csv"]
    # Presets fill in what is left out.
    definitions["Costs"].pop("required")
    for key, value in plain_keys(Network.of(DEFAULT_NETWORK)).items():
        definitions["Network"]["properties"][key]["default"] = value
    return made


def schema_of(root: type[Section], title: str) -> dict[str, Any]:
    """Return the schema of documents of a kind: descriptions, units, defaults, patterns."""
    sections = [each for reads in all_keys(root).values() for each in sections_in(reads)]
    models: list[type[Section]] = [root, *sections]
    for model in models:
        model.model_rebuild()  # pydantic before 2.13 describes no default of a model not built yet
    made = root.model_json_schema(by_alias=True, mode="validation")
    for model in dict.fromkeys(models):
        _complete(made if model is root else made["$defs"][model.__name__], model)
    rest = {key: value for key, value in made.items() if key != "title"}
    return {"$schema": SCHEMA_URL, "title": title, **rest}


def _complete(section: dict[str, Any], model: type[Section]) -> None:
    """Give each property its description, and its default as a scenario writes it."""
    section.pop("title", None)
    if issubclass(model, FromPreset):
        section.pop("required", None)
    descriptions = _descriptions(model)
    for name, field in model.model_fields.items():
        entry = section["properties"][field.alias]
        entry.pop("title", None)
        entry["description"] = descriptions[name]
        measure = measure_of(field)
        if measure is not None and measure.kind.base:
            entry["x-unit"] = measure.kind.base
        default = entry.pop("default", None)
        if measure is not None and isinstance(default, int):
            text = measure.text(default)
            default = int(text) if text.isdecimal() and not measure.kind.base else text
        if default is not None and not isinstance(default, dict):
            entry["default"] = default


def _descriptions(model: type[Section]) -> dict[str, str]:
    """Return the text below each attribute, its own and inherited."""
    found: dict[str, str] = {}
    for each in model.__mro__:
        if issubclass(each, Section):
            (tree,) = ast.parse(inspect.getsource(each)).body
            assert isinstance(tree, ast.ClassDef)  # noqa: S101 - of a class
            for field, text in pairwise(tree.body):
                if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                    words = ast.literal_eval(text.value).split()
                    found.setdefault(ast.unparse(field.target), " ".join(words))
    return found
