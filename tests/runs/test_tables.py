"""Tables as projections of the event record.

Runs stand here as Any: the overloads of pandas-stubs cost mypy minutes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from colosim.designs.messages import SIZE_AFTER_RAM
from colosim.runs.columns import COLUMNS, POINTS, STEPS, checkpoint_columns
from colosim.runs.run import Run, simulate
from colosim.runs.tables import rows_of
from tests.designs.own import CHECKPOINTING, COLO, Compressing

if TYPE_CHECKING:
    from colosim.scenario import Scenario


@pytest.mark.parametrize("design", CHECKPOINTING)
def test_the_columns_are_the_same_in_every_design(plain: Scenario, design: str) -> None:
    """Each design's tables have the same columns, in the same order."""
    run = simulate(plain, design)
    tables = {name: tuple(getattr(run, name).columns) for name in COLUMNS}
    assert tables == COLUMNS


def test_points_and_steps_have_their_columns() -> None:
    """Every point and every step has a column, and no column stands twice."""
    columns = checkpoint_columns()
    assert len(set(columns)) == len(columns)
    assert {f"{point}_at_ns" for point in POINTS} <= set(columns)
    assert len([name for name in columns if name.endswith("_ns")]) > len(STEPS) + len(POINTS)


@pytest.mark.parametrize("design", COLO)
def test_checkpoints_agree_with_the_summary(plain: Scenario, design: str) -> None:
    """The medians of the table's rows after the warm-up are those of the summary."""
    run: Any = simulate(plain, design)
    # The timer of `qemu-5.1` lets the next checkpoint begin at the very end.
    committed = run.checkpoints[run.checkpoints.outcome == "committed"]
    rows = committed[committed.checkpoint >= plain.warmup]
    summary = run.summary
    expected = {
        "pause_ns": summary["pause_ns"],
        "transaction_ns": summary["transaction_ns"],
        "ram_ns": summary["ram_ns"],
        "lock_hold_primary_ns": summary["lock_hold_ns"]["primary"],
        "lock_hold_secondary_ns": summary["lock_hold_ns"]["secondary"],
        "wire_bytes": summary["wire_bytes_per_checkpoint"],
    }
    found = {name: sorted(rows[name])[(len(rows) - 1) // 2] for name in expected}
    assert found == {name: part["p50"] for name, part in expected.items()}
    assert len(committed) == summary["checkpoints"]["completed"]
    assert run.checkpoints.wire_bytes.sum() == summary["wire_bytes"]


CHAINS = (
    "primary: request reply stopped lock_taken lock_free received loaded resumed",
    "secondary: request reply vmstate_send size filled lock_taken lock_free loaded",
)


@pytest.mark.parametrize("design", COLO)
@pytest.mark.parametrize("chain", CHAINS)
def test_points_come_in_order(plain: Scenario, design: str, chain: str) -> None:
    """On each side the points that every design of COLO has follow one another in time."""
    run: Any = simulate(plain, design)
    row = run.checkpoints.iloc[3]
    side, _, points = chain.partition(": ")
    times = [int(row[f"{side}_{point}_at_ns"]) for point in points.split()]
    assert times == sorted(times)


def test_stages_of_the_old_design_and_the_split(plain: Scenario) -> None:
    """The old design stages the whole vmstate; the split streams RAM while it holds the lock."""
    runs: list[Any] = [simulate(plain, design) for design in ("qsb", "split")]
    old, new = (run.checkpoints.iloc[-1] for run in runs)
    assert old.primary_vmstate_save_ns > 0
    assert old.primary_ram_stream_ns > 0
    assert old.primary_sent_at_ns > old.primary_lock_free_at_ns
    assert old.staging_buffer_content_bytes > 3000 * 4104
    assert str(new.primary_vmstate_save_ns) == "<NA>"
    assert new.primary_ram_sent_at_ns < new.primary_lock_free_at_ns
    assert new.lock_hold_primary_ns > new.primary_ram_stream_ns > 0
    assert new.staging_buffer_capacity_bytes == 4 << 20
    assert new.pause_ns == new.primary_resumed_at_ns - new.primary_stopped_at_ns


def test_every_message_arrives_after_it_was_sent(plain: Scenario) -> None:
    """Without a fault each message and each stream is received, later than sent."""
    run: Any = simulate(plain, "split")
    messages = run.messages
    assert not messages.received_ns.isna().any()
    assert (messages.received_ns >= messages.written_ns).all()
    assert (messages.written_ns >= messages.sent_ns).all()
    assert messages.sent_ns.is_monotonic_increasing
    first = messages[messages.checkpoint == 0]
    assert list(first["name"]) == [
        "CHECKPOINT_REQUEST",
        "CHECKPOINT_REPLY",
        "VMSTATE_SEND",
        "QEMU_VM_SECTION_START",
        "RAM stream",
        "RAM tail",
        "VMSTATE_SIZE",
        "device stream",
        "VMSTATE_RECEIVED",
        "VMSTATE_LOADED",
    ]


def test_a_hang_leaves_its_hold_and_its_stream_open(frozen: Scenario) -> None:
    """A hung run's last hold has no release, its stream no end, its checkpoint no outcome.

    The hold and the pause are as long as the run goes on.
    """
    run: Any = simulate(frozen, "split")
    hold = run.locks[run.locks.released_ns.isna() & ~run.locks.got_ns.isna()]
    assert hold[["side", "thread", "purpose"]].to_numpy().tolist() == [
        ["primary", "checkpoint thread", "save"]
    ]
    assert hold.held_ns.tolist() == [run.summary["end_ns"] - hold.got_ns.iloc[0]]
    waiting = run.locks[run.locks.got_ns.isna()]
    assert list(waiting.thread) == ["main loop"]
    stream = run.messages.iloc[-1]
    assert stream["name"] == "RAM stream"
    assert stream["checkpoint"] == 2
    assert str(stream["received_ns"]) == "<NA>"
    last = run.checkpoints.iloc[-1]
    assert last.outcome == "unfinished"
    assert last.pause_ns == run.summary["end_ns"] - last.primary_stopped_at_ns
    assert str(last.primary_resumed_at_ns) == "<NA>"


def test_holds_are_as_long_as_they_say(plain: Scenario) -> None:
    """A hold's length is its release less its begin, and never below zero."""
    run: Any = simulate(plain, "qemu-5.1")
    locks = run.locks
    assert (locks.held_ns == locks.released_ns - locks.got_ns).all()
    assert (locks.got_ns >= locks.wanted_ns).all()


def test_a_designs_own_steps_are_columns(plain: Scenario) -> None:
    """A step that only a user's design has becomes a column behind the others."""
    run: Any = simulate(plain, Compressing)
    assert tuple(run.checkpoints.columns) == (
        *COLUMNS["checkpoints"],
        "primary_compress_pages_ns",
    )
    assert list(run.checkpoints.primary_compress_pages_ns) == [1500] * 4


def test_events_are_the_record(plain: Scenario) -> None:
    """The table of events has each event of the record, in order."""
    run: Any = simulate(plain, "flat")
    table = run.events
    assert list(zip(table.time_ns, table.event, table.value, strict=True)) == [
        (at_ns, str(event), value) for at_ns, event, value in run.iter_events()
    ]


@pytest.mark.parametrize("design", CHECKPOINTING)
def test_tables_can_be_asked_for_again(frozen: Scenario, design: str) -> None:
    """Tables are the same whenever they are asked for, and asking changes no digest."""
    run: Any = simulate(frozen, design)
    first = {name: list(rows_of(table)) for name, table in run.tables.items()}
    again: Any = Run(frozen, run.summary, simulation=run.simulation)
    assert {name: list(rows_of(again.tables[name])) for name in ("checkpoints", "locks")} == {
        name: first[name] for name in ("checkpoints", "locks")
    }
    assert run.simulation.record.digest == run.digest


@pytest.mark.parametrize("design", CHECKPOINTING)
def test_slopes_lead_to_the_next_breakpoint(plain: Scenario, design: str) -> None:
    """Just before a socket buffer's next breakpoint its line is there, within its rounding."""
    run: Any = simulate(plain, design)
    memory = run.memory
    rows = memory[memory.account.str.startswith("socket")]
    assert not rows.empty
    for _, part in rows.groupby(["side", "account"]):
        levels = list(part.itertuples())
        for row, after in pairwise(levels):
            if after.time_ns == row.time_ns:
                continue
            reached = row.level_bytes + row.slope_bytes_per_ns * (after.time_ns - row.time_ns)
            # A message enters and leaves at once.
            rounding = 3 + SIZE_AFTER_RAM.size_bytes + abs(row.slope_bytes_per_ns)
            assert abs(reached - after.level_bytes) < rounding
        assert levels[-1].level_bytes == 0
