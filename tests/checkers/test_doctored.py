"""Checkers on a record that somebody has tampered with, also where every checkpoint is alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colosim.trace.record import code_of
from tests.checkers.wrong_designs import Wrong, run_of

if TYPE_CHECKING:
    from colosim.checkers import Checks, Violation

Chunk = list[int]


def chunks_of_a_quiet_run() -> tuple[Checks, list[Chunk]]:
    """Return fresh checkers and the chunks of a run without a fault, one a checkpoint."""
    seen: list[Chunk] = []
    run = run_of(Wrong, prepare=lambda run: run.record.sinks.append(lambda c: seen.append(list(c))))
    assert run.simulation is not None
    return run.simulation.check(), seen


def watch(checks: Checks, chunks: list[Chunk]) -> Violation | None:
    """Feed all chunks."""
    for chunk in chunks:
        checks.feed(chunk)
    return checks.violation


def place(chunk: Chunk, name: str) -> int:
    """Return where an event stands in a chunk."""
    return chunk[1::3].index(code_of(name)) * 3


def test_an_untouched_record_breaks_no_rule() -> None:
    """The chunks of a quiet run pass, and so does the state at its end."""
    checks, chunks = chunks_of_a_quiet_run()
    assert watch(checks, chunks) is None
    checks.finish(0)
    assert checks.violation is None


@pytest.mark.parametrize("checkpoint", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("event", "rule"),
    [
        ("secondary: receives VMSTATE_SEND", "bytes are kept"),
        ("secondary: RAM load ends", "bytes are kept"),
        ("primary: RAM stream ends", "bytes are kept"),
        ("checkpoint committed", "checkpoints go forward"),
    ],
)
def test_a_changed_value_is_seen_in_whichever_checkpoint(
    event: str, rule: str, checkpoint: int
) -> None:
    """A byte too few, or a number that was there before, is seen though the events are alike."""
    checks, chunks = chunks_of_a_quiet_run()
    chunk = chunks[checkpoint]
    chunk[place(chunk, event) + 2] -= 1 if "commit" not in event else 4
    violation = watch(checks, chunks)
    assert violation is not None
    assert violation.rule == rule
    assert violation.at is not None
    assert str(violation.events[violation.at][1]) == event


@pytest.mark.parametrize("checkpoint", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("event", "rule"),
    [
        ("primary: iothread lock released by checkpoint thread for save", "one owner of the lock"),
        ("primary: sends CHECKPOINT_REQUEST", "bytes are kept"),
        ("primary: receives VMSTATE_LOADED", "output commit"),
        ("secondary: device load", "output commit"),
    ],
)
def test_a_missing_event_is_seen_in_whichever_checkpoint(
    event: str, rule: str, checkpoint: int
) -> None:
    """Without a release, a message or a load, what follows breaks a rule."""
    checks, chunks = chunks_of_a_quiet_run()
    at = place(chunks[checkpoint], event)
    del chunks[checkpoint][at : at + 3]
    if "lock" in event and checkpoint == 3:
        chunks.append(chunks[2])
    violation = watch(checks, chunks)
    assert violation is not None
    assert violation.rule == rule


def test_a_repeated_chunk_is_no_new_checkpoint() -> None:
    """The same checkpoint twice goes back in its number."""
    checks, chunks = chunks_of_a_quiet_run()
    violation = watch(checks, [*chunks, chunks[-1]])
    assert violation is not None
    assert violation.rule == "checkpoints go forward"


def test_the_state_at_the_end_is_held_against_what_was_watched() -> None:
    """A secondary whose marks run ahead of all that was sent breaks a rule at the end."""
    checks, chunks = chunks_of_a_quiet_run()
    watch(checks, chunks)
    checks.checkers[0].pair.secondary.cache_epoch = 99
    checks.finish(7)
    violation = checks.violation
    assert violation is not None
    assert (violation.rule, violation.at_ns) == ("checkpoints go forward", 7)
