"""The old design: the whole vmstate staged in a QEMUSizedBuffer on both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.designs.design import Design
from colosim.designs.messages import (
    CHECKPOINT_REPLY,
    CHECKPOINT_REQUEST,
    VMSTATE_LOADED,
    VMSTATE_RECEIVED,
    VMSTATE_SEND,
)
from colosim.designs.traits import Traits
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from colosim.designs.design import Steps
    from colosim.designs.primary import Primary
    from colosim.designs.secondary import Secondary


class Qsb(Design):
    """Nothing is sent while the lock is held; every byte is staged on both sides."""

    name = "qsb"
    summary = "all staged in a QEMUSizedBuffer, sent after unlock (up to the split)"
    commit = "eb652bdf12"
    origin = "eb652bdf12 (v13's parent of the split patch), colo_do_checkpoint_transaction; to v9"
    traits = Traits(ram_framing_bytes=190, sends_guest_shutdown=True)

    def checkpoint(self, p: Primary) -> Steps:
        """Save everything under the lock, then send it without."""
        yield from p.send(CHECKPOINT_REQUEST)
        yield from p.receive(CHECKPOINT_REPLY)
        with (yield from p.lock(Purpose.STOP)):
            yield from p.stop_guest()
        p.look_for_failover()
        with (yield from p.lock(Purpose.SAVE)):
            yield from p.save_vmstate()
        yield from p.send(VMSTATE_SEND)
        yield from p.send_size()
        yield from p.send_staged()
        yield from p.receive(VMSTATE_RECEIVED)
        yield from p.receive(VMSTATE_LOADED)
        yield from p.shut_down()
        with (yield from p.lock(Purpose.START)):
            yield from p.start_guest()

    def load(self, s: Secondary) -> Steps:
        """Fill the buffer without the lock, then load from it under the lock."""
        yield from s.receive(CHECKPOINT_REQUEST)
        yield from s.send(CHECKPOINT_REPLY)
        yield from s.receive(VMSTATE_SEND)
        yield from s.receive_size()
        yield from s.fill_staging()
        yield from s.send(VMSTATE_RECEIVED)
        with (yield from s.lock(Purpose.LOAD)):
            yield from s.reset()
            yield from s.load_staged_ram()
            yield from s.flush_cache()
            yield from s.load_device_state()
        if s.relaunching:
            return
        yield from s.send(VMSTATE_LOADED)
