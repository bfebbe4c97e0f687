"""The commands of a scenario: what an operator types into a monitor, and when."""

from __future__ import annotations

from typing import Annotated, Final

from colosim.scenario.disk import COMMANDS as DISK_COMMANDS
from colosim.scenario.faults import Planned
from colosim.scenario.fields import Choice, Side

COMMANDS: Final = (
    *("x-colo-lost-heartbeat", "yank", "stop", "cont", "query-status"),
    *DISK_COMMANDS,
    "yank chardev",
)


class Command(Planned):
    """A monitor command that an operator sends to one side, on a connection of his own."""

    kind = "command"
    example = "{at: 5 s, to: secondary, command: x-colo-lost-heartbeat}"

    to: Side
    """Side whose QEMU it is sent to."""
    command: Annotated[str, Choice(COMMANDS, "a command")]
    """What is sent. The main loop serves it under the iothread lock, but for a yank ('yank': of the
    migration), which is out of band.
    """

    @property
    def target(self) -> str:
        """The side that it is sent to."""
        return self.to

    @property
    def concerns(self) -> str:
        """The command."""
        return self.command
