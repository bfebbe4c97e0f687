"""Random times as arrays, by the index of what they belong to.

A distribution is 4,096 equally likely values, each the quantile in the middle of its share: its
tails end at the quantiles 1/8192 and 8191/8192.  They are computed in decimal, so that no
platform's logarithm decides a nanosecond.
"""

from __future__ import annotations

import zlib
from decimal import Context, Decimal
from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

from colosim.engine.clock import PPM
from colosim.scenario.service import (
    DifferingResponses,
    Drift,
    ExponentialTime,
    FixedTime,
    MeasuredTime,
)
from colosim.scenario.spread import MILLE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colosim.scenario.service import LognormalTime, Percentiles, SecondaryLag, Service

    Times = NDArray[np.int64]

BITS: Final = 12
SIZE: Final = 1 << BITS
STALLED_PPM: Final = 100_000
STALL_NS: Final = 40_000_000
"""Share of the answers of several segments whose end waits for a delayed ACK on one of the proxy's
sockets, as Nagle's algorithm has it without `nodelay`, and for how long (measured: 8 to 12%)."""
PER_RATE: Final = 10**15
"""A rate is in requests a million seconds: so many ns."""
NEAR: Final = (22, 33, 53, 68, 123, 168, 218, 312, 402, 694)
"""Of the median lag of the first request after a load, in thousandths, what the second or third
takes longer that comes within 3 ms of the first one's answer (measured, one outstanding: deciles of
73 in 7 runs, what requests scatter by long after a load taken off)."""
SOON: Final = (6, 9, 12, 17, 21, 26, 34, 41, 65, 198)
"""Likewise within 50 ms (169)."""
BURST: Final = (13, 18, 37, 45, 56, 70, 90, 109, 158, 486)
"""Likewise the first of those that waited for the resume, however many the secondary has answered
before that (44 bursts in 3 runs), and the second if it waited with the first (2.3 of 57 ms in the
median of 34; in 285 of 319 forced checkpoints it did not come up to the stop, 0.4 ms later)."""
_CONTEXT: Final = Context(prec=40)
_NORMAL_DIGITS: Final = 6


def normal_quantiles() -> list[Decimal]:
    """Return the standard normal quantiles in the middle of each share, to six digits.

    None of them is so near to a rounding boundary that a platform could decide (a test).
    """
    normal = NormalDist()
    return [
        Decimal(f"{normal.inv_cdf((2 * k + 1) / (2 * SIZE)):.{_NORMAL_DIGITS}f}")
        for k in range(SIZE)
    ]


@cache
def exponential(mean_ns: int) -> Times:
    """Return the values of an exponential distribution of this mean, at least 1 ns."""
    shares = (Decimal(2 * (SIZE - k) - 1) / Decimal(2 * SIZE) for k in range(SIZE))
    values = [max(1, int(-share.ln(_CONTEXT) * mean_ns)) for share in shares]
    return np.array(values, np.int64)


@cache
def lognormal(p50_ns: int, high_ns: int, percent: int) -> Times:
    """Return the values of a lognormal distribution by its median and another quantile."""
    high = Decimal(f"{NormalDist().inv_cdf(percent / 100):.{_NORMAL_DIGITS}f}")
    sigma = _CONTEXT.divide((Decimal(high_ns) / Decimal(p50_ns)).ln(_CONTEXT), high)
    values = [
        max(1, int(_CONTEXT.multiply(p50_ns, (sigma * z).exp(_CONTEXT))))
        for z in normal_quantiles()
    ]
    return np.array(values, np.int64)


def of_percentiles(model: Percentiles) -> Times:
    """Return the values of a lognormal distribution as a scenario states it."""
    if model.p99_ns is not None:
        return lognormal(model.p50_ns, model.p99_ns, 99)
    return lognormal(model.p50_ns, model.p90_ns or model.p50_ns, 90)


def lags_of(model: Percentiles | MeasuredTime) -> Times:
    """Return the equally likely values of a lag that is drawn."""
    if isinstance(model, MeasuredTime):
        return np.array(model.measured_ns, np.int64)
    return of_percentiles(model)


def values_of(model: FixedTime | ExponentialTime | LognormalTime | MeasuredTime) -> Times:
    """Return the equally likely values of a scenario's times: one, or `SIZE`, or as measured."""
    if isinstance(model, MeasuredTime):
        return np.array(model.measured_ns, np.int64)
    if isinstance(model, FixedTime):
        return np.array([model.fixed_ns], np.int64)
    if isinstance(model, ExponentialTime):
        return exponential(model.exponential_ns)
    return of_percentiles(model.lognormal)


