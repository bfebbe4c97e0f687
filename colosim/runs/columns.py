"""The tables of a run and their columns, the same for a simulated and for a measured run.

Times are integer ns since COLO was entered (of a measured run: since its first request), sizes are
bytes; what a design does not have, or a log does not show, is empty.  ``docs/fields.md`` is
generated from here.
"""

from __future__ import annotations

from typing import Final

from colosim.trace import steps
from colosim.trace.events import PRIMARY, SECONDARY
from colosim.trace.fields import BYTES, NS, NUMBER, PAGES, WORD, Field
from colosim.trace.fields import SLOPE as BYTES_PER_NS
from colosim.trace.purpose import Purpose
from colosim.trace.quantities import (
    CHECKPOINT,
    HOLDS,
    MEANINGS,
    PAUSE,
    SPANS,
    START,
    WIRE_BYTES,
)
from colosim.trace.steps import Kind, Point, Step, step_column

STEPS: Final = tuple((step.side, step.name) for step in steps.STEPS)
"""Steps with a duration, by side and name."""

POINTS: Final = tuple(point.full_name for point in steps.POINTS)
"""Points of one transaction, in the order in which they can come (no design has all)."""

ROWS: Final = {
    "checkpoints": "a transaction that was begun, also if its request could not be sent",
    "memory": "a breakpoint of an account of memory",
    "locks": "a hold of an iothread lock or an attempt at one, in the order of release",
    "messages": "a protocol message or a bulk stream, in the order of sending",
    "events": "an event of the record",
    "requests": "a client's request, as they are over; the table is written with `--requests` only",
}
"""What a row of each table is."""

REQUESTS: Final = "requests"
"""The table that a run has only on demand."""

_UNCOMMITTED: Final = "the checkpoint was not committed"
_NOT_REACHED: Final = "it was not reached"
_NOT_DONE: Final = "the step was not done"


def _spent(step: Step) -> Field:
    function = f", {step.function}() in QEMU" if step.function else ""
    does = {
        Kind.WORKS: f"work of the {step.side}{function}",
        Kind.WRITES: f"from the first byte that the {step.side} writes to the last that is in the "
        "socket buffer",
        Kind.READS: f"from when the {step.side} could begin to read to the last byte read",
        Kind.WAITS: "from the last byte written to VMSTATE_RECEIVED read"
        if step.begin == "sent"
        else f"from `{step.side}_{step.begin}` to `{step.side}_{step.end}`",
    }[step.kind]
    return Field(step_column(step.side, step.name), NS, f"*{step.name}*: {does}", _NOT_DONE)


def _reached(point: Point) -> Field:
    first = "the first of " if len(point.events) > 1 else ""
    first += " and ".join(f"*{event}*" for event in point.events)
    after = f" after *{point.after}*" if point.after else ""
    begins = f"*{point.side}: {point.begins}* begins"
    meaning = point.meaning or (f"{first}{after}" if first else begins)
    return Field(f"{point.full_name}_at_ns", NS, f"when: {meaning}", _NOT_REACHED)


_CHECKPOINTS: Final = (
    Field("checkpoint", NUMBER, "its number, from 0"),
    Field("outcome", WORD, "how it ended", words=("committed", "aborted", "unfinished")),
    Field(
        "kind",
        WORD,
        "COLO's start, where it is of a kind of its own (see `start_pause_ns` of the summary), or "
        "a checkpoint as all; of a real run as its log shows that flush, if its guest's RAM is "
        "known",
        words=(START, CHECKPOINT),
    ),
    Field("dirty_pages", PAGES, "pages that the primary found dirty", "they were not counted"),
    Field("flush_pages", PAGES, "pages flushed from the RAM cache into guest RAM", _NOT_DONE),
    Field("run_before_ns", NS, "how long the guest had run when it was stopped", "it was not"),
    *(
        Field(name, NS, MEANINGS[name], "it was not stopped" if name == PAUSE else _UNCOMMITTED)
        for name in SPANS
    ),
    *(
        Field(name, NS, MEANINGS["lock_hold_ns"].replace("a side's", f"the {side}'s"), "none ended")
        for side, name in HOLDS.items()
    ),
    Field(WIRE_BYTES, BYTES, MEANINGS[WIRE_BYTES], "nothing was sent"),
    Field("staging_buffer_content_bytes", BYTES, "state that the primary staged", "it staged none"),
    Field(
        "staging_buffer_capacity_bytes",
        BYTES,
        "capacity of the primary's staging buffer at the end of the checkpoint",
        "the buffer is not there yet, or never",
    ),
    *map(_spent, steps.STEPS),
    *map(_reached, steps.POINTS),
)

