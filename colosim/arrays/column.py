"""A number that has a value of its own at each point of a grid, for code that knows only integers.

A design calculates with it as with an integer.  Where it asks for one answer (``if``, ``range``)
and the points do not agree, `Diverged` says which do, and the points are run in two groups.  What
an integer could do and a column cannot do exactly is `Refused`, never silently another thing.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn, TypeAlias

import numpy as np
from numpy import asarray, ndarray

Ints: TypeAlias = Any
Masks: TypeAlias = Any
"""Arrays of int64 and of bool, a value a point: to code that it shares with a simulation, an `int`
and a `bool`."""

LIMIT: Final = 1 << 61
"""No product goes beyond it, so that a sum of a few does not wrap around at 63 bits."""
INT64: Final = np.dtype(np.int64)


class Refused(Exception):  # noqa: N818 - not an error: the simulation is asked instead
    """The points are not for arrays; the message says why."""


class Diverged(Exception):  # noqa: N818 - likewise
    """The points do not take the same way: those of `mask` take another than the rest."""

    def __init__(self, mask: Masks) -> None:
        super().__init__("the points do not take the same way")
        self.mask = mask


class OutOfRange(Exception):  # noqa: N818 - likewise
    """At the points of `mask` a number is beyond what 63 bits hold."""

    def __init__(self, mask: Masks) -> None:
        super().__init__("a number beyond 63 bits")
        self.mask = mask


def column(values: Any) -> Column:
    """Return integers as a column."""
    return np.asarray(values, np.int64).view(Column)


plain: Final[Any] = np.asarray
"""Returns a column as an array, which is faster."""


def plain_once(numbers: Any) -> Any:
    """Return a column as an array, of no dimension if all points have the same: faster still."""
    values = plain(numbers)
    return values[:1].reshape(()) if values.ndim and everywhere(values == values[0]) else values


def made_plain(of: Any) -> Any:
    """Make arrays of the numbers that an object has, and return it."""
    for name, value in vars(of).items():
        if type(value) is int or isinstance(value, ndarray):
            setattr(of, name, plain_once(value))
    return of


some = np.count_nonzero
"""At how many points something is so: asked ten times as fast as whether it is at any."""


def everywhere(condition: Any) -> bool:
    """Return whether something is so at every point."""
    return bool(some(condition) == condition.size)


def _operator(ufunc: Any) -> Any:
    """Return an operator that works on plain arrays: on columns numpy takes five times as long."""

    def operate(self: Any, other: Any) -> Any:
        return ufunc(self.view(ndarray), asarray(other)).view(Column)

    return operate


def _refuses(what: str) -> Any:
    def refuse(*_: object) -> NoReturn:
        raise Refused(f"a design that {what}")

    return refuse


def _as_new(name: str) -> Any:
    """Return an in-place operator that makes another number, as an integer's does."""
    return lambda self, other: getattr(self, name)(other)


class Column(np.ndarray[Any, Any]):
    """Integers, or what comparing them gives: one a point."""

    __slots__ = ()
    __hash__ = None

    def __bool__(self) -> bool:
        """Return what all points agree on.

        :raises Diverged: if they do not.
        """
        true = np.count_nonzero(self)
        if 0 < true < self.size:
            raise Diverged(self.view(np.ndarray) != 0)
        return bool(true)

    def __index__(self) -> int:
        """Return the number that all points have.

        :raises Diverged: if they do not.
        """
        values = self.view(np.ndarray)
        same = values == values[0]
        if not everywhere(same):
            raise Diverged(same)
        return int(values[0])

    __int__ = __index__

    def __mul__(self, other: Any) -> Any:
        """Return the product.

        :raises OutOfRange: with the points whose product is too large.
        """
        if _most(self) * _most(other) > LIMIT:
            # In floats, whose rounding does not matter this far below 2**63.
            sizes = np.abs(self.view(np.ndarray).astype(float) * np.asarray(other, float))
            beyond = sizes > LIMIT
            if beyond.any():
                raise OutOfRange(beyond)
        return _product(self, other)

    __rmul__ = __mul__
    __add__ = __radd__ = _operator(np.add)
    __sub__ = _operator(np.subtract)
    __floordiv__ = _operator(np.floor_divide)
    __and__ = __rand__ = _operator(np.bitwise_and)
    __or__ = __ror__ = _operator(np.bitwise_or)
    __eq__, __ne__ = _operator(np.equal), _operator(np.not_equal)
    __lt__, __le__ = _operator(np.less), _operator(np.less_equal)
    __gt__, __ge__ = _operator(np.greater), _operator(np.greater_equal)
    __iadd__ = _as_new("__add__")
    __isub__ = _as_new("__sub__")
    __imul__ = _as_new("__mul__")
    __ifloordiv__ = _as_new("__floordiv__")
    __imod__ = _as_new("__mod__")
    __pow__ = __rpow__ = __ipow__ = _refuses("takes a power")
    __lshift__ = __rlshift__ = __ilshift__ = _refuses("shifts to the left")
    __truediv__ = __rtruediv__ = __itruediv__ = _refuses("takes a fraction")
    __float__ = _refuses("calculates with fractions")
    __str__ = __format__ = _refuses("makes a text of a number")
    __class__ = property(_refuses("asks for the type of a number"))


_product = _operator(np.multiply)


def _most(number: Any) -> int:
    """Return what no number is beyond, in size: at most twice the largest."""
    if type(number) is int:
        return abs(number)
    values = np.asarray(number)
    if values.dtype not in (INT64, np.bool_):
        raise Refused("a design that calculates with fractions")
    bits = int(np.bitwise_or.reduce(values))
    return bits if bits >= 0 else max(int(values.max()), -int(values.min()))
