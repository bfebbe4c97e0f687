"""The odometer takes every path once, and a printed list of choices leads down the same path."""

from __future__ import annotations

import pytest

from colosim.explore.choices import (
    ChoicesError,
    Chooser,
    Odometer,
    Replay,
    enumerate_cases,
    parse,
    written,
)


def coffee(chooser: Chooser) -> dict[str, str]:
    """Choose a drink; only some ask for more."""
    chosen = {"drink": chooser.choose("drink", ["water", "coffee", "tea"])}
    if chosen["drink"] == "coffee":
        chosen["milk"] = chooser.choose("milk", ["yes", "no"])
    if chosen["drink"] != "water":
        chosen["size"] = chooser.choose("size", ["small", "large"])
    return chosen


def test_every_path_is_taken_once_in_order() -> None:
    """Choices that depend on earlier ones are counted through like the digits of a meter."""
    assert list(enumerate_cases(coffee)) == [
        {"drink": "water"},
        {"drink": "coffee", "milk": "yes", "size": "small"},
        {"drink": "coffee", "milk": "yes", "size": "large"},
        {"drink": "coffee", "milk": "no", "size": "small"},
        {"drink": "coffee", "milk": "no", "size": "large"},
        {"drink": "tea", "size": "small"},
        {"drink": "tea", "size": "large"},
    ]


def test_independent_choices_make_their_product() -> None:
    """Three independent labels of 3, 4 and 5 alternatives make 60 different cases."""

    def build(chooser: Chooser) -> tuple[str, ...]:
        return tuple(chooser.choose(label, label[1:]) for label in ("a123", "b1234", "c12345"))

    cases = list(enumerate_cases(build))
    assert (len(cases), len(set(cases))) == (60, 60)


def test_what_is_written_replays() -> None:
    """Each printed list of choices is read back and leads to the same case."""
    for case in enumerate_cases(coffee):
        assert coffee(Replay(parse(written(case)))) == case


def test_a_label_left_out_takes_its_first_alternative() -> None:
    """A short list of choices is enough where the first alternative is meant."""
    assert coffee(Replay({"drink": "coffee"})) == {
        "drink": "coffee",
        "milk": "yes",
        "size": "small",
    }


def test_an_open_alternative_takes_any_text_that_begins_like_it() -> None:
    """``during …`` stands for every share, and is never the one taken by itself."""
    replay = Replay({"when": "during 40%"})
    assert replay.choose("when", ["during …", "before"]) == "during 40%"
    assert Replay({}).choose("when", ["during …", "before"]) == "before"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drink", "'drink' is no choice"),
        ("drink=", "'drink=' is no choice"),
        ("drink=tea, drink=tea", "'drink' is chosen twice"),
        ("drink=tee", "did you mean 'tea'"),
        ("drink=tea, milk=yes", "nothing is chosen by 'milk'"),
        ("drink=tea, sizes=small", "did you mean 'size'"),
    ],
)
def test_a_wrong_list_is_told(text: str, message: str) -> None:
    """Bad form, unknown alternatives and labels that nobody asks for are refused."""

    def take() -> None:
        replay = Replay(parse(text))
        coffee(replay)
        replay.check_all_used()

    with pytest.raises(ChoicesError, match=message):
        take()


def test_a_meter_without_alternatives_is_an_error() -> None:
    """A label must have something to choose from, and the same number each time."""
    with pytest.raises(ValueError, match="nothing to choose"):
        Odometer().choose("drink", [])
    odometer = Odometer()
    odometer.choose("drink", ["tea", "water"])
    odometer.advance()
    with pytest.raises(ValueError, match="had 2 alternatives and now 3"):
        odometer.choose("drink", ["tea", "water", "milk"])
