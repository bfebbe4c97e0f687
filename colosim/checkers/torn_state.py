"""A secondary that takes over has RAM and device state of one and the same checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.checkers.checker import Checker, Pair
from colosim.checkers.violation import Broken

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from colosim.checkers.checker import Handler, Repeat

__all__ = ["TornState"]


class TornState(Checker):
    """Follows by the record alone which checkpoint the secondary's RAM and devices are of."""

    rule = "no torn state"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._receiving = 0
        self._ram = self._device = 0
        self._reset = False

    def handler(self, subject: str, what: str) -> Handler | None:
        """Watch what the secondary loads, and its taking over."""
        if subject != "secondary":
            return None
        handlers = {
            "receives VMSTATE_SEND": self._receives,
            "cache flush": self._flushes,
            "reset": self._resets,
            "device load": self._loads_devices,
            "serves alone": self._takes_over,
        }
        if not self.pair.ram_cache:
            handlers["RAM load"] = self._loads_ram
        return handlers.get(what)

    def _receives(self, _at_ns: int, _value: int) -> None:
        self._receiving += 1

    def _loads_ram(self, _at_ns: int, _value: int) -> None:
        self._ram = self._receiving

    def _flushes(self, _at_ns: int, _value: int) -> None:
        self._ram = self._receiving

    def _resets(self, _at_ns: int, _value: int) -> None:
        self._reset = True

    def _loads_devices(self, _at_ns: int, _value: int) -> None:
        self._device = self._receiving
        self._reset = False

    def _takes_over(self, _at_ns: int, _value: int) -> None:
        if self._reset or self._ram != self._device:
            raise Broken("secondary main loop", f"takes over with {self._told()}")

    def _told(self) -> str:
        """Say what state the secondary has, its checkpoints counted from 0 as the run does."""

        def of(number: int) -> str:
            return f"of checkpoint {number - 1}" if number else "as when COLO was entered"

        device = "reset and not loaded" if self._reset else of(self._device)
        return f"RAM {of(self._ram)}, but device state {device}"

    def state(self) -> Hashable:
        """How far behind the checkpoint that is received each of its states is."""
        return self._receiving - self._ram, self._receiving - self._device, self._reset

    def repeats(self, names: Sequence[tuple[str, str]]) -> Repeat:
        """As many checkpoints more."""
        return _MoreReceived(self, names.count(("secondary", "receives VMSTATE_SEND")))

    def count(self, number: int) -> None:
        """Count `number` checkpoints that were received and loaded."""
        self._receiving += number
        self._ram += number
        self._device += number

    def finish(self) -> None:
        """The secondary's own marks say the same, if it took over."""
        secondary = self.pair.secondary
        if not self.pair.failovers["secondary"].done:
            return
        if secondary.ram_epoch != secondary.device_epoch:
            raise Broken(
                "secondary main loop",
                f"has taken over with RAM of checkpoint {secondary.ram_epoch}, but device state of"
                f" checkpoint {secondary.device_epoch}",
            )


class _MoreReceived:
    """A chunk in which so many checkpoints are received and loaded."""

    def __init__(self, torn_state: TornState, number: int) -> None:
        self._torn_state = torn_state
        self._number = number

    def fits(self, _chunk: Sequence[int]) -> bool:
        """Tell that its values do not matter."""
        return True

    def count(self, _chunk: Sequence[int]) -> None:
        """Count them."""
        self._torn_state.count(self._number)
