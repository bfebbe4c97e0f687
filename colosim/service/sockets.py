"""The proxy's sockets between the hosts: what they lose, and who stands still when one is full.

filter-mirror writes a copy of each request, filter-redirector each answer of the secondary, in the
thread that has the frame: the primary's main loop, which has read it off the tap, and the
secondary's vCPU, within its device's register.  Either holds the iothread lock and polls until the
frame is written (filter_send in net/filter-mirror.c; read).  A socket that is closed loses frames,
and lets requests go on to the primary's guest (filter_mirror_receive_iov; read).

What a reader leaves lying is counted in frames, and goes over the connection as two writes: the
first frame, and once the buffers are full all the others.  Assumed: a frame takes of a buffer what
it has in bytes, not what the kernel needs to keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Final

from colosim.engine.clock import per_byte_ns
from colosim.network.connection import Connection
from colosim.network.ends import CHARDEV
from colosim.network.section import Section
from colosim.network.tcp import StreamError
from colosim.scenario.service import COMPARE, COMPARED, MIRROR
from colosim.trace.events import PRIMARY, SECONDARY
from colosim.trace.purpose import Purpose
from colosim.trace.steps import PROXY_WRITE

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.host.host import Host
    from colosim.host.process import Thread
    from colosim.network.ends import Ends
    from colosim.scenario.model import Scenario
    from colosim.service.workload import Workload

    Steps = Generator[Event, None, None]

HEADERS: Final = {"udp": 46, "icmp": 46, "tcp": 58}
"""Bytes of a frame beyond its payload: the length in front, Ethernet, IP, and UDP, ICMP or TCP."""


class ProxySocket:
    """One of them: `side` writes to it, in `thread`, and its peer reads."""

    def __init__(
        self,
        where: str,
        hosts: dict[str, Host],
        open_: Callable[[], Connection],
        frame_bytes: int,
        end_ns: int,
    ) -> None:
        self.where, self._end_ns = where, end_ns
        self.side, self.peer = (PRIMARY, SECONDARY) if where == MIRROR else (SECONDARY, PRIMARY)
        self.host, self._reader = hosts[self.side], hosts[self.peer]
        self._open = open_
        self._frame_bytes = frame_bytes
        self.thread = self.host.monitor.thread
        if where == COMPARE:
            self.thread = self.host.thread("vCPU")
        self.connection = self._connect()
        self.workload: Workload | None = None
        self.on_stand: Callable[[], None] | None = None
        """Is called as its writer begins or ends to stand still."""
        self.fills_ns = -1
        """When the frame comes for which there is no room."""
        self._unread_from: int | None = None
        """How many copies were made before those that nobody reads."""
        self._begun = self._stands = False
        self._epoch = 0

    @property
    def stands(self) -> bool:
        """Whether its writer stands still, for it is full."""
        return self._stands

    @property
    def out(self) -> Ends:
        """The direction that frames go."""
        return self.connection.of(self.side)[0]

    @property
    def is_closed(self) -> bool:
        """Whether what would go over it is lost."""
        return self.out.write_error is not None

    @property
    def is_unread(self) -> bool:
        """Whether what is written stays in its buffers."""
        silent = self.connection.down or self.peer in self.connection.frozen
        return silent and not self.is_closed

    @property
    def loses(self) -> bool:
        """Whether frames do not come out at its other end."""
        return self.is_closed or self.is_unread

    def _connect(self) -> Connection:
        connection = self._open()
        connection.on_change = self.plan
        self.host.env.process(self._read(connection))
        return connection

    def reopen(self) -> Connection:
        """Connect again after it was closed, and return the new connection."""
        self._unread_from = None
        self.connection = self._connect()
        return self.connection

    # ---- when it is full -----------------------------------------------------------------------

    @property
    def _frames_fit(self) -> int:
        """How many frames the buffers take: of a silent host, or link, the sender's alone."""
        network = self.out.network
        room = network.send_buffer_bytes
        if not self.connection.down:
            room += network.receive_buffer_bytes
        return room // self._frame_bytes

    def plan(self) -> None:
        """Find out when it will be full, in this epoch of the clients."""
        self._epoch += 1
        clients, env = self.workload, self.host.env
        if not self.is_unread:
            self._unread_from, self._begun = None, False
        if clients is None or not (self.is_unread and clients.running and clients.mode == COMPARED):
            return
        if self.host.frozen:
            return  # it writes nothing
        if self._unread_from is None:
            self._unread_from, self._begun = clients.copied + clients.copies_by(env.now), False
        first = self._unread_from - clients.copied
        last_ns = clients.copy_at(max(0, first + self._frames_fit), self._end_ns)
        if last_ns is None or self._stands:
            return
        way_ns = 0 if self.where == MIRROR else clients.mirror_ns
        self.fills_ns = max(env.now, last_ns + way_ns)
        if not self._begun:
            first_ns = clients.copy_at(max(0, first), self._end_ns)
            assert first_ns is not None  # noqa: S101 - a later one comes
            env.call_at(max(env.now, first_ns + way_ns), partial(self._begins, self._epoch))
        env.call_at(self.fills_ns, partial(self._fills, self._epoch))

    def _begins(self, epoch: int) -> None:
        if epoch == self._epoch and not self._begun:
            self._begun = True
            self.host.env.process(self._write(None, self._frame_bytes))

    def _fills(self, epoch: int) -> None:
        if epoch != self._epoch:
            return
        if self.where == MIRROR:
            self.host.monitor.do(self._main_loop_writes)
        else:
            self.thread.start(self._vcpu_writes())

    # ---- the writer ----------------------------------------------------------------------------

    def _main_loop_writes(self, main_loop: Thread) -> Steps:
        """Write a copy that finds no room.

        The guest stands still meanwhile: sooner or later its vCPU needs the lock; assumed: at once.
        """
        host = self.host
        if not (self.is_unread and host.guest.running):
            return
        host.lock.hold_for(main_loop, Purpose.PROXY)
        host.guest.stop()
        yield from self._stand(main_loop)
        host.guest.run()
        host.lock.hold_for(main_loop, Purpose.MONITOR)

    def _vcpu_writes(self) -> Steps:
        """Write an answer that finds no room, in the vCPU of a guest that nobody else stops."""
        lock, vcpu = self.host.lock, self.thread
        yield from lock.acquire(vcpu, Purpose.PROXY)
        if self.is_unread and self.host.guest.running:
            yield from self._stand(vcpu)
        lock.release(vcpu)

    def _stand(self, thread: Thread) -> Steps:
        self._stands = True
        if self.on_stand is not None:
            self.on_stand()
        yield from self._write(thread, self._frames_fit * self._frame_bytes)
        self._stands = False
        self._unread_from = None
        if self.on_stand is not None:
            self.on_stand()

    def _write(self, thread: Thread | None, amount: int) -> Steps:
        """Write so much; a call that fails loses it."""
        out, costs = self.out, self.host.costs
        try:
            spent_ns = per_byte_ns(amount, costs.socket_write_fs_per_byte)
            blocks = out.write(Section(-1, amount), spent_ns)
            if blocks is not None and thread is not None:
                yield from thread.wait(blocks, PROXY_WRITE)
            elif blocks is not None:
                yield blocks
            out.wrote()
        except StreamError:
            return

    def _read(self, connection: Connection) -> Steps:
        """Read what comes, in the peer's main loop or its comparison's iothread."""
        incoming = connection.of(self.peer)[1]
        read_fs = self._reader.costs.socket_read_fs_per_byte
        try:
            while True:
                blocks = incoming.read(lambda part: per_byte_ns(part.size_bytes, read_fs))
                if blocks is not None:
                    yield blocks
                incoming.has_read()
        except StreamError:
            return


