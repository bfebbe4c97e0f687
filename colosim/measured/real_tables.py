"""The tables of a real run: those of its record, less what no log shows, plus what stands beside.

They are made as a simulated run's are (`colosim.runs.tables`).  A real log differs: it may lack
times, or a side; when RAM was loaded may be printed; bytes on the wire and dirty pages may come
from beside the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from colosim.measured.log import KNOWN_LIMIT
from colosim.measured.merge import UNKNOWN, flat_of
from colosim.runs.tables import Tables
from colosim.trace import steps
from colosim.trace.checkpoint import WAITS
from colosim.trace.columns import IntColumn, WordColumn, joined
from colosim.trace.events import (
    COMMITTED,
    CheckpointEnded,
    OnSide,
    StreamEnded,
)
from colosim.trace.quantities import CHECKPOINT, SPANS, START

if TYPE_CHECKING:
    from colosim.measured.merge import Entry
    from colosim.trace.columns import Table

    Columns = dict[str, IntColumn]

_SPANNED: Final = {**WAITS, **SPANS}


@dataclass(frozen=True, slots=True)
class BesideLog:
    """What is known of a run's checkpoints beside its events.

    `streams_ram`: RAM is streamed, so it is loaded before VMSTATE_SIZE is read.  `dirty_pages`,
    `wire_bytes`: by number of the checkpoint.  `unsure`: the sides of whose events some
    have no time.
    `spoken`: a log shows messages.  `ram_pages`: of the guest, None where they are not known.
    """

    streams_ram: bool
    dirty_pages: Mapping[int, int]
    wire_bytes: Mapping[int, int]
    unsure: frozenset[str] = frozenset()
    spoken: bool = True
    ram_pages: int | None = None


def tables_of(entries: Sequence[Entry], beside: BesideLog, *, timed: bool) -> dict[str, Table]:
    """Return every table of a real run; `timed`: its logs have times."""
    made = Tables()
    parts = [made.feed(flat) for flat in flat_of(entries)]
    left = made.finish(_end_ns(entries))
    found = {
        name: joined([*(part[name] for part in parts), *([left[name]] if name in left else [])])
        for name in parts[0]
    }
    found["events"] = _events(found["events"])
    found["memory"] = _kept(found["memory"], _seen(found["memory"]["time_ns"]))
    for name in ("checkpoints", "locks", "messages"):
        found[name] = {column: _known(cells) for column, cells in found[name].items()}
    if not beside.spoken:
        found["messages"] = {name: column[:0] for name, column in found["messages"].items()}
    _complete(found["checkpoints"], entries, beside)
    if not timed:
        for name in ("checkpoints", "locks", "messages"):
            for column, cells in found[name].items():
                if column.endswith("_ns"):
                    found[name][column] = IntColumn.empty(len(cells))
    return found


def _end_ns(entries: Sequence[Entry]) -> int:
    """Return the last time that a log shows: what is open then lasts up to there."""
    return max((one.time_ns for one in entries if one.time_ns < KNOWN_LIMIT), default=0)


def _committed(table: Table) -> Any:
    outcomes = table["outcome"]
    assert isinstance(outcomes, WordColumn)  # noqa: S101 - as the table has it
    return outcomes.values == COMMITTED


def _seen(column: Any) -> Any:
    """Return of which cells the value is one that a log showed."""
    return (column.values > -KNOWN_LIMIT) & (column.values < KNOWN_LIMIT)


def _known(column: Any) -> Any:
    if not isinstance(column, IntColumn):
        return column
    return IntColumn(column.values, column.known & _seen(column))


def _kept(table: Table, rows: Any) -> Table:
    return {name: column[rows] for name, column in table.items()}


def _events(table: Table) -> Table:
    """Return the events that a log shows, the value 0 where it says none."""
    table = _kept(table, _seen(table["time_ns"]))
    values = table["value"]
    assert isinstance(values, IntColumn)  # noqa: S101 - as the table of events has it
    shown = np.where(values.values == UNKNOWN, 0, values.values)
    return {**table, "value": IntColumn.all(shown)}


def _complete(table: Table, entries: Sequence[Entry], beside: BesideLog) -> None:
    """Take out of ``checkpoints`` what only seems to be known, and put in what stands beside."""
    columns: Columns = {k: column for k, column in table.items() if isinstance(column, IntColumn)}
    numbers = columns["checkpoint"].values.tolist()
    loaded, lost = _beyond_columns(entries, beside.unsure)
    columns["wire_bytes"] = _by_number(beside.wire_bytes, numbers)
    columns["dirty_pages"] = _by_number(beside.dirty_pages, numbers).or_else(columns["dirty_pages"])
    sent, ram_sent = columns["primary_sent_at_ns"], columns["primary_ram_sent_at_ns"]
    columns["primary_received_wait_ns"].known &= sent.known | ram_sent.known
    if not beside.streams_ram:
        # What is sent before VMSTATE_SIZE counts as streamed RAM, and a log may show no
        # VMSTATE_SIZE.
        columns["primary_sent_at_ns"] = sent.or_else(ram_sent)
        columns["primary_ram_sent_at_ns"] = IntColumn(ram_sent.values, ram_sent.known & sent.known)
    _mark_ram(columns, _by_number(loaded, numbers), streamed=beside.streams_ram)
    for name, (begin, ends) in _SPANNED.items():
        reached = [columns[f"{end}_at_ns"].known for end in ends]
        if name != "ram_ns":
            columns[name].known &= columns[f"{begin}_at_ns"].known & np.any(reached, axis=0)
    columns["ram_ns"].known &= _committed(table)
    for side in beside.unsure:
        rows = np.isin(numbers, sorted(lost[side]))
        for name, column in columns.items():
            if name.startswith(f"{side}_") and not name.endswith("_at_ns"):
                column.known &= ~rows
    table.update(columns)
    if beside.ram_pages is not None:
        flushed = columns["flush_pages"]
        whole = flushed.known & (flushed.values >= beside.ram_pages)
        started = whole & (np.array(numbers) == 0) & (whole.sum() == 1)
        table["kind"] = WordColumn.of([CHECKPOINT, START], started.astype(np.int64))


def _by_number(values: Mapping[int, int], numbers: list[int]) -> IntColumn:
    found = [values.get(number) for number in numbers]
    known = np.array([value is not None for value in found], np.bool_)
    return IntColumn(np.array([value or 0 for value in found], np.int64), known)


def _mark_ram(columns: Columns, printed: IntColumn, *, streamed: bool) -> None:
    """Put RAM's end: as printed; or as its flush began; or as VMSTATE_SIZE was read.

    Of staged RAM: as the buffer was filled, or VMSTATE_RECEIVED was sent.
    """
    size = columns["secondary_size_at_ns"]
    if streamed:
        flush = columns["secondary_flush_begin_at_ns"]
        early = IntColumn(flush.values, flush.known & size.known & (flush.values < size.values))
        end = printed.or_else(early).or_else(size)
        columns["secondary_ram_loaded_at_ns"] = end
    else:
        columns["secondary_ram_loaded_at_ns"] = IntColumn.empty(len(size))
        end = columns["secondary_filled_at_ns"].or_else(columns["secondary_received_at_ns"])
    columns["ram_ns"] = end - columns["secondary_vmstate_send_at_ns"]


def _beyond_columns(
    entries: Sequence[Entry], unsure: frozenset[str]
) -> tuple[dict[int, int], dict[str, set[int]]]:
    """Return when RAM was loaded, as printed, by checkpoint; and where a side's clock was lost.

    The latter are checkpoints, for each side of `unsure`.
    """
    loaded: dict[int, int] = {}
    lost: dict[str, set[int]] = {side: set() for side in unsure}
    number = 0
    for time_ns, event, value in entries:
        match event:
            case StreamEnded("secondary", steps.RAM_LOAD) if time_ns != UNKNOWN:
                loaded.setdefault(number, time_ns)
            case CheckpointEnded():
                number = value + 1
        if time_ns == UNKNOWN and isinstance(event, OnSide) and event.side in lost:
            lost[event.side].add(number)
    return loaded, lost
