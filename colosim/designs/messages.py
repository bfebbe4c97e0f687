"""The messages of the COLO protocol and their sizes on the wire.

A message is a 4-byte big-endian code, flushed at once; one with a value is followed by 8 bytes
(colo_send_message, colo_send_message_value in migration/colo.c).
"""

from __future__ import annotations

from dataclasses import dataclass

CODE_BYTES = 4
VALUE_BYTES = 8


@dataclass(frozen=True, slots=True)
class Message:
    """A protocol message by its QEMU name (less the prefix COLO_MESSAGE_).

    `has_value`: whether a value follows the code.  `sent_in` and `read_in` name the steps of writer
    and reader where they have names of their own.
    """

    name: str
    size_bytes: int = CODE_BYTES
    has_value: bool = False
    sent_in: str = ""
    read_in: str = ""


CHECKPOINT_REQUEST = Message("CHECKPOINT_REQUEST")
CHECKPOINT_REPLY = Message("CHECKPOINT_REPLY")
VMSTATE_SEND = Message("VMSTATE_SEND")
VMSTATE_SIZE = Message("VMSTATE_SIZE", CODE_BYTES + VALUE_BYTES, has_value=True)
VMSTATE_RECEIVED = Message("VMSTATE_RECEIVED")
VMSTATE_LOADED = Message("VMSTATE_LOADED")
MIGRATE_RAM = Message("MIGRATE_RAM_BACKGROUND")
"""Of two series that were not merged (2020): pages follow, but no checkpoint."""
GUEST_SHUTDOWN = Message("GUEST_SHUTDOWN")
"""Of v9 to v16; no QEMU that was released has it."""
SIZE_AFTER_RAM = Message(VMSTATE_SIZE.name, VMSTATE_SIZE.size_bytes + 1, has_value=True)
"""qemu_put_byte(QEMU_VM_EOF) comes after the RAM section's flush, so it shares the next one."""
SET_UP = Message(
    "QEMU_VM_SECTION_START", 171, sent_in="savevm_state_begin", read_in="loadvm_state_begin"
)
"""RAM's set-up section and its EOF byte, flushed by themselves (qemu_savevm_state_begin of v13).

39 bytes, and 9 more than its name for each RAM block (ram_save_setup): here those of the lab's bare
PC machine.
"""

PAGE_HEADER_BYTES = 8
"""offset | flags, before each page (save_page_header in migration/ram.c)."""
PAGE_WIRE_BYTES = 4096 + PAGE_HEADER_BYTES
FLUSHED_PAGES = 32
"""A QEMUFile has 64 iovecs, two for a page: when they are full it is flushed (add_to_iovec)."""
ZERO_PAGE_WIRE_BYTES = PAGE_HEADER_BYTES + 1
"""A zero page: its header and one byte."""


def ram_bytes(pages: int, zero_pages: int, framing_bytes: int) -> int:
    """Return the size of a RAM section with `pages` dirty pages, `zero_pages` of them zero.

    `framing_bytes`: set-up and end sections around the pages.
    """
    full = pages - zero_pages
    return PAGE_WIRE_BYTES * full + ZERO_PAGE_WIRE_BYTES * zero_pages + framing_bytes
