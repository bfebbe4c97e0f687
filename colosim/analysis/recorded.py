"""Timings of a set of runs, pinned in a file with a tolerance, and later runs held to them.

The file has under each scenario what its ``expect:`` could say: designs, keys of the summary, and a
bound for each. So it can be read, edited, and copied into a scenario.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from colosim.analysis.compare import LABELS
from colosim.engine.clock import PPM
from colosim.errors import ScenarioError, ScenarioFault
from colosim.scenario.bounds import Expectations
from colosim.scenario.document import Mapping, read, text_of_file
from colosim.scenario.units import SIZE, TIME, text_of
from colosim.trace.fields import BYTES, NS, SUMMARY_KEYS, value_of

if TYPE_CHECKING:
    from pathlib import Path

    from colosim.runs.run import Run
    from colosim.scenario import Bound, Scenario
    from colosim.scenario.document import Node

    Recorded = dict[str, dict[str, dict[str, Bound]]]
    """Bounds by key, by design, by scenario."""

KEYS = ("verdict", "survivor", "checkpoints.completed", *LABELS)
"""What is pinned of a run: how it ends, and what a comparison shows."""
_DIGITS = 4
"""The bounds of a tolerance are rounded outwards to so many."""
_UNITS = {NS: TIME, BYTES: SIZE}


def record_of(runs: Sequence[Run], tolerance_ppm: int) -> str:
    """Return the text of a file that pins these runs.

    Each number may be so much lower or higher; several runs of one design, of several seeds, pin
    the lowest and the highest of them. Words have to stay.
    """
    lines = [f"# colosim check --record, tolerance {tolerance_ppm / 10**4:g}%"]
    by_run: dict[str, dict[str, list[Run]]] = {}
    for run in runs:
        by_run.setdefault(run.scenario.name, {}).setdefault(run.design, []).append(run)
    for scenario, designs in by_run.items():
        lines.append(f"{scenario}:")
        for design, same in designs.items():
            lines.append(f"  {design}:")
            for key in KEYS:
                bound = _bound(key, [value_of(run.summary, key) for run in same], tolerance_ppm)
                lines += [f"    {key}: {bound}"] if bound else []
    return "\n".join(lines) + "\n"


def _bound(key: str, values: Sequence[str | int | None], tolerance_ppm: int) -> str | None:
    """Return the bound around the values of a key; None where it says nothing."""
    if None in values:
        absent = set(values) == {None} and key != "survivor" and SUMMARY_KEYS[key].absent
        return "absent" if absent else None
    numbers = [value for value in values if isinstance(value, int)]
    if not numbers:
        return str(values[0]) if len(set(values)) == 1 else None
    low = min(numbers) * (PPM - tolerance_ppm) // PPM
    high = -(-max(numbers) * (PPM + tolerance_ppm) // PPM)
    if tolerance_ppm:
        place = 10 ** max(0, len(str(high)) - _DIGITS)
        low, high = low // place * place, -(-high // place) * place
    kind = _UNITS.get(SUMMARY_KEYS[key].unit)
    low_text, high_text = (text_of(end, kind) if kind else str(end) for end in (low, high))
    return low_text if low == high else f"{low_text} .. {high_text}"


def expectations_in(path: Path) -> Recorded:
    """Return what a recorded file expects.

    :raises ScenarioError: with every fault of the file.
    """
    file = str(path)
    root, faults = read(text_of_file(path), file)

    def report(_path: object, at: Node, message: str) -> None:
        faults.append(ScenarioFault(file, at.line, at.column, message))

    recorded: Recorded = {}
    if isinstance(root, Mapping):
        for name, entry in root.entries.items():
            bounds = Expectations().read_marked(entry.value, (name,), entry.key, report)
            recorded[name] = bounds
    else:
        report((), root, "expected what `colosim check --record` writes: scenarios, their designs")
    if faults:
        raise ScenarioError(faults)
    return recorded


def held_to(scenario: Scenario, designs: Sequence[str], recorded: Recorded, file: str) -> Scenario:
    """Return the scenario with what was recorded of it in place of its ``expect:``.

    A design of which nothing was recorded is held to the one that was, if that is one.

    :raises ScenarioError: if nothing was recorded of the scenario, or of the design.
    """
    known = recorded.get(scenario.name, {})
    expect: dict[str, dict[str, Bound]] = {}
    for design in designs:
        found = known.get(design) or (next(iter(known.values())) if len(known) == 1 else None)
        if found is None:
            has = f"of {', '.join(known)}" if known else f"under {', '.join(recorded) or 'no name'}"
            message = f"nothing was recorded of {design} under {scenario.name}; it has runs {has}"
            raise ScenarioError([ScenarioFault(file, 1, 1, message)])
        expect[design] = found
    return scenario.model_copy(update={"expect": expect})
