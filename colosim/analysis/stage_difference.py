"""A real and a simulated run side by side, stage by stage: their events are of two kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from colosim.runs.wording import in_words
from colosim.trace.events import COMMITTED

if TYPE_CHECKING:
    import pandas as pd

    from colosim.runs.run import Run


class StageDifference(NamedTuple):
    """The medians of one column of ``checkpoints`` in two runs, of committed ones both know."""

    column: str
    left: int
    right: int

    @property
    def share(self) -> float | None:
        """How much more the right one has, as a share of the left."""
        return None if not self.left else self.right / self.left - 1


def stage_differences(left: Run, right: Run) -> list[StageDifference]:
    """Return what both runs know of their checkpoints, in the order of the table.

    Times between points, pages and bytes, as medians over committed checkpoints behind the warm-up
    (two at least, in which buffers grow and pages are touched first); points in time are left out.
    """
    tables = [_counted(run) for run in (left, right)]
    names = [
        name
        for name in tables[0].columns
        if name in tables[1].columns
        and name.endswith(("_ns", "_pages", "_bytes"))
        and not name.endswith("_at_ns")
    ]
    return [
        StageDifference(name, *(int(table[name].median()) for table in tables))
        for name in names
        if all(table[name].notna().any() for table in tables)
    ]


def _counted(run: Run) -> pd.DataFrame:
    table = run.checkpoints
    if run.source is None:  # its bitmap sync has the start of a RAM stream in it, a trace's has not
        streamed = table.primary_ram_sent_at_ns.notna()
        start_ns = run.scenario.hosts.primary.costs.stream_start_ns
        table = table.assign(
            primary_bitmap_sync_ns=table.primary_bitmap_sync_ns - start_ns * streamed
        )
    kept = table[table.outcome == COMMITTED]
    warmup = max(run.scenario.warmup, _WARMUP)
    return kept[warmup:] if len(kept) > warmup else kept


_WARMUP = 2


def lines(found: list[StageDifference]) -> list[str]:
    """Return a table of text: stage, left, right, and how much more the right one has."""
    rows = [("median of", "-", "+", "")]
    for one in found:
        share = "" if one.share is None else f"{one.share:+.1%}"
        name = one.column.rpartition("_")[0].replace("_", " ")
        rows.append((name, in_words(one.column, one.left), in_words(one.column, one.right), share))
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
