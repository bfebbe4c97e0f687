"""What a checkpoint's quantities are: the one definition, for summaries, tables and real runs.

A checkpoint goes from its request to its end (`CheckpointEnded`), or to the next request; one whose
request could not be sent has an end alone.  What happens outside of all belongs to none.

`colosim.runs.tally` works them out event by event for summaries, `colosim.trace.checkpoint` column
by column for tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from colosim.trace.events import PRIMARY, SECONDARY, CommandServed, Sent, StreamBegan

if TYPE_CHECKING:
    from colosim.trace.events import Event

REQUEST: Final = Sent(PRIMARY, "CHECKPOINT_REQUEST")
"""With it a checkpoint begins."""

START, CHECKPOINT = "start", "checkpoint"
"""Kinds of checkpoints: COLO's start, where it is another transaction than all that follow."""

PAUSE: Final = "pause_ns"
TAKES_OVER: Final = CommandServed(PRIMARY, "x-colo-lost-heartbeat")
"""Who stops the primary's guest from here on is the failover, not the checkpoint thread."""

SPANS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    PAUSE: ("primary_stopped", ("primary_resumed",)),
    "transaction_ns": ("primary_request", ("primary_resumed",)),
    "ram_ns": ("secondary_vmstate_send", ("secondary_ram_loaded", "secondary_filled")),
}
"""What is from one point to another, the first of those that are reached; of committed ones, but
for the pause."""

HOLDS: Final = {side: f"lock_hold_{side}_ns" for side in (PRIMARY, SECONDARY)}
"""The longest of a side's holds for a purpose that moves state: the value of `LockReleased`."""

WIRE_BYTES: Final = "wire_bytes"
"""The sum of the values of `is_sent` events."""

MEANINGS: Final = {
    PAUSE: "from the primary's guest stopped by the checkpoint thread to running again, whatever "
    "became of the checkpoint; one that is open when the run ends counts up to there, or to where "
    "its process froze for good",
    "transaction_ns": "from the request sent to the primary's guest running again",
    "ram_ns": "from VMSTATE_SEND read by the secondary to RAM in its RAM cache, or to its staging "
    "buffer filled where RAM is staged",
    "lock_hold_ns": "longest hold of a side's iothread lock that saves, loads or receives state",
    WIRE_BYTES: "what the primary sends in a checkpoint, messages and streams",
}
"""What each is, of one checkpoint."""


def span(name: str, points: Mapping[str, int]) -> int | None:
    """Return a quantity of `SPANS` from the points of a checkpoint, None if they do not show it."""
    begin, ends = SPANS[name]
    if begin in points:
        for end in ends:
            if end in points:
                return points[end] - points[begin]
    return None


def is_sent(event: Event) -> bool:
    """Tell whether an event is something that the primary sends."""
    return isinstance(event, Sent | StreamBegan) and event.side == PRIMARY
