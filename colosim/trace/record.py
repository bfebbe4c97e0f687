"""The event record: everything that happens in a run, as (time, what, value).

Every table, statistic, checker, timeline and the digest are projections of this one record.
An event is three integers: the time in ns, the code of what happens (CRC-32 of its sentence, so
that it does not depend on the order in which events are met) and a value whose meaning the event's
type gives (bytes, pages, ns...).  Events are closed in chunks, one a checkpoint; the digest is the
SHA-256 over the little-endian 64-bit integers of all chunks.
"""

from __future__ import annotations

import hashlib
import sys
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from struct import calcsize, pack
from typing import TYPE_CHECKING, Any, Protocol

from colosim.trace.sentences import parse
from colosim.trace.steps import OwnNames, check_names

if TYPE_CHECKING:
    from colosim.trace.events import Event

    Timed = tuple[int, Event, int]
    """When an event happens, in ns, the event and its value."""

_NAMES: dict[int, str] = {}
# A signed 64-bit integer; CPython packs a `ssize_t`, where it has that width, twice as fast.
_INT64 = "n" if calcsize("n") == calcsize("q") else "q"

DIGEST_FORMAT = 2
"""Which events the digest is over: 2 has the beginning and the end of every wait, 1 had not."""
BATCH = 4096
"""How many integers of closed chunks are packed and hashed in one go."""


@cache
def code_of(event: Event | str) -> int:
    """Return the code of an event, given as such or by its sentence.

    :raises ValueError: if two sentences share a code.
    """
    name = str(event)
    code = zlib.crc32(name.encode())
    known = _NAMES.setdefault(code, name)
    if known != name:
        message = f"the event names {known!r} and {name!r} share the code {code}; rename one"
        raise ValueError(message)
    return code


def name_of(code: int) -> str:
    """Return the sentence of a code.

    :raises KeyError: if no event of this code was ever met.
    """
    return _NAMES[code]


@cache
def event_of(code: int) -> Event:
    """Return the event of a code.

    :raises KeyError: if no event of this code was ever met.
    :raises ValueError: if its sentence is that of no event.
    """
    return parse(_NAMES[code])


class Codes(dict[tuple[Any, ...], int]):
    """Codes of one side's events, by type and fields: ``codes[Sent, "VMSTATE_SEND"]``.

    Each is worked out when first asked for.
    """

    def __init__(self, side: str, record: Record) -> None:
        super().__init__()
        self._side = side
        self._code = record.code

    def __missing__(self, key: tuple[Any, ...]) -> int:
        """Return and keep the code of an event that was not met before.

        :raises DesignError: as `Record.code`.
        """
        kind, *values = key
        code = self[key] = self._code(kind(self._side, *values))
        return code


class Clock(Protocol):
    """What says which time it is, in integer ns."""

    @property
    def now(self) -> int:
        """The time."""
        ...


class Record:
    """The event record of one run.

    `pending` holds the latest events, flat: time, code, value, time, ...  Hot model code extends
    it directly.  `sinks` are called with each chunk as it is closed, `readers` and `writers` (these
    with its bytes, as they are hashed) with what has been closed now and then: whoever wants all of
    it by some moment calls `flush` first.  `own`: the names that the run's design adds.
    """

    __slots__ = (
        "_clock",
        "_closed",
        "_digest",
        "_kept",
        "_packed",
        "keep",
        "own",
        "pending",
        "readers",
        "sinks",
        "writers",
    )

    def __init__(self, clock: Clock, *, keep: bool, own: OwnNames | None = None) -> None:
        self._clock = clock
        self._digest = hashlib.sha256()
        self._kept: list[bytes] = []
        self.writers: list[Callable[[bytes], None]] = [self._kept.append] if keep else []
        # How much of `pending` belongs to closed chunks, packed and hashed a batch at a time.
        self._closed = 0
        self._packed = 0
        self.keep = keep
        self.own = own or OwnNames()
        self.pending: list[int] = []
        self.sinks: list[Callable[[list[int]], None]] = []
        self.readers: list[Callable[[Sequence[int]], None]] = []

    def add(self, code: int, value: int = 0) -> None:
        """Record that `code` happens now."""
        self.pending += (self._clock.now, code, value)

    def note(self, event: Event, value: int = 0) -> None:
        """Record that `event` happens now.

        :raises DesignError: as `code`.
        """
        self.add(self.code(event), value)

    def code(self, event: Event) -> int:
        """Return the code of an event of this run.

        :raises DesignError: if it has a name that neither is known nor the design's own.
        """
        check_names(event, self.own)
        return code_of(event)

    def close(self) -> None:
        """Close the chunk: it is in the digest, in `chunks` if asked to, and with the sinks."""
        pending = self.pending
        if self.sinks and len(pending) > self._closed:
            chunk = pending[self._closed :]
            for sink in self.sinks:
                sink(chunk)
        self._closed = closed = len(pending)
        if closed >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Let `readers` read, hash, and keep if asked to, what belongs to closed chunks."""
        closed = self._closed
        if not closed:
            return
        pending = self.pending
        values = pending if closed == len(pending) else pending[:closed]
        for reader in self.readers:
            reader(values)
        packed = pack(f"{closed}{_INT64}", *values)
        for writer in self.writers:
            writer(packed)
        self._digest.update(packed if sys.byteorder == "little" else _byteswapped(packed))
        del pending[:closed]
        self._packed += closed
        self._closed = 0

    def __len__(self) -> int:
        """Return how many events have happened."""
        return (self._packed + len(self.pending)) // 3

    @property
    def chunks(self) -> array[int]:
        """All closed chunks that were kept, one after the other."""
        self.flush()
        return array("q", b"".join(self._kept))

    @property
    def digest(self) -> str:
        """SHA-256 over all closed chunks, in hex."""
        self.flush()
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[Timed]:
        """Yield (time_ns, event, value) of every kept event."""
        return typed(self.chunks)


def typed(flat: Iterable[int]) -> Iterator[Timed]:
    """Yield (time_ns, event, value) of flat events: time, code, value, time, ..."""
    ints = iter(flat)
    for at_ns, code, value in zip(ints, ints, ints, strict=True):
        yield at_ns, event_of(code), value


def _byteswapped(packed: bytes) -> bytes:
    """Return packed 64-bit integers with their bytes in the other order."""
    numbers = array("q", packed)
    numbers.byteswap()
    return numbers.tobytes()
