"""RAM over multifd channels (QEMU 11): the two sides' verbs for ``qemu-11+multifd=C``.

The main channel carries messages, framing, device state and two MULTIFD_FLUSH records; pages go
over connections of their own, 128 to a packet.  Twice a checkpoint all channels are brought
together: before the first page and after the last, each channel sends a packet with the SYNC flag,
and when every one is written the COLO thread writes a MULTIFD_FLUSH.  Its reader waits there for
every channel's SYNC; until then the channels' readers take no page.  So the COLO thread of the
primary stands, with the lock it holds, as long as one channel does.

Bytes and order are measured on QEMU 11.1.3.  Assumed: the channels share the link evenly, and
between them one CPU on either side, so all that have pages end together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from colosim.designs.remedied import RemediedPrimary, RemediedSecondary
from colosim.engine.clock import PPM, larger, per_byte_ns, per_page_ns, smaller
from colosim.engine.streams import Streams
from colosim.host.host import PAGE_BYTES
from colosim.network.ends import READ, WRITE
from colosim.network.section import Section
from colosim.network.tcp import StreamError
from colosim.trace.events import PRIMARY, SECONDARY, StreamBegan, StreamEnded

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.designs.side import Side, Steps
    from colosim.host.host import Host
    from colosim.network.ends import Ends
    from colosim.scenario.model import Scenario

PACKET_PAGES = 128
PACKET_BYTES = 1344
"""Header of a packet: 320 bytes, and 8 for each of its page slots, used or not."""
FLUSH_BYTES = 8
SECTION_BYTES = 5 + FLUSH_BYTES
"""Header of the RAM section and the first MULTIFD_FLUSH: one small write."""
LEAD_PACKETS = 12
"""How many packets a channel takes in a row that keeps its CPU while others wait for one.

