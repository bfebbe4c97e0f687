"""Tables as projections of the event record, row by row as the record grows.

`Projection` reads closed chunks of events and hands finished rows to `write`; it keeps only what is
not finished, so a long run can be written to disk in constant memory.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from colosim.engine.record import code_of, name_of
from colosim.runs.columns import STEPS, checkpoint_columns, step_column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from colosim.runs.levels import SocketLevels

    Write = Callable[[str, Sequence[Any]], None]
    Handler = Callable[[int, int], None]

__all__ = ["ABORTED", "COMMITTED", "Projection"]

COMMITTED: Final = code_of("checkpoint committed")
ABORTED: Final = code_of("checkpoint aborted")

_LOCK = re.compile(r"iothread lock (wanted|got|released) by (.+) for (.+)")
_SIDES: Final = {"primary": "secondary", "secondary": "primary"}
_SAVING: Final = {"primary": ("save",), "secondary": ("load", "receive")}
_WAITS: Final = {"handshake", "received wait", "loaded wait"}

_AT: Final = {
    ("primary", "receives CHECKPOINT_REPLY"): "primary_reply",
    ("primary", "guest stopped"): "primary_stopped",
    ("primary", "sends VMSTATE_SEND"): "primary_vmstate_send",
    ("primary", "sends VMSTATE_SIZE"): "primary_size_sent",
    ("primary", "receives VMSTATE_RECEIVED"): "primary_received",
    ("primary", "receives VMSTATE_LOADED"): "primary_loaded",
    ("primary", "guest running"): "primary_resumed",
    ("primary", "bitmap sync"): "primary_synced",
    ("secondary", "receives CHECKPOINT_REQUEST"): "secondary_request",
    ("secondary", "guest stopped"): "secondary_stopped",
    ("secondary", "sends CHECKPOINT_REPLY"): "secondary_reply",
    ("secondary", "receives VMSTATE_SEND"): "secondary_vmstate_send",
    ("secondary", "receives VMSTATE_SIZE"): "secondary_size",
    ("secondary", "vmstate fill ends"): "secondary_filled",
    ("secondary", "device fill ends"): "secondary_filled",
    ("secondary", "sends VMSTATE_RECEIVED"): "secondary_received",
    ("secondary", "reset"): "secondary_reset",
    ("secondary", "cache flush"): "secondary_flush_end",
    ("secondary", "guest running"): "secondary_resumed",
    ("secondary", "sends VMSTATE_LOADED"): "secondary_loaded",
}
"""Events that mark a point as they are."""
_LOCK_AT: Final = {
    ("primary", "wanted", "save"): "primary_lock_wanted",
    ("primary", "got", "save"): "primary_lock_taken",
    ("primary", "released", "save"): "primary_lock_free",
    ("secondary", "got", "load"): "secondary_lock_taken",
    ("secondary", "released", "load"): "secondary_lock_free",
}


class Projection:
    """Turns one run's events into rows.

    `own_steps`: the steps (side, name) that a design has besides `columns.STEPS`.
    """

    def __init__(
        self,
        write: Write,
        *,
        levels: SocketLevels | None = None,
        own_steps: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self._write = write
        self._levels = levels
        self._memory: list[tuple[int, str, str, int, float]] = []
        self._checkpoints = _Checkpoints(write, own_steps)
        self._locks = _Locks(write)
        self._messages = _Messages(write)
        self._handlers: dict[int, tuple[str, tuple[Handler, ...]]] = {}

    def feed(self, events: Sequence[int]) -> None:
        """Take a closed chunk of the record, flat: time, code, value, time, ..."""
        handlers = self._handlers
        write = self._write
        flat = iter(events)
        at_ns = 0
        for at_ns, code, value in zip(flat, flat, flat, strict=True):
            known = handlers.get(code)
            if known is None:
                known = handlers[code] = self._learn(name_of(code))
            name, own = known
            write("events", (at_ns, name, value))
            for handler in own:
                handler(at_ns, value)
        self._write_memory(at_ns)

    def finish(self, end_ns: int) -> None:
        """Write what the end of the run left open."""
        self._checkpoints.finish()
        self._locks.finish()
        self._messages.finish()
        self._write_memory(end_ns, final=True)

    def _write_memory(self, until_ns: int, *, final: bool = False) -> None:
        rows: list[Any] = self._memory
        self._memory = []
        if self._levels is not None:
            rows += self._levels.drain(until_ns, final=final)
        for row in sorted(rows, key=lambda row: row[0]):
            self._write("memory", row)

    def _learn(self, name: str) -> tuple[str, tuple[Handler, ...]]:
        """Return what an event of this name concerns, once."""
        side, _, what = name.partition(": ")
        found: list[Handler | None] = []
        if side in _SIDES:
            if what.startswith("memory "):
                found.append(self._held_level(side, what.removeprefix("memory ")))
            found += (
                self._locks.handler(side, what),
                self._messages.handler(side, what),
                *self._checkpoints.handlers(side, what),
            )
        elif name in {name_of(COMMITTED), name_of(ABORTED)}:
            outcome = name.rpartition(" ")[2]
            found += (self._checkpoints.closer(outcome), self._messages.closed)
        return name, tuple(handler for handler in found if handler is not None)

    def _held_level(self, side: str, account: str) -> Handler:
        def held(at_ns: int, value: int) -> None:
            self._memory.append((at_ns, side, account, value, 0.0))

        return held


class _Checkpoints:
    """Rows of ``checkpoints``."""

    def __init__(self, write: Write, own_steps: tuple[tuple[str, str], ...]) -> None:
        self._write = write
        self._columns = checkpoint_columns(own_steps)
        self._steps = {key for key in (*STEPS, *own_steps) if key[1] not in _WAITS}
        self._row: dict[str, Any] | None = None
        self._number = 0
        self._begun: dict[tuple[str, str], int] = {}
        self._last_ns = dict.fromkeys(_SIDES, 0)
        self._written_ns = 0
        self._capacity: int | None = None

    # ---- what an event means -------------------------------------------------------------------

    def handlers(self, side: str, what: str) -> list[Handler]:
        """Return what to do with an event of `side`."""
        found: list[Handler] = []
        if side == "primary":
            found += self._of_primary(what)
        elif what == "flushed pages":
            found.append(self._put("flush_pages"))
        point = _AT.get((side, what))
        if point is not None:
            found.append(self._point(point))
        found += self._of_step(side, what)
        lock = _LOCK.fullmatch(what)
        if lock is not None:
            found += self._of_lock(side, lock)
        if (side, what) == ("secondary", "receives VMSTATE_SIZE"):
            found.append(self._ram_section_over)
        if what.startswith(("sends ", "receives ")):
            found.append(self._acts(side))
        return found

    def _of_primary(self, what: str) -> list[Handler]:
        if what == "sends CHECKPOINT_REQUEST":
            return [self._open, self._add("wire_bytes")]
        found: list[Handler] = []
        if what.startswith("sends ") or what.endswith(" begins"):
            found.append(self._add("wire_bytes"))
        keep = {
            "dirty pages": "dirty_pages",
            "staged": "staging_buffer_content_bytes",
            "guest stopped": "run_before_ns",
        }.get(what)
        if keep is not None:
            found.append(self._put(keep))
        if what == "memory staging_buffer":
            found.append(self._grown)
        if what in {"staged", "RAM stream ends"}:
            found.append(self._saved)
        if what in {"RAM stream ends", "device stream ends"}:
            found.append(self._sent(what))
        return found

    def _of_step(self, side: str, what: str) -> list[Handler]:
        """Durations: of work the event's value, of a stream from begin to end."""
        if (side, what) in self._steps:
            found = [self._work(side, what)]
            if (side, what) == ("primary", "bitmap sync"):
                found.append(self._begin_point("primary_sync_begin"))
            if (side, what) == ("secondary", "cache flush"):
                found.append(self._begin_point("secondary_flush_begin"))
            return found
        if what.endswith(" begins"):
            return [self._begins(side, what.removesuffix(" begins"))]
        if what.endswith(" ends"):
            return [self._ends(side, what.removesuffix(" ends"))]
        return []

    def _of_lock(self, side: str, lock: re.Match[str]) -> list[Handler]:
        kind, thread, purpose = lock.groups()
        found: list[Handler] = []
        point = _LOCK_AT.get((side, kind, purpose))
        if point is not None:
            found.append(self._point(point))
        if point == "primary_lock_taken":
            found.append(self._point("primary_lock_wanted"))
        if kind == "released" and purpose in _SAVING[side]:
            found.append(self._longest(f"lock_hold_{side}_ns"))
        if kind == "got" and thread != "main loop":
            found.append(self._acts(side))
        return found

    # ---- small handlers ------------------------------------------------------------------------

    def _put(self, column: str) -> Handler:
        def put(_at_ns: int, value: int) -> None:
            if self._row is not None:
                self._row[column] = value

        return put

    def _add(self, column: str) -> Handler:
        def add(_at_ns: int, value: int) -> None:
            if self._row is not None:
                self._row[column] = self._row.get(column, 0) + value

        return add

    def _longest(self, column: str) -> Handler:
        def longest(_at_ns: int, value: int) -> None:
            if self._row is not None:
                self._row[column] = max(value, self._row.get(column, 0))

        return longest

    def _point(self, name: str) -> Handler:
        column = f"{name}_at_ns"

        def point(at_ns: int, _value: int) -> None:
            if self._row is not None:
                self._row.setdefault(column, at_ns)

        return point

    def _begin_point(self, name: str) -> Handler:
        column = f"{name}_at_ns"

        def point(at_ns: int, value: int) -> None:
            if self._row is not None:
                self._row.setdefault(column, at_ns - value)

        return point

    def _acts(self, side: str) -> Handler:
        def acts(at_ns: int, _value: int) -> None:
            self._last_ns[side] = at_ns

        return acts

    def _work(self, side: str, step: str) -> Handler:
        column = step_column(side, step)

        def work(at_ns: int, value: int) -> None:
            self._last_ns[side] = at_ns
            if self._row is not None:
                self._row[column] = self._row.get(column, 0) + value

        return work

    def _begins(self, side: str, step: str) -> Handler:
        def begins(at_ns: int, _value: int) -> None:
            self._begun[side, step] = at_ns

        return begins

    def _ends(self, side: str, step: str) -> Handler:
        add = self._add(step_column(side, step))

        def ends(at_ns: int, _value: int) -> None:
            # A reader's stream has begun when its thread last did something else.
            begun = self._begun.pop((side, step), self._last_ns[side])
            self._last_ns[side] = at_ns
            add(at_ns, at_ns - begun)
            if (side, step) == ("secondary", "RAM load") and self._row is not None:
                self._row["ram section"] = at_ns

        return ends

    def _sent(self, what: str) -> Handler:
        """RAM is sent on its own before the size, and as part of the staged vmstate after it."""

        def sent(at_ns: int, _value: int) -> None:
            self._written_ns = at_ns
            if self._row is None:
                return
            staged = what == "device stream ends" or "primary_size_sent_at_ns" in self._row
            self._row.setdefault(
                "primary_sent_at_ns" if staged else "primary_ram_sent_at_ns", at_ns
            )

        return sent

    def _saved(self, at_ns: int, _value: int) -> None:
        if self._row is not None and "primary_lock_free_at_ns" not in self._row:
            self._row["primary_saved_at_ns"] = at_ns

    def _ram_section_over(self, at_ns: int, _value: int) -> None:
        """Streamed RAM is loaded once its end mark is there, which comes along with the size."""
        if self._row is not None and self._row.pop("ram section", None) is not None:
            self._row.setdefault("secondary_ram_loaded_at_ns", at_ns)

    def _grown(self, _at_ns: int, value: int) -> None:
        self._capacity = value
        self._put("staging_buffer_capacity_bytes")(0, value)

    # ---- rows ----------------------------------------------------------------------------------

    def _open(self, at_ns: int, _value: int) -> None:
        if self._row is not None:
            self._close("unfinished")
        self._row = {
            "checkpoint": self._number,
            "primary_request_at_ns": at_ns,
            "staging_buffer_capacity_bytes": self._capacity,
        }

    def closer(self, outcome: str) -> Handler:
        """Return what closes a row with this outcome."""

        def close(_at_ns: int, checkpoint: int) -> None:
            self._number = checkpoint + 1
            self._close(outcome)

        return close

    def finish(self) -> None:
        """Close the row that the end of the run left open."""
        self._close("unfinished")

    def _close(self, outcome: str) -> None:
        row, self._row = self._row, None
        if row is None:
            return
        row["outcome"] = outcome
        _between(row, "primary_handshake_ns", "primary_request", "primary_reply")
        _between(row, "primary_loaded_wait_ns", "primary_received", "primary_loaded")
        received = row.get("primary_received_at_ns")
        if received is not None and self._written_ns >= row["primary_request_at_ns"]:
            row["primary_received_wait_ns"] = received - self._written_ns
        if outcome == "committed":
            _between(row, "pause_ns", "primary_stopped", "primary_resumed")
            _between(row, "transaction_ns", "primary_request", "primary_resumed")
            ram = "ram_loaded" if "secondary_ram_loaded_at_ns" in row else "filled"
            _between(row, "ram_ns", "secondary_vmstate_send", f"secondary_{ram}")
        self._write("checkpoints", [row.get(column) for column in self._columns])


