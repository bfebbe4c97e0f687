"""QEMU's failover on one side: x-colo-lost-heartbeat, its bottom half, and what it kicks.

States as in migration/colo-failover.c: NONE, REQUIRE (the command was accepted), ACTIVE (the
bottom half runs), COMPLETED, RELAUNCH (the secondary was just loading: again afterwards).  A load
holds the lock, so the last can only come where it lets the lock go in its middle
(`Side.work_releasing_lock`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Protocol

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
    from simpy.events import Event

    from colosim.host.host import Host
    from colosim.host.process import Thread
    from colosim.scenario.disk import Disk as DiskModel

    Steps = Generator[Event, None, None]

COMMAND = "x-colo-lost-heartbeat"
BY_COMMAND, BY_CONNECTION, NO_FAILOVER = "command", "connection", "none"
"""What lets a side go on alone."""
YANK, MIGRATION = "yank", "migration"
REMOVE_CHILD, DELETE_NODE, STOP_SERVER = "x-blockdev-change", "drive_del", "nbd-server-stop"
DISK_COMMAND_NS = 1_000_000
"""What a command of the block layer takes (measured: 0.8 to 2.9 ms from asking to answer)."""
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


class Disk(Protocol):
    """The replicated disk, as failover sees it (`colosim.designs.disk`)."""

    @property
    def outstanding(self) -> bool:
        """Whether a running guest may have written what the secondary has not answered."""

    def replicate_no_more(self) -> None:
        """Let the guest's writes go to the local image alone."""

    @property
    def broken(self) -> bool:
        """Whether every request fails at once."""

    @property
    def connection(self) -> Channels:
        """Its connection."""

    @property
    def model(self) -> DiskModel:
        """What the scenario says of it."""

    def stop(self, thread: Thread, *, guest_ran: bool) -> Steps:
        """Drain and flush, as a stop of the guest does."""

    def drain(self, thread: Thread, *, guest_ran: bool) -> Steps:
        """Wait for what the guest has written."""

    def close(self, thread: Thread) -> Steps:
        """Flush and close the primary's node of the secondary's disk."""

    def secondary_stop_ns(self) -> int:
        """Return what a stop of the secondary's guest takes longer."""

    def stop_server(self) -> None:
        """Let the secondary serve the disk no more."""


class Failover:
    """The failover of one side, whichever its role.

    `documented`: the commands that come before `COMMAND` in the failover that QEMU's documentation
    has for a pair with a disk (docs/COLO-FT.txt).
    """

    documented: ClassVar[tuple[str, ...]] = ()

    def __init__(self, host: Host, channels: Channels, disk: Disk | None = None) -> None:
        self.host = host
        self.channels = channels
        self.disk = disk
        self.instances: dict[str, Channels] = {MIGRATION: channels}
        """What can be yanked, by QEMU's names."""
        self.state = State.NONE
        self.by = BY_COMMAND
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
        if self.state is not State.NONE or self.by != BY_COMMAND:
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
        name, _, instance = command.partition(" ")
        if name == YANK:
            self.yank((instance or MIGRATION,))
        else:
            self.send(command)

    def send(self, command: str) -> None:
        """Put a command into the monitor."""
        self.host.monitor.send(command, self._handlers.get(command, partial(self._refuse, command)))

    def _refuse(self, command: str, main_loop: Thread) -> Steps:  # noqa: ARG002 - it does not wait
        """Answer a command of the other role's with an error."""
        self.host.record.note(CommandRefused(self.host.side, command))
        yield from ()

    def _stop(self, main_loop: Thread) -> Steps:
        """Serve the command stop (qmp_stop): the guest stands until somebody lets it run.

        The next checkpoint that ends is somebody: vm_start does not ask who stopped it.  The disk
        is flushed, whether the guest ran or not (do_vm_stop; read).
        """
        ran = self.host.guest.running
        if ran:
            yield main_loop.work(self.host.costs.vm_stop_ns)
            self.host.guest.stop()
        yield from self._stop_disk(main_loop, guest_ran=ran)

    def _stop_disk(self, main_loop: Thread, *, guest_ran: bool) -> Steps:
        """Let the main loop do what a stop of the guest does with the disk."""
        raise NotImplementedError

    def _cont(self, main_loop: Thread) -> Steps:
        """Serve the command cont (qmp_cont), which in COLO's own stop lets the guest run too."""
        if not self.host.guest.running:
            yield main_loop.work(self.host.costs.vm_start_ns)
            self.host.guest.run()

    def _query_status(self, main_loop: Thread) -> Steps:  # noqa: ARG002 - it does not wait
        """Serve the command query-status, which changes nothing; assumed: in no time."""
        yield from ()

    def yank(self, instances: Sequence[str] = (MIGRATION,)) -> None:
        """Serve the out-of-band command yank: shut these connections down, without the lock.

        A frozen process serves it once it is thawed.  What this side does not have is passed over:
        query-yank, also out of band, has told so.
        """
        if self.host.frozen:
            self.host.thawed.callbacks.append(lambda _thawed: self.yank(instances))
            return
        for name in instances:
            if name in self.instances:
                command = YANK if name == MIGRATION else f"{YANK} {name}"
                self.host.record.note(CommandServed(self.host.side, command, out_of_band=True))
                self.instances[name].yank(self.host.side)

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

    def go_on_alone(self, thread: Thread) -> Steps:
        """Go on alone without a command: the connection is lost, and so is the peer."""
        self.state = State.COMPLETED
        yield from self.host.lock.acquire(thread, Purpose.FAILOVER)
        yield from self.step(thread, FAILOVER, self.host.costs.failover_ns)
        self.host.guest.run()
        self.host.lock.release(thread)
        self.took_over()

    def took_over(self) -> None:
        """This side's guest serves alone from now on."""
        self.done = True
        self.host.record.note(ServesAlone(self.host.side))
        if self.on_takeover is not None:
            self.on_takeover()


