"""Protocol steps by their names: ``primary: RAM stream``, ``secondary: before cache flush``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from colosim.designs.side import Side

BEFORE, DURING, AFTER = "before", "during", "after"
HALF_PPM = 500_000

SENDS, RECEIVES, WORKS, WRITES, READS = "sends", "receives", "works", "writes", "reads"


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of a step on one side; `progress_ppm` counts only `DURING` it."""

    side: str
    step: str
    when: str
    progress_ppm: int = 0


def moment(text: str, progress_ppm: int | None = None) -> Moment:
    """Read ``side: [before|during|after] step``.

    A step without a word is meant as it begins, or at `progress_ppm` of it.  ``during`` alone is
    halfway; during a message that is received is while its receiver waits for it.
    """
    side, _, rest = text.partition(":")
    step = rest.strip()
    word, _, name = step.partition(" ")
    if word in {BEFORE, DURING, AFTER} and name:
        progress = HALF_PPM if progress_ppm is None else progress_ppm
        return Moment(side.strip(), name.strip(), word, progress if word == DURING else 0)
    if progress_ppm is None:
        return Moment(side.strip(), step, BEFORE)
    return Moment(side.strip(), step, DURING, progress_ppm)


@dataclass(frozen=True, slots=True)
class Step:
    """A protocol step of one side, as an undisturbed checkpoint has it.

    `kind` is `SENDS`, `RECEIVES`, `WORKS`, `WRITES` or `READS`; `amount_bytes` is what a stream
    carries; `duration_ns` is what it took (for work: what it costs); `lock` is the purpose for
    which the thread holds the iothread lock meanwhile, ``""`` if it does not; `may_fail` names the
    functions that may return an error in it.
    """

    side: str
    name: str
    kind: str
    begins_ns: int
    duration_ns: int = 0
    amount_bytes: int = 0
    lock: str = ""
    may_fail: tuple[str, ...] = ()

    @property
    def blocks(self) -> bool:
        """Whether the thread waits for its peer or the network in it."""
        return self.kind in {RECEIVES, WRITES, READS}


class StepList:
    """A watch that writes down every step of one checkpoint on both sides, in order.

    `checkpoint`: which one, from 0; None takes each step when it first comes.
    """

    def __init__(self, checkpoint: int | None = None) -> None:
        self._checkpoint = checkpoint
        self._found: dict[tuple[str, str], Step] = {}
        self._under_way: dict[tuple[str, str], tuple[int, int]] = {}
        self._asked: dict[str, tuple[str, ...]] = {}

    @property
    def found(self) -> tuple[Step, ...]:
        """The steps, in the order in which they began."""
        return tuple(self._found.values())

    @property
    def steps(self) -> list[tuple[str, str]]:
        """Side and name of each step, in the order in which they began."""
        return list(self._found)

    def reached(self, side: Side, step: str, when: str, duration_ns: int) -> bool:
        """Note a step as it begins, and what it was when it ends."""
        if self._checkpoint not in {None, side.checkpoint}:
            return False
        key = (side.name, step)
        if when == BEFORE and key not in self._found:
            lock = side.host.lock
            self._found[key] = Step(
                side.name,
                step,
                WORKS,
                side.env.now,
                duration_ns,
                lock=lock.purpose if lock.owner is side.thread else "",
                may_fail=self._asked.pop(side.name, ()),
            )
            self._under_way[key] = side.bytes_written, side.bytes_read
        elif when == AFTER and key in self._under_way:
            self._note_end(side, self._found[key])
        return False

    def _note_end(self, side: Side, step: Step) -> None:
        now, key = side.env.now, (step.side, step.name)
        written, read = self._under_way.pop(key)
        kind, amount = step.kind, 0
        if kind == WRITES:
            amount = side.bytes_written - written
        elif kind == READS:
            amount = side.bytes_read - read
        elif side.sent_at_ns.get(step.name) == now:
            kind = SENDS
        elif side.received_at_ns.get(step.name) == now:
            kind = RECEIVES
        took = now - step.begins_ns
        self._found[key] = replace(step, kind=kind, duration_ns=took, amount_bytes=amount)

    def streaming(self, side: Side, step: str, what: str) -> None:
        """Note that a step is a stream."""
        key = (side.name, step)
        if key in self._under_way:
            self._found[key] = replace(self._found[key], kind=WRITES if what == "write" else READS)

    def error_of(self, side: Side, what: str) -> None:
        """Note that a function of the next step may fail; nothing does."""
        if self._checkpoint in {None, side.checkpoint}:
            self._asked[side.name] = (*self._asked.get(side.name, ()), what)
