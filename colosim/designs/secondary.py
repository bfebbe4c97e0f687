"""The secondary's end of a transaction: what colo_process_incoming_thread does, verb by verb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colosim.designs.messages import SET_UP, SIZE_AFTER_RAM, VMSTATE_SIZE
from colosim.designs.side import Side
from colosim.engine.clock import larger, per_byte_ns, per_page_ns, smaller
from colosim.host.host import GIB, PAGE_BYTES
from colosim.host.staging import qsb_walked_chunks
from colosim.network.section import Section
from colosim.trace.events import SECONDARY, PagesCounted

if TYPE_CHECKING:
    from colosim.designs.side import Steps
    from colosim.designs.traits import Traits
    from colosim.host.failover import SecondaryFailover
    from colosim.host.host import Host


_FLUSHED = PagesCounted(SECONDARY, "flushed")
FIRST_WINDOW_BYTES = 14_480
"""Ten segments: what fits into TCP's first window waits for no other (no `stream_wake`)."""
POST_LOAD_PART = 3
"""The lock is let go after one part in so many of the device load.

Measured once (v13, `split-fault-load`): a command that had waited was served in mid-load, its
bottom half ended 0.6 ms before the load of 0.9 ms did.  The cause is inferred: a post_load function
that uses run_on_cpu, as vapic_post_load does in 2.5 and in 7.2.  In the old design's one run the
main loop lost that race and served the command 0.1 ms after the load; assumed here: it always wins,
in every design.
"""