class PrimaryFailover(Failover):
    """The primary's: primary_vm_do_failover in migration/colo.c."""

    documented = (REMOVE_CHILD, DELETE_NODE)

    def __init__(self, host: Host, channels: Channels, disk: Disk | None = None) -> None:
        super().__init__(host, channels, disk)
        if disk is not None:
            self.instances["block-node"] = disk.connection
            self._handlers |= {REMOVE_CHILD: self._remove_child, DELETE_NODE: self._delete_node}
        self.sleeper: Thread | None = None
        """The COLO thread, while it is in a wait that a failover ends (colo_checkpoint_event)."""

    def _bottom_half(self, main_loop: Thread) -> Steps:
        """Stop the guest, if it runs; then cut the connection, wake the COLO thread.

        A guest that COLO has stopped is not stopped again, and its disk not flushed (measured).
        """
        self.state = State.ACTIVE
        if self.host.guest.running:
            self.host.guest.stop()
            yield from self._stop_disk(main_loop, guest_ran=True)
        if self.disk is not None:
            # Replication answers writes with EIO by itself (measured).
            self.disk.replicate_no_more()
        self.channels.shutdown(self.host.side)
        self.state = State.COMPLETED
        self._post()
        if self.sleeper is not None:
            self.sleeper.wake()

    # ---- the disk ------------------------------------------------------------------------------

    def _stop_disk(self, main_loop: Thread, *, guest_ran: bool) -> Steps:
        if self.disk is not None:
            yield from self._within(main_loop, self.disk.stop(main_loop, guest_ran=guest_ran))

    def _remove_child(self, main_loop: Thread) -> Steps:
        """Serve x-blockdev-change: the quorum writes to the secondary no more, once it is drained.

        Nothing is flushed, and a stop flushes the node as before (measured).
        """
        assert self.disk is not None  # noqa: S101 - it has handlers of its own
        yield main_loop.work(DISK_COMMAND_NS)
        if self.host.guest.running and self.disk.outstanding:
            yield from self._within(main_loop, self.disk.drain(main_loop, guest_ran=True))
        self.disk.replicate_no_more()

    def _delete_node(self, main_loop: Thread) -> Steps:
        """Serve drive_del, which flushes the node as it closes it (measured)."""
        assert self.disk is not None  # noqa: S101 - as above
        yield main_loop.work(DISK_COMMAND_NS)
        yield from self._within(main_loop, self.disk.close(main_loop))

    def _within(self, main_loop: Thread, steps: Steps) -> Steps:
        """Let the main loop wait for the disk, with the lock and deaf to all else.

        The guest stands still meanwhile, whatever its run state says (measured: no CPU time):
        sooner or later its vCPU needs the lock; assumed: at once.
        """
        assert self.disk is not None  # noqa: S101 - it is what is waited for
        if self.disk.broken:
            yield from steps
            return
        lock, guest = self.host.lock, self.host.guest
        ran = guest.running
        lock.hold_for(main_loop, Purpose.DISK)
        guest.stop()
        yield from steps
        if ran:
            guest.run()
        lock.hold_for(main_loop, Purpose.MONITOR)


class SecondaryFailover(Failover):
    """The secondary's: secondary_vm_do_failover, then the incoming coroutine to the running guest.

    `joins_under_lock`: whether it joins the incoming thread while the main loop holds the lock;
    `frees_cache`: whether the main loop frees the RAM cache then, or the incoming thread has.
    """

    documented = (STOP_SERVER,)

    def __init__(
        self,
        host: Host,
        channels: Channels,
        disk: Disk | None = None,
        *,
        joins_under_lock: bool,
        frees_cache: bool,
    ) -> None:
        super().__init__(host, channels, disk)
        if disk is not None:
            self._handlers[STOP_SERVER] = self._stop_server
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
        takes_ns = self.host.costs.failover_ns
        if self.disk is not None:
            takes_ns += self.disk.model.takeover_ns
        yield from self.step(main_loop, FAILOVER, takes_ns)
        self.host.guest.run()
        self.took_over()

    def _stop_disk(self, main_loop: Thread, *, guest_ran: bool) -> Steps:
        if self.disk is not None and guest_ran:
            yield main_loop.work(self.disk.secondary_stop_ns())

    def _stop_server(self, main_loop: Thread) -> Steps:
        """Serve nbd-server-stop."""
        assert self.disk is not None  # noqa: S101 - it has a handler of its own
        yield main_loop.work(DISK_COMMAND_NS)
        self.disk.stop_server()

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
