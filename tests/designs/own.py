"""A design of somebody else's: `split` with steps of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.designs.split import Split

if TYPE_CHECKING:
    from colosim.designs.primary import Primary
    from colosim.designs.side import Steps


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
