"""Requests as arrays, in the order in which they come to the tap."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import numpy as np

from colosim.service.comparison import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from colosim.service.draws import Times

    Index = slice | Times | NDArray[np.bool_]

MET: Final = 1
MET_FORCED: Final = 2


@dataclass(slots=True)
class Requests:
    """Requests by the order in which they come to the tap."""

    number: Times
    arrived: Times
    connection: Times
    work: Times
    """What the primary still has to do."""
    whole: Times
    """What the request is in all to the secondary, which gets a copy of it."""
    differs: NDArray[np.bool_]
    met: Times
    """`MET` if it was under way in a pause, and `MET_FORCED` if the comparison forced that."""

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.number)

    def where(self, index: Index) -> Requests:
        """Return some of them."""
        return Requests(
            self.number[index],
            self.arrived[index],
            self.connection[index],
            self.work[index],
            self.whole[index],
            self.differs[index],
            self.met[index],
        )

    def and_then(self, *others: Requests) -> Requests:
        """Return these and others that come later."""
        parts = [some for some in (self, *others) if len(some)]
        if len(parts) < 2:  # noqa: PLR2004 - nothing to put together
            return parts[0] if parts else self
        return Requests(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in _NAMES)
        )


_NAMES: Final = tuple(field.name for field in fields(Requests))


def no_requests() -> Requests:
    """Return none."""
    numbers, flags = np.zeros(0, np.int64), np.zeros(0, np.bool_)
    return Requests(numbers, numbers, numbers, numbers, numbers, flags, numbers)


class Planned:
    """The requests of an open loop that are not done, and those to come."""

    def __init__(self, draw: Callable[[], Requests], foresee: Callable[[Requests], None]) -> None:
        """`foresee`: is told of the requests whenever they are others."""
        self._draw, self._foresee = draw, foresee
        self.last_ns = -1
        """When the last one comes."""
        self._set(no_requests())

    def _set(self, requests: Requests) -> None:
        self.all = requests
        self.first = 0
        """The first that is not done; those before it go when more are drawn."""
        self._foresee(requests)

    def renew(self) -> None:
        """Foresee anew what becomes of them."""
        self._set(self.all.where(slice(self.first, None)))

    def came(self, until_ns: int, most: int = NEVER) -> int:
        """Return behind which one those end that come up to `until_ns`; draw them if need be.

        At least up to `most` of them that are not done.
        """
        if self.last_ns <= until_ns:
            self.know(until_ns, most)
        return int(self.all.arrived.searchsorted(until_ns, "right"))

    def know(self, until_ns: int, most: int = NEVER) -> None:
        """Draw those that come up to then, or at least up to `most` that are not done."""
        drawn: list[Requests] = []
        count = len(self.all) - self.first
        while self.last_ns <= until_ns and count < most:
            drawn.append(self._draw())
            count += len(drawn[-1])
            self.last_ns = int(drawn[-1].arrived[-1])
        if drawn:
            self._set(self.all.where(slice(self.first, None)).and_then(*drawn))

    def put_in(self, some: Requests, until_ns: int) -> None:
        """Let others come besides, up to then."""
        self.came(until_ns)
        every = self.all.where(slice(self.first, None)).and_then(some)
        self._set(every.where(np.argsort(every.arrived, kind="stable")))

    def drop(self, begin: int, end: int) -> Requests:
        """Take some of them out."""
        lost = self.all.where(slice(begin, end))
        before, behind = slice(self.first, begin), slice(end, None)
        self._set(self.all.where(before).and_then(self.all.where(behind)))
        return lost
