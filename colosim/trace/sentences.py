"""The sentence of an event back to the event: ``events.csv`` has sentences.

Both ways follow the type's `sentence`, so they cannot part.

    >>> parse("secondary: cache flush")
    StepDone(side='secondary', step='cache flush')
"""

from __future__ import annotations

import re
from functools import cache
from string import Formatter
from typing import Any

from colosim.trace import events
from colosim.trace.events import WRITTEN, Event
from colosim.trace.purpose import Purpose


def kinds() -> list[type[Event]]:
    """Return every kind of event that has a sentence."""
    named: list[Any] = [value for value in vars(events).values() if isinstance(value, type)]
    return [kind for kind in named if issubclass(kind, Event) and hasattr(kind, "sentence")]


def _own_letters(kind: type[Event]) -> int:
    """Return how many letters of a kind's sentence are its own."""
    return sum(len(literal) for literal, *_ in Formatter().parse(kind.sentence))


@cache
def _patterns() -> list[tuple[re.Pattern[str], type[Event]]]:
    """Return what matches the sentences of each kind, the most particular one first.

    A step may be called anything, so it comes last.
    """
    return [(_pattern(kind), kind) for kind in sorted(kinds(), key=_own_letters, reverse=True)]


def _pattern(kind: type[Event]) -> re.Pattern[str]:
    """Return what matches the sentences of a kind, with a group for each field."""
    pattern = ""
    for literal, field, _, _ in Formatter().parse(kind.subject + kind.sentence):
        pattern += re.escape(literal)
        if field is not None:
            written = WRITTEN.get(field)
            text = ".+?" if written is None else "|".join(map(re.escape, written.values()))
            pattern += f"(?P<{field}>{text})"
    return re.compile(pattern)


@cache
def parse(sentence: str) -> Event:
    """Return the event of a sentence.

    :raises ValueError: if it is the sentence of no event, or of a lock purpose that is none.
    """
    for pattern, kind in _patterns():
        found = pattern.fullmatch(sentence)
        if found is not None:
            return kind(**{name: _value(name, text) for name, text in found.groupdict().items()})
    raise ValueError(f"{sentence!r} is no event")


def _value(field: str, text: str) -> object:
    """Return the value of a field from how it is written."""
    if field == "purpose":
        return Purpose(text)
    written = WRITTEN.get(field)
    if written is None:
        return text
    return next(value for value, spelt in written.items() if spelt == text)
