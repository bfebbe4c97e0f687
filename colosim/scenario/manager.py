"""The cluster manager of a scenario: what it finds out, and what it does then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from colosim.scenario.checks import Conflict, Path, check
from colosim.scenario.fields import Choice, Switch, Time, TimeAbove0, TimeOrNone
from colosim.scenario.section import Example, Section
from colosim.scenario.units import TIME, text_of

_Instance = Annotated[str, Choice(("migration", "block-node", "chardev"), "what can be yanked")]


class Watch(Section):
    """How the cluster manager watches one host, where that differs from the other."""

    example = "{heartbeat: 1 s, timeout: 3 s}"

    heartbeat_ns: TimeOrNone = None
    """Time between two heartbeats of this host."""
    timeout_ns: TimeOrNone = None
    """This host, silent for so long, is lost."""


class Manager(Section):
    """The cluster manager: how it finds out that a host is lost, and what it does then."""

    example = "{timeout: 3 s}"

    heartbeat_ns: TimeAbove0 = 10**9
    """Time between two heartbeats that it asks for."""
    timeout_ns: TimeAbove0 = 3 * 10**9
    """A host silent for so long is taken for lost."""
    primary: Watch | None = None
    """How it watches the primary's host, if otherwise."""
    secondary: Watch | None = None
    """How it watches the secondary's host, if otherwise."""
    policy: Annotated[
        str, Choice(("lost-heartbeat", "yank-then-lost-heartbeat", "wait"), "a policy")
    ] = "lost-heartbeat"
    """What it sends to the survivor; 'wait' sends nothing."""
    yank: Annotated[tuple[_Instance, ...], Example("[migration, block-node]")] = Field(
        default=("migration",), min_length=1
    )
    """What it yanks, and an agent on a host does, where it is to yank at all: connections by QEMU's
    names (query-yank). A disk has one on the primary, 'block-node'; 'chardev' is every socket of
    the proxy.
    """
    failover: Annotated[str, Choice(("short", "documented"), "a failover")] = "short"
    """What it tells a survivor: the command alone, or first, as documented for a disk,
    x-blockdev-change and drive_del on the primary, nbd-server-stop on the secondary.
    """
    answered_by: Annotated[str, Choice(("agent", "monitor"), "who answers heartbeats")] = "agent"
    """Who answers: the host's cluster agent, or QEMU's monitor (deaf when the lock is held)."""
    hears_exit: Switch = False
    """Whether it listens to COLO_EXIT events: at one with an error it tells the primary, which has
    the newest state, that its peer is lost. Else nobody acts on an error.
    """
    fence: Switch = False
    """Whether it powers the lost host off before the survivor takes over."""
    fence_time_ns: Time = 0
    """How long fencing takes; only then is the survivor told."""
    delay_ns: Time = 0
    """Its own reaction time."""
    yank_wait_ns: Time = 10**9
    """From the yank to the command."""
    comparison: Annotated[
        str | None, Choice(("delete", "leave"), "what becomes of the comparison of outputs")
    ] = None
    """What becomes of the comparison when the primary is to go on alone: it is deleted with the
    command, as QEMU documents ('delete', unless stated), or left in place ('leave'), where every
    answer waits for a secondary that is no more.
    """
    local_yank_after_ns: TimeOrNone = None
    """An agent on each host asks its own QEMU at every heartbeat, and yanks it when the monitor has
    not answered for so long. Without, there are none.
    """

    def watch(self, side: str) -> tuple[int, int]:
        """Return heartbeat period and timeout for the host of `side`, in ns."""
        own = getattr(self, side)
        heartbeat_ns, timeout_ns = (own.heartbeat_ns, own.timeout_ns) if own else (None, None)
        return heartbeat_ns or self.heartbeat_ns, timeout_ns or self.timeout_ns

    @check("timeout", "heartbeat")
    def _waits_for_a_heartbeat(self) -> Iterator[str]:
        if self.timeout_ns < self.heartbeat_ns:
            yield _every_host_lost(self.heartbeat_ns, self.timeout_ns)

    @check("timeout", "heartbeat", "primary")
    def _waits_for_the_primary(self) -> Iterator[Conflict]:
        return self._waits_for("primary")

    @check("timeout", "heartbeat", "secondary")
    def _waits_for_the_secondary(self) -> Iterator[Conflict]:
        return self._waits_for("secondary")

    def _waits_for(self, side: str) -> Iterator[Conflict]:
        own, (heartbeat_ns, timeout_ns) = getattr(self, side), self.watch(side)
        if timeout_ns < heartbeat_ns and own and (own.timeout_ns or own.heartbeat_ns):
            paths: tuple[Path, ...] = tuple(
                (side, key) if getattr(own, f"{key}_ns") else (key,)
                for key in ("timeout", "heartbeat")
            )
            yield Conflict(_every_host_lost(heartbeat_ns, timeout_ns), paths)


def _every_host_lost(heartbeat_ns: int, timeout_ns: int) -> str:
    return (
        f"a timeout of {text_of(timeout_ns, TIME)} is shorter than the heartbeat period of "
        f"{text_of(heartbeat_ns, TIME)}: every host would be taken for lost"
    )