class ProxySockets:
    """Both of them; `parts` has their connections, as what faults strike."""

    def __init__(
        self,
        scenario: Scenario,
        hosts: dict[str, Host],
        parts: dict[str, Connection],
        kind: tuple[int, type[Ends]],
    ) -> None:
        """Open them, as connections of a `kind`: phase of their delayed ACKs, and direction."""
        service, output = scenario.service, scenario.output
        assert service is not None  # noqa: S101 - without it nobody has a proxy
        nodelay = output is not None and output.nodelay
        network = scenario.network.model_copy(update={"nagle": not nodelay})
        env, record = hosts[PRIMARY].env, hosts[PRIMARY].record
        open_ = partial(Connection, env, record, network, *kind, instance=CHARDEV)
        header, end_ns = HEADERS[service.protocol], scenario.end_ns
        self._parts = parts
        self.mirror = ProxySocket(MIRROR, hosts, open_, header + service.request_bytes, end_ns)
        self.compare = ProxySocket(COMPARE, hosts, open_, header + service.response_bytes, end_ns)
        for one in self.both:
            parts[one.where] = one.connection
        self.compare.on_stand = self._secondary_stands

    @property
    def both(self) -> tuple[ProxySocket, ProxySocket]:
        """The mirror's and the comparison's."""
        return self.mirror, self.compare

    def of(self, side: str) -> ProxySocket:
        """Return the one that a side writes to."""
        return self.mirror if side == self.mirror.side else self.compare

    @property
    def loses(self) -> bool:
        """Whether answers find no equal, for copies or answers of the secondary are lost."""
        return any(one.loses for one in self.both)

    def plan(self, workload: Workload) -> None:
        """Find out when they will be full, as the guests run again."""
        for one in self.both:
            one.workload = workload
            one.plan()

    def reopen(self, where: str) -> None:
        """Let a closed socket be connected again."""
        one = self.mirror if where == MIRROR else self.compare
        self._parts[where] = one.reopen()

    def _secondary_stands(self) -> None:
        """Let the mirror be read no more while the secondary's vCPU keeps the lock."""
        self.mirror.connection.freeze(SECONDARY, frozen=self.compare.stands)

    # ---- as what can be yanked -----------------------------------------------------------------

    instance: Final = CHARDEV

    def shutdown(self, by: str) -> None:
        """Shut both down at a side."""
        for one in self.both:
            one.connection.shutdown(by)

    def yank(self, by: str) -> None:
        """Yank both at a side: they stay closed (assumed; a reconnect takes the peer's life)."""
        for one in self.both:
            one.connection.yank(by)
