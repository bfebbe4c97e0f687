"""QEMU's failover on one side: x-colo-lost-heartbeat, its bottom half, and what it kicks.

States as in migration/colo-failover.c: NONE, REQUIRE (the command was accepted), ACTIVE (the
bottom half runs), COMPLETED, RELAUNCH (the secondary was just loading: again afterwards).  A load
holds the lock, so the last can only come where it lets the lock go in its middle
(`Side.work_releasing_lock`).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol

from colosim.trace.events import (
    PRIMARY,
    SECONDARY,
    CommandRefused,
    CommandServed,
    FailoverPostponed,
    OperatorSends,
    ServesAlone,
)
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from simpy.events import Event

    from colosim.host.host import Host
    from colosim.host.process import Thread

    Steps = Generator[Event, None, None]

COMMAND = "x-colo-lost-heartbeat"
YANK = "yank"
CACHE_FREE, FAILOVER, JOIN = "cache free", "failover", "join"
STEPS = {PRIMARY: (COMMAND, FAILOVER), SECONDARY: (COMMAND, JOIN, CACHE_FREE, FAILOVER)}
"""The steps of each side's failover that faults can strike, beside those of a checkpoint."""


class State(Enum):
    """Failover status of one side."""

    NONE = "none"
    REQUIRE = "require"
    ACTIVE = "active"
    COMPLETED = "completed"
    RELAUNCH = "relaunch"


class Channels(Protocol):
    """The migration channels, as failover sees them."""

    def shutdown(self, by: str) -> None:
        """Shut the main channel down at the side `by`."""

    def yank(self, by: str) -> None:
        """Shut every channel down at the side `by`."""


class Failover:
    """The failover of one side, whichever its role."""

    def __init__(self, host: Host, channels: Channels) -> None:
        self.host = host
        self.channels = channels
        self.state = State.NONE
        self.done = False
        self.posted = False
        """Whether the bottom half has let the COLO thread that left go on."""
        self._semaphore: Event | None = None
        self.on_takeover: Callable[[], None] | None = None
        self.on_error_exit: Callable[[], None] | None = None
        self.reached: Callable[[str, str, int], bool] | None = None
        """Is told of each step of the failover as it begins and ends, and how long it takes in ns;
        says whether a fault strikes just then.
        """
        self._handlers = {
            COMMAND: self.lost_heartbeat,
            "stop": self._stop,
            "cont": self._cont,
            "query-status": self._query_status,
        }

    @property
    def requested(self) -> bool:
        """Whether somebody asked for it (failover_get_state() != NONE)."""
        return self.state is not State.NONE

    @property
    def joining(self) -> bool:
        """Whether the main loop waits for the COLO thread to end."""
        return False

    # ---- commands ------------------------------------------------------------------------------

    def lost_heartbeat(self, main_loop: Thread) -> Steps:
        """Serve the command x-colo-lost-heartbeat in the main loop, then its bottom half."""
        yield from self.step(main_loop, COMMAND, self.host.costs.lost_heartbeat_ns)
        if self.state is not State.NONE:
            self.host.record.note(CommandRefused(self.host.side, COMMAND))
            return
        self.state = State.REQUIRE
        yield from self._bottom_half(main_loop)

    def _bottom_half(self, main_loop: Thread) -> Steps:
        """Do the side's part, from the main loop."""
        raise NotImplementedError

    def serve(self, command: str) -> None:
        """Put an operator's command into the monitor; `yank` is served out of band."""
        self.host.record.note(OperatorSends(self.host.side, command))
        if command == YANK:
            self.yank()
        else:
            self.host.monitor.send(command, self._handlers[command])

    def _stop(self, main_loop: Thread) -> Steps:
        """Serve the command stop (qmp_stop): the guest stands until somebody lets it run.

        The next checkpoint that ends is somebody: vm_start does not ask who stopped it.
        """
        if self.host.guest.running:
            yield main_loop.work(self.host.costs.vm_stop_ns)
            self.host.guest.stop()

    def _cont(self, main_loop: Thread) -> Steps:
        """Serve the command cont (qmp_cont), which in COLO's own stop lets the guest run too."""
        if not self.host.guest.running:
            yield main_loop.work(self.host.costs.vm_start_ns)
            self.host.guest.run()

    def _query_status(self, main_loop: Thread) -> Steps:  # noqa: ARG002 - it does not wait
        """Serve the command query-status, which changes nothing; assumed: in no time."""
        yield from ()

    def yank(self) -> None:
        """Serve the out-of-band command yank: shut the migration channels down, without the lock.

        A frozen process serves it once it is thawed.
        """
        if self.host.frozen:
            self.host.thawed.callbacks.append(lambda _thawed: self.yank())
            return
        self.host.record.note(CommandServed(self.host.side, YANK, out_of_band=True))
        self.channels.yank(self.host.side)

    def step(self, thread: Thread, name: str, duration_ns: int) -> Steps:
        """Let `thread` work on a step of the failover, which a fault can strike."""
        yield from self._tell(thread, name, "before", duration_ns)
        yield thread.work(duration_ns)
        yield from self._tell(thread, name, "after", 0)

    def _tell(self, thread: Thread, name: str, when: str, duration_ns: int) -> Steps:
        if self.reached is not None and self.reached(name, when, duration_ns):
            yield thread.work(0)

    # ---- what the COLO thread does with it -----------------------------------------------------

    def _post(self) -> None:
        self.posted = True
        if self._semaphore is not None:
            semaphore, self._semaphore = self._semaphore, None
            semaphore.succeed()

    def wait(self, thread: Thread) -> Steps:
        """Let a COLO thread that has left wait until the bottom half has run."""
        if not self.posted:
            self._semaphore = self.host.env.event()
            yield from thread.wait(self._semaphore, COMMAND)

    def exits_with_error(self) -> None:
        """Emit the event COLO_EXIT with the reason `error`."""
        if self.on_error_exit is not None:
            self.on_error_exit()

    def took_over(self) -> None:
        """This side's guest serves alone from now on."""
        self.done = True
        self.host.record.note(ServesAlone(self.host.side))
        if self.on_takeover is not None:
            self.on_takeover()


