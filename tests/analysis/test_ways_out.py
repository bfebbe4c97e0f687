from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from colosim.analysis.explain import Explanation, explain
from colosim.analysis.ways_out import BY_ITSELF, IF_DONE, NEVER, Release
from colosim.host.failover import COMMAND
from colosim.runs.simulation import Simulation
from colosim.trace.events import CallFailed, ConnectionTimedOut, Event
from tests.analysis.cases import STREAM, scenario

if TYPE_CHECKING:
    from colosim.scenario import Scenario

FREEZE = f"freeze: secondary, {STREAM}"
VANISH = f"vanish: secondary, {STREAM}"


def explained(design: str, *faults: str, overrides: tuple[str, ...] = ()) -> Explanation:
    """Return the explanation of the shared scenario with these faults."""
    return explain(scenario(*faults, overrides=overrides), design)


def ways(one: Explanation, when: str, side: str | None = None) -> list[Release]:
    """Return the ways out of one kind, of one side or of both."""
    assert one.state is not None
    return [way for way in one.state.releases if way.when == when and side in {None, way.side}]


def events_of(given: Scenario, design: str) -> list[tuple[int, Event, int]]:
    """Return the whole record of a run."""
    return list(Simulation(given, design).run().record)


def test_the_send_timeout_comes_by_itself_and_released_it() -> None:
    """A send timeout is told beforehand, at its moment, and named as what released the run."""
    one = explained("split+send-timeout=5s", FREEZE)
    (way,) = ways(one, BY_ITSELF)
    record = events_of(scenario(FREEZE), "split+send-timeout=5s")
    failed = CallFailed("primary", "send", "send timed out")
    fails = [at for at, event, _ in record if event == failed]
    assert way.at_ns == fails[0]
    assert way.event == "the send times out"
    assert way.effect == "the send fails, the lock is given back, the command is served"
    assert one.released_by[1].startswith("Before that, the send had timed out")


def test_the_manager_that_is_about_to_yank_comes_by_itself() -> None:
    """Just before its yank and its command the cluster manager is what releases, in that order."""
    one = explain("hang-primary-frozen-yank", "qemu-5.1")
    coming = ways(one, BY_ITSELF)
    assert [(way.at_ns, way.event) for way in coming] == [
        (13_000_000_000, "the cluster manager yanks the secondary"),
        (13_010_000_000, f"the cluster manager sends {COMMAND} to the secondary"),
    ]
    assert "By itself nothing will." not in str(one)
    assert "13.000000 s: yank to the secondary, served out of band" in str(one)


def test_what_comes_first_excludes_what_would_come_later() -> None:
    """If the host comes back after 30 s, TCP's giving up after 929 s is not told."""
    one = explained("split", f"{VANISH}, for: 30 s")
    (way,) = ways(one, BY_ITSELF)
    assert way.event == "the secondary's host comes back"
    assert "gives up" not in str(one)


def test_ways_out_of_two_sides_name_their_side() -> None:
    """If both sides live and wait, each has its own list."""
    text = str(explained("qsb", "vanish: network, at: 2.3 s", overrides=("horizon=2.9 s",)))
    assert "What would release the primary\n" in text
    assert "What would release the secondary\n" in text
    assert "What would release it\n" not in text


@pytest.mark.parametrize("timeout", ["10 s", "4 s"])
def test_the_user_timeout_comes_when_it_is_said_to(timeout: str) -> None:
    """TCP_USER_TIMEOUT ends the wait at the very moment that was told."""
    overrides = (f"network.user_timeout={timeout}", "horizon=6 s")
    one = explained("split", FREEZE, overrides=overrides)
    (way,) = [way for way in ways(one, BY_ITSELF) if way.event.startswith("TCP_USER_TIMEOUT")]
    longer = scenario(FREEZE, overrides=(f"network.user_timeout={timeout}",))
    given_up = [
        at for at, event, _ in events_of(longer, "split") if event == ConnectionTimedOut("primary")
    ]
    assert given_up == [way.at_ns]


