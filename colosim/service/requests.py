"""Requests as arrays, in the order in which they come to the tap."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colosim.service.draws import Times


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
    met: NDArray[np.bool_]
    """Whether it was counted as one that met a pause."""

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.number)

    def where(self, index: slice | Times | NDArray[np.bool_]) -> Requests:
        """Return some of them."""
        return Requests(*(getattr(self, field.name)[index] for field in fields(self)))

    def and_then(self, other: Requests) -> Requests:
        """Return these and others that come later."""
        parts = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return Requests(*(np.concatenate(pair) for pair in parts))


def no_requests() -> Requests:
    """Return none."""
    numbers, flags = np.zeros(0, np.int64), np.zeros(0, np.bool_)
    return Requests(numbers, numbers, numbers, numbers, numbers, flags, flags)
