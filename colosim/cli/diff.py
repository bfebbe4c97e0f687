"""``colosim diff RUN_A RUN_B``."""

from __future__ import annotations

from pathlib import Path

import click

from colosim.cli.main import STATUS_FAILED


@click.command("diff")
@click.argument("run_a", type=click.Path(path_type=Path), metavar="RUN_A|FOLDER_A")
@click.argument("run_b", type=click.Path(path_type=Path), metavar="RUN_B|FOLDER_B")
def command(*, run_a: Path, run_b: Path) -> int:
    """Show the first event at which two runs part.

    RUN_A and RUN_B are run directories with tables, or folders of them, whose runs are compared by
    their paths below. The exit status is 0 if their events are the same, and 1 if not: then the
    first differing event is printed with its neighbours, "-" for RUN_A and "+" for RUN_B; so it is
    if a run stands in one folder only. A directory that lacks a file, or has one that was changed,
    is an error.

    If one of them is a real run ('colosim qemu import'), its checkpoints are held against the
    other's stage by stage: what both know, as medians.
    """
    names = {path: _runs_in(path) for path in (run_a, run_b)}
    if [Path()] in names.values():
        return _diff(run_a, run_b)
    status = 0
    for name in sorted({*names[run_a], *names[run_b]}):
        click.echo(f"{name.as_posix()}: ", nl=False)
        only = [path for path in names if name not in names[path]]
        if only:
            click.echo(f"not in {only[0]}")
        status |= STATUS_FAILED if only else _diff(run_a / name, run_b / name)
    return status


def _runs_in(path: Path) -> list[Path]:
    """Return the runs in a folder by their paths below it; a run, or no folder, is its own."""
    from colosim.runs.stored import run_folders

    return [folder.relative_to(path) for folder in run_folders(path)] or [Path()]


def _diff(run_a: Path, run_b: Path) -> int:
    from colosim.runs.difference import diff
    from colosim.runs.stored import read_run, verify

    for path in (run_a, run_b):
        verify(path)
    left, right = read_run(run_a), read_run(run_b)
    if left.digest == right.digest:
        click.echo(f"the same events, digest {left.digest}")
        return 0
    click.echo(f"--- {run_a}: {left!r}\n+++ {run_b}: {right!r}")
    if (left.source is None) is not (right.source is None):
        from colosim.analysis.stage_difference import lines, stage_differences

        click.echo("\n".join(lines(stage_differences(left, right))))
        return STATUS_FAILED
    formats = left.digest_format, right.digest_format
    if len(set(formats)) > 1:
        click.echo(
            f"digest formats {formats[0]} and {formats[1]}: the beginning and the end of each "
            "wait, which format 1 has not, are left out"
        )
    found = diff(left, right)
    click.echo("the same events" if found is None else str(found))
    return 0 if found is None else STATUS_FAILED
