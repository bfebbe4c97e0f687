"""A connection between the two QEMU: two directions, and what happens to both at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.engine.clock import larger
from colosim.engine.streams import Streams
from colosim.network.direction import Direction
from colosim.network.ends import MIGRATION, READ, WRITE
from colosim.trace.events import PRIMARY, SECONDARY

if TYPE_CHECKING:
    from collections.abc import Callable

    from colosim.engine.environment import Environment
    from colosim.network.ends import Ends
    from colosim.scenario.network import Network
    from colosim.trace.record import Record


def ack_phase_ns(network: Network, seed: int) -> int:
    """Return where the ticks lie on which kernels send delayed ACKs: drawn if that is not given."""
    if network.ack_tick_phase_ns is not None:
        return network.ack_tick_phase_ns
    return Streams(seed).below("ack tick phase", network.ack_tick_ns)


def _nothing() -> None:
    """Listen to nothing."""


class Connection:
    """A TCP connection between the primary and the secondary; `instance` is QEMU's name for it.

    `channels`: connections of their own that share its link, as multifd's do; what happens to host,
    link or process happens to them too.
    """

    def __init__(
        self,
        env: Environment,
        record: Record,
        network: Network,
        ack_phase_ns: int,
        direction: type[Ends] = Direction,
        channels: int = 0,
        instance: str = MIGRATION,
    ) -> None:
        self.env = env
        self.to_secondary = direction(env, record, network, (PRIMARY, SECONDARY), ack_phase_ns)
        self.to_primary = direction(env, record, network, (SECONDARY, PRIMARY), ack_phase_ns)
        self.to_secondary.reverse = self.to_primary
        self.to_primary.reverse = self.to_secondary
        self.to_secondary.instance = self.to_primary.instance = instance
        self.down = False
        self.frozen: set[str] = set()
        """Sides whose threads are frozen at their end."""
        self.on_change: Callable[[], None] = _nothing
        """Is called when something has happened to the connection, but for its bytes."""
        self.channels = tuple(
            Connection(env, record, _share(network, channels), ack_phase_ns, direction)
            for _ in range(channels)
        )

    def all_of(self, direction: Ends) -> tuple[Ends, ...]:
        """Return one of its directions, and the same one of every channel."""
        if direction is self.to_secondary:
            return direction, *(channel.to_secondary for channel in self.channels)
        return direction, *(channel.to_primary for channel in self.channels)

    def set_factors(self, bandwidth_ppm: int, latency_ppm: int) -> None:
        """Multiply bandwidth and latency of the link by millionths."""
        for direction in (self.to_secondary, self.to_primary):
            for one in self.all_of(direction):
                one.set_factors(bandwidth_ppm=bandwidth_ppm, latency_ppm=latency_ppm)
        self.on_change()

    def of(self, side: str) -> tuple[Ends, Ends]:
        """Return the directions out of and into `side`."""
        if side == PRIMARY:
            return self.to_secondary, self.to_primary
        return self.to_primary, self.to_secondary

    def blocked_of(self, side: str) -> tuple[Ends, Ends]:
        """Return the directions out of and into `side` in which a thread is blocked, if one is.

        Of the connection itself before its channels'.
        """
        outgoing, incoming = self.of(side)
        return (
            next((one for one in self.all_of(outgoing) if one.writer_blocked), outgoing),
            next((one for one in self.all_of(incoming) if one.reader_blocked), incoming),
        )

    def freeze(self, side: str, *, frozen: bool) -> None:
        """Freeze or thaw the threads at `side`'s ends; its kernel goes on."""
        outgoing, incoming = self.of(side)
        (self.frozen.add if frozen else self.frozen.discard)(side)
        outgoing.disturb().freeze(WRITE, frozen=frozen)
        incoming.disturb().freeze(READ, frozen=frozen)
        if not frozen:
            outgoing.wake_failed()
            incoming.wake_failed()
        for channel in self.channels:
            channel.freeze(side, frozen=frozen)
        self.on_change()

    def cut(self) -> None:
        """Let nothing pass in either direction."""
        if not self.down:
            self.down = True
            self.to_secondary.disturb().cut()
            self.to_primary.disturb().cut()
        for channel in self.channels:
            channel.cut()
        self.on_change()

    def mend(self) -> None:
        """Let the link, and every channel, carry again."""
        if self.down:
            self.down = False
            self.to_secondary.disturb().mend()
            self.to_primary.disturb().mend()
        for channel in self.channels:
            channel.mend()
        self.on_change()

    def process_gone(self, by: str) -> None:
        """`by`'s process is no more: its kernel closes the socket (tcp_close in net/ipv4/tcp.c).

        With bytes that nobody has read it resets the connection at once.  Else what is queued is
        sent first, then the stream ends, and whatever still comes is answered by a reset.
        """
        outgoing, incoming = self.of(by)
        if incoming.levels_now()[1]:
            self.reset(by)
        else:
            outgoing.disturb().close()
        for channel in self.channels:
            channel.process_gone(by)

    def reset(self, by: str) -> None:
        """`by`'s kernel resets the connection: the peer's ends fail one latency later.

        A reset that is lost on the way is not sent again; but whatever reaches `by`'s host once the
        link carries again meets no socket, and is answered by another.
        """
        outgoing, incoming = self.of(by)

        def arrive() -> None:
            if self.down:
                incoming.disturb().meet_closed_peer()
                return
            incoming.fail("connection reset")
            self.on_change()

        if self.down:
            arrive()
            return
        self.env.call_at(self.env.now + outgoing.pace.latency_ns, arrive)

    def shutdown(self, by: str, why: str = "shut down") -> None:
        """Shut both directions down at `by`: its own ends fail at once, the peer's stream ends."""
        outgoing, _ = self.of(by)
        outgoing.disturb().close()
        outgoing.fail(why)
        self.on_change()

    def yank(self, by: str) -> None:
        """Shut it and every channel down at `by` (yank of its instance)."""
        for one in (self, *self.channels):
            one.shutdown(by, "yanked")


def _share(network: Network, channels: int) -> Network:
    """Return the network as one of so many channels has it: its part of the link, TCP_NODELAY.

    multifd sets it on its sending ends (qio_channel_set_delay).
    """
    bandwidth = network.bandwidth_bytes_per_s
    if bandwidth is not None:
        bandwidth = larger(1, bandwidth // channels)
    return network.model_copy(
        update={
            "nagle": False,
            "bandwidth_bytes_per_s": bandwidth,
            "burst_bytes": network.burst_bytes // channels,
        }
    )
