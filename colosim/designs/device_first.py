"""The split as it was in v9 to v12: device state is staged first, then RAM is streamed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.designs.split import Split

if TYPE_CHECKING:
    from colosim.designs.design import Steps
    from colosim.designs.primary import Primary


class DeviceFirst(Split):
    """Design B1: the same hold and the same stream as `split`, with device state saved first."""

    name = "device-first"
    summary = "devices staged, then RAM streamed under the lock (v9 to v12)"
    origin = (
        "colo-v2.0-periodic to v2.3 (v9 to v12): qemu_save_device_state, then qemu_save_ram_state"
    )

    def save(self, p: Primary) -> Steps:
        """Save, under the lock: device state first, then RAM."""
        yield from p.save_device_state()
        yield from p.stream_ram()
