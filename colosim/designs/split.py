"""The reviewed patch: RAM straight to the socket, under the lock; only device state is staged."""

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
from colosim.network.tcp import StreamError
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from colosim.designs.design import Steps
    from colosim.designs.primary import Primary
    from colosim.designs.secondary import Secondary


class Split(Design):
    """The lock is held until the last byte of RAM is in a socket buffer (series v13 to v16)."""

    name = "split"
    summary = "RAM streamed under the lock, then devices staged (v13, the reviewed patch)"
    commit = "1f34e67d06"
    origin = "1f34e67d06 (v13, 2015-12-29), colo_do_checkpoint_transaction"

    traits = Traits(flushes_ram=False, sends_guest_shutdown=True)

    def checkpoint(self, p: Primary) -> Steps:
        """Stream RAM and save device state in one hold of the lock."""
        yield from p.send(CHECKPOINT_REQUEST)
        yield from p.receive(CHECKPOINT_REPLY)
        with (yield from p.lock(Purpose.STOP)):
            yield from p.stop_guest()
        p.look_for_failover()
        yield from p.send(VMSTATE_SEND)
        yield from p.savevm_state_begin()
        with (yield from p.lock(Purpose.SAVE)):
            yield from self.save(p)
        try:
            yield from p.send_size()
        except StreamError:
            return  # measured: the failed send does not end up in the return value
        yield from p.send_staged()
        yield from p.receive(VMSTATE_RECEIVED)
        yield from p.receive(VMSTATE_LOADED)
        yield from p.shut_down()
        with (yield from p.lock(Purpose.START)):
            yield from p.start_guest()

    def save(self, p: Primary) -> Steps:
        """Save, under the lock: RAM first, then device state."""
        yield from p.stream_ram()
        yield from p.save_device_state()

    def load(self, s: Secondary) -> Steps:
        """Load RAM into the cache without the lock; flush and load devices under it."""
        yield from s.receive(CHECKPOINT_REQUEST)
        yield from s.send(CHECKPOINT_REPLY)
        yield from s.receive(VMSTATE_SEND)
        yield from s.loadvm_state_begin()
        yield from s.load_ram()
        yield from s.receive_size()
        yield from s.fill_staging()
        yield from s.send(VMSTATE_RECEIVED)
        with (yield from s.lock(Purpose.LOAD)):
            yield from s.reset()
            yield from s.flush_cache()
            yield from s.load_device_state()
        if s.relaunching:
            return
        yield from s.send(VMSTATE_LOADED)
