"""What each protocol step is in QEMU: the function that does it, for people who know the source.

Names as in the series of 2015 and 2016 and in mainline (migration/colo.c, savevm.c, ram.c,
qemu-file.c); a step of a design of one's own has none here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from colosim.faults.steps import READS, RECEIVES, SENDS, WORKS, WRITES, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["function_of", "what_blocks"]

_FUNCTIONS: Final = {
    ("primary", "stop"): "vm_stop_force_state",
    ("primary", "savevm_state_begin"): "qemu_savevm_state_begin",
    ("primary", "bitmap sync"): "migration_bitmap_sync",
    ("primary", "vmstate save"): "qemu_savevm_state_complete_precopy",
    ("primary", "RAM stream"): "qemu_savevm_live_state",
    ("primary", "device save"): "qemu_save_device_state",
    ("primary", "device stream"): "qemu_put_buffer",
    ("primary", "start"): "vm_start",
    ("secondary", "stop"): "vm_stop_force_state",
    ("secondary", "loadvm_state_begin"): "qemu_loadvm_state_begin",
    ("secondary", "RAM load"): "qemu_load_ram_state",
    ("secondary", "vmstate fill"): "qemu_get_buffer",
    ("secondary", "device fill"): "qemu_get_buffer",
    ("secondary", "reset"): "qemu_system_reset",
    ("secondary", "cache flush"): "colo_flush_ram_cache",
    ("secondary", "device load"): "qemu_load_device_state",
    ("secondary", "start"): "vm_start",
}
_STAGED: Final = {
    ("primary", "RAM stream"): "qemu_put_buffer",
    ("secondary", "RAM load"): "qemu_loadvm_state",
    ("secondary", "device load"): "qemu_loadvm_state",
}
"""In designs that stage the whole vmstate."""
_MESSAGES: Final = {SENDS: "colo_send_message", RECEIVES: "colo_receive_check_message"}
_VALUES: Final = {SENDS: "colo_send_message_value", RECEIVES: "colo_receive_message_value"}


def function_of(step: Step, steps: Sequence[Step]) -> str:
    """Return the QEMU function of a step among the steps of its design, ``""`` if none is known."""
    if step.kind in _MESSAGES and (step.side, step.name) not in _FUNCTIONS:
        table = _VALUES if step.name == "VMSTATE_SIZE" else _MESSAGES
        return table[step.kind]
    key = (step.side, step.name)
    staged = any(other.name == "vmstate save" for other in steps)
    if staged and key in _STAGED:
        return _STAGED[key]
    if key == ("secondary", "RAM load") and step.lock:
        return "qemu_loadvm_state_main"
    return _FUNCTIONS.get(key, "")


def what_blocks(step: Step) -> str:
    """Return what the thread waits for in a step, ``""`` if for nobody else.

    A ``message``, ``room`` in the socket buffers, or the ``bytes`` of a stream.
    """
    return {
        RECEIVES: "message",
        WRITES: "room",
        READS: "bytes",
        SENDS: "",
        WORKS: "",
    }[step.kind]
