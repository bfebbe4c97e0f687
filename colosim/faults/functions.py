"""What each protocol step is in QEMU: the function that does it, for people who know the source.

Those of steps with a duration stand in `colosim.trace.steps.STEPS`; a step of a design of one's own
has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from colosim.faults.steps import READS, RECEIVES, SENDS, WORKS, WRITES, Step
from colosim.trace.steps import VMSTATE_SAVE, step_of

_SET_UP: Final = {
    "savevm_state_begin": "qemu_savevm_state_begin",
    "loadvm_state_begin": "qemu_loadvm_state_begin",
}
_MESSAGES: Final = {SENDS: "colo_send_message", RECEIVES: "colo_receive_check_message"}
_VALUES: Final = {SENDS: "colo_send_message_value", RECEIVES: "colo_receive_message_value"}


def function_of(step: Step, steps: Sequence[Step], own: Mapping[str, str]) -> str:
    """Return the QEMU function of a step among the steps of its design, ``""`` if none is known.

    `own`: those that the design has by other names than most (`Design.functions`).
    """
    if step.name in own:
        return own[step.name]
    if step.name in _SET_UP:
        return _SET_UP[step.name]
    if step.kind in _MESSAGES:
        table = _VALUES if step.name == "VMSTATE_SIZE" else _MESSAGES
        return table[step.kind]
    known = step_of(step.side, step.name)
    if known is None:
        return ""
    if known.staged_function and any(other.name == VMSTATE_SAVE for other in steps):
        return known.staged_function
    return known.function


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
