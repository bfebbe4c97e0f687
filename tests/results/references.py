"""The reference results in ``results/``: what is kept of a run, and where a run parts from it.

Of each shipped scenario and design: digest, summary, a small table of its checkpoints, the events
of the first and the last transaction in full, and of every other event a mark of 12 bits, so that
the first event that differs is found wherever it is.
"""

from __future__ import annotations

import json
import zlib
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colosim.designs import load_designs
from colosim.runs.difference import NEIGHBOURS, event_line
from colosim.runs.run import simulate
from colosim.scenario import load, shipped
from colosim.trace.events import CheckpointEnded, StepDone
from colosim.trace.fields import value_of
from colosim.trace.sentences import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colosim.runs.run import Run
    from colosim.scenario import Scenario
    from colosim.trace.events import Event as What

    Event = tuple[int, What, int]

FOLDER = Path(__file__).parent.parent.parent / "results"
SCHEMA = 1
MARK_DIGITS = 3
CHECKPOINTS = ("dirty_pages", "pause_ns", "transaction_ns", "ram_ns", "lock_hold_primary_ns")
STEPS = {
    "RAM load",
    "bitmap sync",
    "cache flush",
    "device load",
    "device save",
    "disk drain",
    "disk flush",
    "failover",
    "reset",
    "start",
    "stop",
    "vmstate save",
}
"""The steps of our own designs that are an event when they are done."""


def path_of(name: str, design: str) -> Path:
    """Return where the reference of a shipped scenario and a design is."""
    return FOLDER / name / f"{design}.json"


def read(name: str, design: str) -> dict[str, Any]:
    """Return the reference of a shipped scenario and a design."""
    return dict(json.loads(path_of(name, design).read_text(encoding="utf-8")))


def kept() -> list[Path]:
    """Return every reference that there is."""
    files = sorted(FOLDER.rglob("*.json"))
    return [path for path in files if "marks" in json.loads(path.read_text(encoding="utf-8"))]


def mark(event: Event) -> str:
    """Return the mark of an event."""
    text = "{} {} {}".format(*event)
    return f"{zlib.crc32(text.encode()) & 0xFFF:0{MARK_DIGITS}x}"


def transactions(run: Run) -> list[list[Event]]:
    """Return a run's events by transaction; what comes after the last one stands alone."""
    parts: list[list[Event]] = [[]]
    for event in run.iter_events():
        parts[-1].append(event)
        if isinstance(event[1], CheckpointEnded):
            parts.append([])
    return [part for part in parts if part]


def simulated(scenario: Scenario, design: str) -> tuple[Run, dict[str, list[Any]]]:
    """Run a scenario and return the run with the columns of its checkpoints."""
    run = simulate(scenario, design)
    columns = run.tables["checkpoints"]
    return run, {name: columns[name].tolist() for name in CHECKPOINTS}


def misread(run: Run) -> list[Any]:
    """Return a run's events that are read otherwise than written, or are steps of no design."""
    assert run.simulation is not None
    return [
        event
        for _, event, _ in run.simulation.record
        if parse(str(event)) != event or (isinstance(event, StepDone) and event.step not in STEPS)
    ]


def reference(run: Run, checkpoints: dict[str, list[Any]]) -> dict[str, Any]:
    """Return what is kept of a run."""
    parts = transactions(run)
    return {
        "schema": SCHEMA,
        "digest": run.digest,
        "summary": {key: value for key, value in run.summary.items() if key != "digest"},
        "checkpoints": checkpoints,
        "first": [event_line(event) for event in parts[0]] if parts else [],
        "last": [event_line(event) for event in parts[-1]] if parts else [],
        "marks": ["".join(map(mark, part)) for part in parts],
    }


def dump(content: dict[str, Any]) -> str:
    """Return a reference as text: one line an event, a transaction, a column, a summary key."""
    lines = []
    for key, value in content.items():
        if isinstance(value, dict):
            inner = [f"  {json.dumps(name)}: {json.dumps(part)}" for name, part in value.items()]
            lines.append(f" {json.dumps(key)}: {{\n" + ",\n".join(inner) + "\n }")
        elif isinstance(value, list):
            inner = [f"  {json.dumps(part)}" for part in value]
            lines.append(f" {json.dumps(key)}: [\n" + ",\n".join(inner) + "\n ]")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def parting(expected: dict[str, Any], run: Run) -> str:
    """Say at which event a run parts from its reference, with its neighbours."""
    parts = transactions(run)
    for index, (marks, part) in enumerate(zip_longest(expected["marks"], parts)):
        if marks == "".join(map(mark, part or [])):
            continue
        at = _first_difference(marks or "", part or [])
        stored = _stored(expected, index)
        return "\n".join(_words(index, at, part or [], stored))
    return "every event has the same mark"


def _first_difference(marks: str, part: list[Event]) -> int:
    step = MARK_DIGITS
    known = [marks[at : at + step] for at in range(0, len(marks), step)]
    pairs = zip_longest(known, map(mark, part))
    return next(at for at, (one, other) in enumerate(pairs) if one != other)


def _stored(expected: dict[str, Any], index: int) -> list[str] | None:
    if index == 0:
        return list(expected["first"])
    return list(expected["last"]) if index == len(expected["marks"]) - 1 else None


def _words(index: int, at: int, part: list[Event], stored: list[str] | None) -> Iterator[str]:
    yield f"the first difference is event {at} of transaction {index}:"
    yield from (f"  {event_line(event)}" for event in part[max(0, at - NEIGHBOURS) : at])
    if stored is None:
        yield "- (of this transaction the reference keeps only marks)"
    else:
        yield from (f"- {line}" for line in stored[at : at + NEIGHBOURS + 1] or ["(no more)"])
    now = [event_line(event) for event in part[at : at + NEIGHBOURS + 1]]
    yield from (f"+ {line}" for line in now or ["(no more)"])


def changed(expected: dict[str, Any], run: Run) -> list[str]:
    """Return which values of the summary differ, as ``key: reference -> now``."""
    keys = sorted({*_dotted(expected["summary"]), *_dotted(run.summary)} - {"digest"})
    return [
        f"{key}: {value_of(expected['summary'], key)} -> {value_of(run.summary, key)}"
        for key in keys
        if value_of(expected["summary"], key) != value_of(run.summary, key)
    ]


def _dotted(summary: dict[str, Any], head: str = "") -> Iterator[str]:
    for key, value in summary.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{head}{key}.")
        else:
            yield head + key


@cache
def loaded(name: str) -> Scenario:
    """Return a shipped scenario."""
    return load(name, known_designs=tuple(load_designs()))


def pairs() -> list[tuple[str, str]]:
    """Return every shipped scenario with each of its designs."""
    return [(name, design) for name in shipped() for design in loaded(name).designs]
