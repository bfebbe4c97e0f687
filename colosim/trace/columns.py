"""A part of the event record as columns, and how events that belong together are found in them.

A *place* is where an event stands in the part, from 0; places are arrays in ascending order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from colosim.trace.record import event_of

if TYPE_CHECKING:
    from colosim.trace.events import Event

    Ints = np.ndarray[Any, np.dtype[np.int64]]
    Bools = np.ndarray[Any, np.dtype[np.bool_]]
    Column: TypeAlias = "IntColumn | WordColumn | np.ndarray[Any, np.dtype[Any]]"
    Table = dict[str, Column]
    Words = np.ndarray[Any, np.dtype[np.object_]]


class Columns:
    """Events in order: `at_ns`, `value`, and `kind`, the number of each one's event in `events`.

    `flat` is as in the record: time, code, value, time, ...
    """

    def __init__(self, flat: Sequence[int] | Ints) -> None:
        self.flat: Ints = np.asarray(flat, dtype=np.int64).reshape(-1, 3)
        self.at_ns, codes, self.value = np.ascontiguousarray(self.flat.T)
        order = np.argsort(codes, kind="stable")
        in_order = codes[order]
        begins = np.flatnonzero(np.diff(in_order, prepend=-1))
        ends = np.append(begins, len(codes))[1:]
        self.events: tuple[Event, ...] = tuple(map(event_of, in_order[begins].tolist()))
        self.kind: Ints = np.empty(len(codes), np.int64)
        self.kind[order] = np.repeat(np.arange(len(begins)), ends - begins)
        self._places = {
            event: order[begin:end]
            for event, begin, end in zip(self.events, begins, ends, strict=True)
        }

    def __len__(self) -> int:
        """Return how many events there are."""
        return len(self.at_ns)

    def places(self, *events: Event) -> Ints:
        """Return where any of `events` stands."""
        return self._merged([self._places[event] for event in events if event in self._places])

    def where(self, test: Callable[[Event], bool]) -> Ints:
        """Return where the events stand that `test` is true of; asked once for each event."""
        return self._merged([at for event, at in self._places.items() if test(event)])

    @staticmethod
    def _merged(found: list[Ints]) -> Ints:
        if len(found) == 1:
            return found[0]
        return np.sort(np.concatenate(found)) if found else np.empty(0, np.int64)


@dataclass(slots=True)
class IntColumn:
    """Integers that may be missing: `values` where `known`."""

    values: Ints
    known: Bools

    @classmethod
    def empty(cls, size: int) -> IntColumn:
        """Return a column in which all are missing."""
        return cls(np.zeros(size, np.int64), np.zeros(size, np.bool_))

    @classmethod
    def all(cls, values: Ints) -> IntColumn:
        """Return a column in which none is missing."""
        return cls(values, np.ones(len(values), np.bool_))

    def __len__(self) -> int:
        """Return how many there are, known or not."""
        return len(self.values)

    def __getitem__(self, part: slice | Ints | Bools) -> IntColumn:
        """Return a part of the column."""
        return IntColumn(self.values[part], self.known[part])

    def __sub__(self, other: IntColumn) -> IntColumn:
        """Return the differences, missing where either is."""
        return IntColumn(self.values - other.values, self.known & other.known)

    def or_else(self, other: IntColumn) -> IntColumn:
        """Return this column, with the other's values where they are missing here."""
        return IntColumn(np.where(self.known, self.values, other.values), self.known | other.known)

    def tolist(self) -> list[int | None]:
        """Return plain integers, None for the missing."""
        found = self.values.astype(object)
        found[~self.known] = None
        return list(found)


@dataclass(slots=True)
class WordColumn:
    """Words: `words`, each of them once, and which of them stands in each row."""

    words: Words
    kind: Ints

    @classmethod
    def of(cls, words: Sequence[str], kind: Ints) -> WordColumn:
        """Return the column that has ``words[k]`` for each k of `kind`; words may come twice."""
        used = np.flatnonzero(np.bincount(kind, minlength=len(words))).tolist()
        number = {word: n for n, word in enumerate(dict.fromkeys(words[k] for k in used))}
        renumbered = np.array([number.get(word, 0) for word in words], np.int64)
        distinct = np.empty(len(number), dtype=object)
        distinct[:] = list(number)
        return cls(distinct, renumbered[kind])

    @classmethod
    def listing(cls, cells: Sequence[str]) -> WordColumn:
        """Return the column of these words, one after the other."""
        return cls.of(cells, np.arange(len(cells)))

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.kind)

    def __getitem__(self, part: slice) -> WordColumn:
        """Return a part of the column."""
        return WordColumn(self.words, self.kind[part])

    @property
    def values(self) -> Words:
        """The word of each row."""
        return self.words[self.kind]

    def tolist(self) -> list[str]:
        """Return the word of each row."""
        return list(self.values)


def joined(parts: Sequence[Table]) -> Table:
    """Return tables of the same columns, one after the other."""
    return {name: _joined([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _joined(columns: Sequence[Column]) -> Column:
    ints = [column for column in columns if isinstance(column, IntColumn)]
    texts = [column for column in columns if isinstance(column, WordColumn)]
    if texts:
        starts = np.cumsum([0, *(len(column.words) for column in texts)])
        kinds = [column.kind + start for column, start in zip(texts, starts, strict=False)]
        return WordColumn.of(
            [word for column in texts for word in column.words], np.concatenate(kinds)
        )
    if not ints:
        return np.concatenate([column for column in columns if isinstance(column, np.ndarray)])
    return IntColumn(
        np.concatenate([column.values for column in ints]),
        np.concatenate([column.known for column in ints]),
    )


def last_before(places: Ints, ends: Ints) -> Ints:
    """Return the last of `places` before each of `ends`, -1 if there is none."""
    return np.append(places, -1)[np.searchsorted(places, ends) - 1]


def before(places: Ints, ends: Ints, values: Ints, default: int) -> Ints:
    """Return the value at the last of `places` before each of `ends`, `default` if there is none.

    `values` has a value for every place of the part.
    """
    last = last_before(places, ends)
    return np.where(last >= 0, np.append(values, default)[last], default)


def match_in_order(sent: Ints, got: Ints) -> Ints:
    """Return which of `sent` each of `got` takes, first come first served: its number, from 0.

    -1: it finds nothing that was sent before it and not taken.
    """
    if not len(got):
        return np.empty(0, np.int64)
    there = np.searchsorted(sent, got)
    turns = np.arange(1, len(got) + 1)
    in_vain = np.maximum(0, np.maximum.accumulate(turns - there))
    missed = np.diff(in_vain, prepend=0) > 0
    return np.where(missed, -1, turns - 1 - in_vain)
