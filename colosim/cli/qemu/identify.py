"""``colosim qemu identify LOG...``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from colosim.cli.main import STATUS_FAILED
from colosim.cli.options import format_option

if TYPE_CHECKING:
    from colosim.measured.conformance import Identification
    from colosim.measured.events import History

_SHOWN = 8
"""How many lines with a time that is wrong are named."""


@click.command("identify")
@click.argument(
    "paths", nargs=-1, required=True, metavar="RUN_DIR|LOG...", type=click.Path(path_type=Path)
)
@format_option
def command(*, paths: tuple[Path, ...], form: str) -> int:
    """Say which designs a log can come from.

    LOGs (one a side, and one of its monitor) are one run, or one each time that COLO was entered; a
    RUN_DIR is a run of its own. The answer is a set: messages and state changes alone do not tell
    all designs apart, and no trace shows who holds the iothread lock. The exit status is 1 if no
    design can have written the logs; then each design's first impossible event is printed.
    """
    from colosim.measured.conformance import identify
    from colosim.measured.sessions import log_files, sessions

    folders = [path for path in paths if path.is_dir()]
    logs = [path for path in paths if not path.is_dir()]
    groups = [log_files(folder) for folder in folders] + ([logs] if logs else [])
    found: list[dict[str, Any]] = []
    status = 0
    for told in [session for group in groups for session in sessions(group)]:
        identification = identify(told)
        if not identification.designs:
            status = STATUS_FAILED
        found.append(
            {
                "logs": [history.provenance() for history in told],
                "designs": list(identification.designs),
                "excluded": {
                    design: deviation.as_json()
                    for design, deviation in identification.excluded.items()
                },
            }
        )
        if form == "table":
            for history in told:
                click.echo(described(history.provenance() | {"source": history.log.source}))
            click.echo("\n".join(_lines(identification, told)))
    if form == "json":
        click.echo(json.dumps(found, indent=2))
    return status


def described(log: dict[str, Any]) -> str:
    """Return what is said of a log: whose it is, how much of it was read, what is wrong with it."""
    notes = [f"{log['lines']} lines", f"{log['unknown_lines']} unknown"]
    notes += ["its last line is cut off"] if log["truncated"] else []
    notes += [] if log["times"] else ["no times, so no durations"]
    if lines := _some(log["no_time_at_lines"]):
        notes.append(f"no time that can be right (line {lines}), all others are kept")
    if lines := _some(log["clock_ran_backwards_at_lines"]):
        notes.append(f"its clock ran backwards (line {lines}), no times from there to the next")
        notes[-1] += " checkpoint"
    notes += ["RAM went through multifd channels"] if log["multifd"] else []
    beside = f" with {log['monitor']}" if log["monitor"] else ""
    return f"{log['source']}{beside}: {log['side']}, {', '.join(notes)}"


def _some(lines: Sequence[int]) -> str:
    more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return ", ".join(map(str, lines[:_SHOWN])) + more


def _lines(identification: Identification, told: Sequence[History]) -> list[str]:
    from colosim.measured.events import TRACE

    plain = not any(history.log.multifd for history in told)
    possible = [name if plain else f"{name} with multifd" for name in identification.designs]
    if not possible:
        lines = ["no design can have written this:"]
    elif len(possible) > 1:
        lines = [f"{', '.join(possible)}: the log does not tell which of these wrote it"]
    elif all(history.kind == TRACE for history in told):
        order = "the only design here with this order of messages and states"
        lines = [f"{possible[0]}: {order} (no trace shows the iothread lock)"]
    else:
        lines = [f"{possible[0]}: the only design here that can have written this"]
    return lines + [str(deviation) for deviation in identification.excluded.values()]
