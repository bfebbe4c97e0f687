"""``colosim qemu import RUN_DIR|LOG...``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from colosim.cli.main import STATUS_FAILED
from colosim.cli.options import force_option, format_option, overrides_option

if TYPE_CHECKING:
    from colosim.measured.imported import ImportedRun


@click.command("import")
@click.argument(
    "paths", nargs=-1, required=True, metavar="RUN_DIR|LOG...", type=click.Path(path_type=Path)
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder for the run directories: OUT/NAME/DESIGN.",
)
@click.option("--design", metavar="NAME", help="The design that the logs are of, if you know it.")
@click.option(
    "--network", metavar="PRESET", help="The network that the logs were made over; no log tells it."
)
@overrides_option
@force_option
@format_option
def command(
    *,
    paths: tuple[Path, ...],
    out: Path,
    design: str | None,
    network: str | None,
    overrides: tuple[str, ...],
    form: str,
) -> int:
    """Turn a real run into a run directory, with the tables that a simulated run has.

    A LOG is what QEMU writes with -trace 'colo_*' -D LOG, of one side or one of each, or what its
    monitor says (STOP, RESUME, COLO_EXIT; of QMP, qmp-shell, virsh qemu-monitor-event), beside
    those or alone; gzipped or not, - for standard input. A RUN_DIR is a folder with primary.log.gz
    and secondary.log.gz, and each is a run of its own. So is each time that COLO was entered anew.
    Without --design it is taken to be of a design that it can come
    from. What no log tells (network, guest RAM, hosts) may be stated, for a fit and for those who
    read the run: --network 10gbe --set guest.ram=8GiB. The exit status is 1 if a log has an event
    that the design cannot produce; its tables are written all the same.
    """
    from colosim.measured.imported import import_runs, write_imported

    folders = [path for path in paths if path.is_dir()]
    logs = [path for path in paths if not path.is_dir()]
    status = 0
    summaries = []
    groups = [*((folder,) for folder in folders), *((tuple(logs),) if logs else ())]
    stated = [f"network.preset={network}"] * (network is not None) + [*overrides]
    runs = [run for group in groups for run in import_runs(*group, design=design, stated=stated)]
    for run in runs:
        target = out / run.scenario.name / run.design
        became = write_imported(run, target)
        summaries.append(run.summary)
        note = f"{target}: {became}"
        if form == "table":
            click.echo("\n".join((*_describe(run), note)))
        else:
            click.echo(note, err=True)
        if run.deviation is not None:
            click.echo(f"colosim: {run.deviation}", err=True)
            status = STATUS_FAILED
    if form == "json":
        click.echo(json.dumps(summaries, indent=2))
    return status


def _describe(run: ImportedRun) -> list[str]:
    """Return what was read, in a few lines."""
    from colosim.analysis.timeline import moment_of
    from colosim.cli.qemu.identify import described
    from colosim.runs.wording import in_words
    from colosim.trace.events import ColoExit
    from colosim.trace.fields import value_of

    lines = [*(described(log) for log in run.source["logs"]), *run.lacking]
    if run.source["clock_offset_ns"]:
        ahead = in_words("offset_ns", abs(run.source["clock_offset_ns"]))
        way = "ahead" if run.source["clock_offset_ns"] > 0 else "behind"
        lines.append(f"the secondary's clock is {ahead} {way}; its times are moved")
    possible = run.identification.designs
    if len(possible) > 1:
        others = ", ".join(name for name in possible if name != run.design)
        lines.append(f"{run.design}: taken for it; the log does not tell it from {others}")
    done = run.summary["checkpoints"]
    line = (
        f"{run.design}: {run.verdict}, {done['completed']} checkpoints, {done['aborted']} aborted"
    )
    if value_of(run.summary, "pause_ns.count"):
        pause = in_words("pause_ns.p50", value_of(run.summary, "pause_ns.p50"))
        line += f", median pause {pause}"
    if (start := value_of(run.summary, "start_pause_ns")) is not None:
        line += f"; COLO's start {in_words('start_pause_ns', start)}"
    exits = [
        f"{event} at {moment_of(at_ns)}"
        for at_ns, event, _ in run.iter_events()
        if isinstance(event, ColoExit)
    ]
    return [*lines, line, *exits]
