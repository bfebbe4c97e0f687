from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.analysis.graph import Edge, Kind, Node, WaitForGraph
from colosim.analysis.wait_for import wait_for_graph
from colosim.runs.verdict import HUNG, judge
from colosim.trace.events import WaitBegan
from tests.analysis.cases import STREAM, simulated


def chains(graph: WaitForGraph) -> list[list[str]]:
    """Return the keys of the nodes of each chain."""
    return [[node.key for node in chain.nodes] for chain in graph.chains]


def test_a_blocked_send_under_the_lock_leads_to_the_frozen_peer() -> None:
    """The command waits for the lock, its holder for the window, the window for the frozen peer."""
    graph = wait_for_graph(simulated("split", f"freeze: secondary, {STREAM}"))
    tail = [
        "primary: checkpoint thread",
        "primary: send buffer",
        "secondary: receive buffer",
        "secondary: COLO incoming thread",
        "secondary: process",
    ]
    assert chains(graph) == [
        [
            "cluster manager",
            "primary: x-colo-lost-heartbeat",
            "primary: main loop",
            "primary: iothread lock",
            *tail,
        ],
        ["primary: guest", *tail],
    ]
    cause = graph.chains[0].cause
    assert cause == Node(
        "secondary: process", Kind.PEER, "secondary", "the secondary's process", "frozen"
    )
    assert graph.cycles == ()


def test_the_edges_say_since_when() -> None:
    """The lock is waited for since the command, and held since the save began."""
    simulation = simulated("split", f"freeze: secondary, {STREAM}")
    graph = wait_for_graph(simulation)
    wants = graph.waits_for("primary: main loop")
    held = graph.waits_for("primary: iothread lock")
    frozen = graph.waits_for("secondary: COLO incoming thread")
    assert wants is not None
    assert held is not None
    assert frozen is not None
    assert wants.since_ns == simulation.manager.lost["secondary"]
    assert held.since_ns == simulation.hosts["primary"].lock.since_ns
    assert frozen.since_ns == simulation.hosts["secondary"].frozen_ns


def test_every_thread_that_waits_does_so_since_its_wait_began() -> None:
    """In its receive, after it has left COLO and until its timer: as the record says."""
    cases = {
        ("qemu-5.1", f"freeze: primary, {STREAM}"): "secondary: COLO incoming thread",
        ("split", f"kill: secondary, {STREAM}"): "primary: checkpoint thread",
        ("qemu-5.1", ""): "primary: checkpoint thread",
    }
    for (design, fault), thread in cases.items():
        overrides = ("manager.policy=wait",)
        simulation = simulated(design, *filter(None, [fault]), overrides=overrides)
        began = [
            at_ns
            for at_ns, event, _ in simulation.record
            if isinstance(event, WaitBegan) and f"{event.side}: {event.thread}" == thread
        ]
        edge = wait_for_graph(simulation).waits_for(thread)
        assert edge is not None
        assert edge.since_ns == began[-1]


def test_a_secondary_that_receives_under_its_lock_waits_for_the_frozen_primary() -> None:
    """`qemu-5.1`'s secondary holds its own lock in its receive, and the bytes never come."""
    graph = wait_for_graph(simulated("qemu-5.1", f"freeze: primary, {STREAM}"))
    tail = [
        "secondary: x-colo-lost-heartbeat",
        "secondary: main loop",
        "secondary: iothread lock",
        "secondary: COLO incoming thread",
        "secondary: receive buffer",
        "primary: checkpoint thread",
        "primary: process",
    ]
    assert chains(graph) == [["cluster manager", *tail], ["secondary: guest", *tail]]


def test_after_a_reset_the_guest_waits_for_a_manager_that_sends_nothing() -> None:
    """A killed peer leaves the lock free: only the command is missing."""
    simulation = simulated(
        "split", f"kill: secondary, {STREAM}", overrides=("manager.policy=wait",)
    )
    graph = wait_for_graph(simulation)
    assert chains(graph) == [["primary: guest", "primary: checkpoint thread", "cluster manager"]]
    assert graph.node("cluster manager").state == "policy wait: it sends nothing"


def test_a_vanished_peer_acknowledges_nothing() -> None:
    """Until TCP gives up, the sender's full buffer waits for the vanished host."""
    simulation = simulated("split", f"vanish: secondary, {STREAM}", overrides=("horizon=100 s",))
    graph = wait_for_graph(simulation)
    assert [node.key for node in graph.chain("primary: main loop").nodes] == [
        "primary: main loop",
        "primary: iothread lock",
        "primary: checkpoint thread",
        "primary: send buffer",
        "secondary: host",
    ]
    assert graph.node("secondary: host").state == "vanished"


