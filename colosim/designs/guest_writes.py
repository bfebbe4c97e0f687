"""The guest's writes to the replicated disk, and what becomes of them under faults.

While nothing disturbs the disk's connection they are worked out by `WriteTimes`, without an event.
While a fault lasts, what is out goes over the connection as one request, whose answer answers all
of it; what is issued meanwhile goes with the next.  An error is the replication node's to bear
(replication_return_value in block/replication.c; read): the guest sees none, its writes go on to
the local image alone, and the secondary's is stale from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Protocol

from colosim.designs.write_times import NEVER, Speeds, WriteTimes
from colosim.engine.clock import per_byte_ns
from colosim.host.process import Thread
from colosim.network.tcp import StreamError
from colosim.trace.events import PRIMARY, SECONDARY

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.host.host import Host
    from colosim.network.connection import Connection
    from colosim.scenario.disk import Writes

    Steps = Generator[Event, None, None]

REQUEST_BYTES, REPLY_BYTES = 28, 16
"""NBD's request and its simple reply."""


class Request(Protocol):
    """Sends a request with so many bytes to write, and waits for its reply."""

    def __call__(self, amount: int) -> Steps:
        """Send it.

        :raises StreamError: if the connection is no more.
        """


class GuestWrites:
    """The writes of the primary's guest, followed from what happens to hosts and connection."""

    def __init__(
        self,
        model: Writes,
        hosts: dict[str, Host],
        connection: Connection,
        request: Request,
        answered: Callable[[int, int], None],
    ) -> None:
        self.model = model
        self.served = True
        """Whether the secondary's NBD server runs."""
        self._hosts = hosts
        self._primary, self._secondary = hosts[PRIMARY], hosts[SECONDARY]
        self._env = hosts[PRIMARY].env
        self._connection = connection
        self._request = request
        self.times = WriteTimes(model, self._speeds(), answered)
        self._flushed = {PRIMARY: 0, SECONDARY: 0}
        self._drained: Event | None = None
        self._woken: Event | None = None
        self._primary_thread = Thread(hosts[PRIMARY], "guest writes")
        self._primary_thread.start(self._by_hand())

    def follow(self) -> None:
        """Look again whenever guest, connection or the secondary's lock changes."""
        guest, lock = self._primary.guest, self._secondary.lock
        told = guest.on_change

        def guest_changes() -> None:
            if told is not None:
                told()
            self.look()

        guest.on_change = guest_changes
        self._connection.on_change = self.look
        lock.on_change = self.look

    # ---- what happens --------------------------------------------------------------------------

    def _speeds(self) -> Speeds:
        """Return what each part of a write takes now."""
        outgoing, incoming = self._connection.of(PRIMARY)
        size, costs = self.model.size_bytes, self._primary.costs
        written_ns = per_byte_ns(size, costs.socket_write_fs_per_byte)
        read_ns = per_byte_ns(size, self._secondary.costs.socket_read_fs_per_byte)
        return Speeds(
            max(outgoing.pace.link_ns(REQUEST_BYTES + size), written_ns),
            outgoing.pace.latency_ns,
            read_ns + self.model.takes_ns,
            incoming.pace.link_ns(REPLY_BYTES) + incoming.pace.latency_ns + costs.message_ns,
        )

    @property
    def _is_broken(self) -> bool:
        outgoing, incoming = self._connection.of(PRIMARY)
        return (outgoing.write_error or incoming.read_error) is not None

    @property
    def _is_disturbed(self) -> bool:
        hosts = self._hosts.values()
        return self._connection.down or not self.served or any(h.frozen or h.dead for h in hosts)

    def look(self) -> None:
        """Look again at what writes depend on."""
        times, now, primary = self.times, self._env.now, self._primary
        runs = primary.guest.running and not (primary.frozen or primary.dead)
        if runs != times.running:
            (times.run if runs else times.stop)(now)
        away = self._secondary.lock.owner is not None
        if away != times.away:
            times.set_away(now, away=away)
        if self._is_broken:
            times.lose(now)
        elif self._is_disturbed:
            if not (times.by_hand or times.local):
                times.hand_over(now)
        else:
            speeds = self._speeds()
            if speeds != times.speeds:
                times.set_speeds(now, speeds)
        if self._woken is not None and times.by_hand:
            woken, self._woken = self._woken, None
            woken.succeed()
        self._tell_drained()

    def lose(self) -> None:
        """Let all writes from now on go to the local image alone."""
        self.times.lose(self._env.now)
        self._tell_drained()

    # ---- while a fault lasts -------------------------------------------------------------------

    def _by_hand(self) -> Steps:
        """Send what is out as one request after the other, as long as writes are left to this."""
        env, times = self._env, self.times
        while True:
            count = times.held(env.now) if times.by_hand else 0
            if not count:
                if times.by_hand and not self._is_disturbed:
                    times.take_back(env.now)
                self._tell_drained()
                self._woken = env.event()
                if times.by_hand and times.running:
                    yield self._woken | env.timeout(max(0, times.due_ns() - env.now))
                else:
                    yield self._woken
                continue
            try:
                yield from self._request(count * (REQUEST_BYTES + self.model.size_bytes))
            except StreamError:
                self.lose()
                return
            times.answer(env.now, count)

    # ---- what a stop does ----------------------------------------------------------------------

    def drained(self) -> Event | None:
        """Return what happens once nothing is out, None if that is so; the guest stands."""
        self.times.settle(self._env.now)
        if not self.times.out:
            return None
        self._drained = drained = self._env.event()
        self._tell_drained()
        return drained

    def _tell_drained(self) -> None:
        drained, times, now = self._drained, self.times, self._env.now
        if drained is None:
            return
        times.settle(now)
        if not times.out:
            self._drained = None
            drained.succeed()
        elif not times.by_hand and times.drained_ns < NEVER:
            self._env.call_at(times.drained_ns, self._tell_drained)

    def flush_ns(self, side: str) -> int:
        """Return what flushing `side`'s image takes, for what was written since this was asked."""
        now, times, model = self._env.now, self.times, self.model
        times.settle(now)
        made = times.made(now)
        if side == SECONDARY:
            made -= times.unreplicated(now) + times.out
        written, self._flushed[side] = made - self._flushed[side], made
        if written <= 0:
            return 0
        return model.flush_ns + per_byte_ns(
            written * model.size_bytes, model.flush_written_fs_per_byte
        )