Inferred: Linux's slice of 1.4 ms on two CPUs, at 0.12 ms a packet.  Of 30 to 33 packets the channel
that blocked had taken 10 or more, with 4 channels as with 8 (both sides' queues, qemu111)."""
LEAD = "multifd lead"
"""The random stream, one for each checkpoint, that says whether one channel goes ahead."""


def leads(scenario: Scenario, seed: int) -> Callable[[int], bool]:
    """Return whether one channel goes ahead of the others in a checkpoint, by its number.

    Behind a link a channel takes its next packet as its socket has room: all alike.
    """
    if scenario.network.bandwidth_bytes_per_s is not None:
        return lambda _checkpoint: False
    streams, lead_ppm = Streams(seed), scenario.hosts.primary.channel_lead_ppm
    return lambda checkpoint: streams.below(f"{LEAD} {checkpoint}", PPM) < lead_ppm


def shares(
    checkpoint: int, pages: int, zero_pages: int, channels: int, *, lead: bool = False
) -> list[Section]:
    """Return what each channel carries between its SYNCs, the second of them included.

    Packets go round the channels; with a `lead` the first takes `LEAD_PACKETS` before that.  Of a
    zero page only the offset is sent, in its packet's header.
    """
    packets = -(-pages // PACKET_PAGES)
    ahead = smaller(packets, LEAD_PACKETS) if lead else 0
    found, begin = [], 0
    for channel in range(channels):
        turns, more = divmod(packets - ahead, channels)
        own = turns + (channel < more) + (0 if channel else ahead)
        end = smaller(pages, begin + own * PACKET_PAGES)
        zero = zero_pages * end // pages - zero_pages * begin // pages if pages else 0
        size = PAGE_BYTES * (end - begin - zero) + PACKET_BYTES * (own + 1)
        found.append(Section(checkpoint, size, end - begin, zero))
        begin = end
    whole = sum(section.size_bytes for section in found)
    return [section._replace(stream_bytes=whole) for section in found]


class _Channel:
    """One channel at one side: its end of the connection, and the thread that does its work."""

    def __init__(self, host: Host, name: str, ends: Ends) -> None:
        self.ends = ends
        self.thread = host.thread(name)
        self._env = host.env
        self._jobs: deque[tuple[Steps, Event]] = deque()
        self._idle: Event | None = None
        self.thread.start(self._work())

    def give(self, job: Steps) -> Event:
        """Let the thread do a job after those it has; the event has its error, None if none."""
        done = self._env.event()
        self._jobs.append((job, done))
        if self._idle is not None:
            idle, self._idle = self._idle, None
            idle.succeed()
        return done

    def _work(self) -> Steps:
        while True:
            while not self._jobs:
                self._idle = self._env.event()
                yield self._idle
            job, done = self._jobs.popleft()
            error = None
            try:
                yield from job
            except StreamError as raised:
                error = raised
            done.succeed(error)

    def wait(self, blocks: Event | None, what_for: str) -> Steps:
        """Wait for what a call of `ends` returned."""
        if blocks is not None:
            yield from self.thread.wait(blocks, what_for)


def _opened(host: Host, name: str, ends: Sequence[Ends]) -> list[_Channel]:
    """Return a side's channels, each with a thread called `name` and its number."""
    return [_Channel(host, f"{name} {number}", one) for number, one in enumerate(ends, 1)]


def _all_done(side: Side, jobs: Sequence[Event], step: str) -> Steps:
    """Let the COLO thread wait until every channel's job is done.

    :raises StreamError: the first one's that failed.
    """
    yield from side.thread.wait(side.env.all_of(jobs), step)
    for job in jobs:
        if job.value is not None:
            raise job.value


class MultifdPrimary(RemediedPrimary):
    """The primary, whose pages go over channels."""

    channels: Sequence[_Channel] = ()
    leads: Callable[[int], bool]
    """Whether one channel goes ahead of the others in a checkpoint, by its number."""

    def open_channels(self, ends: Sequence[Ends], leads: Callable[[int], bool]) -> None:
        """Give it its ends of the channels' connections."""
        self.channels = _opened(self.host, "multifd send", ends)
        self.bulk_out = ends[0]
        self.leads = leads

    @property
    def bytes_written(self) -> int:
        """What it has written so far, on all channels."""
        return self.outgoing.bytes_written + sum(one.ends.bytes_written for one in self.channels)

    def send_ram(self) -> Steps:
        """Write every dirty page to the channels, between two SYNCs."""
        lead = self.leads(self.checkpoint)
        ram = (self.checkpoint, self.dirty_pages, self.zero_pages)
        sections = shares(*ram, len(self.channels), lead=lead)
        rest = self.traits.ram_framing_bytes - 1 + 2 * FLUSH_BYTES - SECTION_BYTES
        total = sum(section.size_bytes + PACKET_BYTES for section in sections)
        total += SECTION_BYTES + rest
        step = "RAM stream"
        if self.watch is not None:
            yield from self._reached(self.watch, step, "before")
        self.note(StreamBegan(PRIMARY, step), total)
        jobs = [one.give(self._sync(one)) for one in self.channels]
        yield from _all_done(self, jobs, step)
        yield from self._write_main(SECTION_BYTES)
        jobs = [
            one.give(self._pages(one, section))
            for one, section in zip(self.channels, sections, strict=True)
        ]
        yield from _all_done(self, jobs, step)
        yield from self._write_main(rest)
        self.note(StreamEnded(PRIMARY, step), total)
        if self.watch is not None:
            yield from self._reached(self.watch, step, "after")

    def _sync(self, channel: _Channel) -> Steps:
        yield from channel.wait(channel.ends.send(PACKET_BYTES), "SYNC")
        channel.ends.wrote()

    def _pages(self, channel: _Channel, section: Section) -> Steps:
        searched = per_page_ns(self.dirty_pages, self.costs.page_scan_ps_per_page)
        written = self.varied(
            "channel write",
            per_byte_ns(section.stream_bytes, self.costs.channel_write_fs_per_byte),
        )
        blocks = channel.ends.write(section, larger(searched, written))
        if self.watch is not None and channel is self.channels[0]:
            self.watch.streaming(self, "RAM stream", WRITE)
        yield from channel.wait(blocks, "RAM stream")
        channel.ends.wrote()

    def _write_main(self, amount: int) -> Steps:
        blocks = self.outgoing.send(amount)
        if blocks is not None:
            yield from self.thread.wait(blocks, "RAM stream")
        self.outgoing.wrote()


class MultifdSecondary(RemediedSecondary):
    """The secondary, whose channels' threads read pages straight into the RAM cache."""

    channels: Sequence[_Channel] = ()

    def open_channels(self, ends: Sequence[Ends]) -> None:
        """Give it its ends of the channels' connections."""
        self.channels = _opened(self.host, "multifd recv", ends)
        self.bulk_in = ends[0]

    @property
    def bytes_read(self) -> int:
        """What it has read so far, on all channels."""
        return self.incoming.bytes_read + sum(one.ends.bytes_read for one in self.channels)

    def load_ram(self) -> Steps:
        """Wait at either MULTIFD_FLUSH for every channel's SYNC; between them they read pages."""
        step = "RAM load"
        if self.watch is not None:
            yield from self._reached(self.watch, step, "before")
        begun = self.bytes_read
        rest = self.traits.ram_framing_bytes - 1 + 2 * FLUSH_BYTES - SECTION_BYTES
        jobs = [one.give(self._sync(one)) for one in self.channels]
        yield from self._read_main(SECTION_BYTES)
        yield from _all_done(self, jobs, step)
        sections: list[Section] = []
        jobs = [one.give(self._pages(one, sections)) for one in self.channels]
        yield from self._read_main(rest)
        yield from _all_done(self, jobs, step)
        pages = sum(section.pages for section in sections)
        zero = sum(section.zero_pages for section in sections)
        self._ram = self._streamed = Section(sections[0].checkpoint, 0, pages, zero)
        self.note(StreamEnded(SECONDARY, step), self.bytes_read - begun)
        if self.watch is not None:
            yield from self._reached(self.watch, step, "after")

    def _sync(self, channel: _Channel) -> Steps:
        blocks = channel.ends.receive(PACKET_BYTES, self.costs.message_ns)
        yield from channel.wait(blocks, "SYNC")
        channel.ends.has_read()

    def _pages(self, channel: _Channel, read: list[Section]) -> Steps:
        def price(section: Section) -> int:
            read.append(section)
            spent = self.varied(
                "channel read",
                per_byte_ns(section.stream_bytes, self.costs.channel_read_fs_per_byte),
            )
            return self.costs.stream_wake_ns + spent

        blocks = channel.ends.read(price)
        if self.watch is not None and channel is self.channels[0]:
            self.watch.streaming(self, "RAM load", READ)
        yield from channel.wait(blocks, "RAM load")
        channel.ends.has_read()

    def _read_main(self, amount: int) -> Steps:
        blocks = self.incoming.receive(amount, self.costs.message_ns)
        if blocks is not None:
            yield from self.thread.wait(blocks, "RAM load")
        self.incoming.has_read()
