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
        return Requests(*(getattr(self, name)[index] for name in _NAMES))

    def and_then(self, other: Requests) -> Requests:
        """Return these and others that come later."""
        parts = ((getattr(self, name), getattr(other, name)) for name in _NAMES)
        return Requests(*(np.concatenate(pair) for pair in parts))


_NAMES: Final = tuple(field.name for field in fields(Requests))


def no_requests() -> Requests:
    """Return none."""
    numbers, flags = np.zeros(0, np.int64), np.zeros(0, np.bool_)
    return Requests(numbers, numbers, numbers, numbers, numbers, flags, numbers)
