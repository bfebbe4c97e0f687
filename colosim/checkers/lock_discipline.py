"""One owner of each iothread lock; whoever got it releases it, for the purpose he wanted it for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from colosim.checkers.checker import Checker, Pair
from colosim.checkers.violation import Broken
from colosim.network.connection import OTHER

if TYPE_CHECKING:
    from collections.abc import Hashable

    from colosim.checkers.checker import Handler

__all__ = ["LockDiscipline"]

_LOCK: Final = re.compile(r"iothread lock (wanted|got|released) by (.+) for (.+)")


class LockDiscipline(Checker):
    """A lock is got when nobody has it, by somebody who lacks it, and released by who got it."""

    rule = "one owner of the lock"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._owner: dict[str, tuple[str, str] | None] = dict.fromkeys(OTHER)

    def handler(self, subject: str, what: str) -> Handler | None:
        """Watch what is wanted, got and released."""
        lock = _LOCK.fullmatch(what)
        if lock is None:
            return None
        kind, thread, purpose = lock.groups()
        who = (thread, purpose)
        made = {"wanted": self._wants, "got": self._gets, "released": self._releases}[kind]
        return made(subject, who)

    def _wants(self, side: str, who: tuple[str, str]) -> Handler:
        def wanted(_at_ns: int, _value: int) -> None:
            owner = self._owner[side]
            if owner is not None and owner[0] == who[0]:
                raise Broken(
                    f"{side} {who[0]}",
                    f"wants the lock for {who[1]}, but has it for {owner[1]}: it waits for itself",
                )

        return wanted

    def _gets(self, side: str, who: tuple[str, str]) -> Handler:
        owners = self._owner

        def got(_at_ns: int, _value: int) -> None:
            owner = owners[side]
            if owner is not None:
                raise Broken(
                    f"{side} {who[0]}",
                    f"gets the lock for {who[1]}, but the {owner[0]} has it for {owner[1]}",
                )
            owners[side] = who

        return got

    def _releases(self, side: str, who: tuple[str, str]) -> Handler:
        owners = self._owner

        def released(_at_ns: int, _value: int) -> None:
            owner = owners[side]
            if owner != who:
                has = f"the {owner[0]} has it for {owner[1]}" if owner else "nobody has it"
                raise Broken(f"{side} {who[0]}", f"releases the lock of {who[1]}, but {has}")
            owners[side] = None

        return released

    def state(self) -> Hashable:
        """Who has which lock."""
        return tuple(self._owner.values())

    def finish(self) -> None:
        """Whoever has a lock by the record owns it; one that was handed on is not got yet."""
        for side, owner in self._owner.items():
            has = self.pair.hosts[side].lock.owner
            if owner is not None and (has is None or has.name != owner[0]):
                raise Broken(
                    f"{side} {owner[0]}",
                    f"has the lock by the record, but its owner is {has or 'nobody'}",
                )
