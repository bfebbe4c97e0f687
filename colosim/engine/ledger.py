"""The memory ledger of one host: every byte that it holds beyond the guest's own RAM, by account.

Accounts move in steps (staging buffer, RAM cache, bitmaps), and each step is an event.  What passes
through the socket buffers is not held: `colosim.runs.peaks` adds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.engine.clock import anywhere
from colosim.trace.events import MemoryLevel
from colosim.trace.record import Codes

if TYPE_CHECKING:
    from colosim.trace.record import Record


class Ledger:
    """The accounts of one host."""

    def __init__(self, side: str, record: Record) -> None:
        self._record = record
        self._codes = Codes(side, record)
        self.levels: dict[str, int] = {}

    def hold(self, account: str, level_bytes: int) -> None:
        """Set an account to `level_bytes`, now."""
        if anywhere(self.levels.get(account) != level_bytes):
            self.levels[account] = level_bytes
            self._record.add(self._codes[MemoryLevel, account], level_bytes)

    @property
    def total_bytes(self) -> int:
        """What all accounts hold."""
        return sum(self.levels.values())
