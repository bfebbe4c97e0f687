"""At most one guest serves, unless the manager did not fence; then the verdict says split brain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from colosim.checkers.checker import Checker, Pair
from colosim.checkers.violation import Broken
from colosim.network.connection import OTHER

if TYPE_CHECKING:
    from collections.abc import Hashable

    from colosim.checkers.checker import Handler

__all__ = ["OnePrimary"]

_TOLD: Final = {"split_brain", "violated"}


class _Guest:
    """What the record says of one side."""

    def __init__(self, side: str) -> None:
        self.running = self.frozen = self.dead = self.off = self.gone = False
        self.released = side == "primary"

    @property
    def serves(self) -> bool:
        """Whether its output reaches clients."""
        up = not (self.frozen or self.dead or self.off or self.gone)
        return self.running and self.released and up


class OnePrimary(Checker):
    """Follows by the record alone whose guest serves."""

    rule = "at most one primary"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._guests = {side: _Guest(side) for side in OTHER}
        self._both_ns: int | None = None

    def handler(self, subject: str, what: str) -> Handler | None:
        """Watch whatever makes a guest serve, or serve no more."""
        if subject in OTHER:
            change = {
                "guest running": ("running", True),
                "guest stopped": ("running", False),
                "process frozen": ("frozen", True),
                "process thawed": ("frozen", False),
                "process killed": ("dead", True),
                "serves alone": ("released", True),
            }.get(what)
            return None if change is None else self._watch(subject, *change)
        for side in OTHER:
            found = {
                ("fault", f"vanish {side}"): ("gone", True),
                ("fault ends", f"{side} is as before"): ("gone", False),
                ("cluster manager", f"powers {side} off"): ("off", True),
            }.get((subject, what))
            if found is not None:
                return self._watch(side, *found)
        return None

    def _watch(self, side: str, attribute: str, value: bool) -> Handler:  # noqa: FBT001 - a fact
        guest = self._guests[side]

        def change(at_ns: int, _value: int) -> None:
            setattr(guest, attribute, value)
            self._look(at_ns)

        return change

    def _look(self, at_ns: int) -> None:
        if not all(guest.serves for guest in self._guests.values()):
            return
        if self.pair.fences:
            raise Broken("cluster manager", "lets both guests serve, though it fences")
        if self._both_ns is None:
            self._both_ns = at_ns

    def state(self) -> Hashable:
        """What is known of each guest."""
        return tuple(tuple(vars(guest).values()) for guest in self._guests.values())

    def judged(self, verdict: str) -> None:
        """Two guests that served at once are a split brain, whatever came of them."""
        if self._both_ns is not None and verdict not in _TOLD:
            raise Broken(
                "verdict", f"both guests served from {self._both_ns} ns on, but it is {verdict!r}"
            )
