"""Rows in little memory: as a list of them, and small."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from colosim.measured.log import LogEvent, log_events
from colosim.measured.rows import NUMBER_MAX

NUMBERS = st.none() | st.integers(-NUMBER_MAX, NUMBER_MAX)
EVENTS = st.lists(
    st.builds(LogEvent, st.integers(1, 9), st.sampled_from("ab"), NUMBERS, NUMBERS, st.just(("w",)))
)


@given(EVENTS, st.slices(8))
def test_rows_are_what_a_list_of_them_is(events: list[LogEvent], part: slice) -> None:
    """One after another, each by its number, and parts of them; one may take another's place."""
    rows = log_events(events)
    assert (list(rows), len(rows)) == (events, len(events))
    assert [rows[index] for index in range(-len(events), len(events))] == events * 2
    assert list(rows[part]) == events[part]
    if events:
        rows[-1] = events[0]
        assert list(rows) == [*events[:-1], events[0]]


def test_a_number_without_bounds_is_kept_as_the_largest() -> None:
    """A log may say anything; that is told where a number is used."""
    rows = log_events([LogEvent(1, "a", 10**30, -(10**30))])
    assert rows[0][2:4] == (NUMBER_MAX, -NUMBER_MAX)


def test_what_rows_take_of_memory() -> None:
    """A row of five cells less than 60 bytes, where a named tuple alone takes 80."""
    count = 10_000
    tracemalloc.start()
    rows = log_events(LogEvent(line, "a", line << 40, 7, (str(line % 9),)) for line in range(count))
    assert rows[0].line == 0  # what is read is packed
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(rows) == count
    assert kept < 60 * count
