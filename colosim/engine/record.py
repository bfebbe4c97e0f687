"""The event record: everything that happens in a run, as (time, what, value).

Every table, statistic, checker, timeline and the digest are projections of this one record.
An event is three integers: the time in ns, the code of its name (CRC-32, so that it does not
depend on the order in which names are met) and a value whose meaning the name gives (bytes,
pages, an arrival time...).  Events are closed in chunks, one a checkpoint; the digest is the
SHA-256 over the little-endian 64-bit integers of all chunks.
"""

from __future__ import annotations

import hashlib
import sys
import zlib
from array import array
from struct import pack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colosim.engine.environment import Environment

_NAMES: dict[int, str] = {}


def code_of(name: str) -> int:
    """Return the code of an event's name.

    :raises ValueError: if two names share a code.
    """
    code = zlib.crc32(name.encode())
    known = _NAMES.setdefault(code, name)
    if known != name:
        message = f"the event names {known!r} and {name!r} share the code {code}; rename one"
        raise ValueError(message)
    return code


def name_of(code: int) -> str:
    """Return the name of an event's code.

    :raises KeyError: if no name of this code was ever met.
    """
    return _NAMES[code]


class Codes(dict[str, int]):
    """Codes of the events ``prefix + name + suffix`` by name, worked out when first asked for."""

    __slots__ = ("_prefix", "_suffix")

    def __init__(self, prefix: str, suffix: str = "") -> None:
        super().__init__()
        self._prefix = prefix
        self._suffix = suffix

    def __missing__(self, name: str) -> int:
        """Return and keep the code of a name that was not met before."""
        code = self[name] = code_of(f"{self._prefix}{name}{self._suffix}")
        return code


class Record:
    """The event record of one run.

    `pending` holds the events since the last `close`, flat: time, code, value, time, ...
    Hot model code extends it directly.  `sinks` are called with each closed chunk.
    """

    __slots__ = ("_digest", "_env", "chunks", "keep", "pending", "sinks")

    def __init__(self, env: Environment, *, keep: bool) -> None:
        self._env = env
        self._digest = hashlib.sha256()
        self.keep = keep
        self.pending: list[int] = []
        self.chunks: array[int] = array("q")
        self.sinks: list[Callable[[list[int]], None]] = []

    def add(self, code: int, value: int = 0) -> None:
        """Record that `code` happens now."""
        self.pending += (self._env._now, code, value)  # type: ignore[arg-type]  # noqa: SLF001

    def close(self) -> None:
        """Close the chunk: hash it, keep it if asked to, hand it to the sinks."""
        pending = self.pending
        if not pending:
            return
        packed = pack(f"{len(pending)}q", *pending)
        if self.keep:
            self.chunks.frombytes(packed)
        self._digest.update(packed if sys.byteorder == "little" else _byteswapped(packed))
        for sink in self.sinks:
            sink(pending)
        pending.clear()

    @property
    def digest(self) -> str:
        """SHA-256 over all closed chunks, in hex."""
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[tuple[int, str, int]]:
        """Yield (time_ns, name, value) of every kept event."""
        flat = iter(self.chunks)
        for at_ns, code, value in zip(flat, flat, flat, strict=True):
            yield at_ns, _NAMES[code], value


def _byteswapped(packed: bytes) -> bytes:
    """Return packed 64-bit integers with their bytes in the other order."""
    numbers = array("q", packed)
    numbers.byteswap()
    return numbers.tobytes()
