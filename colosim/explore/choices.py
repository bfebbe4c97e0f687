"""An odometer of labelled choices: exhaustive enumeration, and replay from a printed list.

A case is built by a function that asks a chooser for one labelled choice after another; what it
asks may depend on what it was given before.  `enumerate_cases` calls it again and again until
every path has been taken once; `Replay` gives the answers from a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from colosim.errors import ColosimError
from colosim.scenario.units import nearest

Made = TypeVar("Made")


class ChoicesError(ColosimError):
    """A list of choices cannot be read, or names what there is not."""


class Chooser(Protocol):
    """What decides: an odometer, or a printed list."""

    def choose(self, label: str, alternatives: Sequence[str]) -> str:
        """Return one of `alternatives` for `label`."""
        ...


class Odometer:
    """Counts through all choices: the last digit first, as the meter of a car does."""

    def __init__(self) -> None:
        self._digits: list[list[int]] = []
        self._at = 0

    def choose(self, label: str, alternatives: Sequence[str]) -> str:
        """Return the alternative that this digit stands at.

        :raises ValueError: if there is none.
        """
        if not alternatives:
            raise ValueError(f"there is nothing to choose for {label!r}")
        if self._at == len(self._digits):
            self._digits.append([0, len(alternatives)])
        index, count = self._digits[self._at]
        if count != len(alternatives):
            raise ValueError(f"{label!r} had {count} alternatives and now {len(alternatives)}")
        self._at += 1
        return alternatives[index]

    def advance(self) -> bool:
        """Turn to the next path; return whether there is one."""
        self._at = 0
        while self._digits:
            digit = self._digits[-1]
            digit[0] += 1
            if digit[0] < digit[1]:
                return True
            self._digits.pop()
        return False


def enumerate_cases(build: Callable[[Chooser], Made]) -> Iterator[Made]:
    """Yield what `build` makes of every path of choices, each once, in order."""
    odometer = Odometer()
    while True:
        yield build(odometer)
        if not odometer.advance():
            return


class Replay:
    """Answers from a list of choices; a label that is left out takes its first alternative."""

    def __init__(self, choices: dict[str, str]) -> None:
        self._choices = dict(choices)
        self._used: set[str] = set()

    def choose(self, label: str, alternatives: Sequence[str]) -> str:
        """Return the answer for `label`.

        :raises ChoicesError: if it is none of `alternatives`; those that end with ``…`` stand for
            every text that begins like them.
        """
        self._used.add(label)
        given = self._choices.get(label)
        if given is None:
            return next(choice for choice in alternatives if not choice.endswith("…"))
        if given in alternatives or any(
            choice.endswith("…") and given.startswith(choice[:-1]) for choice in alternatives
        ):
            return given
        near = nearest(given, alternatives)
        hint = f"; did you mean {near!r}?" if near else ""
        there = ", ".join(alternatives)
        raise ChoicesError(f"{label}: {given!r} is not to be chosen here; there are {there}{hint}")

    def check_all_used(self) -> None:
        """Refuse labels that nobody asked for.

        :raises ChoicesError: if there are some.
        """
        unused = [label for label in self._choices if label not in self._used]
        if unused:
            near = nearest(unused[0], sorted(self._used))
            hint = f"; did you mean {near!r}?" if near else ""
            raise ChoicesError(f"nothing is chosen by {unused[0]!r} here{hint}")


def parse(text: str) -> dict[str, str]:
    """Read ``label=value, label=value``.

    :raises ChoicesError: if it is not of this form, or a label stands twice.
    """
    choices: dict[str, str] = {}
    for part in text.split(","):
        label, equals, value = (piece.strip() for piece in part.partition("="))
        if not (label and equals and value):
            raise ChoicesError(
                f"{part.strip()!r} is no choice; expected 'label=value, label=value', "
                "such as 'side=primary, step=RAM stream, when=during 40%, fault=freeze'"
            )
        if label in choices:
            raise ChoicesError(f"{label!r} is chosen twice")
        choices[label] = value
    return choices


def written(choices: dict[str, str]) -> str:
    """Return the text that `parse` reads back."""
    return ", ".join(f"{label}={value}" for label, value in choices.items())
