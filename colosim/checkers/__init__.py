"""Safety rules, each held by a checker of its own that watches the event record.

The model knows nothing of them: a checker sees what happened (closed chunks of the record) and, at
the end, the state of the pair.  `Checks` has them all; `colosim.runs` lets it watch every run.
"""

from __future__ import annotations

from colosim.checkers.checks import RULES, Checks
from colosim.checkers.violation import Violation

__all__ = ["RULES", "Checks", "Violation"]
