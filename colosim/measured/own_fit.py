"""A fit of one's own host to imported runs, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Final

from colosim.errors import LogError
from colosim.measured.advice import next_runs
from colosim.measured.conditions import host_preset
from colosim.measured.cost_file import base_costs, base_preset
from colosim.measured.fit import fit
from colosim.measured.own_runs import Link, OwnRun, completed, links_of, read_own
from colosim.measured.recording import options_for
from colosim.scenario.presets import DEFAULT_HOST, TCG
from colosim.trace.events import PRIMARY

if TYPE_CHECKING:
    from pathlib import Path

    from colosim.measured.estimates import Fit

BEYOND_MEASURE: Final = 2.0
"""Median relative error of a stage from which on runs are not what they are taken for."""
_RUNS_FOR_ERROR: Final = 3
_WIDTH: Final = 80


def fit_own(
    sources: Sequence[Path], *, base: str | None = None, designs: Sequence[str] = ()
) -> tuple[Fit, dict[str, Link], list[OwnRun]]:
    """Fit costs to the run directories of imported logs.

    Beside what `fit_logs` returns: the runs.

    :raises LogError: if one is no such directory, two have one name, or as `fit_logs`.
    """
    read = [read_own(source) for source in sources]
    found = [own for own in read if not designs or own.run.design in designs]
    names = [own.run.name for own in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise LogError(f"two runs are called {twice!r}: a fit tells runs by their names")
    if not found:
        raise LogError("none of the runs is of the designs that --design names")
    return *fit_logs(found, base=base), found


def fit_logs(found: Sequence[OwnRun], *, base: str | None = None) -> tuple[Fit, dict[str, Link]]:
    """Fit costs to runs.

    Without a ``base`` what they do not determine is kept as in `DEFAULT_HOST`, of runs that were
    stated to be under software emulation as in the laboratory's preset of their design.  The links
    that are estimated come back with the fit, by the name of the run.

    :raises LogError: if the runs show no pages of a checkpoint that counts, or a stage's residuals
        are beyond measure.
    """
    if all(one.dirty_pages is None for own in found for one in own.run.counted()):
        raise LogError(
            "no log shows the dirty pages of a checkpoint behind the first two, which do not "
            f"count; start the primary's QEMU with {options_for(PRIMARY)}"
        )
    if base is None:
        emulated = found[0].accelerator == TCG
        base = host_preset(found[0].run) if emulated else DEFAULT_HOST
    links = links_of([own.run for own in found if not own.network_known], base_costs(base))
    accelerator = base_preset(base).accelerator
    made = fit([completed(own, links.get(own.run.name), accelerator) for own in found], base=base)
    for residual in made.residuals:
        if residual.median > BEYOND_MEASURE:
            raise LogError(
                f"the stage {residual.stage!r} is off by {residual.median:.0%} in the median of "
                f"{residual.runs} runs: they are not of one pair of hosts, or their network, "
                "design or guest RAM is not what was stated"
            )
    return made, links


def notes_of(found: Fit, links: Mapping[str, Link], runs: Sequence[OwnRun]) -> list[str]:
    """Return what a fit to one's own runs cannot know, and what to record next, as lines."""
    fitted = [key for key, one in found.estimates.items() if not one.undetermined]
    kept = [key for key in base_costs(found.base) if key not in fitted]
    lines = [f"from {found.base}, since the runs do not determine them: {', '.join(kept)}"]
    for link in dict.fromkeys(links.values()):
        of = ", ".join(name for name, one in links.items() if one == link)
        lines.append(f"link{'' if len(runs) == 1 else f' of {of}'}: {link}")
    if not all(own.ram_known for own in runs):
        lines.append("guest RAM: not stated, taken as 1 GiB; bitmap_sync_ram alone depends on it")
    if all(own.accelerator is None for own in runs):
        lines.append(f"hosts: not stated, taken for such as {found.base} (--base)")
    if len(runs) < _RUNS_FOR_ERROR:
        lines.append(
            "no standard errors, which take three runs: in the laboratory runs of one condition "
            "differed by 10 to 20% where the CPU decides, by 1% where the link does"
        )
    checkpoints = [one for own in runs for one in own.run.counted()]
    pages = [one.dirty_pages for one in checkpoints if one.dirty_pages]
    if pages and max(pages) < 2 * min(pages):
        lines.append(
            f"one condition: {min(pages)} to {max(pages)} dirty pages; what is fixed and what "
            "grows with the pages is told apart by runs of different sizes"
        )
    lines += [f"to determine {line}" for line in next_runs(kept)]
    return ["", *(part for line in lines for part in wrap(line, _WIDTH, subsequent_indent="  "))]