class Secondary(Side):
    """The secondary as a design's `load` sees it."""

    failover: SecondaryFailover
    cache_epoch = -1
    ram_epoch = -1
    device_epoch = -1

    def __init__(self, traits: Traits, host: Host, *rest: Any) -> None:
        super().__init__(traits, host, *rest)
        self._ram_pages = host.guest_model.ram_bytes // PAGE_BYTES
        costs, state = host.costs, host.guest_model.device_state_bytes
        self._device_load_ns = costs.device_load_ns + per_byte_ns(
            state, costs.device_load_state_fs_per_byte
        )
        # What has come: streamed RAM before its end mark, the last RAM, what fills the buffer.
        self._streamed: Section | None = None
        self._ram = self._filled = Section(-1, 0)
        self._filled_with_ram = False
        self._fresh = 0
        self._walk_ns = costs.bitmap_sync_ram_ns_per_gib * host.guest_model.ram_bytes // GIB
        self._ram_load_ns = host.remembered(self._price_of_ram_load)
        self._staged_load_ns = host.remembered(self._price_of_staged_load)
        self._fill_ns = host.remembered(self._price_of_fill)

    @property
    def relaunching(self) -> bool:
        """Whether a failover was postponed because this side was just loading."""
        return self.failover.relaunching

    def stop_guest(self) -> Steps:
        """Stop the secondary's own guest, where it runs between checkpoints."""
        if self.host.guest.panicked:
            self.host.abort()
        own_ns = 0 if self.disk is None else self.disk.secondary_stop_ns()
        return self.work("stop", self.costs.vm_stop_ns + own_ns, self.host.guest.stop)

    def start_guest(self) -> Steps:
        """Let the secondary's guest run; its output is not released before a failover."""
        return self.work("start", self.costs.vm_start_ns, self.host.guest.run)

    # ---- receiving -----------------------------------------------------------------------------

    def loadvm_state_begin(self) -> Steps:
        """Read RAM's set-up section (qemu_loadvm_state_begin of v13).

        It comes with the first pages, and waking up for them is `stream_wake`.

        :raises VmstateError: if it fails: "load vm state begin error".
        """
        self.check("loadvm_state_begin")
        yield from self.receive(SET_UP, 0)

    def load_ram(self) -> Steps:
        """Load streamed RAM pages into the RAM cache, up to the section's end mark.

        A stream that comes in parts takes what it would as a whole.
        """
        while True:
            section = yield from self.read("RAM load", self._load_ns)
            if section.is_last:
                break
        self._ram = self._streamed = section

    def _load_ns(self, section: Section) -> int:
        """Return the time that reading a section of RAM stream into the cache takes."""
        whole = section.stream_bytes or section.size_bytes
        spent = self._ram_load_ns(section.full_pages, whole)
        return section.share(self.varied("stream read", spent))

    def _price_of_ram_load(self, pages: int, amount: int) -> int:
        costs = self.costs
        spent = costs.stream_wake_ns if amount > FIRST_WINDOW_BYTES else 0
        spent += per_byte_ns(amount, costs.socket_read_fs_per_byte)
        return spent + per_page_ns(pages, costs.cache_load_ps_per_page)

    def receive_size(self) -> Steps:
        """Wait for VMSTATE_SIZE, and make room in the staging buffer for so many bytes.

        After streamed RAM its end mark comes first, in one segment.
        """
        streamed = self._streamed
        size = yield from self.receive(VMSTATE_SIZE if streamed is None else SIZE_AFTER_RAM)
        if streamed is not None:
            self.cache_epoch = streamed.checkpoint
        self._fresh = self.staging.reserve(size)

    def fill_staging(self) -> Steps:
        """Read the staged content into the secondary's own staging buffer.

        Without streamed RAM before it, it has RAM too: that is received when the buffer is filled.
        """
        content = self.staging.content_bytes
        spent = self._fill_ns(content, self._fresh)
        if self._streamed is not None:
            self._streamed, self._filled_with_ram = None, False
            self._filled = yield from self.read("device fill", lambda _section: spent)
            return
        spent += self.costs.stream_wake_ns + self.costs.staging_start_ns
        spent = self.varied("vmstate fill", spent)
        self._filled_with_ram = True
        self._filled = self._ram = yield from self.read("vmstate fill", lambda _section: spent)

    def _price_of_fill(self, content: int, fresh: int) -> int:
        """Return the time that filling `content` bytes, `fresh` of them grown, takes."""
        costs = self.costs
        growth = (
            costs.flat_growth_fs_per_byte if self.staging.flat else costs.qsb_growth_fs_per_byte
        )
        return per_byte_ns(
            content, costs.socket_read_fs_per_byte + costs.staging_fill_fs_per_byte
        ) + per_byte_ns(fresh, growth)

    # ---- loading -------------------------------------------------------------------------------

    def reset(self) -> Steps:
        """Reset the machine before the load (qemu_system_reset)."""
        return self.work("reset", self.costs.reset_ns)

    def load_staged_ram(self) -> Steps:
        """Load the RAM pages of a whole staged vmstate: into the RAM cache, or into guest RAM."""
        return self.work(
            "RAM load",
            self._staged_load_ns(self._ram.full_pages, self.staging.content_bytes),
            self._staged_ram_is_loaded,
        )

    def _price_of_staged_load(self, pages: int, content: int) -> int:
        """Return the time that loading `pages` from a buffer with `content` bytes takes."""
        costs = self.costs
        if self.staging.flat:
            return per_page_ns(pages, costs.flat_load_ps_per_page)
        return per_page_ns(pages, costs.qsb_load_ps_per_page) + per_page_ns(
            qsb_walked_chunks(content), costs.qsb_walk_ps_per_chunk
        )

    def _staged_ram_is_loaded(self) -> None:
        if self.staging.flat:
            self.ram_epoch = self._ram.checkpoint
        else:
            self.cache_epoch = self._ram.checkpoint

    def flush_cache(self) -> Steps:
        """Copy pages of the RAM cache into guest RAM (colo_flush_ram_cache).

        Pages that the primary sent, and those that the secondary's own guest has dirtied: both
        guests begin an interval alike, so the one that ran longer has dirtied the larger set.
        The bitmap of all guest RAM is synchronised and walked, as the primary's is (inferred).

        COLO's start copies all of guest RAM (`Traits.starts_apart`), which multifd channels have
        touched in precopy already.
        """
        pages = self._ram.pages
        cost = self.costs.cache_flush_ps_per_page
        if self.traits.starts_apart(kvm=self.host.kvm) and not self.checkpoint:
            pages = self._ram_pages
            if not self.traits.channels:
                cost = self.costs.cache_flush_first_ps_per_page
        elif self.traits.secondary_runs:
            own = self.host.guest.dirtied(self.checkpoint)
            pages = larger(pages, smaller(own, self._ram_pages))
        if self._streamed is not None:
            self.cache_epoch = self._streamed.checkpoint
        return self.work(
            "cache flush",
            self._walk_ns + per_page_ns(pages, cost),
            self._cache_is_flushed,
            (_FLUSHED, pages),
        )

    def _cache_is_flushed(self) -> None:
        self.ram_epoch = self.cache_epoch

    def load_device_state(self) -> Steps:
        """Load device state from the staging buffer.

        The JSON description of a whole vmstate is parsed past.
        """
        self.failover.loading = True
        self.check("device load")
        spent = self._device_load_ns
        if self._filled_with_ram:
            spent += self.costs.vmdesc_load_ns
        if self.disk is not None:
            spent += self.disk.model.secondary_load_ns
        if self.host.monitor.expects_commands:
            return self.work_releasing_lock(
                "device load", spent, POST_LOAD_PART, self._device_state_is_loaded
            )
        return self.work("device load", spent, self._device_state_is_loaded)

    def _device_state_is_loaded(self) -> None:
        self.device_epoch = self._filled.checkpoint
        self.failover.loading = False
