"""A broken safety rule: what, when, by whom, the events around it, and how to see it again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from colosim.errors import InvariantError

if TYPE_CHECKING:
    from colosim.trace.events import Event

    Timed = tuple[int, Event, int]


class Broken(Exception):  # noqa: N818 - no error of anybody who uses colosim
    """Raised by a checker at the event that breaks its rule; `thread` is who did it."""

    def __init__(self, thread: str, detail: str) -> None:
        super().__init__(detail)
        self.thread = thread
        self.detail = detail


class Violation(InvariantError):  # noqa: N818 - what was done, not a mishap of the program
    """A safety rule that a checker saw broken.

    `events` are those just before, at and after it (time in ns, event, value), `at` the place of
    the event that broke the rule among them, None if the state at the end of the run did.
    `replay` is a command that runs the same again.
    """

    def __init__(
        self,
        rule: str,
        at_ns: int,
        broken: Broken,
        *,
        events: Sequence[Timed] = (),
        at: int | None = None,
        replay: str = "",
    ) -> None:
        super().__init__(rule, at_ns, broken.thread, broken.detail)
        self.events = tuple(events)
        self.at = at
        self.replay = replay

    @property
    def sentence(self) -> str:
        """Rule, time, thread and detail, in one line."""
        return super().__str__()

    def __str__(self) -> str:
        """Return the sentence, the events around it, and the command that replays it."""
        lines = [self.sentence]
        lines += [
            f"{'> ' if place == self.at else '  '}{at_ns:>16,} ns  {event}  {value}"
            for place, (at_ns, event, value) in enumerate(self.events)
        ]
        if self.replay:
            lines.append(f"replay: {self.replay}")
        return "\n".join(lines)
