"""``colosim qemu fit RUN_DIR|NAME...``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from colosim.cli.options import designs_named, format_option

if TYPE_CHECKING:
    from colosim.measured.estimates import Fit


@click.command("fit")
@click.argument("sources", nargs=-1, metavar="RUN_DIR|NAME...")
@click.option(
    "--design",
    "--designs",
    "designs",
    metavar="NAME,...",
    multiple=True,
    callback=designs_named,
    help="Fit to runs of these designs only; without it, to all that are given.",
)
@click.option(
    "--host",
    metavar="PRESET",
    help="Fit to those runs only that this shipped host preset is fitted to.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the costs there, as a host preset.",
)
@click.option(
    "--base",
    metavar="PRESET",
    help="Host preset that gives the costs that the runs do not determine.",
)
@click.option("--description", metavar="TEXT", help="What the preset says of itself.")
@format_option
def command(
    *,
    sources: tuple[str, ...],
    designs: tuple[str, ...],
    host: str | None,
    out: Path | None,
    base: str | None,
    description: str | None,
    form: str,
) -> None:
    """Fit the costs of one host to the stage times of many real runs at once.

    A RUN_DIR is what 'colosim qemu import' wrote, of one side's log or of both, or a run folder of
    the lab; a NAME that of a shipped run or a pattern such as 'qemu25/*'. Each cost comes with its
    standard error (each run left out in turn) and the stages that it was fitted to. Costs that the
    runs do not determine are left at the base preset's values and said to be so, with the sums that
    are determined, or bounded. The digits are the same on every machine: a fit whose digits could
    not be is refused.

    Of your own runs it is said for each cost whether it is fitted or from the base preset, what was
    assumed that no log tells, and what to record next. A scenario names the file:
    hosts: {preset: ./my-host.yaml}.
    """
    from colosim.cli.sources import check_outputs
    from colosim.errors import LogError
    from colosim.files import write_file
    from colosim.measured.conditions import host_preset, is_fitted
    from colosim.measured.cost_file import text_of
    from colosim.measured.fit import fit
    from colosim.measured.own_fit import fit_own, notes_of
    from colosim.measured.selection import select
    from colosim.runs.stored import run_folders
    from colosim.scenario import preset

    check_outputs(filter(None, [base]), out=out)
    folders = {source: run_folders(Path(source)) for source in sources}
    own = [folder for source in sources for folder in folders[source]]
    notes: list[str] = []
    if own:
        others = [source for source in sources if not folders[source]]
        if others:
            raise LogError(
                f"{', '.join(others)}: no run directory; your own runs are fitted by themselves"
            )
        found, links, runs = fit_own(own, base=base, designs=designs)
        notes = notes_of(found, links, runs)
    else:
        every, passed_over = select(sources)
        for path in passed_over:
            click.echo(f"colosim: {path} is no run folder, passed over", err=True)
        lab = [run for run in every if not designs or run.design in designs]
        if host is not None:
            lab = [run for run in lab if host_preset(run) == host and is_fitted(run)]
        hosts = sorted({host_preset(run) for run in lab})
        if len(hosts) != 1:
            raise LogError(
                "runs of one host are needed, these are of "
                f"{' and '.join(hosts) or 'none'}: name one with --host, or the design with "
                "--design"
            )
        found = fit(lab, base=base or hosts[0])
    if out is not None:
        known = preset("hosts", found.base).description
        known = f"fitted to {_runs(found)}; the rest as {found.base}" if own else known
        write_file(out, text_of(found, description or known, own=bool(own)).encode())
    if form == "json":
        click.echo(json.dumps(_as_json(found), indent=2))
        return
    click.echo("\n".join([_table(found), *notes]))
    if out is not None and own:
        click.echo(f"{out}: written; in a scenario: hosts: {{preset: ./{out.name}}}")


def _runs(found: Fit) -> str:
    return "1 run" if len(found.runs) == 1 else f"{len(found.runs)} runs"


def _as_json(found: Fit) -> list[dict[str, Any]]:
    return [
        {
            "cost": key,
            "value_ns": estimate.value,
            "standard_error_ns": estimate.error,
            "undetermined": estimate.undetermined,
            "stages": list(estimate.stages),
            "runs": list(estimate.runs),
            "group": None
            if estimate.group is None
            else {
                "costs": list(estimate.group.keys),
                "determined": list(estimate.group.sums),
                "conventions": list(estimate.group.conventions),
            },
        }
        for key, estimate in found.estimates.items()
    ]


def _table(found: Fit) -> str:
    from colosim.measured.cost_file import cost_text

    lines = [f"{'cost':<18}{'value':>16}{'std. error':>16}{'runs':>6}  fitted to"]
    for key, estimate in found.estimates.items():
        error = "" if estimate.error is None else cost_text(key, estimate.error)
        error = "undetermined" if estimate.undetermined else error
        mark = "*" if estimate.group is not None else ""
        lines.append(
            f"{key + mark:<18}{cost_text(key, estimate.value):>16}{error:>16}"
            f"{len(estimate.runs):>6}  {', '.join(estimate.stages)}"
        )
    for group in found.groups:
        lines += ["", f"* not told apart: {', '.join(group.keys)}. Determined:"]
        lines += [f"    {line}" for line in group.sums]
        lines.append(f"  divided so: {'; '.join(group.conventions)}")
    if found.bounds:
        lines += [
            "",
            "no more than an upper bound is known of:",
            *(f"    {x}" for x in found.bounds),
        ]
    if any(estimate.undetermined for estimate in found.estimates.values()):
        lines += ["", f"undetermined: left at the values of the host preset {found.base}"]
    if found.in_flight_bytes is not None:
        lines += [
            "",
            f"in flight without a bandwidth limit (both buffers): {found.in_flight_bytes:,.0f} B",
        ]
    lines += ["", f"{'residuals of':<24}{'runs':>6}{'median':>9}{'p90':>8}"]
    lines += [
        f"{one.stage:<24}{one.runs:>6}{one.median:>9.1%}{one.p90:>8.1%}" for one in found.residuals
    ]
    return "\n".join(lines)
