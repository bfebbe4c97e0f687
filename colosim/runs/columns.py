"""The tables of a run and their columns, the same for a simulated and for a measured run.

Times are integer ns since COLO was entered (of a measured run: since its first request), sizes are
bytes; what a design does not have, or a log does not show, is empty.

``checkpoints``: one row a transaction that was begun, also if its request could not be sent.  A column ``SIDE_STEP_ns`` is how long that
side spent on a protocol step (a step of a design's own has such a column too); a column
``SIDE_POINT_at_ns`` is when a point of the protocol was first reached.  ``outcome`` is
``committed``, ``aborted`` or ``unfinished``; pause, transaction and RAM times are only of committed
ones.
``memory``: one row a breakpoint of an account; from it on the level is
``level_bytes + slope_bytes_per_ns * (t - time_ns)`` until that account's next row.
``locks``: one row a hold of an iothread lock or an attempt at one, in the order of release; the
times of what never came are empty.
``messages``: protocol messages and bulk streams in the order of sending; ``written_ns`` is when the
last byte was in the sender's socket buffer.
``events``: the event record itself.
"""

from __future__ import annotations

from typing import Final

from colosim.trace import steps
from colosim.trace.steps import step_column

__all__ = ["COLUMNS", "POINTS", "SLOPE", "STEPS", "TABLES", "TEXT", "checkpoint_columns", "step_column"]

TABLES: Final = ("checkpoints", "memory", "locks", "messages", "events")

STEPS: Final = tuple((step.side, step.name) for step in steps.STEPS)
"""Steps with a duration, by side and name."""

POINTS: Final = tuple(point.full_name for point in steps.POINTS)
"""Points of one transaction, in the order in which they can come (no design has all)."""


_HEAD: Final = (
    "checkpoint",
    "outcome",
    "dirty_pages",
    "flush_pages",
    "run_before_ns",
    "pause_ns",
    "transaction_ns",
    "ram_ns",
    "lock_hold_primary_ns",
    "lock_hold_secondary_ns",
    "wire_bytes",
    "staging_buffer_content_bytes",
    "staging_buffer_capacity_bytes",
)


def checkpoint_columns(own_steps: tuple[tuple[str, str], ...] = ()) -> tuple[str, ...]:
    """Return the columns of ``checkpoints``, with those of a design's own steps at the end."""
    known = (
        *_HEAD,
        *(step_column(side, step) for side, step in STEPS),
        *(f"{point}_at_ns" for point in POINTS),
    )
    own = dict.fromkeys(step_column(side, step) for side, step in own_steps)
    return (*known, *(column for column in own if column not in known))


COLUMNS: Final = {
    "checkpoints": checkpoint_columns(),
    "memory": ("time_ns", "side", "account", "level_bytes", "slope_bytes_per_ns"),
    "locks": ("side", "thread", "purpose", "wanted_ns", "got_ns", "released_ns", "held_ns"),
    "messages": (
        "checkpoint",
        "name",
        "from",
        "to",
        "sent_ns",
        "written_ns",
        "received_ns",
        "bytes",
    ),
    "events": ("time_ns", "event", "value"),
}
"""The columns of each table."""

TEXT: Final = frozenset(
    {"outcome", "side", "account", "thread", "purpose", "name", "from", "to", "event"}
)
"""Columns that hold words; all others hold integers, but for `SLOPE`."""

SLOPE: Final = "slope_bytes_per_ns"
"""The one column of real numbers."""
