"""The primary's end of a transaction: what colo_do_checkpoint_transaction does, verb by verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from colosim.designs.messages import (
    FLUSHED_PAGES,
    GUEST_SHUTDOWN,
    PAGE_WIRE_BYTES,
    SET_UP,
    SIZE_AFTER_RAM,
    VMSTATE_RECEIVED,
    VMSTATE_SIZE,
    ZERO_PAGE_WIRE_BYTES,
    ram_bytes,
)
from colosim.designs.side import GuestShutDown, Side, VmstateError, nothing
from colosim.engine.clock import PPM, larger, per_byte_ns, per_page_ns, smaller
from colosim.errors import DesignError
from colosim.host.host import GIB, PAGE_BYTES
from colosim.host.staging import qsb_walked_chunks
from colosim.network.section import Section
from colosim.network.tcp import StreamError
from colosim.scenario.spread import CHANNELS_HELD, STREAM_HELD
from colosim.trace.events import CHECKPOINT_TIMER, PRIMARY, PagesCounted, Staged, StreamBroken

if TYPE_CHECKING:
    from colosim.designs.disk import Disk
    from colosim.designs.side import Steps
    from colosim.designs.traits import Traits
    from colosim.host.failover import PrimaryFailover
    from colosim.host.host import Host
    from colosim.host.process import Thread

_DIRTY, _STAGED = PagesCounted(PRIMARY, "dirty"), Staged(PRIMARY)


class Primary(Side):
    """The primary as a design's `checkpoint` sees it."""

    delay_ns = 0
    entered_ns = 0
    """Since when the checkpoint timer runs: as COLO was entered, or a checkpoint was asked for."""
    dirty_pages = 0
    zero_pages = 0
    ram_stream_bytes = 0
    begun_ns = -1
    stopped_ns = -1
    running_ns = -1
    acknowledged_ns = -1
    failover: PrimaryFailover
    on_end: Callable[[], None]
    on_acknowledged: Callable[[], None] = staticmethod(nothing)
    """Is told when output that waited for the secondary's acknowledgement may leave (remus)."""

    def __init__(self, traits: Traits, host: Host, *rest: Any) -> None:
        super().__init__(traits, host, *rest)
        costs, model = host.costs, host.guest_model
        self._ram_pages = model.ram_bytes // PAGE_BYTES
        self._zero_share_ppm = model.zero_share_ppm
        self._sync_ns = (
            costs.bitmap_sync_ns + costs.bitmap_sync_ram_ns_per_gib * model.ram_bytes // GIB
        )
        self._device_bytes = model.device_state_bytes
        self._device_save_ns = costs.device_save_ns + per_byte_ns(
            model.device_state_bytes, costs.device_save_state_fs_per_byte
        )
        self._staged_beside_ram = (
            model.device_state_bytes + model.vmdesc_bytes + traits.staged_framing_bytes
        )
        self._ram_of = host.remembered(self._ram_section_of)
        # Of streamed RAM what is still to be sent: the end mark, pages; and what was staged.
        self._end_mark = False
        self._shuts_down = False
        self._tail: Section | None = None
        self._staged: Section | None = None
        self._stages_ram = False
        self._stream_ns = host.remembered(self._price_of_stream)
        self._vmstate_save_ns = host.remembered(self._price_of_vmstate_save)
        self._send_staged_ns = host.remembered(self._price_of_sending)

    # ---- when ----------------------------------------------------------------------------------

    def sleep(self) -> Steps:
        """Sleep x-checkpoint-delay, unless the guest is to be shut down; nothing interrupts it."""
        shuts_down = self.host.guest.powers_off and self.traits.sends_guest_shutdown
        yield self.thread.sleep(0 if shuts_down else self.delay_ns)

    def timer(self) -> Steps:
        """Wait for a tick of the free-running checkpoint timer; a failover interrupts it.

        Ticks before VMSTATE_RECEIVED of the last transaction are lost
        (colo_checkpoint_event is reset there); one since then starts the next at once.  The timer
        is the main loop's: one that is busy when it is due lets it fire, and arms it anew, later;
        so does one that waits for the lock (`_put_off`).
        """
        self.host.lock.on_release = self._put_off
        due = self.next_tick_ns
        self.failover.sleeper = self.thread
        yield from self.thread.sleep_until(due, CHECKPOINT_TIMER)
        self.failover.sleeper = None
        monitor = self.host.monitor
        if monitor.busy_since_ns is not None and monitor.busy_since_ns <= due <= self.env.now:
            yield from self.thread.wait(monitor.turn(), CHECKPOINT_TIMER)
            self.entered_ns = self.env.now

    @property
    def next_tick_ns(self) -> int:
        """When the checkpoint timer ticks first after the last VMSTATE_RECEIVED."""
        period = larger(self.delay_ns, 1)
        since = self.received_at_ns.get(VMSTATE_RECEIVED.name, self.entered_ns)
        return self.entered_ns + ((since - self.entered_ns) // period + 1) * period

    def _put_off(self, thread: Thread, taken_ns: int) -> None:
        """Let a timer that was due while the COLO thread had the lock fire now that it is free.

        Measured on 11.1.3: due every 1.1 s, held up for 3.8 s, next 1.1 s after that.
        """
        if thread is not self.thread:
            return
        period = larger(self.delay_ns, 1)
        ticks = larger(1, -((self.entered_ns - taken_ns) // period))
        was_due = self.entered_ns + ticks * period < self.env.now
        self.entered_ns += was_due * (self.env.now - self.entered_ns)

    def arm_timer(self, at_ns: int) -> None:
        """Arm the checkpoint timer anew, as a request for a checkpoint did at `at_ns`."""
        self.entered_ns = max(self.entered_ns, at_ns)

    def notified(self) -> bool:
        """Take a request for a checkpoint, now; return whether one begins (colo_checkpoint_notify).

        The timer is armed anew in any case.  Inferred of designs without one: their sleep ends.
        """
        self.arm_timer(self.env.now)
        if self.thread.asleep_until_ns is None:
            return False
        self.thread.wake()
        return True

    # ---- the guest -----------------------------------------------------------------------------

    def stop_guest(self) -> Steps:
        """Stop the guest (vm_stop_force_state(RUN_STATE_COLO)), unless a failover was asked for.

        :raises VmstateError: as `look_for_failover`.
        """
        self.look_for_failover()
        guest = self.host.guest
        self._shuts_down = guest.powers_off and self.traits.sends_guest_shutdown
        if guest.panicked:
            self.host.abort()
        stops = self.work("stop", self.costs.vm_stop_ns, self._guest_stops)
        return stops if self.disk is None else self._with_disk(self.disk, stops)

    def look_for_failover(self) -> None:
        """Leave if a failover was asked for: before the stop, and once its lock is given back.

        The bottom half may have run within vm_stop, which polls for the block devices.

        :raises VmstateError: if it was.
        """
        if self.failover.requested:
            raise VmstateError("failover requested")

    def _with_disk(self, disk: Disk, stops: Steps) -> Steps:
        """Stop the guest, then drain and flush its disk: the lock is held, the guest stands."""
        ran = self.host.guest.running
        yield from stops
        yield from disk.stop(self.thread, self._tell, guest_ran=ran)

    def _tell(self, step: str, when: str) -> Steps:
        if self.watch is not None:
            self.received_at_ns[step] = self.env.now
            yield from self._reached(self.watch, step, when)

    def _guest_stops(self) -> None:
        guest = self.host.guest
        if guest.running:
            guest.stop()
        self.stopped_ns = self.env.now

    def shut_down(self) -> Steps:
        """End with GUEST_SHUTDOWN, if the guest had powered itself off when it was stopped.

        :raises GuestShutDown: if so.
        """
        if self._shuts_down:
            yield from self.send(GUEST_SHUTDOWN)
            self.outgoing.shuts_down = True
            raise GuestShutDown

    def start_guest(self) -> Steps:
        """Let the guest run again (vm_start)."""
        return self.work("start", self.costs.vm_start_ns, self._guest_runs)

    def _guest_runs(self) -> None:
        self.host.guest.run()
        self.running_ns = self.env.now

    def acknowledged(self) -> None:
        """Let output leave that waited for the secondary to have this state."""
        self.acknowledged_ns = self.env.now
        self.on_acknowledged()

    @property
    def committed_ns(self) -> int:
        """When a transaction was last committed, -1 if none was.

        Then the guest ran again; or, if it had long before, the state was acknowledged.
        """
        return self.acknowledged_ns if self.traits.resumes_first else self.running_ns

    # ---- RAM and device state ------------------------------------------------------------------

    def sync_dirty_bitmap(self, *, streams: bool = False) -> Steps:
        """Synchronise the dirty bitmap: from here the dirty pages are known.

        `streams`: they are streamed then, and setting up the page loop comes on top.
        """
        pages = self.host.guest.dirtied(self.checkpoint)
        self.dirty_pages, self.zero_pages, self.ram_stream_bytes = self._ram_of(pages)
        noted = (_DIRTY, self.dirty_pages)
        then_ns = self._stream_start_ns() if streams else 0
        return self.work("bitmap sync", self._sync_ns, noted=noted, then_ns=then_ns)

    def _stream_start_ns(self) -> int:
        """Return what comes before the first page, and what holds a stream behind a link up.

        Where the threads and the link stand still in a stream is not known: here, at its beginning.
        """
        start_ns = self.varied("stream start", self.costs.stream_start_ns)
        spread, amount = self.host.spread, self.ram_stream_bytes
        if spread is None or not self.dirty_pages:
            return start_ns
        write_ns = self._stream_ns(self.dirty_pages, amount)
        if self.outgoing.pace.link_ns(amount) <= write_ns:
            return start_ns
        stage = CHANNELS_HELD if self.traits.channels else STREAM_HELD
        return start_ns + spread.beyond(stage, self.checkpoint, write_ns)

    def _ram_section_of(self, dirtied: int) -> tuple[int, int, int]:
        """Return how many pages are dirty, how many of them zero, and their RAM section's bytes."""
        pages = smaller(dirtied, self._ram_pages)
        zero = pages * self._zero_share_ppm // PPM
        return pages, zero, ram_bytes(pages, zero, self.traits.ram_framing_bytes)

    def savevm_state_begin(self) -> Steps:
        """Write RAM's set-up section to the socket and flush it (qemu_savevm_state_begin of v13).

        :raises VmstateError: if it fails: "save vm state begin error".
        """
        self.check("savevm_state_begin")
        return self.send(SET_UP)

    def stream_ram(self) -> Steps:
        """Write every dirty page straight to the socket (qemu_savevm_live_state).

        The function is void: an error stays in the stream and shows at the next flush.  The end
        mark of the section is not flushed: it leaves with the next message, and so do the last
        pages where the section does not end with a flush.
        """
        self._tail = None
        yield from self.sync_dirty_bitmap(streams=True)
        try:
            self.check("RAM save")
        except VmstateError as error:
            if error.leaks_lock:
                raise  # qemu_save_ram_state of v5 to v8: its error is returned
            self.outgoing.write_error = StreamError(str(error))
            return
        self._end_mark = True
        try:
            yield from self.send_ram()
        except StreamError as error:
            self.note(StreamBroken(self.name, "RAM stream"))
            self.outgoing.write_error = error

    def send_ram(self) -> Steps:
        """Write what the RAM section has but its end mark.

        :raises StreamError: if the connection is no more.
        """
        pages, amount = self.dirty_pages, self.ram_stream_bytes - 1
        section = Section(self.checkpoint, amount, pages, self.zero_pages)
        flushed = amount if self.traits.flushes_ram else self._flushed_bytes
        if flushed < amount:
            self._tail = section.part(flushed, amount - flushed)
            section = section.part(0, flushed)
        if flushed:
            yield from self.write("RAM stream", section, self._stream_share_ns(section))

    @property
    def _flushed_bytes(self) -> int:
        """How much of the section has left when its last page is in: 32 full pages at a time.

        Assumed: zero pages, which fill no iovec of their own, are evenly among the others.
        """
        full = self.dirty_pages - self.zero_pages
        groups = full // FLUSHED_PAGES * FLUSHED_PAGES
        zero = self.zero_pages * groups // full if full else 0
        return PAGE_WIRE_BYTES * groups + ZERO_PAGE_WIRE_BYTES * zero

    def _stream_share_ns(self, part: Section) -> int:
        """Return what scanning and writing a part of the section takes."""
        spent = self._stream_ns(self.dirty_pages, self.ram_stream_bytes - 1)
        return part.share(self.varied("stream write", spent))

    def _price_of_stream(self, pages: int, amount: int) -> int:
        """Return the time that scanning `pages` and writing `amount` bytes of them takes."""
        costs = self.costs
        spent = per_page_ns(pages, costs.page_scan_ps_per_page)
        return spent + per_byte_ns(amount, costs.socket_write_fs_per_byte)

    def save_device_state(self) -> Steps:
        """Save device state into the staging buffer (qemu_save_device_state)."""
        self.check("device save")
        return self.work(
            "device save",
            self._device_save_ns,
            self._stage_device_state,
            (_STAGED, self._device_bytes),
        )

    def _stage_device_state(self) -> None:
        self._stages_ram = False
        self._staged = Section(self.checkpoint, self._device_bytes)
        self.staging.write(self._device_bytes)

    def save_vmstate(self) -> Steps:
        """Save the whole vmstate, RAM and devices, into the staging buffer.

        qemu_savevm_state_complete_precopy on a buffer: memory copies and page scans only.  A
        page is scanned and copied; bytes beyond the high-water mark cost their growth; a
        QEMUSizedBuffer walks its chunk index at every flush.
        """
        yield from self.sync_dirty_bitmap()
        self.check("RAM save")
        content = self.ram_stream_bytes + self._staged_beside_ram
        self._stages_ram = True
        self._staged = Section(self.checkpoint, content, self.dirty_pages, self.zero_pages)
        spent = self._vmstate_save_ns(self.dirty_pages, content)
        costs, fresh = self.costs, self.staging.write(content)
        flat = self.traits.flat_staging
        spent += per_byte_ns(
            fresh, costs.flat_growth_fs_per_byte if flat else costs.qsb_growth_fs_per_byte
        )
        self.check("device save")
        yield from self.work("vmstate save", spent, noted=(_STAGED, content))

    def _price_of_vmstate_save(self, pages: int, content: int) -> int:
        """Return the time that staging `content` bytes with `pages` takes, growth apart."""
        costs = self.costs
        full = pages - self._ram_of(pages)[1]
        spent = per_page_ns(pages, costs.page_scan_ps_per_page)
        if self.traits.flat_staging:
            spent += per_page_ns(full, costs.flat_write_ps_per_page)
        else:
            spent += per_page_ns(full, costs.qsb_write_ps_per_page)
            spent += per_page_ns(qsb_walked_chunks(content), costs.qsb_walk_ps_per_chunk)
        return spent + self._device_save_ns + costs.vmdesc_ns

    def send_staged(self) -> Steps:
        """Send the staging buffer's content through the socket's stream buffer.

        If that is the whole vmstate, this is where RAM is streamed.
        """
        staged = self._staged
        if staged is None:
            raise DesignError("sends the staging buffer, but has saved nothing into it")
        spent = self._send_staged_ns(staged.size_bytes)
        if not self._stages_ram:
            return self.write("device stream", staged, spent)
        return self.write("RAM stream", staged, self.varied("vmstate send", spent))

    def _price_of_sending(self, content: int) -> int:
        """Return the time that sending `content` bytes from the staging buffer takes."""
        costs = self.costs
        return per_byte_ns(content, costs.socket_write_fs_per_byte + costs.staging_send_fs_per_byte)

    def send_size(self) -> Steps:
        """Send VMSTATE_SIZE with the staged size; what is left of streamed RAM goes ahead of it."""
        tail, self._tail = self._tail, None
        if tail is not None:
            yield from self.write("RAM tail", tail, self._stream_share_ns(tail))
        message = SIZE_AFTER_RAM if self._end_mark else VMSTATE_SIZE
        self._end_mark = False
        yield from self.send(message, self.staging.content_bytes)
