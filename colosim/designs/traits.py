"""The facts of a design that its sides and its failover must know, beside its two generators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from colosim.host.staging import StagingBuffer

if TYPE_CHECKING:
    from colosim.designs.remedies import Option


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What is not said by a design's generators."""

    ram_framing_bytes: int = 19
    """What RAM has around its pages: header, end mark and footer of its last section, EOF byte."""
    flushes_ram: bool = True
    """Whether the RAM section ends with a flush (qemu_fflush in ram_save_complete)."""
    staged_framing_bytes: int = 0
    """What a buffer with the whole vmstate has beyond RAM, devices and JSON description."""
    flat_staging: bool = False
    """Whether the staging buffer is a flat QIOChannelBuffer rather than a QEMUSizedBuffer."""
    staging: type[StagingBuffer] = StagingBuffer
    """The staging buffer of either side."""
    ram_cache: bool = True
    """Whether the secondary keeps a RAM cache of the last checkpoint."""
    secondary_runs: bool = False
    """Whether the secondary's guest runs between checkpoints."""
    resumes_first: bool = False
    """Whether the guest runs again before the secondary acknowledges: with that it commits."""
    failover: str = "command"
    """What lets a side go on alone: a `command`, the loss of its `connection`, or `none`."""
    joins_under_lock: bool = True
    """Whether the secondary's failover joins the incoming thread while holding the lock."""
    main_loop_frees_cache: bool = False
    """Whether the main loop frees the RAM cache, when it has joined the incoming thread; else that
    thread does as it leaves COLO, before it waits for a failover (series up to 2016).
    """
    sends_guest_shutdown: bool = False
    """Whether the last checkpoint of a guest that powers itself off ends with GUEST_SHUTDOWN."""
    drops_commands: bool = False
    """Whether commands that wait are lost with the monitor's client (a queue of requests: 2.12)."""
    may_have: tuple[str, ...] = ()
    """Options of its own that may stand behind its name: see `colosim.designs.remedies.OF_SOME`."""
    channels: int = 0
    """How many multifd channels carry RAM; 0: the main channel does."""
    remedies: tuple[Option, ...] = ()
    """Remedies that stand behind the design's name; see `colosim.designs.remedies`."""

    def starts_apart(self, *, kvm: bool) -> bool:
        """Tell whether COLO's start is a transaction of its own, which statistics leave out.

        Under KVM the first flush copies all of guest RAM where the secondary's guest runs: measured
        on 7.2.22 and 11.1.3, never under emulation (inferred: the secondary clears its bitmap
        before its dirty log starts, and KVM's log starts with every page set).
        """
        return self.secondary_runs and kvm
