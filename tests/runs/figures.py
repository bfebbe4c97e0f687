"""What a summary says, worked out once more from the tables."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from colosim.runs.statistics import Quantiles
from colosim.runs.tables import rows_of
from colosim.trace.events import COMMITTED, CheckpointEnded, LockReleased, ProcessChanged
from colosim.trace.purpose import Purpose
from colosim.trace.quantities import REQUEST
from tests.runs.serving import by_the_events, hold_time_to_guest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colosim.runs.run import Run

    Row = dict[str, Any]

SIDES = ("primary", "secondary")
MOMENTS = (
    "time_ns", "wanted_ns", "got_ns", "released_ns", "sent_ns", "written_ns", "received_ns",
)  # fmt: skip


def rows(run: Run, table: str) -> list[Row]:
    """Return a table row by row."""
    columns = run.tables[table]
    return [dict(zip(columns, row, strict=True)) for row in rows_of(columns)]


def quantiles(values: list[int]) -> dict[str, int]:
    """Return what a summary says of some values."""
    found = Quantiles()
    found.add(values)
    return found.summary()


def held_ns(run: Run) -> Iterator[tuple[str, Purpose, int, bool]]:
    """Yield each hold of a lock: whose, for what, how long, and whether it is open at the end.

    An open one lasts to the end of the run, or until its process was frozen for good.
    """
    until_ns = dict.fromkeys(SIDES, run.summary["end_ns"])
    for at_ns, event, _ in run.iter_events():
        match event:
            case ProcessChanged(side, "frozen"):
                until_ns[side] = at_ns
            case ProcessChanged(side, "thawed"):
                until_ns[side] = run.summary["end_ns"]
    for row in rows(run, "locks"):
        if row["got_ns"] is not None:
            is_open = row["released_ns"] is None
            ends_ns = until_ns[row["side"]] if is_open else row["released_ns"]
            assert row["held_ns"] == ends_ns - row["got_ns"]
            yield row["side"], Purpose(row["purpose"]), row["held_ns"], is_open


def deaf_ns(run: Run, sides: tuple[str, ...]) -> Iterator[int]:
    """Yield for each committed checkpoint how long the monitor of one of `sides` was deaf at most.

    That is the longest hold that ended in it and served no command.
    """
    longest: int | None = None
    first = max(run.scenario.warmup, "start_pause_ns" in run.summary)
    for _, event, value in run.iter_events():
        match event:
            case LockReleased(side, _, purpose) if side in sides and purpose != "monitor":
                longest = None if longest is None else max(longest, value)
            case CheckpointEnded(outcome):
                if longest is not None and outcome == COMMITTED and value >= first:
                    yield longest
                longest = None
        if event == REQUEST:
            longest = 0


def by_the_tables(run: Run) -> dict[str, Any]:
    """Return the figures of a summary that its tables have, too, peaks apart."""
    checkpoints = rows(run, "checkpoints")
    outcomes = [row["outcome"] for row in checkpoints]
    committed = [row for row in checkpoints if row["outcome"] == "committed"]
    first = max(run.scenario.warmup, *(row["kind"] == "start" for row in checkpoints), 0)
    warm = [row for row in committed if row["checkpoint"] >= first]
    holds = list(held_ns(run))
    heard = SIDES if run.survivor is None else (run.survivor,)

    deaf = [held for side, purpose, held, _ in holds if side in heard and purpose != "monitor"]
    open_deaf = [
        held
        for side, purpose, held, is_open in holds
        if side in heard and purpose != "monitor" and is_open
    ]
    pauses = [row["pause_ns"] for row in checkpoints if row["checkpoint"] >= first]

    def of(column: str, side: str = "") -> dict[str, int]:
        values = [row[column] for row in warm if row[column] is not None]
        at_the_end = [
            held
            for by, purpose, held, is_open in holds
            if by == side and is_open and purpose.moves_state
        ]
        return quantiles(values + at_the_end)

    return {
        "checkpoints": {
            "completed": outcomes.count("committed"),
            "aborted": outcomes.count("aborted"),
        },
        "pause_ns": quantiles([pause for pause in pauses if pause is not None]),
        **{name: of(name) for name in ("transaction_ns", "ram_ns")},
        "lock_hold_ns": {side: of(f"lock_hold_{side}_ns", side) for side in SIDES},
        "wire_bytes": sum(
            row["bytes"] for row in rows(run, "messages") if row["from"] == "primary"
        ),
        "wire_bytes_per_checkpoint": of("wire_bytes"),
        "monitor_deaf_ns": quantiles(
            [*deaf_ns(run, heard), *([max(open_deaf)] if open_deaf else [])]
        ),
        "monitor_deaf_ns_longest": max(deaf, default=0),
        **by_the_events(run),
    }


def hold_open_pauses(run: Run) -> None:
    """Hold each pause to its points: to the guest running, or to the end if that never came."""
    for row in rows(run, "checkpoints"):
        stopped_ns, resumed_ns = row["primary_stopped_at_ns"], row["primary_resumed_at_ns"]
        if row["pause_ns"] is None:
            continue
        assert stopped_ns + row["pause_ns"] <= run.summary["end_ns"]
        if resumed_ns is not None:
            assert row["pause_ns"] == resumed_ns - stopped_ns


def hold_events(run: Run) -> None:
    """Hold the count of steps to the record: at each of its times one was taken, at least."""
    assert run.simulation is not None
    env = run.simulation.env
    times = {at_ns for at_ns, _, _ in run.iter_events()}
    assert run.summary["events"] == env.steps - env.onlooker_steps
    assert len(times) <= env.steps + 1


def hold_peaks(run: Run) -> None:
    """Hold the peaks of a summary to the breakpoints of the memory table.

    A peak is at a breakpoint, or just before one; there the table's levels, rounded up, are a byte
    or the rise of a nanosecond above it.
    """
    for side in SIDES:
        peaks = dict(run.summary["memory_peak_bytes"][side])
        total = peaks.pop("extra_total")
        memory = [row for row in rows(run, "memory") if row["side"] == side]
        accounts: dict[str, list[Row]] = {}
        for row in memory:
            accounts.setdefault(row["account"], []).append(row)
        assert set(peaks) == {*accounts, "staging_buffer"}
        for name, found in accounts.items():
            highest = max(row["level_bytes"] for row in found)
            assert highest <= peaks[name] <= max(highest, *_lines(found, run.summary["end_ns"]))
        most, slack = _highest_sum(memory, run.summary["end_ns"])
        assert most - slack <= total <= most + slack


def _lines(found: list[Row], end_ns: int) -> list[float]:
    """Return where the lines from each breakpoint end, and a byte for rounding."""
    times = [row["time_ns"] for row in found[1:]] + [end_ns]
    return [_value(row, at_ns) + 1 for row, at_ns in zip(found, times, strict=True)]


def _value(row: Row, at_ns: int) -> float:
    return float(row["level_bytes"] + row["slope_bytes_per_ns"] * (at_ns - row["time_ns"]))


def _highest_sum(memory: list[Row], end_ns: int) -> tuple[float, float]:
    """Return the highest sum of all accounts, and by how much rounding may change it."""
    last: dict[str, Row] = {}
    most = slack = 0.0
    times = sorted({int(row["time_ns"]) for row in memory})
    for begin_ns, until_ns in pairwise([*times, end_ns]):
        # What moves in one instant is never seen half moved.
        last.update({row["account"]: row for row in memory if row["time_ns"] == begin_ns})
        for at_ns in (begin_ns, until_ns):
            most = max(most, sum(_value(line, at_ns) for line in last.values()))
        rises = sum(abs(line["slope_bytes_per_ns"]) for line in last.values())
        slack = max(slack, len(last) + 2 * rises)
    return most, slack


def hold_times(run: Run) -> None:
    """Hold every time in every table to the end of the run."""
    for table in run.tables:
        for row in rows(run, table):
            for column, value in row.items():
                if value is not None and (column in MOMENTS or column.endswith("_at_ns")):
                    assert 0 <= value <= run.summary["end_ns"] < 1 << 63, (table, row)


def hold_to_the_tables(run: Run) -> None:
    """Hold each figure of a summary to its table."""
    expected = by_the_tables(run)
    assert {key: run.summary[key] for key in expected} == expected
    hold_time_to_guest(run)
    hold_open_pauses(run)
    hold_events(run)
    hold_peaks(run)
    hold_times(run)
