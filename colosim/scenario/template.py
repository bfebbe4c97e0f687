"""The commented scenario that `colosim init NAME` writes."""

from __future__ import annotations

import json
from pathlib import Path

from colosim.scenario.load import loads


def template(name: str) -> str:
    """Return a commented scenario called ``name`` that runs as it is.

    :raises ScenarioError: if ``name`` cannot be the name of a scenario.
    """
    loads(f"name: {json.dumps(name)}", file="<name>")
    text = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
    return text.replace("{name}", name)
