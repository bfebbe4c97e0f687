"""Rows of a real run's tables: the projection's, less what no log shows, plus what was measured.

The projection is that of simulated runs.  A real log differs in four ways, mended here: it may lack
times, or a side; the point at which RAM was loaded is printed; bytes on the wire and dirty pages
may come from beside the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from colosim.measured.books import SEEN_LIMIT_NS, UNSEEN_NS
from colosim.runs.columns import COLUMNS, TABLES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["Rows"]

_CHECKPOINTS: Final = COLUMNS["checkpoints"]
_WHOLE: Final = ("pause_ns", "transaction_ns", "run_before_ns", "lock_hold_primary_ns")


class Rows:
    """Takes rows from the projection and keeps them as the tables of a real run.

    `timed`: the logs have times.  `sides`: those whose logs are there.  `streams_ram`: RAM is
    streamed, so it is loaded before VMSTATE_SIZE is read.  `ram_loaded_ns`, `wire_bytes`,
    `dirty_pages`: what is known of each checkpoint, by number.
    """

    def __init__(
        self,
        *,
        timed: bool,
        sides: Collection[str],
        streams_ram: bool,
        ram_loaded_ns: Mapping[int, int],
        wire_bytes: Mapping[int, int],
        dirty_pages: Mapping[int, int],
    ) -> None:
        self.rows: dict[str, list[Sequence[Any]]] = {table: [] for table in TABLES}
        self._timed = timed
        self._missing = [f"{side}_" for side in ("primary", "secondary") if side not in sides]
        self._streams_ram = streams_ram
        self._ram_loaded_ns = ram_loaded_ns
        self._wire_bytes = wire_bytes
        self._dirty_pages = dirty_pages

    def write(self, table: str, row: Sequence[Any]) -> None:
        """Take a row of the projection."""
        if table == "events":
            if row[0] != UNSEEN_NS:
                self.rows[table].append(row)
            return
        seen = [None if _unseen(cell) else cell for cell in row]
        if table == "checkpoints":
            named = dict(zip(_CHECKPOINTS, seen, strict=True))
            self._mend(named)
            seen = [named[column] for column in _CHECKPOINTS]
        if not self._timed:
            for index, column in enumerate(COLUMNS[table]):
                if column.endswith("_ns"):
                    seen[index] = None
        self.rows[table].append(seen)

    def _mend(self, row: dict[str, Any]) -> None:
        number = row["checkpoint"]
        row["wire_bytes"] = self._wire_bytes.get(number)
        if number in self._dirty_pages:
            row["dirty_pages"] = self._dirty_pages[number]
        for prefix in self._missing:
            for column in row:
                if column.startswith(prefix) or (prefix == "primary_" and column in _WHOLE):
                    row[column] = None
        if row["primary_ram_sent_at_ns"] is None and row["primary_sent_at_ns"] is None:
            row["primary_received_wait_ns"] = None
        if not self._streams_ram and row["primary_sent_at_ns"] is None:
            # The projection takes what is sent before VMSTATE_SIZE for streamed RAM, and a log may
            # show no VMSTATE_SIZE.
            row["primary_sent_at_ns"] = row["primary_ram_sent_at_ns"]
            row["primary_ram_sent_at_ns"] = None
        if row["run_before_ns"] == 0:
            row["run_before_ns"] = None  # the log does not show since when the guest ran
        self._mend_ram(row)

    def _mend_ram(self, row: dict[str, Any]) -> None:
        """Put RAM's end: printed; or before VMSTATE_SIZE was read; or before RECEIVED was sent."""
        if self._streams_ram:
            loaded = self._ram_loaded_ns.get(row["checkpoint"], row["secondary_size_at_ns"])
            row["secondary_ram_loaded_at_ns"] = end = loaded
        else:
            row["secondary_ram_loaded_at_ns"] = None
            end = row["secondary_filled_at_ns"]
            end = row["secondary_received_at_ns"] if end is None else end
        begin = row["secondary_vmstate_send_at_ns"]
        known = row["outcome"] == "committed" and begin is not None and end is not None
        row["ram_ns"] = end - begin if known else None


def _unseen(cell: object) -> bool:
    return isinstance(cell, int) and abs(cell) >= SEEN_LIMIT_NS
