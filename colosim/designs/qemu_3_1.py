"""QEMU 3.1 to 5.0: as 5.1, but the RAM cache is flushed before device state has come."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from colosim.designs.messages import (
    CHECKPOINT_REPLY,
    CHECKPOINT_REQUEST,
    VMSTATE_LOADED,
    VMSTATE_RECEIVED,
    VMSTATE_SEND,
)
from colosim.designs.qemu_5_1 import Qemu51
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from colosim.designs.design import Steps
    from colosim.designs.secondary import Secondary


class Qemu31(Qemu51):
    """`ram_load` ends with the flush: a primary that dies before SIZE leaves a torn secondary."""

    name = "qemu-3.1"
    summary = "as qemu-5.1; the cache is flushed as RAM is received, before devices (3.1 to 5.0)"
    commit = "3f6df99d9d"
    origin = (
        "3f6df99d9d (QEMU 3.1, 2018-09-03); the flush moved for 5.1 (pull of 2020-06-01): "
        '"Flush ram cache only after receiving device state"'
    )

    traits = replace(
        Qemu51.traits, may_have=("join-under-lock", "rate-limit", "gap-migration", "migrate-first")
    )

    def load(self, s: Secondary) -> Steps:
        """Receive RAM and flush it into the guest in one hold, load devices in the next."""
        yield from s.receive(CHECKPOINT_REQUEST)
        with (yield from s.lock(Purpose.STOP)):
            yield from s.stop_guest()
        yield from s.send(CHECKPOINT_REPLY)
        yield from s.receive(VMSTATE_SEND)
        with (yield from s.lock(Purpose.RECEIVE)):
            yield from s.load_ram()
            yield from s.flush_cache()
            yield from s.receive_size()
        yield from s.fill_staging()
        yield from s.send(VMSTATE_RECEIVED)
        with (yield from s.lock(Purpose.LOAD)):
            yield from s.load_device_state()
            yield from s.start_guest()
        if s.relaunching:
            return
        yield from s.send(VMSTATE_LOADED)
