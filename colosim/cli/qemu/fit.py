"""``colosim qemu fit RUN_DIR|NAME...``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from colosim.cli.options import format_option

if TYPE_CHECKING:
    from colosim.measured.estimates import Fit


@click.command("fit")
@click.argument("sources", nargs=-1, metavar="RUN_DIR|NAME...")
@click.option(
    "--design",
    "designs",
    metavar="NAME",
    multiple=True,
    help="Fit to runs of this design only. Repeatable; without it, to all that are given.",
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

    A RUN_DIR is a run folder of the lab, a NAME that of a shipped run or a pattern such as
    'qemu25/*'. Each cost comes with its standard error (each run left out in turn) and the stages
    that it was fitted to. Costs that the runs do not determine are left at the base preset's
    values and said to be so, with the sums that are determined, or bounded. The digits are the
    same on every machine: a fit whose digits could not be is refused.
    """
    from colosim.errors import LogError
    from colosim.files import write_file
    from colosim.measured.conditions import host_preset, is_fitted
    from colosim.measured.cost_file import text_of
    from colosim.measured.fit import fit
    from colosim.measured.selection import select
    from colosim.scenario import preset

    runs, passed_over = select(sources)
    for path in passed_over:
        click.echo(f"colosim: {path} is no run folder, passed over", err=True)
    runs = [run for run in runs if not designs or run.design in designs]
    if host is not None:
        runs = [run for run in runs if host_preset(run) == host and is_fitted(run)]
    hosts = sorted({host_preset(run) for run in runs})
    if len(hosts) != 1:
        raise LogError(
            "runs of one host are needed, these are of "
            f"{' and '.join(hosts) or 'none'}: name one with --host, or the design with --design"
        )
    found = fit(runs, base=base or hosts[0])
    if out is not None:
        known = description or preset("hosts", found.base).description
        write_file(out, text_of(found, known).encode())
    click.echo(json.dumps(_as_json(found), indent=2) if form == "json" else _table(found))


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