class PrimaryFailover(Failover):
    """The primary's: primary_vm_do_failover in migration/colo.c."""

    def __init__(self, host: Host, channels: Channels) -> None:
        super().__init__(host, channels)
        self.sleeper: Thread | None = None
        """The COLO thread, while it is in a wait that a failover ends (colo_checkpoint_event)."""

    def _bottom_half(self, main_loop: Thread) -> Steps:  # noqa: ARG002 - it does not wait
        """Stop the guest, cut the connection, wake the COLO thread."""
        self.state = State.ACTIVE
        self.host.guest.stop()
        self.channels.shutdown(self.host.side)
        self.state = State.COMPLETED
        self._post()
        if self.sleeper is not None:
            self.sleeper.wake()
        yield from ()


class SecondaryFailover(Failover):
    """The secondary's: secondary_vm_do_failover, then the incoming coroutine to the running guest.

    `joins_under_lock`: whether it joins the incoming thread while the main loop holds the lock;
    `frees_cache`: whether the main loop frees the RAM cache then, or the incoming thread has.
    """

    def __init__(
        self, host: Host, channels: Channels, *, joins_under_lock: bool, frees_cache: bool
    ) -> None:
        super().__init__(host, channels)
        self._joins_under_lock = joins_under_lock
        self._frees_cache = frees_cache
        self.loading = False
        """Whether the COLO thread is just loading (vmstate_loading): then it is postponed."""
        self.relaunching = False
        """Whether it was postponed."""
        self._incoming: Event | None = None
        self._incoming_ended = False

    @property
    def joining(self) -> bool:
        """Whether the main loop waits for the COLO incoming thread to end."""
        return self._incoming is not None

    def _bottom_half(self, main_loop: Thread) -> Steps:
        self.state = State.ACTIVE
        if self.loading:
            self.state = State.RELAUNCH
            self.relaunching = True
            self.host.record.note(FailoverPostponed(self.host.side, "loading"))
            return
        self.channels.shutdown(self.host.side)
        self.state = State.COMPLETED
        self._post()
        if not self._incoming_ended:
            yield from self._join(main_loop)
        if self._frees_cache:
            yield from self.free_cache(main_loop)
        yield from self.step(main_loop, FAILOVER, self.host.costs.failover_ns)
        self.host.guest.run()
        self.took_over()

    def _join(self, main_loop: Thread) -> Steps:
        """Wait for the COLO incoming thread to end."""
        lock = self.host.lock
        self._incoming = self.host.env.event()
        yield from self._tell(main_loop, JOIN, "before", 0)
        if not self._joins_under_lock:
            lock.release(main_loop)
        yield from main_loop.wait(self._incoming, "the COLO incoming thread to end")
        if not self._joins_under_lock:
            yield from lock.acquire(main_loop, Purpose.MONITOR)

    def free_cache(self, thread: Thread) -> Steps:
        """Free the RAM cache, if there is one (colo_release_ram_cache)."""
        if self.host.cache_bytes:
            yield from self.step(thread, CACHE_FREE, self.host.cache_free_ns)
            self.host.ledger.hold("ram_cache", 0)

    def incoming_ended(self) -> None:
        """The secondary's COLO thread has ended: whoever joins it goes on."""
        self._incoming_ended = True
        if self._incoming is not None:
            incoming, self._incoming = self._incoming, None
            incoming.succeed()

    def relaunch(self) -> None:
        """The load that postponed the failover is over: ask for it again.

        As colo_process_incoming_thread: failover_set_state(RELAUNCH, NONE), then
        failover_request_active, which schedules the bottom half anew.  No command is needed for it.
        """
        self.state = State.REQUIRE
        self.host.monitor.schedule("failover bottom half, again", self._bottom_half)
