"""Handing a record on, event by event: who follows says once what is done with each event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from colosim.trace.record import event_of

if TYPE_CHECKING:
    from colosim.trace.events import Event

    Handler = Callable[[int, int], None]
    On = Callable[[Event], list[Handler]]


class Dispatcher:
    """Hands each event to those who follow it.

    Each of `followers` is asked once for an event, when it is first met, and returns what is to be
    called with the time and the value of each such event.
    """

    def __init__(self, *followers: On) -> None:
        self._handlers = _Handlers(followers)

    def feed(self, flat: Sequence[int]) -> None:
        """Read events, flat as in the record: time, code, value, time, ..."""
        handlers = map(self._handlers.__getitem__, flat[1::3])
        for at_ns, handler, value in zip(flat[::3], handlers, flat[2::3], strict=True):
            if handler is not None:
                handler(at_ns, value)


class _Handlers(dict[int, "Handler | None"]):
    """What is done with the event of each code, None if nothing is."""

    def __init__(self, followers: tuple[On, ...]) -> None:
        super().__init__()
        self._followers = followers

    def __missing__(self, code: int) -> Handler | None:
        """Return and keep what is done with an event that was not met before."""
        event = event_of(code)
        handlers = [handler for on in self._followers for handler in on(event)]
        self[code] = found = _together(handlers)
        return found


def _together(handlers: list[Handler]) -> Handler | None:
    """Return what does all that `handlers` do."""
    if len(handlers) <= 1:
        return handlers[0] if handlers else None

    def handle(at_ns: int, value: int) -> None:
        for handler in handlers:
            handler(at_ns, value)

    return handle
