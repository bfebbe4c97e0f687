from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.trace import events
from colosim.trace.purpose import Purpose
from colosim.trace.sentences import kinds, parse

REPOSITORY = Path(__file__).parents[2]
KINDS: list[Any] = kinds()
EXAMPLES = {
    "cluster manager: cannot send x-colo-lost-heartbeat to the primary": events.CommandUnsent(
        "primary", "x-colo-lost-heartbeat"
    ),
    "primary: iothread lock got by main loop for busy": events.LockGot(
        "primary", "main loop", Purpose.BUSY
    ),
    "primary: fault RAM save fails and leaks the lock": events.FailureInjected(
        "primary", "RAM save", leaks_lock=True
    ),
    "primary: fault device save fails": events.FailureInjected(
        "primary", "device save", leaks_lock=False
    ),
    "primary: device save fails": events.FunctionFailed("primary", "device save"),
    "primary: RAM stream broken": events.StreamBroken("primary", "RAM stream"),
    "secondary: failover postponed (loading)": events.FailoverPostponed("secondary", "loading"),
    "secondary: monitor serves yank out of band": events.CommandServed(
        "secondary", "yank", out_of_band=True
    ),
    "secondary: receive fails (end of stream)": events.CallFailed(
        "secondary", "receive", "end of stream"
    ),
    "secondary: late pages": events.PagesCounted("secondary", "late"),
    "secondary: zero pages": events.StepDone("secondary", "zero pages"),
}


def logged(path: Path) -> set[str]:
    """Return the sentences in the event logs of a reference result: ``TIME ns  EVENT  VALUE``."""
    result = json.loads(path.read_text(encoding="utf-8"))
    lines = [*result.get("first", ()), *result.get("last", ())]
    return {line.split(" ns  ")[1].split("  ")[0] for line in lines}


def test_sentences_are_read_as_what_they_say() -> None:
    """A sentence is that of the most particular kind of event; what is left is a step."""
    assert {sentence: parse(sentence) for sentence in EXAMPLES} == EXAMPLES
    assert [str(event) for event in EXAMPLES.values()] == list(EXAMPLES)


def test_every_event_in_the_results_reads_back() -> None:
    """Each name in the reference results is an event whose sentence is that name."""
    results = (REPOSITORY / "results").rglob("*.json")
    found = set().union(*(logged(path) for path in results))
    assert len(found) > 40
    assert [name for name in sorted(found) if str(parse(name)) != name] == []


@given(st.data())
def test_every_kind_reads_back(data: st.DataObject) -> None:
    """Whatever word stands in an event's fields, its sentence leads back to it."""
    kind = data.draw(st.sampled_from(KINDS))
    word = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{3,12}", fullmatch=True)
    values = {
        "purpose": st.sampled_from(Purpose),
        "leaks_lock": st.booleans(),
        "out_of_band": st.booleans(),
        "side": st.sampled_from(("primary", "secondary")),
        "call": st.sampled_from(("send", "receive")),
        "outcome": st.sampled_from((events.COMMITTED, events.ABORTED)),
        "pages": st.sampled_from(("dirty", "flushed", "late")),
    }
    fields = {name: data.draw(values.get(name, word)) for name in kind.__match_args__}
    event = kind(**fields)
    assert parse(str(event)) == event


@pytest.mark.parametrize("sentence", ["", "primary", "tertiary: stop", "faults", "checkpoint 1"])
def test_what_is_no_event_is_refused(sentence: str) -> None:
    """A sentence of nobody that is of no known kind is named."""
    with pytest.raises(ValueError, match="is no event"):
        parse(sentence)


def test_a_misspelt_purpose_is_refused_with_the_nearest() -> None:
    """A lock purpose that is none names the one that was meant, in a sentence too."""
    with pytest.raises(ValueError, match=r"'saving' is no purpose .*: did you mean 'save'"):
        Purpose("saving")
    with pytest.raises(ValueError, match=r"'theft' is no purpose .*: they are stop, start, save"):
        parse("primary: iothread lock got by checkpoint thread for theft")


def test_three_purposes_move_state() -> None:
    """Holds that save, load or receive count in `lock_hold_ns`, others do not."""
    moving = [purpose for purpose in Purpose if purpose.moves_state]
    assert moving == [Purpose.SAVE, Purpose.LOAD, Purpose.RECEIVE]
