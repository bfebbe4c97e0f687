"""Output commit: nothing runs on past a checkpoint that the secondary does not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.checkers.checker import Checker, Pair
from colosim.checkers.violation import Broken

if TYPE_CHECKING:
    from collections.abc import Hashable

    from colosim.checkers.checker import Handler

__all__ = ["OutputCommit"]


class OutputCommit(Checker):
    """After a stop the primary's guest runs again only once the secondary said VMSTATE_LOADED.

    Or once it has left COLO, to serve alone.  The secondary says so only of what it has loaded:
    RAM in guest RAM, and device state, since it was asked for this checkpoint.
    """

    rule = "output commit"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._stopped = self._loaded = self._left = False
        self._ram = self._device = False

    def handler(self, subject: str, what: str) -> Handler | None:
        """Watch the primary's guest, and what the secondary loads and says."""
        if subject == "primary" and what.startswith("COLO exit"):
            return self._leaves
        ram = "cache flush" if self.pair.ram_cache else "RAM load"
        return {
            ("primary", "guest stopped"): self._stops,
            ("primary", "guest running"): self._runs,
            ("primary", "receives VMSTATE_LOADED"): self._hears,
            ("secondary", "receives CHECKPOINT_REQUEST"): self._begins,
            ("secondary", ram): self._loads_ram,
            ("secondary", "device load"): self._loads_devices,
            ("secondary", "sends VMSTATE_LOADED"): self._says,
        }.get((subject, what))

    def _leaves(self, _at_ns: int, _value: int) -> None:
        self._left = True

    def _stops(self, _at_ns: int, _value: int) -> None:
        self._stopped = True
        self._loaded = False

    def _hears(self, _at_ns: int, _value: int) -> None:
        self._loaded = True

    def _runs(self, _at_ns: int, _value: int) -> None:
        if self._stopped and not self._loaded and not self._left:
            raise Broken(
                "primary checkpoint thread",
                "lets the guest run on before the secondary has said VMSTATE_LOADED",
            )
        self._stopped = False

    def _begins(self, _at_ns: int, _value: int) -> None:
        self._ram = self._device = False

    def _loads_ram(self, _at_ns: int, _value: int) -> None:
        self._ram = True

    def _loads_devices(self, _at_ns: int, _value: int) -> None:
        self._device = True

    def _says(self, _at_ns: int, _value: int) -> None:
        if not (self._ram and self._device):
            missing = "device state" if self._ram else "RAM"
            raise Broken(
                "secondary COLO incoming thread",
                f"says VMSTATE_LOADED, but has not loaded this checkpoint's {missing}",
            )

    def state(self) -> Hashable:
        """What was stopped, heard and loaded."""
        return self._stopped, self._loaded, self._left, self._ram, self._device
