"""What a checkpoint design is: two generators, one a side, and a few facts."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, ClassVar

from colosim.designs.traits import Traits

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.designs.primary import Primary
    from colosim.designs.secondary import Secondary

    Steps = Generator[Event, None, None]


class Design:
    """A checkpoint design.

    Subclass it, give `name`, `summary` and `origin`, write `checkpoint` and `load`, and either hand
    the class to `colosim.run` or register it under the entry point group ``colosim.designs``.

    `checkpoint`, `load` and `wait_for_checkpoint` are generators that a SimPy process runs, the
    COLO thread of their side.  They call the verbs of `Primary` and `Secondary` with ``yield from``
    and may yield any SimPy event of `p.env`, as SimPy documents it: a timeout and its value, an
    event that has happened, ``a | b`` and ``a & b``, a child process and its result, an interrupt.
    The clock counts integer nanoseconds.  While the side's QEMU process is frozen such an event
    still happens on time, and the generator goes on after the thaw.  A child process is no thread
    of the QEMU process and does not freeze with it; one that should is a
    `colosim.host.process.Thread` of ``p.host``.
    """

    name: ClassVar[str]
    """Name in scenarios."""
    summary: ClassVar[str]
    """One line."""
    origin: ClassVar[str]
    """Where it stands in QEMU: series, commit, version."""

    commit: ClassVar[str] = ""
    """The commit of coloft/qemu or QEMU that it is read off, ``""`` if it is not one's."""

    functions: ClassVar[Mapping[str, str]] = {}
    """QEMU functions of steps that have another one there than in `colosim.trace.steps`."""

    new_steps: ClassVar[tuple[str, ...]] = ()
    """Steps that it adds to those of `colosim.trace.steps`, such as ``"primary: compress pages"``.

    A step that neither is known nor declared is an error, and so is an account of memory.
    """
    new_accounts: ClassVar[tuple[str, ...]] = ()
    """Accounts of memory (`colosim.engine.ledger`) that it adds."""

    traits: ClassVar[Traits] = Traits()
    """Facts that its generators do not say, such as ``Traits(secondary_runs=True)``."""

    def wait_for_checkpoint(self, p: Primary) -> Steps:
        """Wait on the primary until the next checkpoint is due.

        Default: x-checkpoint-delay from the end of one transaction to the start of the next; a
        plain sleep, which no failover interrupts (v9 to v16).
        """
        return p.sleep()

    def checkpoint(self, p: Primary) -> Steps:
        """Run one transaction on the primary (colo_do_checkpoint_transaction)."""
        raise NotImplementedError

    def load(self, s: Secondary) -> Steps:
        """Run one transaction on the secondary (the body of colo_process_incoming_thread)."""
        raise NotImplementedError
