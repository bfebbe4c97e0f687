"""One QEMU process on one host: its lock, threads, guest, memory and monitor in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.engine.clock import per_byte_ns
from colosim.engine.ledger import Ledger
from colosim.host.guest import Guest
from colosim.host.lock import IothreadLock
from colosim.host.monitor import Monitor
from colosim.host.process import Process

if TYPE_CHECKING:
    from colosim.engine.environment import Environment
    from colosim.scenario.model import Costs
    from colosim.scenario.model import Guest as GuestModel
    from colosim.trace.record import Record

PAGE_BYTES = 4096
STREAM_BUFFERS_BYTES = 3 * 32 * 1024
"""QEMUFiles of a pair's end: outgoing, incoming, staging; 32 KiB each (IO_BUF_SIZE)."""


class Host(Process):
    """One side of the pair."""

    def __init__(
        self,
        side: str,
        env: Environment,
        record: Record,
        costs: Costs,
        guest: GuestModel,
        lock: type[IothreadLock] = IothreadLock,
        *,
        barging: bool = False,
    ) -> None:
        super().__init__(side, env, record)
        self.costs = costs
        self.guest_model = guest
        self.ledger = Ledger(side, record)
        self.lock = lock(side, env, record, barging=barging)
        self.guest = Guest(side, env, record, guest)
        self.monitor = Monitor(self, self.lock)
        self.ledger.hold("dirty_bitmap", bitmap_bytes(guest.ram_bytes))
        self.ledger.hold("stream_buffers", STREAM_BUFFERS_BYTES)

    def thaw(self) -> None:
        """Let every thread go on (SIGCONT)."""
        super().thaw()
        if not self.frozen:
            self.monitor.wake()

    @property
    def resident_bytes(self) -> int:
        """What the kernel must tear down when the process is killed: guest RAM and the ledger's.

        Assumed: all of guest RAM is resident.
        """
        return self.guest_model.ram_bytes + self.ledger.total_bytes

    def bytes_ns(self, amount: int, cost_fs: int) -> int:
        """Return the time in ns of `amount` bytes at `cost_fs` femtoseconds each."""
        return per_byte_ns(amount, cost_fs)


def bitmap_bytes(ram_bytes: int) -> int:
    """Return the size of a dirty bitmap: one bit a page of 4 KiB, whole 64-bit words."""
    pages = -(-ram_bytes // PAGE_BYTES)
    return -(-pages // 64) * 8