TABLE_FIELDS: Final = {
    "checkpoints": _CHECKPOINTS,
    "memory": (
        Field("time_ns", NS, "when the level changes"),
        Field("side", WORD, "whose memory it is", words=(PRIMARY, SECONDARY)),
        Field(
            "account", WORD, "which account; a design may have its own", words=(*steps.ACCOUNTS,)
        ),
        Field("level_bytes", BYTES, "the level then"),
        Field(
            "slope_bytes_per_ns",
            BYTES_PER_NS,
            "its slope: the level is `level_bytes + slope_bytes_per_ns * (t - time_ns)` until the "
            "account's next row",
        ),
    ),
    "locks": (
        Field("side", WORD, "whose iothread lock it is", words=(PRIMARY, SECONDARY)),
        Field("thread", WORD, "the thread that holds it or wants it"),
        Field("purpose", WORD, "what for", words=tuple(Purpose)),
        Field("wanted_ns", NS, "when it wanted it; `got_ns` if it was free"),
        Field("got_ns", NS, "when it got it", "it never did"),
        Field("released_ns", NS, "when it gave it back", "it never did"),
        Field(
            "held_ns",
            NS,
            "for how long it had it; if it never gave it back, to the end of the run, or to where "
            "its process froze for good",
            "it never got it",
        ),
    ),
    "messages": (
        Field("checkpoint", NUMBER, "in which checkpoint it was sent, from 0"),
        Field("name", WORD, "the message, or the step that writes the stream"),
        Field("from", WORD, "who sends it", words=(PRIMARY, SECONDARY)),
        Field("to", WORD, "who receives it", words=(PRIMARY, SECONDARY)),
        Field("sent_ns", NS, "when its first byte was to be written"),
        Field("written_ns", NS, "when its last byte was in the sender's socket buffer", "never"),
        Field("received_ns", NS, "when its last byte was read", "never"),
        Field("bytes", BYTES, "its size"),
    ),
    "events": (
        Field("time_ns", NS, "when it happened"),
        Field("event", WORD, "what happened, in words"),
        Field("value", NUMBER, "a number whose meaning the kind of event says (see *Events*)"),
    ),
    REQUESTS: (
        Field("request", NUMBER, "its number, from 0"),
        Field("connection", NUMBER, "whose connection, from 0"),
        Field("sent_ns", NS, "when its client sent it"),
        Field("answered_ns", NS, "when the answer was at the client", "it never was"),
        Field("latency_ns", NS, "from the one to the other", "it was never answered"),
        Field("met_pause", NUMBER, "1 if it was under way while the primary's guest was stopped"),
        Field(
            "met_forced", NUMBER, "1 if so at a checkpoint that the comparison of outputs forced"
        ),
    ),
}
"""The columns of each table, in their order."""

COLUMNS: Final = {
    table: tuple(field.name for field in fields)
    for table, fields in TABLE_FIELDS.items()
    if table != REQUESTS
}
"""The names of the columns of each table that every run has."""
REQUEST_COLUMNS: Final = tuple(field.name for field in TABLE_FIELDS[REQUESTS])
TABLES: Final = tuple(COLUMNS)

_ALL: Final = [field for fields in TABLE_FIELDS.values() for field in fields]
TEXT: Final = frozenset(field.name for field in _ALL if field.unit == WORD)
"""Columns that hold words; all others hold integers, but for `SLOPE`."""

(SLOPE,) = (field.name for field in _ALL if field.unit == BYTES_PER_NS)
"""The one column of real numbers."""


def checkpoint_columns(own_steps: tuple[tuple[str, str], ...] = ()) -> tuple[str, ...]:
    """Return the columns of ``checkpoints``, with those of a design's own steps at the end."""
    known = COLUMNS["checkpoints"]
    own = dict.fromkeys(step_column(side, step) for side, step in own_steps)
    return (*known, *(column for column in own if column not in known))
