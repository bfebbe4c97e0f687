"""Which measured runs are meant: run folders, names of shipped runs, and patterns of such names."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from colosim.errors import LogError
from colosim.measured import client_run, measured
from colosim.measured.client_notes import is_client_folder, read_client_run
from colosim.measured.imported import read_measured
from colosim.measured.notes import is_run_folder

if TYPE_CHECKING:
    from colosim.measured.client_run import ClientRun
    from colosim.measured.measurement import MeasuredRun


def select(sources: Sequence[str]) -> tuple[list[MeasuredRun], list[str]]:
    """Return the runs that `sources` mean, and the paths among them that are no run folder.

    A source is a run folder of the lab, the name of a shipped run (``qemu25/old-ram512-n500-bw0``)
    or a pattern of names (``qemu25/*``).  No source means every shipped run.  Files that a shell's
    pattern brings along (a README) are passed over and told.

    :raises LogError: if a name is not known, or no run is meant at all.
    """
    if not sources:
        return [measured.measured(name) for name in measured.names()], []
    runs: dict[str, MeasuredRun] = {}
    passed_over: list[str] = []
    for source in sources:
        path = Path(source)
        if is_run_folder(path):
            run = read_measured(path)
            runs.setdefault(run.name, run)
        elif path.exists():
            passed_over.append(source)
        elif any(mark in source for mark in "*?["):
            found = [name for name in measured.names() if fnmatchcase(name, source)]
            if not found:
                raise LogError(f"no measured run's name is like {source!r}")
            runs |= {name: measured.measured(name) for name in found}
        else:
            runs[source] = measured.measured(source)
    if not runs:
        raise LogError(f"none of these is the folder of a real run: {', '.join(passed_over)}")
    return list(runs.values()), passed_over


def select_clients(sources: Sequence[str]) -> tuple[list[ClientRun], list[str]]:
    """Return the runs with clients that `sources` mean, and the sources that mean others.

    No source means every shipped run.

    :raises LogError: if a folder cannot be read, or there is no run of such a name.
    """
    names = client_run.names()
    if not sources:
        return [client_run.client_run(name) for name in names], []
    found: dict[str, ClientRun] = {}
    others = []
    for source in sources:
        if is_client_folder(source):
            read = read_client_run(source)
            found[read.name] = read
        elif source.startswith(f"{client_run.LAB}/") and not Path(source).exists():
            meant = [name for name in names if fnmatchcase(name, source)] or [source]
            found |= {name: client_run.client_run(name) for name in meant}
        else:
            others.append(source)
    return list(found.values()), others
