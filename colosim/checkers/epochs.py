"""Checkpoints go forward: their numbers grow, and each load is of the checkpoint just sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.checkers.checker import Checker, Pair, Unrepeatable
from colosim.checkers.violation import Broken

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from colosim.checkers.checker import Handler, Repeat

__all__ = ["MonotoneEpochs"]


class MonotoneEpochs(Checker):
    """No transaction ends twice, no state is loaded that was not sent or was loaded before."""

    rule = "checkpoints go forward"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._ended = -1
        self._sent = self._got = self._loaded = 0

    def handler(self, subject: str, what: str) -> Handler | None:
        """Watch the ends of transactions, VMSTATE_SEND at both ends, and device loads."""
        return {
            ("checkpoint committed", ""): self._commits,
            ("checkpoint aborted", ""): self._ends,
            ("primary", "sends VMSTATE_SEND"): self._sends,
            ("secondary", "receives VMSTATE_SEND"): self._gets,
            ("secondary", "device load"): self._loads,
        }.get((subject, what))

    def _sends(self, _at_ns: int, _value: int) -> None:
        self._sent += 1

    def _gets(self, _at_ns: int, _value: int) -> None:
        self._got += 1
        if self._got > self._sent:
            raise Broken(
                "secondary COLO incoming thread",
                f"begins to receive state number {self._got}, but {self._sent} were sent",
            )

    def _loads(self, _at_ns: int, _value: int) -> None:
        if self._loaded >= self._got:
            raise Broken(
                "secondary COLO incoming thread",
                f"loads device state again: {self._got} were received and as many loaded",
            )
        self._loaded = self._got

    def _ends(self, _at_ns: int, checkpoint: int) -> None:
        if checkpoint <= self._ended:
            raise Broken(
                "primary checkpoint thread",
                f"ends checkpoint {checkpoint} after checkpoint {self._ended}",
            )
        self._ended = checkpoint

    def _commits(self, at_ns: int, checkpoint: int) -> None:
        self._ends(at_ns, checkpoint)
        if self._loaded != self._sent:
            raise Broken(
                "primary checkpoint thread",
                f"commits checkpoint {checkpoint}, but the secondary's device state is of another"
                f" ({self._sent} sent, number {self._loaded} loaded)",
            )

    def state(self) -> Hashable:
        """How far apart what was sent, received and loaded is."""
        return self._sent - self._got, self._got - self._loaded

    def repeats(self, names: Sequence[tuple[str, str]]) -> Repeat | None:
        """One more checkpoint, if this one went from VMSTATE_SEND to its commit."""
        ends = [number for number, name in enumerate(names) if name == ("checkpoint committed", "")]
        sends = names.count(("primary", "sends VMSTATE_SEND"))
        return _NextCheckpoint(self, 3 * ends[0] + 2) if len(ends) == sends == 1 else Unrepeatable()

    def next_is(self, checkpoint: int) -> bool:
        """Tell whether `checkpoint` follows the one that ended last."""
        return checkpoint == self._ended + 1

    def count(self) -> None:
        """Count a checkpoint that was sent, received, loaded and committed."""
        self._ended += 1
        self._sent += 1
        self._got += 1
        self._loaded += 1

    def finish(self) -> None:
        """The secondary's marks never run ahead of the checkpoints that were sent."""
        secondary = self.pair.secondary
        for what in ("cache", "ram", "device"):
            epoch = getattr(secondary, f"{what}_epoch")
            if epoch > secondary.peer.checkpoint:
                raise Broken(
                    "secondary COLO incoming thread",
                    f"has {what} state of checkpoint {epoch}, but the primary is at"
                    f" {secondary.peer.checkpoint}",
                )


class _NextCheckpoint:
    """A chunk that is one more committed checkpoint; `place` has its number."""

    def __init__(self, epochs: MonotoneEpochs, place: int) -> None:
        self._epochs = epochs
        self._place = place

    def fits(self, chunk: Sequence[int]) -> bool:
        """Tell whether its number is the next."""
        return self._epochs.next_is(chunk[self._place])

    def count(self, _chunk: Sequence[int]) -> None:
        """Count it."""
        self._epochs.count()
