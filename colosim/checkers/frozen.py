"""A process that is frozen or dead does nothing: its kernel, its peer and the manager may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from colosim.checkers.checker import Checker, Pair
from colosim.checkers.violation import Broken
from colosim.network.connection import OTHER

if TYPE_CHECKING:
    from collections.abc import Hashable

    from colosim.checkers.checker import Handler

__all__ = ["FrozenProcess"]

_OF_OTHERS: Final = ("memory ", "process ", "monitor receives ", "connection timed out", "fault ")
"""What is recorded of a side and not done by its threads."""


class FrozenProcess(Checker):
    """From `process frozen` to `process thawed` no thread of that side goes on."""

    rule = "a frozen process stands"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._stands = dict.fromkeys(OTHER, False)

    def handler(self, subject: str, what: str) -> Handler | None:
        """Watch every act of a thread."""
        if subject not in OTHER:
            return None
        stands = self._stands
        if what == "process frozen":
            return lambda _at_ns, _value: stands.update({subject: True})
        if what == "process thawed":
            return lambda _at_ns, _value: stands.update({subject: False})
        if what.startswith(_OF_OTHERS):
            return None

        def acts(_at_ns: int, _value: int) -> None:
            if stands[subject]:
                raise Broken(subject, f"does something while it is frozen: {what}")

        return acts

    def state(self) -> Hashable:
        """Which side stands."""
        return tuple(self._stands.values())
