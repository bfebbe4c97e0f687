"""Requests as arrays, in the order in which they come to the tap."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colosim.service.draws import Times


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

    def where(self, index: slice | Times | NDArray[np.bool_]) -> Requests:
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


@dataclass(slots=True)
class Served:
    """When both sides have served the first requests, as far as they are known.

    `mirrored`: when the copy of each came to the secondary; `surplus`: when the secondary answers
    what it executes once more.
    """

    primary: Times
    secondary: Times
    mirrored: Times
    surplus: Times
