"""What a checker is, and what it may look at once the run is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from colosim.designs.secondary import Secondary
    from colosim.failover.state import Failover
    from colosim.host.host import Host
    from colosim.network.connection import Connection

    Handler = Callable[[int, int], None]

__all__ = ["Checker", "Pair", "Repeat", "Unrepeatable"]


class Repeat(Protocol):
    """Stands for watching a chunk whose events are, in their order, those of one before."""

    def fits(self, chunk: Sequence[int]) -> bool:
        """Tell whether its values break no rule; if they may, it is watched event by event."""
        ...

    def count(self, chunk: Sequence[int]) -> None:
        """Count what is in it."""
        ...


@dataclass(frozen=True, slots=True)
class Pair:
    """The state of a pair: what a checker compares the record with when the run is over."""

    hosts: Mapping[str, Host]
    failovers: Mapping[str, Failover]
    connection: Connection
    secondary: Secondary
    ram_cache: bool
    """Whether the secondary loads into a RAM cache first, rather than into guest RAM."""
    fences: bool
    """Whether the manager powers a lost host off before the survivor takes over."""


class Unrepeatable:
    """A chunk that is always watched event by event."""

    def fits(self, _chunk: Sequence[int]) -> bool:
        """Tell that it may break a rule."""
        return False

    def count(self, _chunk: Sequence[int]) -> None:
        """Count nothing."""


class Checker:
    """Watches one rule; a new one for each run."""

    rule: ClassVar[str]
    """The rule, as a violation names it."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    def handler(self, subject: str, what: str) -> Handler | None:
        """Return what is to be called with the time and value of the event ``subject: what``.

        The handler raises `Broken` if the event breaks the rule.  None: the event is of no concern.
        """
        raise NotImplementedError

    def state(self) -> Hashable:
        """Return all that decides how this checker takes the events to come, counts left out.

        None: it is in the middle of something that no second chunk can repeat.
        """
        raise NotImplementedError

    def repeats(self, names: Sequence[tuple[str, str]]) -> Repeat | None:
        """Return what stands for watching another chunk of the events `names`.

        Asked for after such a chunk that broke no rule, with the same state before and after it.
        None: the names alone decide, and there is nothing to count.
        """

    def finish(self) -> None:
        """Compare with the state of the pair at the end of the run.

        :raises Broken: if that breaks the rule.
        """

    def judged(self, verdict: str) -> None:
        """Hear the verdict.

        :raises Broken: if it hides what was seen.
        """
