"""QEMU 11: RAM is sent with the primary's lock, received without the secondary's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from colosim.designs.messages import (
    CHECKPOINT_REPLY,
    CHECKPOINT_REQUEST,
    VMSTATE_LOADED,
    VMSTATE_RECEIVED,
    VMSTATE_SEND,
)
from colosim.designs.qemu_5_1 import Qemu51
from colosim.network.tcp import StreamError
from colosim.trace.purpose import Purpose
from colosim.trace.steps import BITMAP_SYNC, RAM_STREAM

if TYPE_CHECKING:
    from colosim.designs.design import Steps
    from colosim.designs.primary import Primary
    from colosim.designs.secondary import Secondary


class Qemu11(Qemu51):
    """The lock is held until the last byte of RAM is in a socket buffer, as in `split`."""

    name = "qemu-11"
    summary = "RAM streamed under the lock, received without the secondary's, with a reset (11)"
    commit = "dd67c149e2"
    origin = (
        'read off QEMU 11.1.3 and measured on it; "colo: Hold the BQL while sending ram state" and '
        '"colo: Do not hold the BQL while receiving ram state" (2026)'
    )
    functions: ClassVar = {
        **Qemu51.functions,
        BITMAP_SYNC: "qemu_savevm_query_pending_final",
        RAM_STREAM: "qemu_savevm_state_complete_precopy_iterable",
    }
    # Measured only in a sum: 12,963 B a checkpoint beside the pages, device state included.
    traits = replace(Qemu51.traits, ram_framing_bytes=278, may_have=("multifd",))

    def checkpoint(self, p: Primary) -> Steps:
        """Announce, save device state and stream RAM in one hold of the lock."""
        yield from p.send(CHECKPOINT_REQUEST)
        yield from p.receive(CHECKPOINT_REPLY)
        with (yield from p.lock(Purpose.STOP)):
            yield from p.stop_guest()
        p.look_for_failover()
        with (yield from p.lock(Purpose.SAVE)):
            yield from p.send(VMSTATE_SEND)
            yield from p.save_device_state()
            yield from p.stream_ram()
        try:
            yield from p.send_size()
        except StreamError:
            return  # measured: as in `split`, the next request fails instead
        yield from p.send_staged()
        yield from p.receive(VMSTATE_RECEIVED)
        yield from p.receive(VMSTATE_LOADED)
        with (yield from p.lock(Purpose.START)):
            yield from p.start_guest()

    def load(self, s: Secondary) -> Steps:
        """Stop the own guest, receive RAM without the lock; reset, load and run it under it."""
        yield from s.receive(CHECKPOINT_REQUEST)
        with (yield from s.lock(Purpose.STOP)):
            yield from s.stop_guest()
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
            yield from s.start_guest()
        if s.relaunching:
            return
        yield from s.send(VMSTATE_LOADED)
