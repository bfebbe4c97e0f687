"""What a checkpoint promises: it goes forward, it is whole, and no output leaves before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.checkers.checker import Checker, Pair
from colosim.checkers.violation import Broken
from colosim.trace import events as ev
from colosim.trace import steps

if TYPE_CHECKING:
    from colosim.checkers.checker import Handler

PRIMARY = "primary checkpoint thread"
SECONDARY = "secondary COLO incoming thread"


class MonotoneEpochs(Checker):
    """No transaction ends twice, no state is loaded that was not sent or was loaded before."""

    rule = "checkpoints go forward"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._ended = -1
        self._sent = self._got = self._loaded = 0

    def on(self, event: ev.Event) -> Handler | None:
        """Watch the ends of transactions, VMSTATE_SEND at both ends, and device loads."""
        match event:
            case ev.CheckpointEnded("committed"):
                return self._commits
            case ev.CheckpointEnded():
                return self._ends
            case ev.Sent("primary", "VMSTATE_SEND"):
                return self._sends
            case ev.Received("secondary", "VMSTATE_SEND"):
                return self._gets
            case ev.StepDone("secondary", steps.DEVICE_LOAD):
                return self._loads
        return None

    def _sends(self, _at_ns: int, _value: int) -> None:
        self._sent += 1

    def _gets(self, _at_ns: int, _value: int) -> None:
        self._got += 1
        if self._got > self._sent:
            raise Broken(
                SECONDARY, f"begins to receive state number {self._got}, but {self._sent} were sent"
            )

    def _loads(self, _at_ns: int, _value: int) -> None:
        if self._loaded >= self._got:
            raise Broken(
                SECONDARY, f"loads device state again: {self._got} were received and as many loaded"
            )
        self._loaded = self._got

    def _ends(self, _at_ns: int, checkpoint: int) -> None:
        if checkpoint <= self._ended:
            raise Broken(PRIMARY, f"ends checkpoint {checkpoint} after checkpoint {self._ended}")
        self._ended = checkpoint

    def _commits(self, at_ns: int, checkpoint: int) -> None:
        self._ends(at_ns, checkpoint)
        # One that the secondary acknowledges before it loads may still be in its buffer.
        if not self._sent - self.pair.resumes_first <= self._loaded <= self._sent:
            raise Broken(
                PRIMARY,
                f"commits checkpoint {checkpoint}, but the secondary's device state is of another"
                f" ({self._sent} sent, number {self._loaded} loaded)",
            )

    def finish(self) -> None:
        """The secondary's marks never run ahead of the checkpoints that were sent."""
        secondary = self.pair.secondary
        last = self.pair.primary.checkpoint
        for what in ("cache", "ram", "device"):
            epoch = getattr(secondary, f"{what}_epoch")
            if epoch > last:
                raise Broken(
                    SECONDARY,
                    f"has {what} state of checkpoint {epoch}, but the primary is at {last}",
                )


class TornState(Checker):
    """A secondary that takes over has RAM and device state of one and the same checkpoint."""

    rule = "no torn state"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._receiving = self._ram = self._device = 0
        self._reset = False

    def on(self, event: ev.Event) -> Handler | None:
        """Watch what the secondary loads, and its taking over."""
        match event:
            case ev.Received("secondary", "VMSTATE_SEND"):
                return self._receives
            case ev.StepDone("secondary", steps.RESET):
                return self._resets
            case ev.StepDone("secondary", steps.DEVICE_LOAD):
                return self._loads_devices
            case ev.StepDone("secondary", step) if step == self.pair.ram_step:
                return self._loads_ram
            case ev.ServesAlone("secondary"):
                return self._takes_over
        return None

    def _receives(self, _at_ns: int, _value: int) -> None:
        self._receiving += 1

    def _resets(self, _at_ns: int, _value: int) -> None:
        self._reset = True

    def _loads_devices(self, _at_ns: int, _value: int) -> None:
        self._device = self._receiving
        self._reset = False

    def _loads_ram(self, _at_ns: int, _value: int) -> None:
        self._ram = self._receiving

    def _takes_over(self, _at_ns: int, _value: int) -> None:
        if self._reset or self._ram != self._device:
            device = "reset and not loaded" if self._reset else _of(self._device)
            raise Broken(
                "secondary main loop",
                f"takes over with RAM {_of(self._ram)}, but device state {device}",
            )

    def finish(self) -> None:
        """The secondary's own marks say the same, if it took over."""
        ram, device = self.pair.secondary.ram_epoch, self.pair.secondary.device_epoch
        if self.pair.failovers["secondary"].done and ram != device:
            raise Broken(
                "secondary main loop",
                f"has taken over with RAM of checkpoint {ram}, but device state of checkpoint"
                f" {device}",
            )


