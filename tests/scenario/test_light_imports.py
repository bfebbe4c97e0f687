from __future__ import annotations

import subprocess
import sys

HEAVY = ("pandas", "numpy", "matplotlib", "click", "simpy", "scipy")


def test_scenario_imports_nothing_heavy() -> None:
    """Loading a scenario imports neither tables, nor plots, nor the command line."""
    code = (
        "import sys; from colosim.scenario import loads; loads('name: x');"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_a_file_is_read_without_validators_of_pydantic() -> None:
    """They take longer to build than the room to import; a program that needs them builds them."""
    code = (
        "from colosim.scenario import Scenario, load; load('hang', overrides=['seed=3']);"
        "before = Scenario.__pydantic_complete__; Scenario.model_validate({'name': 'x'});"
        "print(before, Scenario.__pydantic_complete__)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["False", "True"]
