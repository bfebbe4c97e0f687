"""No protection at all: what every other design is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.designs.design import Design
from colosim.designs.traits import Traits
from colosim.host.staging import NoStaging

if TYPE_CHECKING:
    from colosim.designs.design import Steps
    from colosim.designs.primary import Primary
    from colosim.designs.secondary import Secondary


class Unprotected(Design):
    """The guest runs on one host to the end of the run, and nothing of it is on the other.

    No checkpoint is made, so a run has its `duration` or `horizon` for its length, and ends
    `unprotected`; a lost primary is lost for good.
    """

    name = "unprotected"
    summary = "no checkpoints: the guest alone, for comparison"
    origin = "any QEMU without COLO: x-colo-lost-heartbeat answers that COLO is not on"
    traits = Traits(ram_cache=False, staging=NoStaging, failover="none")

    def wait_for_checkpoint(self, p: Primary) -> Steps:
        """Wait for ever."""
        yield p.env.event()

    def checkpoint(self, p: Primary) -> Steps:
        """Never begun."""
        yield p.env.event()

    def load(self, s: Secondary) -> Steps:
        """Wait for ever: nothing comes."""
        yield s.env.event()
