"""The measured tables that ship with colosim, one JSON file a run.

``measured("qemu25/old-ram512-n16384-bw0")`` is what a scenario's ``measured:`` names.  Where the
tables come from stands in ``tables/README.md`` beside them.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from colosim.errors import LogError
from colosim.measured.measurement import (
    NUMBERS,
    STAGES,
    Conditions,
    FaultResult,
    MeasuredCheckpoint,
    MeasuredRun,
)

_FOLDER = Path(__file__).parent / "tables"
SCHEMA = 1
"""Version of the tables' layout."""

_NUMBERS = ("request_ns", *NUMBERS)


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """Return the names of the shipped tables, sorted."""
    return tuple(
        sorted(
            file.relative_to(_FOLDER).with_suffix("").as_posix()
            for file in _FOLDER.glob("qemu*/*.json")
        )
    )


@lru_cache(maxsize=128)
def measured(name: str) -> MeasuredRun:
    """Return the shipped run of this name.

    :raises LogError: if there is none; the message names near ones.
    """
    if name not in names():
        from difflib import get_close_matches  # noqa: PLC0415 - only for the message

        near = ", ".join(get_close_matches(name, names(), n=3)) or ", ".join(names()[:3]) + ", ..."
        raise LogError(f"no measured run is named {name!r}; there are {near}")
    return parse((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def dump(run: MeasuredRun) -> str:
    """Return a run as the text of a table: JSON with one line a column, the same for equal runs."""
    checkpoints = run.checkpoints
    columns: dict[str, list[int | None]] = {
        name: [getattr(one, name) for one in checkpoints] for name in _NUMBERS
    }
    columns |= {stage: [one.stages.get(stage) for one in checkpoints] for stage in STAGES}
    head: dict[str, Any] = {
        "schema": SCHEMA,
        "name": run.name,
        "design": run.design,
        "qemu": run.qemu,
        "clock_ns": run.clock_ns,
        "conditions": asdict(run.conditions),
        "fault": asdict(run.fault) if run.fault else None,
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    table = [
        f"  {json.dumps(key)}: {json.dumps(column, separators=(',', ':'))}"
        for key, column in columns.items()
        if any(value is not None for value in column)
    ]
    lines.append('"checkpoints": {\n' + ",\n".join(table) + "\n }")
    return "{\n " + ",\n ".join(lines) + "\n}\n"


def parse(text: str) -> MeasuredRun:
    """Return the run that a table holds, the inverse of `dump`.

    :raises LogError: if the text is no such table.
    """
    try:
        table = json.loads(text)
        if table["schema"] != SCHEMA:
            raise LogError(f"a measured table of schema {table['schema']}, expected {SCHEMA}")
        columns: dict[str, list[int | None]] = table["checkpoints"]
        count = len(columns["request_ns"]) if columns else 0
        empty: list[int | None] = [None] * count
        stages = [stage for stage in STAGES if stage in columns]
        return MeasuredRun(
            name=table["name"],
            design=table["design"],
            qemu=table["qemu"],
            conditions=Conditions(**table["conditions"]),
            checkpoints=tuple(
                MeasuredCheckpoint(
                    **{name: columns.get(name, empty)[index] for name in _NUMBERS},  # type: ignore[arg-type]
                    stages={
                        stage: value
                        for stage in stages
                        if (value := columns[stage][index]) is not None
                    },
                )
                for index in range(count)
            ),
            fault=FaultResult(**table["fault"]) if table["fault"] else None,
            clock_ns=table.get("clock_ns", 0),
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise LogError(f"not a measured table: {error!r}") from error