def test_a_power_off_counts_from_itself() -> None:
    """A fenced host is off since the power-off, not since it was taken for lost."""
    overrides = ("manager.fence=true", "manager.delay=2 s", "horizon=10 s", "network.retries2=15")
    simulation = simulated("split", f"freeze: secondary, {STREAM}", overrides=overrides)
    graph = wait_for_graph(simulation)
    chain = graph.chain("primary: main loop")
    assert chain.nodes[-1].state == "powered off"
    off = simulation.manager.lost["secondary"] + 2_000_000_000
    assert chain.edges[-1].since_ns == off


def test_a_vanished_host_counts_from_its_first_fault() -> None:
    """Of two faults that overlap, the first says since when nothing comes back."""
    faults = ("vanish: secondary, at: 2.9 s", "vanish: secondary, at: 4 s")
    simulation = simulated("split", *faults, overrides=("manager.policy=wait", "horizon=60 s"))
    graph = wait_for_graph(simulation)
    assert {edge.since_ns for edge in graph.edges if edge.target == "secondary: host"} == {
        2_900_000_000
    }


def test_a_dead_network_is_nobodys_host() -> None:
    """If the network is what vanished, both threads wait for it, and neither peer is to blame."""
    overrides = ("manager.policy=wait", "horizon=100 s")
    simulation = simulated("qsb", "vanish: network, at: 2.3 s", overrides=overrides)
    causes = {chain.nodes[-1].key for chain in wait_for_graph(simulation).chains}
    assert causes == {"network: link"}


def test_after_a_thaw_only_the_secondary_that_left_colo_waits() -> None:
    """Once the primary has taken over, the thawed secondary's thread waits for a command."""
    graph = wait_for_graph(simulated("split", f"freeze: secondary, {STREAM}, for: 30 s"))
    assert chains(graph) == [["secondary: COLO incoming thread", "cluster manager"]]
    assert graph.node("cluster manager").state == "hears the primary's heartbeats"


def test_a_completed_run_waits_for_its_next_checkpoint() -> None:
    """Where nothing is wrong, the secondary waits for the primary and that for its delay."""
    graph = wait_for_graph(simulated("split"))
    assert chains(graph) == [
        [
            "secondary: COLO incoming thread",
            "secondary: receive buffer",
            "primary: checkpoint thread",
            "primary: checkpoint timer",
        ]
    ]


def test_a_cycle_is_found_and_has_no_cause() -> None:
    """Two threads that wait for each other are a cycle, told from its first node."""
    nodes = tuple(
        Node(key, Kind.THREAD, "secondary", key) for key in ("command", "main loop", "incoming")
    )
    edges = (
        Edge("command", "main loop", ""),
        Edge("main loop", "incoming", ""),
        Edge("incoming", "main loop", ""),
    )
    graph = WaitForGraph(0, nodes, edges)
    assert graph.cycles == (nodes[1:],)
    assert graph.chain("command").cause is None
    assert graph.roots == (nodes[0],)
    with pytest.raises(KeyError):
        graph.chain("nobody")


@given(
    design=st.sampled_from(["qsb", "split", "device-first", "flat", "qemu-5.1"]),
    kind=st.sampled_from(["freeze", "vanish", "kill"]),
    side=st.sampled_from(["primary", "secondary"]),
    at_ms=st.integers(0, 4500),
    policy=st.sampled_from(["wait", "lost-heartbeat"]),
)
def test_every_hang_has_a_cause_outside(
    design: str, kind: str, side: str, at_ms: int, policy: str
) -> None:
    """No survivor hangs without a chain from its waiting lock to a cause outside, or a cycle."""
    simulation = simulated(
        design,
        f"{kind}: {side}, at: {at_ms} ms",
        overrides=("horizon=60 s", f"manager.policy={policy}"),
    )
    judgement = judge(simulation)
    if judgement.verdict != HUNG:
        return
    survivor = judgement.survivor
    assert survivor is not None
    graph = wait_for_graph(simulation)
    chain = graph.chain(f"{survivor}: {_holder(simulation.hosts[survivor].lock.owner)}")
    assert chain.cycle or chain.ends_outside(survivor)


def _holder(owner: object) -> str:
    return str(getattr(owner, "name", ""))
