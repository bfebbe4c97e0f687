"""Remus as QEMU had it (micro-checkpointing): the guest resumes before its state has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.designs.design import Design
from colosim.designs.messages import (
    CHECKPOINT_REQUEST,
    VMSTATE_RECEIVED,
    VMSTATE_SEND,
)
from colosim.designs.traits import Traits
from colosim.engine.clock import larger
from colosim.host.staging import Slabs
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from colosim.designs.design import Steps
    from colosim.designs.primary import Primary
    from colosim.designs.secondary import Secondary


class Remus(Design):
    """Stop, copy to a staging buffer, resume, send; output waits for the acknowledgement.

    One guest runs; its output up to a stop leaves when the secondary has that state whole.  A
    connection that is lost is the peer's loss to either side: the primary goes on without
    protection, the secondary with the last state that it had whole, and nobody is asked.  If both
    live they both serve.

    Assumed, for neither source says: the secondary acknowledges before it loads (Remus keeps the
    state in memory until then), and RAM and devices are framed as in a COLO of one buffer.
    """

    name = "remus"
    summary = "stop, copy, resume, send; output held until acknowledged (Remus, QEMU-MC)"
    origin = "Remus, NSDI'08; micro-checkpointing by M. Hines, QEMU branch mc, docs/mc.txt (2014)"
    traits = Traits(
        ram_framing_bytes=190,
        staged_framing_bytes=28,
        flat_staging=True,
        staging=Slabs,
        ram_cache=False,
        resumes_first=True,
        failover="connection",
    )

    def wait_for_checkpoint(self, p: Primary) -> Steps:
        """Sleep the checkpoint delay, less what the guest stood still last (docs/mc.txt)."""
        stood_ns = larger(0, p.running_ns - p.stopped_ns)
        yield p.thread.sleep(larger(0, p.delay_ns - stood_ns))

    def checkpoint(self, p: Primary) -> Steps:
        """Stop, capture and resume in one hold; then send (transaction START, COMMIT, ACK)."""
        yield from p.send(CHECKPOINT_REQUEST)
        with (yield from p.lock(Purpose.SAVE)):
            yield from p.stop_guest()
            yield from p.save_vmstate()
            yield from p.start_guest()
        yield from p.send(VMSTATE_SEND)
        yield from p.send_size()
        yield from p.send_staged()
        yield from p.receive(VMSTATE_RECEIVED)
        p.acknowledged()

    def load(self, s: Secondary) -> Steps:
        """Take the state whole, acknowledge it, load it; nothing is begun that may not end."""
        yield from s.receive(CHECKPOINT_REQUEST)
        yield from s.receive(VMSTATE_SEND)
        yield from s.receive_size()
        yield from s.fill_staging()
        yield from s.send(VMSTATE_RECEIVED)
        with (yield from s.lock(Purpose.LOAD)):
            yield from s.load_staged_ram()
            yield from s.load_device_state()
