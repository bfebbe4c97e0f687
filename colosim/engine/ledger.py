"""The memory ledger of one host: every byte beyond the guest's own RAM, on a named account.

Two kinds of account.  A *held* account moves in steps (staging buffer, RAM cache, bitmaps).  A
*passing* one follows a byte stream through a socket buffer: it starts and ends at zero and its
level is piecewise linear.  Peaks, also of the sum, are exact and not sampled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.trace.events import MemoryLevel
from colosim.trace.record import Codes

if TYPE_CHECKING:
    from collections.abc import Callable

    from colosim.engine.environment import Environment
    from colosim.trace.record import Record


class Ledger:
    """The accounts of one host."""

    def __init__(self, side: str, env: Environment, record: Record) -> None:
        self.side = side
        self._env = env
        self._record = record
        self._codes = Codes(side)
        # How high a stream's level still comes from a time on, and when it is over.
        self._highest_from: Callable[[int], int] = _nothing
        self._over_at_ns = -1
        # Brings what is followed breakpoint by breakpoint up to now.
        self.catch_up: Callable[[], None] | None = None
        self._followed: dict[str, int] = {}
        self.levels: dict[str, int] = {}
        self.peaks: dict[str, int] = {}
        self.total = 0
        self.total_peak = 0

    def hold(self, account: str, level_bytes: int) -> None:
        """Set a held account to `level_bytes`, now."""
        before = self.levels.get(account, 0)
        if before == level_bytes and account in self.levels:
            return
        if self.catch_up is not None:
            self.catch_up()
        self._record.add(self._codes[MemoryLevel, account], level_bytes)
        self.levels[account] = level_bytes
        self.total += level_bytes - before
        if level_bytes > self.peaks.get(account, 0) or account not in self.peaks:
            self.peaks[account] = level_bytes
        self._see_total()

    def _see_total(self) -> None:
        total = self.total + sum(self._followed.values())
        if self._over_at_ns > self._env.now:
            total += self._highest_from(self._env.now)
        self.total_peak = max(self.total_peak, total)

    def passes(
        self,
        account: str,
        peak_bytes: int,
        highest_from: Callable[[int], int],
        over_at_ns: int,
        limit_bytes: int = 1 << 62,
    ) -> None:
        """Book a stream that begins to pass through `account` and reaches `peak_bytes`.

        `highest_from`: how high its level still comes at or after a time.  What is left of the
        stream before it, in the same buffer of `limit_bytes`, counts with it.  One buffer at a
        time is followed on each host: COLO's bulk goes one way, and messages are not booked.
        """
        now = self._env.now
        if self._over_at_ns > now and peak_bytes:
            peak_bytes = min(limit_bytes, peak_bytes + self._highest_from(now))
        if peak_bytes > self.peaks.get(account, -1):
            self.peaks[account] = peak_bytes
        if self.total + peak_bytes > self.total_peak:  # noqa: PLR1730 - a call costs more
            self.total_peak = self.total + peak_bytes
        self._highest_from = highest_from
        self._over_at_ns = over_at_ns

    def passing_level(self, account: str, level_bytes: int) -> None:
        """Book the present level of a passing account that is followed breakpoint by breakpoint."""
        self.peaks[account] = max(self.peaks.get(account, 0), level_bytes)
        self._followed[account] = level_bytes
        self._over_at_ns = -1  # it is no longer known in advance
        self._see_total()


def _nothing(_at_ns: int) -> int:
    """No stream passes."""
    return 0
