"""One QEMU process on one host: its lock, threads, guest, memory and monitor in one place."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from colosim.engine.clock import per_byte_ns
from colosim.engine.ledger import Ledger
from colosim.host.guest import Guest
from colosim.host.lock import IothreadLock
from colosim.host.monitor import Monitor
from colosim.host.process import Process
from colosim.scenario.presets import KVM
from colosim.trace.events import OTHER

if TYPE_CHECKING:
    from colosim.engine.environment import Environment
    from colosim.host.spread import Spread
    from colosim.scenario.costs import Costs
    from colosim.scenario.guest import Guest as GuestModel
    from colosim.scenario.memory import Memory
    from colosim.scenario.model import Scenario
    from colosim.trace.record import Record

P = ParamSpec("P")
T = TypeVar("T")
_REMEMBERED = 256

PAGE_BYTES = 4096
GIB = 1 << 30
STREAM_BUFFERS_BYTES = 3 * 32 * 1024
"""QEMUFiles of a pair's end: outgoing, incoming, staging; 32 KiB each (IO_BUF_SIZE)."""


class Host(Process):
    """One side of the pair."""

    spread: Spread | None = None
    """How work scatters here; None if it does not."""
    kvm = False
    """Whether KVM runs the guest: its dirty log begins with every page set."""

    def __init__(
        self,
        side: str,
        env: Environment,
        record: Record,
        costs: Costs,
        guest: GuestModel,
        memory: Memory,
        lock: type[IothreadLock] = IothreadLock,
        *,
        barging: bool = False,
    ) -> None:
        super().__init__(side, env, record)
        self.costs = costs
        self.guest_model = guest
        self._memory = memory
        self.ledger = Ledger(side, record)
        self.lock = lock(side, env, record, barging=barging)
        self.guest = Guest(side, env, record, guest)
        self.monitor = Monitor(self, self.lock)
        self.abort: Callable[[], None] = self.kill
        """What an assertion that fails does to the process."""
        self.ledger.hold("dirty_bitmap", bitmap_bytes(guest.ram_bytes))
        self.ledger.hold("stream_buffers", STREAM_BUFFERS_BYTES)

    @staticmethod
    def remembered(function: Callable[P, T]) -> Callable[P, T]:
        """Return `function` with a memory of its latest answers.

        What a checkpoint costs follows from its pages and bytes, and many a guest dirties as many
        pages time and again.
        """
        return cast("Callable[P, T]", lru_cache(_REMEMBERED)(function))

    def thaw(self) -> None:
        """Let every thread go on (SIGCONT)."""
        super().thaw()
        if not self.frozen:
            self.monitor.wake()

    @property
    def teardown_ns(self) -> int:
        """How long the kernel tears the memory of the killed process down.

        Assumed: all of guest RAM and of the RAM cache is resident; all but these two has pages of
        4 KiB.
        """
        costs, ram, cache = self.costs, self.guest_model.ram_bytes, self.cache_bytes
        huge = ram * self._memory.is_huge + cache * self._memory.cache_is_huge
        small = ram + self.ledger.total_bytes - huge
        spent_fs = small * costs.teardown_fs_per_byte + huge * costs.teardown_huge_fs_per_byte
        return per_byte_ns(1, spent_fs)

    @property
    def cache_free_ns(self) -> int:
        """How long freeing the RAM cache takes."""
        costs, huge = self.costs, self._memory.cache_is_huge
        cost = costs.cache_free_huge_fs_per_byte if huge else costs.cache_free_fs_per_byte
        return per_byte_ns(self.cache_bytes, cost)

    @property
    def cache_bytes(self) -> int:
        """What the RAM cache holds, 0 if there is none."""
        return self.ledger.levels.get("ram_cache", 0)


def hosts_of(
    scenario: Scenario,
    env: Environment,
    record: Record,
    lock: type[IothreadLock] = IothreadLock,
    kind: type[Host] = Host,
) -> dict[str, Host]:
    """Return the hosts of both sides as a scenario has them."""
    hosts = {}
    for side in OTHER:
        model = getattr(scenario.hosts, side)
        hosts[side] = kind(
            side,
            env,
            record,
            model.costs,
            scenario.guest,
            scenario.memory,
            lock,
            barging=scenario.lock == "barging",
        )
        hosts[side].kvm = model.accelerator == KVM
    return hosts


def bitmap_bytes(ram_bytes: int) -> int:
    """Return the size of a dirty bitmap: one bit a page of 4 KiB, whole 64-bit words."""
    pages = -(-ram_bytes // PAGE_BYTES)
    return -(-pages // 64) * 8
