"""What a design's author may yield: SimPy's events, with SimPy's own meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import simpy

import colosim
from colosim.designs.split import Split
from colosim.host.process import Thread
from colosim.runs.simulation import Simulation
from colosim.scenario import loads

if TYPE_CHECKING:
    from collections.abc import Generator

    from simpy.events import Event

    from colosim.designs.primary import Primary
    from colosim.designs.secondary import Secondary
    from colosim.scenario import Scenario

    Steps = Generator[Event, Any, Any]

MS = 1_000_000


def scenario(faults: str = "") -> Scenario:
    """Return a scenario of three checkpoints of a small guest."""
    return loads(
        f"""
name: simpy
checkpoints: 3
checkpoint_delay: 10 ms
guest: {{ram: 128 MiB, dirty: {{pages: 100}}}}
{faults}
"""
    )


class Waits(Split):
    """`split`, whose primary does as `body` says before its second checkpoint."""

    name = "waits"
    summary = "a design that yields events of its own"
    origin = "this test"
    log: ClassVar[list[Any]]

    def __init_subclass__(cls) -> None:
        """Give each a name of its own."""
        cls.name = cls.__name__

    def wait_for_checkpoint(self, p: Primary) -> Steps:
        """Do as `body` says, once, and else sleep."""
        if p.checkpoint == 1:
            begun = p.env.now
            value = yield from self.body(p)
            self.log.append((p.env.now - begun, value))
        yield from super().wait_for_checkpoint(p)

    def body(self, p: Primary) -> Steps:
        """Wait for something; return its value."""
        raise NotImplementedError


class TimeoutValue(Waits):
    """A timeout has a value."""

    def body(self, p: Primary) -> Steps:
        """Return it."""
        return (yield p.env.timeout(5, value=42))


class AlreadyHappened(Waits):
    """An event that has happened long ago."""

    def body(self, p: Primary) -> Steps:
        """Return its value."""
        done = p.env.event().succeed("done")
        yield p.env.timeout(3)
        return (yield done)


class AnyOf(Waits):
    """The first of two."""

    def body(self, p: Primary) -> Steps:
        """Return what has happened by then."""
        fired = yield p.env.timeout(2, "first") | p.env.timeout(9, "second")
        return list(fired.values())


class AllOf(Waits):
    """Both of two."""

    def body(self, p: Primary) -> Steps:
        """Return the values of both."""
        fired = yield p.env.timeout(2, "first") & p.env.timeout(9, "second")
        return list(fired.values())


class Child(Waits):
    """A child process and its result."""

    def body(self, p: Primary) -> Steps:
        """Return what the child returns."""

        def child() -> Steps:
            yield p.env.timeout(4)
            return "the child's"

        return (yield p.env.process(child()))


class FailingChild(Waits):
    """A child process that fails."""

    def body(self, p: Primary) -> Steps:
        """Return the error that reaches whoever waits for it."""

        def child() -> Steps:
            yield p.env.timeout(4)
            raise LookupError("lost")

        try:
            yield p.env.process(child())
        except LookupError as error:
            return str(error)


class Interrupted(Waits):
    """An interrupt, of the process that SimPy names as the active one."""

    def body(self, p: Primary) -> Steps:
        """Return the interrupt's cause."""
        me = p.env.active_process
        assert me is not None
        assert me is p.thread.process

        def child() -> Steps:
            yield p.env.timeout(6)
            me.interrupt("cause")

        p.env.process(child())
        try:
            yield p.env.timeout(100)
        except simpy.Interrupt as interrupt:
            return interrupt.cause


@pytest.mark.parametrize(
    ("design", "after_ns", "value"),
    [
        (TimeoutValue, 5, 42),
        (AlreadyHappened, 3, "done"),
        (AnyOf, 2, ["first"]),
        (AllOf, 9, ["first", "second"]),
        (Child, 4, "the child's"),
        (FailingChild, 4, "lost"),
        (Interrupted, 6, "cause"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_design_meets_simpy_as_it_is_documented(
    design: type[Waits], after_ns: int, value: object
) -> None:
    """What is yielded comes back as SimPy says, at its time, and the run goes on to its end."""
    design.log = []
    run = colosim.run(scenario(), design=design)
    assert (design.log, run.verdict) == ([(after_ns, value)], "completed")


def test_both_sides_are_stock_simpy_processes() -> None:
    """Primary and secondary are SimPy's own processes, and each has ended or waits at the end."""
    simulation = Simulation(scenario(), "split").run()
    found = [side.thread.process for side in (simulation.primary, simulation.secondary)]
    assert [type(process) for process in found] == [simpy.Process, simpy.Process]
    assert all(process is not None and process.is_alive for process in found)


class Sleeper(Split):
    """`split`, whose secondary waits for a timeout of its own before each load."""

    name = "sleeper"
    summary = "a design with a timeout of its own"
    origin = "this test"
    log: ClassVar[list[Any]]

    def load(self, s: Secondary) -> Steps:
        """Wait for 5 ms, watched by a child process and by another thread of the host, and load."""
        if s.checkpoint == 0:
            timeout = s.env.timeout(5 * MS, value="on time")
            timeout.callbacks.append(lambda _event: self.log.append(("fires", s.env.now)))
            s.env.process(self.watch(s, "child", timeout))
            Thread(s.host, "watcher").start(self.watch(s, "thread", timeout))
            self.log.append(((yield timeout), s.env.now))
        yield from super().load(s)

    def watch(self, s: Secondary, name: str, timeout: Event) -> Steps:
        """Log when `timeout` is heard of."""
        yield timeout
        self.log.append((name, s.env.now))


def test_a_frozen_process_goes_on_after_the_thaw() -> None:
    """A design's own timeout fires on time; who waits for it in the frozen process goes on later.

    So does any other thread of that host; a child process is none and goes on at once.
    """
    Sleeper.log = []
    faults = "faults: [{freeze: secondary, at: 2 ms, for: 20 ms}]"
    run = colosim.run(scenario(faults), design=Sleeper)
    assert Sleeper.log == [
        ("fires", 5 * MS),
        ("child", 5 * MS),
        ("on time", 22 * MS),
        ("thread", 22 * MS),
    ]
    assert run.verdict == "completed"


class Hooked(Split):
    """`split` with every hook of a design overridden."""

    name = "hooked"
    summary = "all hooks of a design"
    origin = "this test"
    log: ClassVar[list[str]]

    def wait_for_checkpoint(self, p: Primary) -> Steps:
        """Wait for half the delay."""
        self.log.append(f"wait {p.checkpoint}")
        yield p.env.timeout(p.delay_ns // 2)

    def checkpoint(self, p: Primary) -> Steps:
        """Run the primary's end."""
        self.log.append(f"checkpoint {p.checkpoint} at {p.env.now // MS} ms")
        yield from super().checkpoint(p)

    def load(self, s: Secondary) -> Steps:
        """Run the secondary's end."""
        self.log.append(f"load {s.checkpoint}")
        yield from super().load(s)


def test_the_hooks_of_a_design_are_called_in_turn() -> None:
    """`wait_for_checkpoint` comes before each `checkpoint`, which begins when it says so."""
    Hooked.log = []
    colosim.run(scenario(), design=Hooked)
    assert [entry.partition(" at ")[0] for entry in Hooked.log][:9] == [
        "wait 0",
        "load 0",
        "checkpoint 0",
        "load 1",
        "wait 1",
        "checkpoint 1",
        "load 2",
        "wait 2",
        "checkpoint 2",
    ]
    assert Hooked.log[2] == "checkpoint 0 at 5 ms"
