"""Events as columns: who is paired with whom, held to the plain loop over the events."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from colosim.trace.columns import (
    Columns,
    IntColumn,
    WordColumn,
    before,
    last_before,
    match_in_order,
)
from colosim.trace.events import GuestRunning, Sent, StepDone
from colosim.trace.record import code_of

MARKS = st.lists(st.sampled_from("sg "), max_size=40)


def places(marks: list[str], mark: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return where a mark stands."""
    return np.array([place for place, one in enumerate(marks) if one == mark], np.int64)


@given(MARKS)
def test_who_comes_first_is_served_first(marks: list[str]) -> None:
    """Each `g` takes the first `s` before it that is not taken, or nothing."""
    expected, waiting, number = [], [], 0
    for mark in marks:
        if mark == "s":
            waiting.append(number)
            number += 1
        elif mark == "g":
            expected.append(waiting.pop(0) if waiting else -1)
    assert match_in_order(places(marks, "s"), places(marks, "g")).tolist() == expected


@given(MARKS)
def test_the_last_before_a_place_is_strictly_before_it(marks: list[str]) -> None:
    """The value at the last `s` before each `g`, or what stands for none."""
    expected, last = [], -1
    for place, mark in enumerate(marks):
        if mark == "g":
            expected.append(last)
        elif mark == "s":
            last = place
    sent, got = places(marks, "s"), places(marks, "g")
    assert last_before(sent, got).tolist() == expected
    values = 10 * np.arange(len(marks))
    found = before(sent, got, values, -7).tolist()
    assert found == [-7 if place < 0 else 10 * place for place in expected]


def test_events_are_found_by_what_they_are() -> None:
    """Places are those of the events asked for, in order; others have none."""
    stop, run = StepDone("primary", "stop"), GuestRunning("primary")
    flat = [part for at, event in enumerate((stop, run, stop)) for part in (at, code_of(event), 7)]
    part = Columns(flat)
    assert len(part) == 3
    assert part.places(stop).tolist() == [0, 2]
    assert part.places(run, stop).tolist() == [0, 1, 2]
    assert part.places(Sent("primary", "VMSTATE_SEND")).tolist() == []
    assert part.where(lambda event: isinstance(event, GuestRunning)).tolist() == [1]
    assert (part.at_ns.tolist(), part.value.tolist()) == ([0, 1, 2], [7, 7, 7])


def test_a_difference_of_what_is_missing_is_missing() -> None:
    """Unknown values stay unknown, and give way to known ones."""
    one = IntColumn(np.array([5, 6, 7]), np.array([True, True, False]))
    other = IntColumn(np.array([1, 2, 3]), np.array([True, False, True]))
    assert (one - other).tolist() == [4, None, None]
    assert one.or_else(other).tolist() == [5, 6, 3]
    assert len(IntColumn.empty(2)) == 2
    assert IntColumn.empty(2).tolist() == [None, None]


@given(st.lists(st.sampled_from("abc"), min_size=1), st.data())
def test_words_are_kept_once_and_read_back(named: list[str], data: st.DataObject) -> None:
    """A column of words gives back each row's word, and has no word twice or in vain."""
    kind = data.draw(st.lists(st.integers(0, len(named) - 1)))
    column = WordColumn.of(named, np.array(kind, np.int64))
    assert column.tolist() == [named[k] for k in kind]
    assert sorted(column.words) == sorted({named[k] for k in kind})
    assert WordColumn.listing(named).tolist() == named
