"""One QEMU process on one host: its lock, threads, guest, memory and monitor in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.engine.clock import per_byte_ns
from colosim.engine.ledger import Ledger
from colosim.host.guest import Guest
from colosim.host.lock import IothreadLock
from colosim.host.monitor import Monitor
from colosim.trace.events import ProcessChanged

if TYPE_CHECKING:
    from simpy.events import Event

    from colosim.engine.environment import Environment
    from colosim.host.thread import Thread
    from colosim.scenario.model import Costs
    from colosim.scenario.model import Guest as GuestModel
    from colosim.trace.record import Record

PAGE_BYTES = 4096
STREAM_BUFFERS_BYTES = 3 * 32 * 1024
"""QEMUFiles of a pair's end: outgoing, incoming, staging; 32 KiB each (IO_BUF_SIZE)."""


class Host:
    """One side of the pair."""

    def __init__(
        self,
        side: str,
        env: Environment,
        record: Record,
        costs: Costs,
        guest: GuestModel,
        lock: type[IothreadLock] = IothreadLock,
    ) -> None:
        self.side = side
        self.env = env
        self.record = record
        self.costs = costs
        self.guest_model = guest
        self.ledger = Ledger(side, env, record)
        self.lock = lock(side, env, record)
        self.guest = Guest(side, env, record, guest)
        self.threads: list[Thread] = []
        self.frozen = False
        self.dead = False
        self._thawed: Event | None = None
        self.frozen_ns = -1
        self.monitor = Monitor(self)
        self.ledger.hold("dirty_bitmap", bitmap_bytes(guest.ram_bytes))
        self.ledger.hold("stream_buffers", STREAM_BUFFERS_BYTES)

    @property
    def thawed(self) -> Event:
        """The thaw to come of a frozen process, as an event."""
        if self._thawed is None:
            self._thawed = self.env.event()
        return self._thawed

    def freeze(self) -> None:
        """Stop every thread where it is (SIGSTOP); the host's kernel goes on."""
        if self.frozen:
            return
        self.frozen = True
        self.frozen_ns = self.env.now
        self.record.note(ProcessChanged(self.side, "frozen"))
        for thread in self.threads:
            thread.freeze()

    def thaw(self) -> None:
        """Let every thread go on (SIGCONT)."""
        if not self.frozen or self.dead:
            return
        self.frozen = False
        self.record.note(ProcessChanged(self.side, "thawed"), self.env.now - self.frozen_ns)
        for thread in self.threads:
            thread.thaw()
        if self._thawed is not None:
            thawed, self._thawed = self._thawed, None
            thawed.succeed()
        self.monitor.wake()

    def kill(self) -> None:
        """End the process (SIGKILL): no thread ever goes on."""
        self.freeze()
        self.dead = True
        self.record.note(ProcessChanged(self.side, "killed"))

    @property
    def resident_bytes(self) -> int:
        """What the kernel must tear down when the process is killed: guest RAM and the ledger's.

        Assumed: all of guest RAM is resident.
        """
        return self.guest_model.ram_bytes + self.ledger.total

    def bytes_ns(self, amount: int, cost_fs: int) -> int:
        """Return the time in ns of `amount` bytes at `cost_fs` femtoseconds each."""
        return per_byte_ns(amount, cost_fs)


def bitmap_bytes(ram_bytes: int) -> int:
    """Return the size of a dirty bitmap: one bit a page of 4 KiB, whole 64-bit words."""
    pages = -(-ram_bytes // PAGE_BYTES)
    return -(-pages // 64) * 8
