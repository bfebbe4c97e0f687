"""Faults of an exploration by their words: ``kill``, ``freeze 30 s``, ``slow latency 100 30 s``.

``leak`` is a ``fail`` whose error path leaves with the lock.  ``freeze mirror``, ``close compare
5 s``: a socket of the proxy, of a pair whose output is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from colosim.explore.choices import ChoicesError
from colosim.scenario.disk import DISK
from colosim.scenario.faults import FAULT_KINDS
from colosim.scenario.service import SOCKETS
from colosim.trace.events import OTHER, PRIMARY
from colosim.trace.steps import DEVICE_SAVE

if TYPE_CHECKING:
    from colosim.scenario.faults import Fault

NETWORK: Final = "network"

DEFAULT_FAULTS: Final = (
    "freeze",
    "kill",
    "vanish",
    "freeze 1 s",
    "freeze 30 s",
    "vanish 1 s",
    "vanish 30 s",
    "slow bandwidth 0.01 30 s",
    "slow latency 100 30 s",
    "fail",
    "leak",
    "busy 5 s",
    "disconnect",
)
"""What an exploration tries: lasting faults, and some that end before or after the manager acts."""

_LASTING: Final = ("freeze", "vanish", "close", "slow", "busy", "disconnect")
_OF_SOCKETS: Final = ("freeze", "vanish", "close")
_SLOWED: Final = ("bandwidth", "latency")
_EXPLORED: Final = (
    *("freeze", "kill", "vanish", "close", "slow", "fail", "leak", "busy", "disconnect"),
)
_RETURNS: Final = ("fail", "leak")
_ANY_FUNCTION: Final = DEVICE_SAVE
_ANY_MOMENT: Final[dict[str, object]] = {"checkpoint": 0, "step": "primary: stop"}


def _parts(words: str) -> tuple[str, str, str, str]:
    """Return kind, what it concerns, factor and lasting of a fault's words.

    :raises ChoicesError: if they are none; `fault_of` looks at factor and time.
    """
    kind, _, rest = words.partition(" ")
    what = factor = ""
    if kind not in _EXPLORED:
        raise ChoicesError(
            f"{words!r} is no fault; expected one of {', '.join(_EXPLORED)}, with a time after "
            "which it ends, such as 'freeze 30 s' or 'slow bandwidth 0.01 30 s'"
        )
    if kind == "slow":
        what, _, rest = rest.partition(" ")
        factor, _, rest = rest.partition(" ")
        if what not in _SLOWED:
            raise ChoicesError(f"{words!r}: expected 'slow bandwidth ...' or 'slow latency ...'")
    if socket := socket_of(words):
        return kind, socket, "", rest.removeprefix(socket).strip()
    if kind == "close":
        raise ChoicesError(f"{words!r}: expected 'close mirror ...' or 'close compare ...'")
    if kind in _RETURNS:
        return kind, rest, "", ""
    if kind == "busy" and not rest:
        raise ChoicesError(f"{words!r}: expected for how long, such as 'busy 5 s'")
    if rest and kind not in _LASTING:
        raise ChoicesError(f"{words!r}: {kind} does not end by itself")
    return kind, what, factor, rest


def socket_of(words: str) -> str:
    """Return the socket of the proxy that a fault's words name, none if they do not."""
    kind, *where = words.split(" ")
    return where[0] if kind in _OF_SOCKETS and where and where[0] in SOCKETS else ""


def requested_faults(asked: Sequence[str]) -> tuple[str, ...]:
    """Return the faults that are asked for, each once; all defaults if none is.

    :raises ChoicesError: if one is none.
    """
    for words in asked:
        named = f"{words} {_ANY_FUNCTION}" if words in _RETURNS else words
        fault_of(named, victims_of(words, PRIMARY)[0], _ANY_MOMENT)
    return tuple(dict.fromkeys(asked or DEFAULT_FAULTS))


def victims_of(words: str, side: str, *, disk: bool = False) -> tuple[str, ...]:
    """Return what a fault may strike when `side` is at its step: the peer first.

    `disk`: whether the pair has one, whose connection may be lost or slow by itself.
    """
    if socket := socket_of(words):
        return (socket,)
    kind = words.partition(" ")[0]
    peer = OTHER[side]
    if kind == "slow":
        return (NETWORK, DISK) if disk else (NETWORK,)
    if kind == "vanish":
        return (peer, side, NETWORK, DISK) if disk else (peer, side, NETWORK)
    if kind in _RETURNS:
        return (side,)
    return (peer, side)


def fault_of(words: str, victim: str, at: dict[str, object]) -> Fault:
    """Return the fault of these words on `victim`; ``fail`` and ``leak`` name the function.

    :raises ChoicesError: if the words are no fault, or a time, factor or function is none.
    """
    kind, what, factor, lasting = _parts(words)
    leaks = kind == "leak"
    kind = "fail" if leaks else kind
    plain: dict[str, object] = {kind: victim, "at": at}
    if leaks:
        plain["leaks_lock"] = True
    if kind == "slow":
        plain["factor"] = factor
    if lasting:
        plain["for"] = lasting
    if what and what != victim:
        plain["what"] = what
    try:
        return FAULT_KINDS[kind].model_validate(plain)
    except ValidationError as error:
        told = "; ".join(str(one["msg"]) for one in error.errors(include_url=False))
        raise ChoicesError(f"{words!r}: {told}") from None
