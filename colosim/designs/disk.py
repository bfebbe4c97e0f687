"""The replicated disk: what a stop of the primary's guest asks of the secondary, and waits for.

A quorum of a local image and of a node that writes to the secondary's NBD server, whose vote
threshold of 1 lets an error of either pass.  Measured on pairs of QEMU 7.2.22 and 11.1.3: each stop
of the guest sends two flushes, one after the other, with or without a write before (once through
the quorum, presumably, and once through the NBD node that the monitor owns); drive_del sends one.
The main loop of the secondary answers, under its lock.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING

from colosim.designs.guest_writes import REPLY_BYTES, REQUEST_BYTES, GuestWrites
from colosim.engine.clock import per_byte_ns
from colosim.network.connection import Connection
from colosim.network.ends import BLOCK_NODE
from colosim.network.section import Section
from colosim.network.tcp import StreamError
from colosim.trace.events import PRIMARY, SECONDARY, StepDone
from colosim.trace.steps import DISK_DRAIN, DISK_FLUSH

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.engine.environment import Environment
    from colosim.host.host import Host
    from colosim.host.process import Thread
    from colosim.network.ends import Ends
    from colosim.scenario.disk import Disk as DiskModel
    from colosim.scenario.network import Network
    from colosim.trace.record import Record

    Steps = Generator[Event, None, None]
    Notify = Callable[[str, str], Steps]
    """Lets faults strike as a step begins (``before``) and ends (``after``)."""


def connect(
    env: Environment,
    record: Record,
    network: Network,
    model: DiskModel,
    ack_phase_ns: int,
    direction: type[Ends],
) -> Connection:
    """Return the disk's connection, over the same link.

    Assumed: it takes nothing from the migration's share of the link, which is idle while the disk
    is waited for.
    """
    own = model.over(network)
    return Connection(env, record, own, ack_phase_ns, direction, instance=BLOCK_NODE)


def _wait(event: Event) -> Steps:
    yield event


class Disk:
    """The disk of one pair, as the primary's threads ask and the secondary answers."""

    def __init__(
        self,
        model: DiskModel,
        hosts: dict[str, Host],
        connection: Connection,
        answered: Callable[[int, int], None],
    ) -> None:
        """Serve the disk; `answered` is told of how many of the guest's writes took how long."""
        self.model = model
        self.connection = connection
        self.replicates = True
        """Whether the guest's writes go to the secondary."""
        self.writes: GuestWrites | None = None
        if model.writes is not None:
            self.writes = GuestWrites(
                model.writes, hosts, connection, partial(self._request, _wait), answered
            )
        self.failed_ns: int | None = None
        """When the primary first had an error from the secondary's disk."""
        self._flushes = 2
        self._hosts = hosts
        self._server = hosts[SECONDARY].thread("NBD server")
        self._server.start(self._serve())

    # ---- the primary ---------------------------------------------------------------------------

    @property
    def broken(self) -> bool:
        """Whether every request fails at once, for the connection has failed."""
        outgoing, incoming = self.connection.of(PRIMARY)
        return (outgoing.write_error or incoming.read_error) is not None

    def stop(self, thread: Thread, notify: Notify | None = None, *, guest_ran: bool) -> Steps:
        """Drain and flush in `thread`, as do_vm_stop does: bdrv_drain_all, then bdrv_flush_all."""
        yield from self.drain(thread, notify, guest_ran=guest_ran)
        steps = self._flush(thread, self._flushes)
        if self._flushes or self.writes is not None:
            yield from self._step(thread, DISK_FLUSH, steps, notify)

    def drain(self, thread: Thread, notify: Notify | None = None, *, guest_ran: bool) -> Steps:
        """Wait for what the guest has written: it is out since the guest last ran."""
        amount = self.model.in_flight_bytes
        if self.writes is not None:
            yield from self._step(thread, DISK_DRAIN, self._drain(thread, self.writes), notify)
        elif amount and guest_ran and self.replicates:
            steps = self._request(partial(thread.wait, what_for=DISK_DRAIN), amount)
            yield from self._step(thread, DISK_DRAIN, steps, notify)

    @property
    def outstanding(self) -> bool:
        """Whether a running guest may have written what the secondary has not answered."""
        return bool(self.model.in_flight_bytes) or self.writes is not None

    def replicate_no_more(self) -> None:
        """Let the guest's writes go to the local image alone."""
        self.replicates = False
        if self.writes is not None:
            self.writes.lose()

    def close(self, thread: Thread) -> Steps:
        """Drain and flush the NBD node once and close it (drive_del); it is flushed no more."""
        if self.writes is not None:
            yield from self._drain(thread, self.writes)
        requests, self._flushes = min(1, self._flushes), 0
        if requests:
            yield from self._step(thread, DISK_FLUSH, self._flush(thread, requests))

    def _drain(self, thread: Thread, writes: GuestWrites) -> Steps:
        drained = writes.drained()
        if drained is not None:
            yield from thread.wait(drained, DISK_DRAIN)

    def _flush(self, thread: Thread, requests: int) -> Steps:
        """Flush the local image, then the secondary's: the quorum's children in their order."""
        own_ns = 0 if self.writes is None else self.writes.flush_ns(PRIMARY)
        if own_ns:
            yield thread.work(own_ns)
        for _ in range(requests):
            yield from self._request(partial(thread.wait, what_for=DISK_FLUSH), 0)

    def _step(self, thread: Thread, step: str, steps: Steps, notify: Notify | None = None) -> Steps:
        """Do a step; an error (EIO) is the quorum's to bear (QUORUM_REPORT_BAD; measured)."""
        if notify is not None:
            yield from notify(step, "before")
        host = thread.host
        begun_ns = host.env.now
        try:
            yield from steps
        except StreamError:
            thread.waits_for = ""
            if self.failed_ns is None:
                self.failed_ns = host.env.now
        host.record.note(StepDone(PRIMARY, step), host.env.now - begun_ns)
        if notify is not None:
            yield from notify(step, "after")

    def _request(self, wait: Callable[[Event], Steps], amount: int) -> Steps:
        outgoing, incoming = self.connection.of(PRIMARY)
        costs = self._hosts[PRIMARY].costs
        outgoing.values.append(amount)
        blocks = outgoing.send(REQUEST_BYTES)
        if blocks is not None:
            yield from wait(blocks)
        outgoing.wrote()
        if amount:
            spent = per_byte_ns(amount, costs.socket_write_fs_per_byte)
            blocks = outgoing.write(Section(-1, amount), spent)
            if blocks is not None:
                yield from wait(blocks)
            outgoing.wrote()
        blocks = incoming.receive(REPLY_BYTES, costs.message_ns)
        if blocks is not None:
            yield from wait(blocks)
        incoming.has_read()

    # ---- the secondary -------------------------------------------------------------------------

    def secondary_stop_ns(self) -> int:
        """Return what a stop of the secondary's guest takes longer, to flush its images."""
        own_ns = 0 if self.writes is None else self.writes.flush_ns(SECONDARY)
        return self.model.secondary_stop_ns + own_ns

    def stop_server(self) -> None:
        """Close the NBD server's connections (nbd-server-stop)."""
        if self.writes is not None:
            self.writes.served = False
        self.connection.shutdown(SECONDARY)

    def _serve(self) -> Steps:
        """Take requests off the socket and let the main loop answer each, until it fails."""
        outgoing, incoming = self.connection.of(SECONDARY)
        host = self._hosts[SECONDARY]
        read_fs = host.costs.socket_read_fs_per_byte
        try:
            while True:
                blocks = incoming.receive(REQUEST_BYTES, 0)
                if blocks is not None:
                    yield blocks
                incoming.has_read()
                amount = incoming.values.popleft()
                if amount:
                    blocks = incoming.read(lambda part: per_byte_ns(part.size_bytes, read_fs))
                    if blocks is not None:
                        yield blocks
                    incoming.has_read()
                answered = host.env.event()
                host.monitor.do(partial(self._answer, answered, flushes=not amount))
                yield answered
                blocks = outgoing.send(REPLY_BYTES)
                if blocks is not None:
                    yield blocks
                outgoing.wrote()
        except StreamError:
            return

    def _answer(self, answered: Event, main_loop: Thread, *, flushes: bool) -> Steps:
        """Do what a request asks for; a write is done once it is read (assumed)."""
        yield main_loop.work(self.model.flush_ns if flushes else 0)
        answered.succeed()