def test_a_host_that_comes_back_after_tcp_gave_up_is_no_way_out() -> None:
    """Once the sender's kernel has given up, the peer's return does not help its receiver."""
    overrides = ("manager.policy=wait", "network.retries2=3")
    one = explained("qemu-5.1", f"vanish: primary, {STREAM}", overrides=overrides)
    assert one.verdict == "hung"
    returns = [way for way in ways(one, NEVER) if way.event == "the return of the primary's host"]
    assert [way.effect for way in returns] == [
        "the connection has ended at the primary (connection timed out)"
    ]
    assert not [way for way in ways(one, IF_DONE) if "comes back" in way.event]
    healed = (f"vanish: primary, {STREAM}", "heal: primary, at: 500 s")
    after = explained("qemu-5.1", *healed, overrides=overrides)
    assert (after.verdict, after.survivor) == ("stopped", "primary")
    assert not [way for way in ways(after, BY_ITSELF) if way.side == "secondary"]


def test_a_host_that_comes_back_in_time_is_a_way_out() -> None:
    """While bytes are still sent again, the peer's return is told as a way out, and is one."""
    overrides = ("manager.policy=wait", "horizon=60 s")
    vanish = f"vanish: primary, {STREAM}"
    one = explained("qemu-5.1", vanish, overrides=overrides)
    assert "the primary's host comes back" in [way.event for way in ways(one, IF_DONE)]
    healed = explained("qemu-5.1", vanish, "heal: primary, at: 50 s", overrides=overrides)
    assert healed.verdict != "hung"


def test_a_busy_main_loop_serves_by_itself() -> None:
    """A command that waits for the main loop's own work is served when that ends."""
    faults = ("kill: secondary, at: 3 s", "busy: primary, at: 5 s, for: 20 s")
    one = explained("split", *faults, overrides=("horizon=10 s",))
    served = [way for way in ways(one, BY_ITSELF) if way.effect == "the command is served"]
    assert [(way.event, way.at_ns) for way in served] == [
        ("the primary's main loop ends its own work", 25_000_000_000)
    ]


def test_a_thread_behind_a_busy_main_loop_gets_the_lock_by_itself() -> None:
    """A COLO thread that waits for the main loop's own work gets its lock when that ends."""
    faults = ("busy: secondary, at: 3 s, for: 40 s", "kill: primary, at: 8 s")
    overrides = ("manager.policy=wait", "horizon=20 s")
    one = explained("qemu-5.1", *faults, overrides=overrides)
    assert one.verdict == "hung"
    (way,) = ways(one, BY_ITSELF)
    assert way.event == "the secondary's main loop ends its own work"
    assert way.effect == "its COLO incoming thread gets the lock"
    longer = scenario(*faults, overrides=("manager.policy=wait", "horizon=60 s"))
    ends = [
        at for at, event, _ in events_of(longer, "qemu-5.1") if "main loop for busy" in str(event)
    ]
    assert way.at_ns == ends[-1]
    assert "is held by its main loop for work of its own" in " ".join(str(one).split())


def test_a_leaked_lock_is_given_back_by_nothing() -> None:
    """The thread that leaked its lock is told to have left, and only the other side can serve."""
    one = explain("leaked-lock", "device-first")
    assert "it has left COLO without giving it back" in " ".join(str(one).split())
    assert not ways(one, BY_ITSELF)
    assert [way.event for way in ways(one, NEVER, "primary")] == [f"{COMMAND} alone"]
    assert f"{COMMAND} on the secondary" in [way.event for way in ways(one, IF_DONE)]


def test_a_connection_to_the_monitor_that_comes_back_is_a_way_out() -> None:
    """A command that could not be sent is sent as soon as the manager is connected again."""
    faults = ("disconnect: primary, at: 1 s", f"kill: secondary, {STREAM}")
    one = explained("split", *faults)
    assert (
        "the cluster manager is connected to the primary's monitor again",
        f"it sends {COMMAND} anew, which is served",
    ) in [(way.event, way.effect) for way in ways(one, IF_DONE)]
    told = " ".join(str(one).split())
    assert "cannot send x-colo-lost-heartbeat to the primary: not connected" in told


def test_random_faults_to_come_are_no_part_of_what_comes() -> None:
    """What would strike at random after the end neither releases nor hides what does."""
    random = "vanish: network, at: {rate: 20 /min}, for: 9 s"
    one = explained("qemu-5.1", random, overrides=("manager.policy=wait", "horizon=15 s"))
    coming = ways(one, BY_ITSELF)
    assert {way.event for way in coming} == {"the network comes back"}
    assert {way.side for way in coming} == {"primary", "secondary"}
