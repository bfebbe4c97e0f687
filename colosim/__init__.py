"""colosim: a discrete-event simulator of QEMU COLO checkpoint designs.

It answers, from a scenario file, what a design costs in memory and latency and whether the
survivor of a fault can still be told so. The names below are loaded when they are first used, so
that ``import colosim`` and ``colosim --help`` stay fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from colosim.analysis.compare import Comparison, compare
    from colosim.analysis.explain import Explanation, explain
    from colosim.analysis.over_seeds import OverSeeds, over_seeds
    from colosim.arrays.grid import grid
    from colosim.designs.design import Design
    from colosim.errors import (
        ColosimError,
        DesignError,
        GridError,
        HangError,
        InvariantError,
        LogError,
        RunDirectoryError,
        ScenarioError,
        ScenarioFault,
    )
    from colosim.measured.imported import ImportedRun, import_run, import_runs
    from colosim.runs.check import Outcome, check
    from colosim.runs.difference import Difference, diff
    from colosim.runs.directory import write_run
    from colosim.runs.run import NoTablesError, Run, run
    from colosim.runs.stored import read_run
    from colosim.scenario import Scenario
    from colosim.sweeps.sweep import sweep

__version__ = "0.1.0"

__all__ = [
    "ColosimError",
    "Comparison",
    "Design",
    "DesignError",
    "Difference",
    "Explanation",
    "GridError",
    "HangError",
    "ImportedRun",
    "InvariantError",
    "LogError",
    "NoTablesError",
    "Outcome",
    "OverSeeds",
    "Run",
    "RunDirectoryError",
    "Scenario",
    "ScenarioError",
    "ScenarioFault",
    "__version__",
    "check",
    "compare",
    "diff",
    "explain",
    "grid",
    "import_run",
    "import_runs",
    "over_seeds",
    "read_run",
    "run",
    "sweep",
    "write_run",
]

#: Where each public name lives.
_HOMES = {
    "ColosimError": "colosim.errors",
    "Comparison": "colosim.analysis.compare",
    "Design": "colosim.designs.design",
    "DesignError": "colosim.errors",
    "Difference": "colosim.runs.difference",
    "Explanation": "colosim.analysis.explain",
    "GridError": "colosim.errors",
    "HangError": "colosim.errors",
    "ImportedRun": "colosim.measured.imported",
    "InvariantError": "colosim.errors",
    "LogError": "colosim.errors",
    "NoTablesError": "colosim.runs.run",
    "Outcome": "colosim.runs.check",
    "OverSeeds": "colosim.analysis.over_seeds",
    "Run": "colosim.runs.run",
    "RunDirectoryError": "colosim.errors",
    "Scenario": "colosim.scenario",
    "ScenarioError": "colosim.errors",
    "ScenarioFault": "colosim.errors",
    "check": "colosim.runs.check",
    "compare": "colosim.analysis.compare",
    "diff": "colosim.runs.difference",
    "explain": "colosim.analysis.explain",
    "grid": "colosim.arrays.grid",
    "import_run": "colosim.measured.imported",
    "import_runs": "colosim.measured.imported",
    "over_seeds": "colosim.analysis.over_seeds",
    "read_run": "colosim.runs.stored",
    "run": "colosim.runs.run",
    "sweep": "colosim.sweeps.sweep",
    "write_run": "colosim.runs.directory",
}


def __getattr__(name: str) -> object:
    """Load a public name from its home module on first use."""
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
