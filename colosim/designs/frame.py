"""What stands around every transaction: the two COLO threads, from entering COLO to leaving it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from colosim.designs.side import Failure, GuestShutDown
from colosim.errors import DesignError
from colosim.host.failover import BY_CONNECTION
from colosim.trace.events import ColoExit
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from colosim.designs.design import Design
    from colosim.designs.primary import Primary
    from colosim.designs.secondary import Secondary
    from colosim.designs.side import Side, Steps


def _leave(side: Side, error: Exception | None) -> None:
    """Leave COLO (COLO_EXIT): the thread then waits for a failover command."""
    side.exited = True
    if side.failover.requested:
        side.exit_reason = "request"
    else:
        side.exit_reason = f"error: {error}" if error else "error"
    side.note(ColoExit(side.name, "request" if side.failover.requested else "error"))
    if not side.failover.requested:
        side.failover.exits_with_error()


def _something(side: Side, steps: Steps, what: str) -> Steps:
    """Run a design's steps, which must do something: else time would stand still for ever.

    :raises DesignError: if they end as they began.
    """
    begun = side.env.steps
    yield from steps
    if side.env.steps == begun:
        raise DesignError(f"its {what} ends without having waited for anything")


def primary_thread(design: Design, p: Primary) -> Steps:
    """Run checkpoints until COLO ends (colo_process_checkpoint), then wait for the failover.

    From the stop on only a failover runs the guest again: no error path does.
    """
    error: Exception | None = None
    try:
        while not p.failover.requested:
            yield from design.wait_for_checkpoint(p)
            if p.failover.requested:
                break
            p.begun_ns = p.env.now
            yield from _something(p, design.checkpoint(p), "checkpoint")
            p.on_end()
            p.checkpoint += 1
    except GuestShutDown:
        return
    except Failure as failure:
        error = failure
    p.on_end()
    _leave(p, error)
    if p.failover.by == BY_CONNECTION:
        yield from p.failover.go_on_alone(p.thread)
        return
    yield from p.failover.wait(p.thread)
    if p.holds_lock:
        # Leaked by the error path: a thread that takes it once more waits for itself.
        own = "the iothread lock (failover), which it has itself"
        yield from p.thread.wait(p.env.event(), own)
    yield from p.lock(Purpose.FAILOVER)
    yield from p.work("failover", p.costs.failover_ns)
    p.host.guest.run()
    p.unlock()
    p.failover.took_over()


def secondary_thread(design: Design, s: Secondary) -> Steps:
    """Load checkpoints until COLO ends (colo_process_incoming_thread)."""
    error: Exception | None = None
    try:
        while True:
            yield from _something(s, design.load(s), "load")
            if s.relaunching:
                break
            s.checkpoint += 1
    except GuestShutDown:
        s.env.finish()
        return
    except Failure as failure:
        error = failure
    s.failover.loading = False
    if s.relaunching:
        s.failover.relaunch()
    _leave(s, error)
    if s.failover.by == BY_CONNECTION:
        yield from s.failover.go_on_alone(s.thread)
        return
    if not s.traits.main_loop_frees_cache:
        yield from s.failover.free_cache(s.thread)
    s.failover.incoming_ended()
    yield from s.failover.wait(s.thread)