def _of(number: int) -> str:
    """Say what state that is, checkpoints counted from 0 as the run does."""
    return f"of checkpoint {number - 1}" if number else "as when COLO was entered"


class OutputCommit(Checker):
    """After COLO's stop the primary's guest runs again only when the secondary said VMSTATE_LOADED.

    Or once it has left COLO, to serve alone.  The secondary says so only of what it has loaded:
    RAM in guest RAM, and device state, since it was asked for this checkpoint.  A design that
    resumes first commits only what the secondary acknowledged (then output leaves), and that only
    when it has it whole.
    """

    rule = "output commit"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._stopped = self._heard = self._left = False
        self._ram = self._device = False

    def on(self, event: ev.Event) -> Handler | None:
        """Watch the primary's guest, and what the secondary loads and says."""
        if self.pair.resumes_first:
            return self._on_held(event)
        match event:
            case ev.ColoExit("primary"):
                return self._becomes(_left=True)
            case ev.StepDone("primary", steps.STOP):
                return self._becomes(_stopped=True, _heard=False)
            case ev.Received("primary", "VMSTATE_LOADED"):
                return self._becomes(_heard=True)
            case ev.GuestRunning("primary"):
                return self._runs
            case ev.Received("secondary", "CHECKPOINT_REQUEST"):
                return self._becomes(_ram=False, _device=False)
            case ev.StepDone("secondary", steps.DEVICE_LOAD):
                return self._becomes(_device=True)
            case ev.StepDone("secondary", step) if step == self.pair.ram_step:
                return self._becomes(_ram=True)
            case ev.Sent("secondary", "VMSTATE_LOADED"):
                return self._says
        return None

    def _on_held(self, event: ev.Event) -> Handler | None:
        match event:
            case ev.StepDone("primary", steps.STOP):
                return self._becomes(_heard=False)
            case ev.Received("primary", "VMSTATE_RECEIVED"):
                return self._becomes(_heard=True)
            case ev.CheckpointEnded("committed"):
                return self._commits
            case ev.Received("secondary", "CHECKPOINT_REQUEST"):
                return self._becomes(_ram=False)
            case ev.StreamEnded("secondary", steps.VMSTATE_FILL):
                return self._becomes(_ram=True)
            case ev.Sent("secondary", "VMSTATE_RECEIVED"):
                return self._acknowledges
        return None

    def _commits(self, _at_ns: int, checkpoint: int) -> None:
        if not self._heard:
            raise Broken(PRIMARY, f"commits checkpoint {checkpoint}, which nobody acknowledged")

    def _acknowledges(self, _at_ns: int, _value: int) -> None:
        if not self._ram:
            raise Broken(SECONDARY, "acknowledges a checkpoint that it does not have whole")

    def _becomes(self, **facts: bool) -> Handler:
        return lambda _at_ns, _value: vars(self).update(facts)

    def _runs(self, _at_ns: int, _value: int) -> None:
        if self._stopped and not self._heard and not self._left:
            raise Broken(
                PRIMARY, "lets the guest run on before the secondary has said VMSTATE_LOADED"
            )
        self._stopped = False

    def _says(self, _at_ns: int, _value: int) -> None:
        if not (self._ram and self._device):
            missing = "device state" if self._ram else "RAM"
            raise Broken(
                SECONDARY, f"says VMSTATE_LOADED, but has not loaded this checkpoint's {missing}"
            )