class Draws:
    """Draws of one named stream, in blocks: number `i` is the same however they are asked for."""

    def __init__(self, seed: int, name: str, values: Times) -> None:
        sequence = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(name.encode()), len(name)))
        self._bits = np.random.PCG64(sequence)
        self._values = values

    def take(self, count: int) -> Times:
        """Return the next `count` values."""
        if len(self._values) == 1:
            return np.full(count, self._values[0], np.int64)
        raw = self._bits.random_raw(count)
        raw >>= np.uint64(32)
        raw *= np.uint64(len(self._values))
        raw >>= np.uint64(32)
        return self._values.take(raw.view(np.int64))

    def below(self, share_ppm: int, count: int) -> NDArray[np.bool_]:
        """Return whether each of the next `count` draws is one of a share."""
        if not share_ppm:
            return np.zeros(count, np.bool_)
        return (self._bits.random_raw(count) >> np.uint64(32)) * np.uint64(PPM) < np.uint64(
            share_ppm << 32
        )


def after_loads(lag: SecondaryLag, seed: int) -> list[Draws]:
    """Return draws of what the first requests after a load take the secondary's guest more.

    The first; the second and the third, each by how soon it comes; and the first that waited for
    the resume.  None if there is no lag.
    """
    first = lag.first
    if first is None:
        return []
    values = lags_of(first)
    median_ns = int(np.sort(values)[(len(values) - 1) // 2])
    if not isinstance(first, MeasuredTime):
        median_ns = first.p50_ns
    near, soon, burst = (np.array(of, np.int64) * median_ns // MILLE for of in (NEAR, SOON, BURST))
    kinds = {"first": values, "second near": near, "second soon": soon}
    kinds |= {"third near": near, "third soon": soon, "burst": burst}
    return [Draws(seed, f"{kind} reply", of) for kind, of in kinds.items()]


class Divergence:
    """Which answers differ, by the numbers of their requests; and when the guests drift apart."""

    def __init__(self, service: Service, seed: int) -> None:
        self._model = service.divergence
        self._draws = Draws(seed, "divergence", np.zeros(1, np.int64))
        self._apart: Draws | None = None
        if isinstance(self._model, Drift):
            mean = max(1, PER_RATE // self._model.rate)
            self._apart = Draws(seed, "drift", exponential(mean))

    def take(self, first: int, count: int) -> NDArray[np.bool_]:
        """Return whether the answers of the next `count` requests differ, from number `first`."""
        if isinstance(self._model, int):
            return self._draws.below(self._model, count)
        if isinstance(self._model, DifferingResponses):
            return np.isin(np.arange(first, first + count), self._model.responses)
        return np.zeros(count, np.bool_)

    def drifts_after_ns(self) -> int | None:
        """Return how long after a checkpoint the guests have drifted apart, None if never."""
        return None if self._apart is None else int(self._apart.take(1)[0])


class Works:
    """What requests take each guest, block by block.

    Their answers take `transfer_ns` more on the way, and some `STALL_NS` beyond, if they `stall`.
    The secondary lags behind as it does later than with the first request after a load.
    """

    alike_ppm = 0
    """How often both guests take the same time though each draws its own."""

    def __init__(
        self, service: Service, seed: int, transfer_ns: int, *, stall: bool, of: str = "service"
    ) -> None:
        times = values_of(service.time)
        self._times = Draws(seed, f"{of} times", times)
        self._own: Draws | None = None
        if service.own_times:
            self._own = Draws(seed, f"secondary's {of} times", times)
            self._alike = Draws(seed, f"alike {of} times", times)
        later = service.secondary_lag.later
        lags = np.array([later], np.int64) if isinstance(later, int) else lags_of(later)
        self._later = Draws(seed, f"{of} lags", lags) if lags.any() else None
        self._transfer_ns = transfer_ns
        self._stalls: Draws | None = None
        if transfer_ns and stall:
            self._stalls = Draws(seed, "stalls", np.zeros(1, np.int64))

    def take(self, count: int) -> tuple[Times, Times]:
        """Return what the next `count` take the primary, and the secondary."""
        work = self._times.take(count)
        own = work
        if self._own is not None:
            own = np.where(self._alike.below(self.alike_ppm, count), work, self._own.take(count))
        if self._transfer_ns:
            transfer = np.full(count, self._transfer_ns, np.int64)
            if self._stalls is not None:
                transfer += self._stalls.below(STALLED_PPM, count) * np.int64(STALL_NS)
            work, own = work + transfer, own + transfer
        if self._later is not None:
            own = own + self._later.take(count)
        return work, own
