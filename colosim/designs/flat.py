"""What QEMU 2.8 to 3.0 shipped: the old protocol with a flat QIOChannelBuffer and no RAM cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.designs.messages import (
    CHECKPOINT_REPLY,
    CHECKPOINT_REQUEST,
    VMSTATE_LOADED,
    VMSTATE_RECEIVED,
    VMSTATE_SEND,
)
from colosim.designs.qsb import Qsb
from colosim.designs.traits import Traits
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from colosim.designs.design import Steps
    from colosim.designs.secondary import Secondary


class Flat(Qsb):
    """The primary of `qsb`; the secondary loads pages straight into guest RAM."""

    name = "flat"
    summary = "all staged in a flat QIOChannelBuffer, no RAM cache (QEMU 2.8 to 3.0)"
    commit = "576b4b384a"
    origin = "colo_do_checkpoint_transaction of QEMU 2.8 to 3.0 (series v18 of September 2016)"
    traits = Traits(
        ram_framing_bytes=190, staged_framing_bytes=28, flat_staging=True, ram_cache=False
    )

    def load(self, s: Secondary) -> Steps:
        """Fill the buffer without the lock, then load pages and devices from it under the lock."""
        yield from s.receive(CHECKPOINT_REQUEST)
        yield from s.send(CHECKPOINT_REPLY)
        yield from s.receive(VMSTATE_SEND)
        yield from s.receive_size()
        yield from s.fill_staging()
        yield from s.send(VMSTATE_RECEIVED)
        with (yield from s.lock(Purpose.LOAD)):
            yield from s.reset()
            yield from s.load_staged_ram()
            yield from s.load_device_state()
        if s.relaunching:
            return
        yield from s.send(VMSTATE_LOADED)
