"""An exploration as tables: counts by design and verdict, a CSV and a JSON array of all cases."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING

from colosim.explore.outcome import COLUMNS
from colosim.files import write_file
from colosim.trace.fields import VERDICTS

if TYPE_CHECKING:
    from pathlib import Path

    from colosim.explore.explore import Exploration
    from colosim.explore.outcome import Outcome


def count_rows(exploration: Exploration) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of the table of counts; verdicts that never came are left out."""
    counts = exploration.counts()
    verdicts = [word for word in VERDICTS if any(word in row for row in counts.values())]
    rows = [
        [design, *(f"{row.get(word, 0):,}" for word in verdicts), f"{sum(row.values()):,}"]
        for design, row in counts.items()
    ]
    return ["design", *verdicts, "cases"], rows


def as_csv(outcomes: Sequence[Outcome]) -> str:
    """Return every case as a line of CSV."""
    text = StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for outcome in outcomes:
        writer.writerow(outcome.to_dict())
    return text.getvalue()


def as_json(outcomes: Sequence[Outcome]) -> str:
    """Return one JSON array, an element a case."""
    return json.dumps([outcome.to_dict() for outcome in outcomes], indent=2)


def write_tables(exploration: Exploration, folder: Path) -> list[Path]:
    """Write ``cases.csv`` and ``cases.json``, each whole or not at all; return their paths."""
    written = []
    for name, text in (
        ("cases.csv", as_csv(exploration.outcomes)),
        ("cases.json", as_json(exploration.outcomes) + "\n"),
    ):
        write_file(folder / name, text.encode())
        written.append(folder / name)
    return written
