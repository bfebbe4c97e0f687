"""What stands for runs on a command line: run directories, folders of them, scenarios."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from colosim.cli.progress import Progression

if TYPE_CHECKING:
    from colosim.runs.run import Run
    from colosim.runs.simulation import Simulation


def runs_of(
    source: str,
    designs: Sequence[str],
    seed: int | None,
    overrides: Sequence[str],
    prepare: Callable[[Simulation], None] | None = None,
    *,
    requests: bool = False,
) -> list[Run]:
    """Return the runs of one source: read from directories, or made from a scenario.

    `requests`: whether what is made has the table of clients' requests.

    :raises click.UsageError: if an option is given that a stored run cannot follow.
    """
    from colosim.errors import DesignError
    from colosim.runs.run import as_scenario, simulate

    stored = stored_runs(Path(source))
    if not stored:
        scenario = as_scenario(source, overrides)
        return [
            simulate(scenario, design, seed=seed, prepare=prepare, requests=requests)
            for design in designs or scenario.designs
        ]
    refuse_settings(source, overrides, seed)
    missing = [design for design in designs if design not in {run.design for run in stored}]
    if missing:
        raise DesignError(f"{source} has no run of {', '.join(missing)}")
    named = [run for design in designs for run in stored if run.design == design]
    return named if designs else stored


def stored_runs(path: Path) -> list[Run]:
    """Return the run in a directory, or those in the directories in it, at any depth, by name."""
    from colosim.runs.stored import MANIFEST, read_run, run_folders

    if not path.is_dir():
        return []
    if (path / MANIFEST).exists():
        return [read_run(path)]
    return [read_run(folder) for folder in run_folders(path) or [path]]


def refuse_settings(source: str, overrides: Sequence[str], seed: int | None) -> None:
    """Refuse --set and --seed where the source is a stored run.

    :raises click.UsageError: if one was given.
    """
    if overrides or seed is not None:
        raise click.UsageError(f"--set and --seed are for scenarios; {source} has run")


def run_of(source: str, design: str | None, seed: int | None, overrides: Sequence[str]) -> Run:
    """Return the one run of a source.

    :raises DesignError: if it has several and `design` names none.
    """
    from colosim.errors import DesignError
    from colosim.runs.run import as_scenario

    path = Path(source)
    if design is None:
        known = [run.design for run in stored_runs(path)]
        if not known:
            known = list(as_scenario(source, overrides).designs)
        if len(known) > 1:
            raise DesignError(
                f"{source} has several designs ({', '.join(known)}); name one: --design"
            )
    with Progression() as progression:
        (run,) = runs_of(source, [design] if design else [], seed, overrides, progression.watch)
    return run


def name_of(source: str) -> str:
    """Return what a file made from a source is called after: the source, without its ending."""
    path = Path(source)
    return path.stem if path.suffix else path.name


def check_outputs(sources: Iterable[str | Path], **outputs: Path | None) -> None:
    """Refuse to write over what is read, or two things into one file; outputs by their options.

    :raises click.UsageError: if one is a source or a file of a run directory, or two are one.
    """
    from colosim.runs.stored import FILES, MANIFEST

    read, written = {*map(os.path.realpath, sources)}, dict[Path, str]()
    for option, path in outputs.items():
        if path is None:
            continue
        place = Path(os.path.realpath(path))
        of_run = place.name in FILES and (place.parent / MANIFEST).exists()
        if of_run or str(place) in read:
            raise click.UsageError(f"{path} is what would be read; write to another file")
        if place in written:
            raise click.UsageError(f"--{written[place]} and --{option} name the same file")
        written[place] = option
