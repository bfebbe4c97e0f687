"""The split as it was in v9 to v12: device state is staged first, then RAM is streamed."""

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


class DeviceFirst(Design):
    """The same hold and the same stream as `split`, with device state saved first.

    RAM's set-up section was sent once, when COLO was entered.
    """

    name = "device-first"
    summary = "devices staged, then RAM streamed under the lock (v9 to v12)"
    commit = "1e57f8e5b3"
    origin = (
        "colo-v2.0-periodic to v2.3 (v9 to v12): qemu_save_device_state, then qemu_save_ram_state"
    )

    traits = Traits(flushes_ram=False, sends_guest_shutdown=True)

    def checkpoint(self, p: Primary) -> Steps:
        """Save device state and stream RAM in one hold of the lock."""
        yield from p.send(CHECKPOINT_REQUEST)
        yield from p.receive(CHECKPOINT_REPLY)
        with (yield from p.lock(Purpose.STOP)):
            yield from p.stop_guest()
        p.look_for_failover()
        yield from p.send(VMSTATE_SEND)
        with (yield from p.lock(Purpose.SAVE)):
            yield from p.save_device_state()
            yield from p.stream_ram()
        yield from p.send_size()
        yield from p.send_staged()
        yield from p.receive(VMSTATE_RECEIVED)
        yield from p.receive(VMSTATE_LOADED)
        yield from p.shut_down()
        with (yield from p.lock(Purpose.START)):
            yield from p.start_guest()

    def load(self, s: Secondary) -> Steps:
        """Load RAM into the cache without the lock; flush and load devices under it."""
        yield from s.receive(CHECKPOINT_REQUEST)
        yield from s.send(CHECKPOINT_REPLY)
        yield from s.receive(VMSTATE_SEND)
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
