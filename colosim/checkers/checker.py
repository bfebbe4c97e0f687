"""What a checker is, and what it may look at once the run is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from colosim.trace.steps import CACHE_FLUSH, RAM_LOAD

if TYPE_CHECKING:
    from colosim.designs.primary import Primary
    from colosim.designs.secondary import Secondary
    from colosim.host.failover import Failover
    from colosim.host.host import Host
    from colosim.network.connection import Connection
    from colosim.trace.events import Event

    Handler = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Pair:
    """The state of a pair: what a checker compares the record with when the run is over."""

    hosts: Mapping[str, Host]
    failovers: Mapping[str, Failover]
    connection: Connection
    primary: Primary
    secondary: Secondary
    ram_cache: bool
    """Whether the secondary loads into a RAM cache first, rather than into guest RAM."""
    resumes_first: bool
    """Whether the guest may run again before the secondary has its state (output is held)."""
    fences: bool
    """Whether the manager powers a lost host off before the survivor takes over."""

    @property
    def ram_step(self) -> str:
        """The secondary's step after which this checkpoint's RAM is in its guest RAM."""
        return CACHE_FLUSH if self.ram_cache else RAM_LOAD


class Checker:
    """Watches one rule; a new one for each run."""

    rule: ClassVar[str]
    """The rule, as a violation names it."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    def on(self, event: Event) -> Handler | None:
        """Return what is to be called with time (ns) and value whenever `event` happens.

        The handler raises `Broken` if the event breaks the rule.  None: the event is of no concern.
        Asked once for each distinct event, and anew after a process was frozen, thawed or killed.
        """
        raise NotImplementedError

    def finish(self) -> None:
        """Compare with the state of the pair at the end of the run.

        :raises Broken: if that breaks the rule.
        """

    def judged(self, verdict: str) -> None:
        """Hear the verdict.

        :raises Broken: if it hides what was seen.
        """