def _between(row: dict[str, Any], column: str, begin: str, end: str) -> None:
    begun, ended = row.get(f"{begin}_at_ns"), row.get(f"{end}_at_ns")
    if begun is not None and ended is not None:
        row[column] = ended - begun


class _Locks:
    """Rows of ``locks``."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._wanted: dict[tuple[str, str, str], int] = {}
        self._got: dict[tuple[str, str, str], tuple[int, int]] = {}

    def handler(self, side: str, what: str) -> Handler | None:
        """Return what to do with an event of `side`, if it is one of its lock."""
        lock = _LOCK.fullmatch(what)
        if lock is None:
            return None
        kind, thread, purpose = lock.groups()
        key = (side, thread, purpose)

        def wanted(at_ns: int, _value: int) -> None:
            self._wanted[key] = at_ns

        def got(at_ns: int, _value: int) -> None:
            self._got[key] = (self._wanted.pop(key, at_ns), at_ns)

        def released(at_ns: int, value: int) -> None:
            since, taken = self._got.pop(key, (at_ns - value, at_ns - value))
            self._write("locks", (*key, since, taken, at_ns, value))

        return {"wanted": wanted, "got": got, "released": released}[kind]

    def finish(self) -> None:
        """Write holds and waits that never ended."""
        for key, (since, taken) in self._got.items():
            self._write("locks", (*key, since, taken, None, None))
        for key, since in self._wanted.items():
            self._write("locks", (*key, since, None, None, None))


class _Messages:
    """Rows of ``messages``, in the order of sending."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._number = 0
        # checkpoint, name, from, to, sent, written, received, bytes
        self._sent: deque[list[Any]] = deque()
        self._streams = {side: _Streams() for side in _SIDES}

    def handler(self, side: str, what: str) -> Handler | None:
        """Return what to do with an event of `side`, if it is one of a message or a stream."""
        verb, _, name = what.partition(" ")
        if verb == "sends":
            return self._sends(side, name)
        if verb == "receives":
            return self._receives(_SIDES[side], name)
        if what.endswith(" begins"):
            return self._begins(side, what.removesuffix(" begins"))
        if what.endswith(" ends"):
            return self._ends(side, what.removesuffix(" ends"))
        return None

    def _sends(self, side: str, name: str) -> Handler:
        def sends(at_ns: int, value: int) -> None:
            row = [self._number, name, side, _SIDES[side], at_ns, at_ns, None, value]
            self._sent.append(row)

        return sends

    def _receives(self, sender: str, name: str) -> Handler:
        def receives(at_ns: int, _value: int) -> None:
            for row in self._sent:
                if row[6] is None and row[1] == name and row[2] == sender:
                    row[6] = at_ns
                    break
            self._flush()

        return receives

    def _begins(self, side: str, step: str) -> Handler:
        streams = self._streams[side]

        def begins(at_ns: int, value: int) -> None:
            row = [self._number, step, side, _SIDES[side], at_ns, None, None, value]
            self._sent.append(row)
            streams.begin(row)

        return begins

    def _ends(self, side: str, step: str) -> Handler:
        outgoing, incoming = self._streams[side], self._streams[_SIDES[side]]

        def ends(at_ns: int, _value: int) -> None:
            if not outgoing.written(step, at_ns):
                incoming.read(at_ns)
            self._flush()

        return ends

    def closed(self, _at_ns: int, checkpoint: int) -> None:
        """Count the transaction that has ended."""
        self._number = checkpoint + 1

    def _flush(self) -> None:
        sent = self._sent
        while sent and sent[0][5] is not None and sent[0][6] is not None:
            self._write("messages", sent.popleft())

    def finish(self) -> None:
        """Write what was never received."""
        for row in self._sent:
            self._write("messages", row)
        self._sent.clear()


class _Streams:
    """The bulk streams that one side writes; each is read whole by one read of the peer's."""

    def __init__(self) -> None:
        self._writing: list[list[Any]] = []
        self._unread: deque[list[Any]] = deque()

    def begin(self, row: list[Any]) -> None:
        """Take a stream that begins to be written."""
        self._writing.append(row)
        self._unread.append(row)

    def written(self, step: str, at_ns: int) -> bool:
        """Note the end of a write; False if this side writes no such stream."""
        for row in self._writing:
            if row[1] == step:
                row[5] = at_ns
                self._writing.remove(row)
                return True
        return False

    def read(self, at_ns: int) -> None:
        """Note that the peer has read the first stream that it had not."""
        if self._unread:
            self._unread.popleft()[6] = at_ns
