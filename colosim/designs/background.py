"""Dirty pages sent while both guests run, so that fewer are left for the stop: two options.

``migrate-first=100MiB`` (Derek Su, June 2020): a checkpoint begins with up to ten passes, while so
much is dirty.  ``gap-migration=100MiB`` (zhanghailiang, February 2020): a timer of 1 s lets the
checkpoint thread look between checkpoints, and if so much is dirty it sends one pass.

A pass is one qemu_savevm_state_iterate: a message, then pages until none is left, or 50 ms are
over.  The dirty bitmap is synchronised, with the lock, only when less than the threshold is left in
it (ram_save_pending), so pages written meanwhile are seen at the next synchronisation.  The
secondary loads a pass into its RAM cache without its lock, while its guest runs, and flushes the
cache in the checkpoint alone.

What is sent is dirty again if it is written again: of pages that were sent, as large a share as of
all pages that were dirty when they were looked for (assumed: which of them a pass takes has nothing
to do with how often they are written).  A guest of a fixed number of pages a checkpoint has them
dirty again at once, so a pass spares it nothing.  What passes cost the guest is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from colosim.designs.messages import CHECKPOINT_REQUEST, MIGRATE_RAM, ram_bytes
from colosim.designs.remedied import RemediedPrimary, RemediedSecondary
from colosim.engine.clock import NS_PER_S, PPM, per_byte_ns, per_page_ns
from colosim.host.host import PAGE_BYTES
from colosim.network.section import Section
from colosim.trace.events import CHECKPOINT_TIMER, PagesCounted
from colosim.trace.purpose import Purpose
from colosim.trace.steps import BACKGROUND_LOAD, BACKGROUND_STREAM, BITMAP_SYNC

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.designs.messages import Message
    from colosim.designs.side import Steps
    from colosim.designs.traits import Traits
    from colosim.host.host import Host

FIRST, GAP = "migrate-first", "gap-migration"
PASSES: Final = 10
"""COLO_RAM_MIGRATE_ITERATION_MAX of the patch: passes before one checkpoint."""
LOOK_NS: Final = NS_PER_S
"""DEFAULT_RAM_PENDING_CHECK of the patch: from one look to the next."""
PASS_NS: Final = 50_000_000
"""MAX_WAIT (migration/ram.c): how long ram_save_iterate goes on."""
PART_PAGES: Final = 1024
"""So many pages are sent from one look at the clock to the next.  QEMU looks each 64 pages."""
FRAMING_BYTES: Final = 19
"""Section header, end mark, footer and EOF byte of a pass; assumed: flushed with its last page."""


class Ahead:
    """Which of a checkpoint's dirty pages were sent ahead, by number.

    `dirtied`: (checkpoint, how long the guest had run before, how long since, in ns) -> pages
    dirtied since.
    """

    def __init__(self, dirtied: Callable[[int, int, int], int]) -> None:
        self._dirtied = dirtied
        self._checkpoint = 0
        self._clean = 0
        """Pages that were sent and, when the bitmap was last synchronised, not written since."""
        self._seen_ns = 0
        """For how long the guest had run then."""
        self.left = 0
        """Pages that were seen dirty and have not been sent."""

    def holds(self, checkpoint: int) -> bool:
        """Tell whether the bitmap has been synchronised since the checkpoint before."""
        return checkpoint == self._checkpoint and self._seen_ns > 0

    def look(self, checkpoint: int, before_ns: int, run_ns: int) -> None:
        """Synchronise the dirty bitmap."""
        if checkpoint != self._checkpoint:
            self._checkpoint, self._clean, self._seen_ns = checkpoint, 0, 0
        self._clean, self._seen_ns = self._clean_after(before_ns, run_ns), run_ns
        self.left = self._dirtied(checkpoint, before_ns, run_ns) - self._clean

    def send(self, pages: int) -> None:
        """Send so many of the pages that are left."""
        self.left -= pages
        self._clean += pages

    def dirty_after(self, checkpoint: int, before_ns: int, run_ns: int) -> int:
        """Return the dirty pages that a checkpoint has to send."""
        clean = self._clean_after(before_ns, run_ns) if checkpoint == self._checkpoint else 0
        return self._dirtied(checkpoint, before_ns, run_ns) - clean

    def _clean_after(self, before_ns: int, run_ns: int) -> int:
        """Return how many of the pages that were sent are not written again by then."""
        dirtied, of, seen_ns = self._dirtied, self._checkpoint, self._seen_ns
        before = dirtied(of, before_ns, seen_ns)
        since = dirtied(of, before_ns + seen_ns, run_ns - seen_ns)
        twice = max(0, min(before + since - dirtied(of, before_ns, run_ns), before))
        return self._clean - -(-self._clean * twice // before) if before else 0


class BackgroundPrimary(RemediedPrimary):
    """The primary that sends dirty pages ahead."""

    def __init__(self, traits: Traits, host: Host, *rest: Any) -> None:
        super().__init__(traits, host, *rest)
        self._least = {option.name: option.value or 0 for option in traits.remedies}
        self._ahead = Ahead(host.guest.dirty_after)
        host.guest.dirty_after = self._ahead.dirty_after
        self._look_ns = LOOK_NS
        self._passing = self._asked = False

    # ---- when ----------------------------------------------------------------------------------

    def timer(self) -> Steps:
        """Wait for the checkpoint timer, and look each second whether a pass is due."""
        while GAP in self._least and self._look_ns < self.next_tick_ns:
            self.failover.sleeper = self.thread
            yield from self.thread.sleep_until(self._look_ns, CHECKPOINT_TIMER)
            self.failover.sleeper = None
            if self.failover.requested or self.env.now < self._look_ns:
                return  # a failover, or a request for a checkpoint
            self._look_ns += ((self.env.now - self._look_ns) // LOOK_NS + 1) * LOOK_NS
            self._passing, self._asked = True, False
            yield from self._pass(self._least[GAP])
            self._passing = False
            if self._asked:
                return
        yield from super().timer()

    def notified(self) -> bool:
        """As any primary; asked during a pass between checkpoints, one begins when it is over."""
        if not self._passing:
            return super().notified()
        self.arm_timer(self.env.now)
        self._asked = True
        return True

    def send(self, message: Message, value: int = 0) -> Steps:
        """Send a message; ahead of a request the passes that come first."""
        if message is CHECKPOINT_REQUEST:
            if FIRST in self._least:
                for _ in range(PASSES):
                    if not (yield from self._pass(self._least[FIRST])):
                        break
            self.outgoing.values.append(False)
        yield from super().send(message, value)

    def _pass(self, least_bytes: int) -> Generator[Event, Any, bool]:
        """Send a pass if at least so much is dirty; return whether it was.

        :raises StreamError: if the connection is no more.
        """
        ahead, guest = self._ahead, self.host.guest
        if not ahead.holds(self.checkpoint) or ahead.left * PAGE_BYTES < least_bytes:
            with (yield from self.lock(Purpose.SAVE)):
                ahead.look(self.checkpoint, guest.ran_before_ns, self.env.now - guest.since_ns)
                yield from self.work(BITMAP_SYNC, self._sync_ns)
        if not ahead.left or ahead.left * PAGE_BYTES < least_bytes:
            return False
        self.outgoing.values.append(True)
        yield from super().send(MIGRATE_RAM)
        begun_ns, sent, offset, ends = self.env.now, 0, 0, False
        while not ends:
            pages = min(PART_PAGES, ahead.left)
            ends = pages == ahead.left or self.env.now - begun_ns > PASS_NS
            zero = pages * self._zero_share_ppm // PPM
            size = ram_bytes(pages, zero, FRAMING_BYTES if ends else 0)
            # How long the stream is nobody knows before it ends.
            whole = offset + size + (not ends)
            section = Section(self.checkpoint, size, pages, zero, offset, whole)
            spent = self.varied("stream write", self._stream_ns(pages, size))
            yield from self.write(BACKGROUND_STREAM, section, spent)
            offset += size
            sent += pages
            ahead.send(pages)
        self.note(PagesCounted(self.name, "background"), sent)
        return True


class BackgroundSecondary(RemediedSecondary):
    """The secondary that loads pages between checkpoints."""

    ahead = False
    """Whether what came last where a request may was a pass."""

    def _came(self) -> Message:
        if self.incoming.shuts_down:
            return super()._came()
        self.ahead = bool(self.incoming.values.popleft())
        return MIGRATE_RAM if self.ahead else CHECKPOINT_REQUEST

    def receive(self, message: Message, wake_ns: int | None = None) -> Generator[Event, Any, int]:
        """Wait for a message; passes that come instead of a request are loaded meanwhile."""
        value = yield from super().receive(message, wake_ns)
        while message is CHECKPOINT_REQUEST and self.ahead:
            while not (yield from self.read(BACKGROUND_LOAD, self._pass_ns)).is_last:
                pass
            value = yield from super().receive(message, wake_ns)
        return value

    def _pass_ns(self, section: Section) -> int:
        """Return what reading a part of a pass into the cache takes."""
        costs = self.costs
        spent = per_byte_ns(section.size_bytes, costs.socket_read_fs_per_byte)
        spent += per_page_ns(section.full_pages, costs.cache_load_ps_per_page)
        return self.varied(
            "stream read", spent + (0 if section.offset_bytes else costs.stream_wake_ns)
        )
