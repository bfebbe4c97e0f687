"""QEMU 5.1 to 10.0: RAM is sent without the primary's lock, received under the secondary's."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

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
from colosim.trace.steps import BACKGROUND_LOAD, BACKGROUND_STREAM, RAM_LOAD

if TYPE_CHECKING:
    from colosim.designs.design import Steps
    from colosim.designs.primary import Primary
    from colosim.designs.secondary import Secondary


class Qemu51(Design):
    """The primary's lock is held for device state only; the secondary's guest runs."""

    name = "qemu-5.1"
    summary = "RAM streamed without the lock; received under the secondary's (5.1 to 10.0)"
    commit = "3f6df99d9d"
    origin = "3f6df99d9d (QEMU 3.1, 2018-09-03); checkpoint timer and secondary as in QEMU 7.2"
    functions: ClassVar = {
        RAM_LOAD: "qemu_loadvm_state_main",
        BACKGROUND_STREAM: "qemu_savevm_state_iterate",
        BACKGROUND_LOAD: "qemu_loadvm_state_main",
    }
    traits = Traits(
        # Measured only in a sum: 12,928 B a checkpoint beside the pages, device state included.
        ram_framing_bytes=243,
        flat_staging=True,
        secondary_runs=True,
        joins_under_lock=False,
        main_loop_frees_cache=True,
        drops_commands=True,
        may_have=("join-under-lock", "gap-migration", "migrate-first"),
    )

    def wait_for_checkpoint(self, p: Primary) -> Steps:
        """Wait for the free-running timer of period x-checkpoint-delay."""
        return p.timer()

    def checkpoint(self, p: Primary) -> Steps:
        """Save device state under the lock, stream RAM without it."""
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
        """Stop the own guest, receive RAM under the lock, load, and let the own guest run."""
        yield from s.receive(CHECKPOINT_REQUEST)
        with (yield from s.lock(Purpose.STOP)):
            yield from s.stop_guest()
        yield from s.send(CHECKPOINT_REPLY)
        yield from s.receive(VMSTATE_SEND)
        with (yield from s.lock(Purpose.RECEIVE)):
            yield from s.load_ram()
            yield from s.receive_size()
        yield from s.fill_staging()
        yield from s.send(VMSTATE_RECEIVED)
        with (yield from s.lock(Purpose.LOAD)):
            yield from s.flush_cache()
            yield from s.load_device_state()
            yield from s.start_guest()
        if s.relaunching:
            return
        yield from s.send(VMSTATE_LOADED)
