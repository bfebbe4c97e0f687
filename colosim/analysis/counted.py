"""How many checkpoints the statistics of a table count."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from colosim.runs.verdict import NOT_APPLICABLE, UNPROTECTED
from colosim.trace.fields import value_of

if TYPE_CHECKING:
    from colosim.runs.run import Run


def counted(runs: Iterable[Run]) -> str | None:
    """Say over how many checkpoints medians and quantiles are; None where none was to be made."""
    counts = {run: value_of(run.summary, "pause_ns.count") or 0 for run in runs}
    if all(run.verdict in {UNPROTECTED, NOT_APPLICABLE} for run in counts):
        return None
    numbers, some = set(counts.values()), any(counts.values())
    said = f"{numbers.pop():,} each" if len(numbers) == 1 else ""
    said = said or ", ".join(f"{run.design} {count:,}" for run, count in counts.items())
    said = said.removesuffix(" each") if len(counts) == 1 else said
    said = said if some else "none"
    warmups = {run.scenario.warmup for run in counts if run.source is None}
    started = any(run.summary.get("start_pause_ns") for run in counts)
    is_cold = some and warmups == {0} and not started
    cold = ", the first, cold one among them" if is_cold else ""
    left = f", after a warm-up of {warmups.pop()}" if len(warmups) == 1 and warmups != {0} else ""
    return f"Checkpoints counted: {said}{cold}{left}."
