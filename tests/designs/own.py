"""A design of somebody else's, `split` with steps of its own; and which of ours do what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.designs import load_designs
from colosim.designs.split import Split

if TYPE_CHECKING:
    from colosim.designs.primary import Primary
    from colosim.designs.side import Steps

COLO = [name for name, one in load_designs().items() if one.traits.failover == "command"]
"""Designs with COLO's protocol and its command for a failover."""
CHECKPOINTING = [name for name, one in load_designs().items() if one.traits.failover != "none"]
"""Designs that make checkpoints."""


class Compressing(Split):
    """A design with steps of its own."""

    name = "compressing"
    new_steps = ("primary: compress pages",)

    def save(self, p: Primary) -> Steps:
        """Compress before the stream, in two parts."""
        yield from p.work("compress pages", 1000)
        yield from p.work("compress pages", 500)
        yield from p.stream_ram()
        yield from p.save_device_state()
