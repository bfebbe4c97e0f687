"""What an iothread lock is held for."""

from __future__ import annotations

from difflib import get_close_matches
from enum import StrEnum
from typing import NoReturn


class Purpose(StrEnum):
    """What a thread takes the iothread lock (BQL) for."""

    STOP = "stop"
    """A COLO thread stops its guest (vm_stop_force_state)."""
    START = "start"
    """A COLO thread lets its guest run again (vm_start)."""
    SAVE = "save"
    """The primary's checkpoint thread saves RAM or device state."""
    LOAD = "load"
    """The secondary's COLO incoming thread loads state into its guest."""
    RECEIVE = "receive"
    """The secondary's COLO incoming thread receives RAM into its cache."""
    FAILOVER = "failover"
    """A COLO thread that has left COLO serves alone."""
    MONITOR = "monitor"
    """The main loop serves a monitor command or runs a bottom half."""
    DISK = "disk"
    """The main loop waits for the replicated disk, within a command; no other is served."""
    PROXY = "proxy"
    """A thread waits in a write to a full socket of the proxy: no command is served meanwhile."""
    BUSY = "busy"
    """The main loop does work that is none of COLO's; no command is served meanwhile."""

    # Enum's own is a call in Python; a lock asks for it at every hold.
    __hash__ = str.__hash__

    @property
    def moves_state(self) -> bool:
        """Whether a hold counts in ``lock_hold_ns``: it saves, loads or receives state."""
        return self in _MOVES_STATE

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        """Refuse a purpose that is none, with the nearest that is one.

        :raises ValueError: always.
        """
        near = get_close_matches(str(value), list(cls), n=1)
        hint = f"did you mean {str(near[0])!r}?" if near else f"they are {', '.join(cls)}"
        raise ValueError(f"{value!r} is no purpose of the iothread lock: {hint}")


_MOVES_STATE = frozenset({Purpose.SAVE, Purpose.LOAD, Purpose.RECEIVE})
