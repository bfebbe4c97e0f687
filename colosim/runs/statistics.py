"""Quantiles of integers: exact up to a limit, then in logarithmic bins of a stated width.

Nearest rank: the p-quantile of n values is the ceil(p n)-th smallest.  Up to
`EXACT_LIMIT` values they are kept as they are.  Beyond that values go into bins of relative width
1/1024, and a quantile is the upper end of its bin: at most 0.1% too high, never too low.  Count,
mean (rounded half up) and maximum stay exact.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXACT_LIMIT = 10_000
BIN_BITS = 10
CONSTANT = "constant"
"""What stands for the quantiles beside the median of a quantity that `is_constant`."""


def is_constant(distribution: Mapping[str, int] | None) -> bool:
    """Tell whether all of several values were the same, from what `Quantiles.summary` says.

    A quantile beside the median then says nothing of how the quantity scatters.
    """
    if distribution is None or distribution["count"] < 2:  # noqa: PLR2004 - several
        return False
    return distribution["mean"] == distribution["p50"] == distribution["max"]


class Quantiles:
    """The distribution of one quantity."""

    __slots__ = ("_bins", "_counts", "_exact", "count", "highest", "total")

    def __init__(self) -> None:
        self._exact: array[int] | None = array("q")
        self._bins: dict[int, int] = {}
        """Values by the lower end of their bin."""
        self._counts: NDArray[np.int64] | None = None
        """Those that came in arrays, by the number of their bin."""
        self.count = 0
        self.total = 0
        self.highest = 0

    def add(self, values: Sequence[int]) -> None:
        """Take values (not negative)."""
        if not values:
            return
        self.count += len(values)
        self.total += sum(values)
        self.highest = max(self.highest, *values)
        if self._exact is not None:
            self._exact.extend(values)
            if self.count < EXACT_LIMIT:
                return
            values, self._exact = self._exact, None
        bins = self._bins
        for value in values:
            shift = max(0, value.bit_length() - BIN_BITS - 1)
            key = (value >> shift) << shift
            bins[key] = bins.get(key, 0) + 1

    def add_times(self, value: int, count: int) -> None:
        """Take one value `count` times."""
        few = min(count, EXACT_LIMIT)
        self.add([value] * few)
        if count > few:
            shift = max(0, value.bit_length() - BIN_BITS - 1)
            key = (value >> shift) << shift
            self._bins[key] = self._bins.get(key, 0) + count - few
            self.count += count - few
            self.total += value * (count - few)

    def add_array(self, values: NDArray[np.int64]) -> None:
        """Take the values of an array, as `add` does."""
        import numpy as np  # noqa: PLC0415 - who has an array has loaded it

        if not len(values):
            return
        self.count += len(values)
        self.total += int(values.sum())
        self.highest = max(self.highest, int(values.max()))
        if self._exact is not None:
            self._exact.frombytes(values.tobytes())
            if self.count < EXACT_LIMIT:
                return
            values, self._exact = np.array(self._exact, np.int64), None
        # Exact: a value of a run has less than 53 bits.
        bits = np.frexp(values.astype(np.float64))[1].astype(np.int64)
        shift = np.maximum(0, bits - BIN_BITS - 1)
        counts = np.bincount((shift << BIN_BITS) + (values >> shift))
        if self._counts is not None:
            counts, fewer = sorted((self._counts, counts), key=len, reverse=True)
            counts[: len(fewer)] += fewer
        self._counts = counts

    def quantile(self, percent: int) -> int:
        """Return the nearest-rank quantile at `percent`, 0 if there are no values."""
        if not self.count:
            return 0
        rank = max(1, -(-self.count * percent // 100))
        if self._exact is not None:
            return sorted(self._exact)[rank - 1]
        bins, seen = Counter(self._bins), 0
        if self._counts is not None:
            for index in self._counts.nonzero()[0].tolist():
                shift = max(0, (index >> BIN_BITS) - 1)
                bins[index - (shift << BIN_BITS) << shift] += int(self._counts[index])
        for key in sorted(bins):
            seen += bins[key]
            if seen >= rank:
                shift = max(0, key.bit_length() - BIN_BITS - 1)
                return min(self.highest, key + (1 << shift) - 1)
        return self.highest

    def summary(self) -> dict[str, int]:
        """Return count, mean, p50, p90, p99 and max."""
        mean = (2 * self.total + self.count) // (2 * self.count) if self.count else 0
        return {
            "count": self.count,
            "mean": mean,
            "p50": self.quantile(50),
            "p90": self.quantile(90),
            "p99": self.quantile(99),
            "max": self.highest,
        }
