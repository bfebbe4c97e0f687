"""Which side an event of a log is of, as far as the event itself tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from colosim.measured import qmp
from colosim.measured.events import READY, REQUEST
from colosim.trace.events import OTHER, PRIMARY, SECONDARY

if TYPE_CHECKING:
    from colosim.measured.log import LogEvent

MESSAGES: Final = {"colo_send_message", "colo_receive_message"}
"""Events that are a message of the protocol."""
_FROM_PRIMARY: Final = {REQUEST, "VMSTATE_SEND", "VMSTATE_SIZE", "GUEST_SHUTDOWN"}
_FROM_SECONDARY: Final = {READY, "CHECKPOINT_REPLY", "VMSTATE_RECEIVED", "VMSTATE_LOADED"}
_HINTS: Final = {
    "migration_bitmap_sync_start": PRIMARY,
    "migration_bitmap_sync_end": PRIMARY,
    "colo_flush_ram_cache_begin": SECONDARY,
    "colo_flush_ram_cache_end": SECONDARY,
    "ram_load_complete": SECONDARY,
    qmp.NEXT_ROUND: PRIMARY,
}
"""Events that are no messages, and the only side on which they happen."""
_ORDERED: Final = {
    "migrate": PRIMARY,
    "migrate-incoming": SECONDARY,
    "nbd-server-start": SECONDARY,
}
"""Commands, and the side that they are given to."""


def vote(event: LogEvent) -> str | None:
    """Return the side that a message was sent or received by, None for other events."""
    if event.name not in MESSAGES:
        return None
    sent = event.name == "colo_send_message"
    if event.words[0] in _FROM_PRIMARY:
        return PRIMARY if sent else SECONDARY
    if event.words[0] in _FROM_SECONDARY:
        return SECONDARY if sent else PRIMARY
    return None


def hint(event: LogEvent) -> str | None:
    """Return the only side on which an event that is no message happens."""
    if event.name == "migrate_set_state" and event.words == ("setup",):
        return PRIMARY
    if event.name == "runstate_set" and event.words[0] == "inmigrate":
        return SECONDARY
    if event.name == qmp.COLO_EXIT:
        return event.words[0] if event.words[0] in OTHER else None
    if event.name == qmp.COMMAND:
        return _ORDERED.get(event.words[0])
    return _HINTS.get(event.name)
