"""Remedies that change the protocol, for any design: what they do is done in the sides' verbs.

The design's own file stays as it is.  A verb that it calls under the lock gives the lock back and,
where the design goes on under it, takes it again; so the design's ``with p.held:`` means "unless a
remedy has let it go".  A verb that is called without the lock does nothing else than it always did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from colosim.designs.messages import PAGE_WIRE_BYTES
from colosim.designs.primary import Primary
from colosim.designs.secondary import Secondary
from colosim.designs.side import Held
from colosim.engine.clock import NS_PER_S, smaller
from colosim.trace.events import PagesCounted
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from colosim.designs.design import Design
    from colosim.designs.remedies import Option
    from colosim.designs.side import Steps
    from colosim.designs.traits import Traits
    from colosim.host.host import Host
    from colosim.network.section import Section

JOIN_UNDER_LOCK, RATE_LIMIT, MULTIFD = "join-under-lock", "rate-limit", "multifd"
JOIN_UNDER_LOCK, RATE_LIMIT, MULTIFD = "join-under-lock", "rate-limit", "multifd"
RAM_OUTSIDE, RECEIVE_OUTSIDE, CHUNKED = "ram-outside-lock", "receive-outside-lock", "chunked-lock"
IN_VERBS = frozenset({RAM_OUTSIDE, RECEIVE_OUTSIDE, CHUNKED, RATE_LIMIT})
"""Options that the verbs below know."""
RATE_LIMIT_NS = 100_000_000
"""BUFFER_DELAY (migration/migration.c of 5.0): what each page that is left waits for."""


def remedied(design: type[Design], name: str, options: Sequence[Option]) -> type[Design]:
    """Return `design` with remedies, called `name`."""
    words = [f"{option.name}: {option.remedy.summary}" for option in options]
    origins = [f"{option.name}: {option.remedy.origin}" for option in options]
    return type(
        design.__name__,
        (design,),
        {
            "__doc__": design.__doc__,
            "__module__": design.__module__,
            "name": name,
            "summary": "; ".join((design.summary, *words)),
            "origin": "; ".join((design.origin, *origins)),
            "traits": replace(
                design.traits,
                remedies=tuple(options),
                joins_under_lock=design.traits.joins_under_lock
                or any(option.name == JOIN_UNDER_LOCK for option in options),
                channels=sum(option.value or 0 for option in options if option.name == MULTIFD),
            ),
        },
    )


class HeldOnDemand(Held):
    """As `Held`; a lock that a remedy has let go is not given back again."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release, if the thread still has the lock."""
        if self._lock.owner is self._thread:
            super().__exit__(kind, error, trace)


def _chunk_bytes(traits: Traits) -> int:
    """Return the chunk after which the lock is let go, 0 if it is not."""
    return next((option.value or 0 for option in traits.remedies if option.name == CHUNKED), 0)


def _has(traits: Traits, remedy: str) -> bool:
    return any(option.name == remedy for option in traits.remedies)


class RemediedPrimary(Primary):
    """The primary with ``ram-outside-lock`` or ``chunked-lock``, and with late writes.

    Late writes answer whether pages may be sent without the lock while the guest is stopped: at
    the rate `guest.late_writes` the main loop writes into guest memory as long as the lock is free
    between the first and the last part of a checkpoint's state.  QEMU notes each such page in the
    dirty bitmap, so all of them are sent with the next checkpoint; of this one they make RAM and
    device state that are not of one moment.  Assumed: every such writer takes the lock (so none
    writes while a checkpoint thread has it), and device state depends on what it writes.  Stopping
    the guest drains its block devices (do_vm_stop: bdrv_drain_all), which is why the default rate
    is 0: then nothing is torn.
    """

    def __init__(self, traits: Traits, host: Host, *rest: Any) -> None:
        super().__init__(traits, host, *rest)
        self.held = HeldOnDemand(host.lock, self.thread)
        self._outside = _has(traits, RAM_OUTSIDE)
        self._chunk = _chunk_bytes(traits)
        self._let_go = False
        self._rate_limited = _has(traits, RATE_LIMIT)
        self._late_rate = host.guest_model.late_writes_pages_per_s
        self._unlocked_ns = 0
        self._late: dict[int, int] = {}
        if self._late_rate:
            self._dirty_after = host.guest.dirty_after
            host.guest.dirty_after = self._dirty_with_late_pages

    def late_pages(self, checkpoint: int) -> int:
        """Return how many pages of `checkpoint`, this one or the last, were written late."""
        return self._late.get(checkpoint, 0)

    def _dirty_with_late_pages(self, checkpoint: int, before_ns: int, run_ns: int) -> int:
        return self._dirty_after(checkpoint, before_ns, run_ns) + self.late_pages(checkpoint - 1)

    def _was_unlocked(self, since_ns: int) -> None:
        """Count what the main loop may have written since, in this checkpoint."""
        self._unlocked_ns += self.env.now - since_ns
        pages = smaller(self._late_rate * self._unlocked_ns // NS_PER_S, self._ram_pages)
        if pages:
            self.note(PagesCounted(self.name, "late"), pages)
            self._late[self.checkpoint] = pages
            self._late.pop(self.checkpoint - 2, None)

    def stream_ram(self) -> Steps:
        """Stream RAM, without the lock if the remedy is chosen, as colo.c does since QEMU 3.1."""
        if self._outside and self.holds_lock:
            self.unlock()
            self._let_go = True
        self._unlocked_ns = 0
        since_ns, unlocked = self.env.now, not self.holds_lock
        yield from super().stream_ram()
        if self._rate_limited and self.outgoing.write_error is not None:
            pages = -(-self.outgoing.unwritten_bytes // PAGE_WIRE_BYTES)
            waits = self.thread.sleep(pages * RATE_LIMIT_NS)
            yield from self.thread.wait(waits, "the rate limit of a broken socket")
        if unlocked:
            self._was_unlocked(since_ns)

    def save_device_state(self) -> Steps:
        """Save device state; under the lock again, if the stream came first and let it go."""
        let_go, self._let_go = self._let_go, False
        if let_go and not self.holds_lock:
            since_ns = self.env.now
            yield from self.lock(Purpose.SAVE)
            self._was_unlocked(since_ns)
        yield from super().save_device_state()

    def write(self, step: str, section: Section, write_ns: int) -> Steps:
        """Write, under the lock chunk by chunk; between two the lock is whoever's turn it is."""
        amount = section.size_bytes
        if not self._chunk or not self.holds_lock:
            yield from super().write(step, section, write_ns)
            return
        chunk = self._chunk
        done = 0
        while done < amount:
            part = smaller(chunk, amount - done)
            spent = write_ns * (done + part) // amount - write_ns * done // amount
            yield from super().write(step, section.part(done, part), spent)
            done += part
            if done < amount:
                since_ns = self.env.now
                self.unlock()
                yield from self.lock(Purpose.SAVE)
                self._was_unlocked(since_ns)


class RemediedSecondary(Secondary):
    """The secondary with ``receive-outside-lock``."""

    def __init__(self, traits: Traits, host: Host, *rest: Any) -> None:
        super().__init__(traits, host, *rest)
        self.held = HeldOnDemand(host.lock, self.thread)
        self._outside = _has(traits, RECEIVE_OUTSIDE)

    def load_ram(self) -> Steps:
        """Load streamed RAM, without the lock if the remedy is chosen, as colo.c did to QEMU 3.0.

        What is received next (VMSTATE_SIZE) is received without it too.
        """
        if self._outside and self.holds_lock:
            self.unlock()
        return super().load_ram()
