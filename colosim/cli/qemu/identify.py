"""``colosim qemu identify LOG...``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from colosim.cli.main import STATUS_FAILED
from colosim.cli.options import format_option

if TYPE_CHECKING:
    from colosim.measured.conformance import Identification


@click.command("identify")
@click.argument(
    "paths", nargs=-1, required=True, metavar="RUN_DIR|LOG...", type=click.Path(path_type=Path)
)
@format_option
def command(*, paths: tuple[Path, ...], form: str) -> int:
    """Say which designs a log can come from.

    One or two LOGs (one a side) are one run; a RUN_DIR is a run of its own. The answer is a set:
    messages and state changes alone do not tell all designs apart. The exit status is 1 if no
    design can have written the logs; then each design's first impossible event is printed.
    """
    from colosim.measured.conformance import identify
    from colosim.measured.sources import histories, log_files

    folders = [path for path in paths if path.is_dir()]
    logs = [path for path in paths if not path.is_dir()]
    groups = [log_files(folder) for folder in folders] + ([logs] if logs else [])
    found: list[dict[str, Any]] = []
    status = 0
    for group in groups:
        told = histories(group)
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
                click.echo(
                    f"{history.source}: {history.side}, {history.lines} lines, "
                    f"{history.unknown_lines} unknown"
                )
            click.echo("\n".join(_lines(identification)))
    if form == "json":
        click.echo(json.dumps(found, indent=2))
    return status


def _lines(identification: Identification) -> list[str]:
    possible = identification.designs
    if not possible:
        lines = ["no design can have written this:"]
    elif len(possible) == 1:
        lines = [f"{possible[0]}: the only design that can have written this"]
    else:
        lines = [f"{', '.join(possible)}: the log does not tell which of these wrote it"]
    return lines + [str(deviation) for deviation in identification.excluded.values()]
