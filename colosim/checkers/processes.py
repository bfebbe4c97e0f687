"""What two processes must not do: share a lock, serve both, or act while they are frozen."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from colosim.checkers.checker import Checker, Pair
from colosim.checkers.violation import Broken
from colosim.trace import events as ev
from colosim.trace.events import OTHER

if TYPE_CHECKING:
    from colosim.checkers.checker import Handler
    from colosim.trace.purpose import Purpose

    Who = tuple[str, Purpose]

_SAYING_SO: Final = {"split_brain", "violated"}


class LockDiscipline(Checker):
    """A lock is got when nobody has it, by somebody who lacks it, and released by who got it."""

    rule = "one owner of the lock"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._owners: dict[str, Who] = {}

    def on(self, event: ev.Event) -> Handler | None:
        """Watch what is wanted, got and released."""
        match event:
            case ev.LockWanted(side, thread, purpose):
                return partial(self._wants, side, (thread, purpose))
            case ev.LockGot(side, thread, purpose):
                return partial(self._gets, side, (thread, purpose))
            case ev.LockReleased(side, thread, purpose):
                return partial(self._releases, side, (thread, purpose))
        return None

    def _wants(self, side: str, who: Who, _at_ns: int, _value: int) -> None:
        owner = self._owners.get(side)
        if owner is not None and owner[0] == who[0]:
            raise Broken(
                f"{side} {who[0]}",
                f"wants the lock for {who[1]}, but has it for {owner[1]}: it waits for itself",
            )

    def _gets(self, side: str, who: Who, _at_ns: int, _value: int) -> None:
        if side in self._owners:
            thread, purpose = self._owners[side]
            raise Broken(
                f"{side} {who[0]}",
                f"gets the lock for {who[1]}, but the {thread} has it for {purpose}",
            )
        self._owners[side] = who

    def _releases(self, side: str, who: Who, _at_ns: int, _value: int) -> None:
        owner = self._owners.pop(side, None)
        if owner != who:
            has = f"the {owner[0]} has it for {owner[1]}" if owner else "nobody has it"
            raise Broken(f"{side} {who[0]}", f"releases the lock of {who[1]}, but {has}")

    def finish(self) -> None:
        """Whoever has a lock by the record owns it; one that was handed on is not got yet."""
        for side, (thread, _) in self._owners.items():
            has = self.pair.hosts[side].lock.owner
            if has is None or has.name != thread:
                raise Broken(
                    f"{side} {thread}",
                    f"has the lock by the record, but its owner is {has or 'nobody'}",
                )


class OnePrimary(Checker):
    """At most one guest serves, by the record alone, unless the manager did not fence.

    Then the verdict must say split brain.
    """

    rule = "at most one primary"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        # What keeps each side's output from clients; nothing does once the set is empty.
        self._against = {"primary": {"stopped"}, "secondary": {"stopped", "in COLO"}}
        self._both_ns: int | None = None

    def on(self, event: ev.Event) -> Handler | None:
        """Watch whatever makes a guest serve, or serve no more."""
        match event:
            case ev.GuestRunning(side):
                return partial(self._gone, side, "stopped")
            case ev.ServesAlone(side):
                return partial(self._gone, side, "in COLO")
            case ev.ProcessChanged(side, "thawed"):
                return partial(self._gone, side, "frozen")
            case ev.FaultEnded(side) if side in OTHER:
                return partial(self._gone, side, "vanished")
            case ev.GuestStopped(side):
                return partial(self._comes, side, "stopped")
            case ev.ProcessChanged(side, state):
                return partial(self._comes, side, state)
            case ev.FaultStruck("vanish", side) if side in OTHER:
                return partial(self._comes, side, "vanished")
            case ev.PoweredOff(side):
                return partial(self._comes, side, "off")
        return None

    def _comes(self, side: str, what: str, _at_ns: int, _value: int) -> None:
        self._against[side].add(what)

    def _gone(self, side: str, what: str, at_ns: int, _value: int) -> None:
        self._against[side].discard(what)
        if self._against[side] or self._against[OTHER[side]]:
            return
        if self.pair.fences:
            raise Broken("cluster manager", "lets both guests serve, though it fences")
        if self._both_ns is None:
            self._both_ns = at_ns

    def judged(self, verdict: str) -> None:
        """Two guests that served at once are a split brain, whatever came of them."""
        if self._both_ns is not None and verdict not in _SAYING_SO:
            raise Broken(
                "verdict", f"both guests served from {self._both_ns} ns on, but it is {verdict!r}"
            )


class FrozenProcess(Checker):
    """From `process frozen` to `process thawed` no thread of that side goes on.

    Its kernel, its peer and the manager may.
    """

    rule = "a frozen process stands"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._frozen: list[str] = []

    def on(self, event: ev.Event) -> Handler | None:
        """Watch every act of a thread while its side is frozen."""
        match event:
            case ev.ProcessChanged(side, "frozen"):
                return lambda _at_ns, _value: self._frozen.append(side)
            case ev.ProcessChanged(side, "thawed"):
                return lambda _at_ns, _value: self._frozen.remove(side)
            case ev.MemoryLevel() | ev.ProcessChanged() | ev.CommandReceived():
                return None  # no thread's act
            case ev.OperatorSends() | ev.AgentYanks():
                return None  # no thread's act
            case ev.ConnectionTimedOut() | ev.FailureInjected():
                return None  # nor these
            case ev.OnSide(side) if side in self._frozen:
                return partial(_acts, event)
        return None


def _acts(event: ev.OnSide, _at_ns: int, _value: int) -> None:
    raise Broken(event.side, f"does something while it is frozen: {event.what}")
