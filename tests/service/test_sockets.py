"""The proxy's sockets between the hosts: what clients see of one that fails, and who stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from colosim.analysis.explain import explain
from colosim.errors import ScenarioError
from colosim.runs.run import simulate
from colosim.runs.simulation import Simulation
from colosim.runs.verdict import judge
from colosim.scenario import Scenario, loads
from colosim.service.arrivals import Arrivals
from colosim.trace.events import GuestRunning, GuestStopped, LockGot
from colosim.trace.purpose import Purpose
from tests.fast_host import ON_FAST_HOSTS

S = 10**9
BASE = """
name: sockets
designs: [qemu-5.1]
duration: 16 s
checkpoint_delay: 1 s
guest: {ram: 128 MiB, dirty: {pages: 120}}
network: {send_buffer: 64 KiB, receive_buffer: 64 KiB}
service:
  protocol: tcp
  arrivals: {regular: 400 /s}
  time: {fixed: 100 us}
  request: 1 KiB
"""
FRAME_BYTES = 1024 + 58
YANK = "manager: {policy: yank-then-lost-heartbeat, yank: [migration, chardev]}\n"
YANK_MIGRATION = "manager: {policy: yank-then-lost-heartbeat}\n"
LEAVE = "manager: {comparison: leave}\n"


def scenario(fault: str, more: str = "", /, **values: object) -> Scenario:
    """Return the shared scenario with a fault."""
    text = f"{BASE}{more}faults: [{{{fault}}}]\n{ON_FAST_HOSTS}"
    return loads(text).vary({key.replace("__", "."): value for key, value in values.items()})


PAGE = Path(__file__).parents[2] / "docs" / "model.md"
HEAD = (
    "| fault | manager | 20 requests/s | 400 requests/s | clients at 400/s |\n"
    "| --- | --- | --- | --- | --- |\n"
)
ROWS = [
    ("freeze: secondary", ""),
    ("freeze: secondary", YANK),
    ("freeze: secondary", YANK_MIGRATION),
    ("freeze: secondary", LEAVE),
    ("vanish: secondary", ""),
    ("vanish: network", ""),
    ("kill: secondary", ""),
    ("freeze: primary", ""),
    ("freeze: mirror", ""),
    ("vanish: mirror", ""),
    ("close: mirror", ""),
    ("freeze: compare", ""),
    ("close: compare", ""),
]


def row(fault: str, more: str) -> str:
    """Return a row of the page: how a fault ends, and what clients see of it."""
    ends = []
    for rate in (20, 400):
        values: dict[str, Any] = {"service__arrivals": {"regular": f"{rate} /s"}}
        run = simulate(scenario(f"{fault}, at: 2.5 s", more, duration="32 s", **values), "qemu-5.1")
        ends.append(f"{run.verdict}")
    service = run.summary["service"]
    outage = f"{service['outage_ns_longest'] / S:.1f} s without an answer"
    told = more.removeprefix("manager: ").strip().strip("{}")
    return f"| `{fault}` | {told and f'`{told}`'} | {' | '.join(ends)} | {outage} |\n"


def test_a_frozen_secondary_hangs_a_busy_guest_until_the_proxy_is_yanked() -> None:
    """The migration's yank alone does not free the main loop that writes to the full mirror."""
    frozen = "freeze: secondary, at: 2.5 s"
    assert simulate(scenario(frozen, YANK_MIGRATION), "qemu-5.1").verdict == "hung"
    assert simulate(scenario(frozen, YANK), "qemu-5.1").verdict == "failed_over"


@pytest.mark.slow
def test_who_hangs_by_a_full_socket(pytestconfig: pytest.Config) -> None:
    """A silent reader fills the mirror, whose writer keeps the lock; yank and reset let it go."""
    before, _, after = PAGE.read_text(encoding="utf-8").partition(HEAD)
    made = before + HEAD + "".join(row(*one) for one in ROWS) + "\n" + after.partition("\n\n")[2]
    if pytestconfig.getoption("--update-results"):
        PAGE.write_text(made, encoding="utf-8", newline="\n")
    assert PAGE.read_text(encoding="utf-8") == made


def full_ns(run: Simulation) -> int | None:
    """Return when the primary's main loop found the mirror full first."""
    got = LockGot("primary", "main loop", Purpose.PROXY)
    return next((at_ns for at_ns, event, _ in run.record if event == got), None)


@pytest.mark.parametrize("fault", ["freeze: secondary", "freeze: mirror", "vanish: mirror"])
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("outstanding", [None, 1000])
def test_the_mirror_is_full_with_the_frame_for_which_there_is_no_room(
    fault: str, seed: int, outstanding: int | None
) -> None:
    """Counted request by request: each goes to the mirror as it comes, or as the guest resumes."""
    one = scenario(
        f"{fault}, at: 2.5 s",
        service__arrivals={"poisson": "300 /s"},
        service__outstanding=outstanding,
        checkpoint_delay="300 ms",
    )
    run = Simulation(one, "qemu-5.1", seed=seed)
    assert run.clients is not None
    planned = Arrivals(run.clients.workload.settings)
    run.run()
    found = full_ns(run)
    assert found is not None
    fits = (64 << 10) * (1 if "vanish" in fault else 2) // FRAME_BYTES
    stops: list[tuple[int, int]] = []
    for at_ns, event, _ in run.record:
        if event == GuestStopped("primary"):
            stops.append((at_ns, 1 << 62))
        elif event == GuestRunning("primary") and stops:
            stops[-1] = (stops[-1][0], at_ns)
    stops = [one for one in stops if one[0] < found]
    copies = []
    for arrived, _, _ in planned.events():
        pause = next((one for one in stops if one[0] < arrived < one[1]), None)
        copies.append(arrived if pause is None else pause[1])
    unread = [at_ns for at_ns in copies if at_ns > 2_500_000_000]
    assert found == unread[fits]


def test_clients_wait_for_a_time_out_where_a_copy_is_lost() -> None:
    """A second without a mirror costs them the comparison's time-out; then all is as before."""
    closed = "close: mirror, at: 2.5 s, for: 1 s"
    slow: dict[str, Any] = {"checkpoint_delay": "12 s", "service__arrivals": {"regular": "50 /s"}}
    summary = simulate(scenario(closed, **slow), "qemu-5.1").summary
    service = summary["service"]
    assert (summary["verdict"], service["forced"]["timeout"]) == ("completed", 1)
    assert 3 * S < service["latency_ns"]["max"] < 4.2 * S
    assert service["latency_ns"]["p50"] < 10_000_000
    assert service["unanswered"] <= 1
    undisturbed = simulate(scenario(closed.replace("2.5 s", "15.9 s"), **slow), "qemu-5.1").summary
    assert undisturbed["service"]["latency_ns"]["max"] < S


def test_a_full_mirror_is_written_on_as_it_is_read_again() -> None:
    """The guest stands from the full buffers to the thaw, and then goes on."""
    run = Simulation(scenario("freeze: mirror, at: 2.5 s, for: 4 s"), "qemu-5.1").run()
    stalled = full_ns(run)
    assert stalled is not None
    assert stalled < 3 * S
    back = [at_ns for at_ns, event, _ in run.record if event == GuestRunning("primary")]
    assert 6_500_000_000 <= next(at_ns for at_ns in back if at_ns > stalled) < 6_510_000_000
    assert judge(run).verdict == "completed"


def test_a_process_that_goes_on_leaves_a_socket_unread_that_is_frozen_itself() -> None:
    """Each fault ends for itself."""
    one = scenario("freeze: mirror, at: 2.5 s").vary(
        {"faults": [*FAULTS, {"freeze": "secondary", "at": "2.6 s", "for": "100 ms"}]}
    )
    run = Simulation(one, "qemu-5.1").run()
    assert run.sockets is not None
    assert run.sockets.mirror.is_unread
    assert not run.sockets.compare.is_unread


FAULTS = [{"freeze": "mirror", "at": "2.5 s"}]


def test_answers_that_nobody_reads_stop_the_secondary_then_the_primary() -> None:
    """The secondary's vCPU keeps its lock, its main loop reads the mirror no more, that fills."""
    told = explain(scenario("freeze: compare, at: 500 ms", duration="12 s"), "qemu-5.1")
    assert told.verdict == "hung"
    text = " ".join(str(told).split())
    for said in (
        "waits, with the lock, for room in the mirror's socket (full, since",
        "has to be read by a main loop that waits for the secondary's iothread lock",
        "is held, to write to the proxy's socket, by the secondary's vCPU",
        "which has to be read by its reader (reads no more)",
        "the comparison's socket is read again: the window opens, the proxy write goes on",
        "yank of the migration alone never will",
    ):
        assert said in text


@pytest.mark.parametrize("model", ["fast", "reference"])
def test_both_models_of_the_network_find_it_full_at_once(model: str) -> None:
    """What a buffer takes is the same, whatever follows its bytes."""
    run = Simulation(scenario("freeze: mirror, at: 2.5 s", model=model), "qemu-5.1").run()
    assert judge(run).verdict == "hung"
    assert full_ns(run) == 2_500_000_000 + 100_000 + 121 * 2_500_000


def test_sockets_need_output_that_is_compared() -> None:
    """Without it the scenario is refused; a design without it beside others is not applicable."""
    with pytest.raises(
        ScenarioError, match="close mirror needs a service whose output is compared"
    ):
        scenario("close: mirror, at: 1 s", output__mode="direct")
    command = "commands: [{at: 1 s, to: primary, command: yank chardev}]\n"
    with pytest.raises(ScenarioError, match="yank chardev needs a service whose output is compar"):
        scenario("freeze: secondary, at: 2 s", command, output__mode="direct")
    both = scenario("close: mirror, at: 1 s", designs=["qemu-5.1", "remus"])
    assert simulate(both, "remus").verdict == "not_applicable"


def test_a_frozen_guest_writes_to_no_socket() -> None:
    """Its vCPU neither fills the comparison's nor takes the lock, which a checker would see."""
    frozen = {"freeze": "secondary", "at": "2.6 s"}
    one = scenario("freeze: compare, at: 2.5 s").vary(
        {"faults": [{"freeze": "compare", "at": "2.5 s"}, frozen]}
    )
    run = simulate(one, "qemu-5.1")
    assert (run.verdict, run.summary["survivor"]) == ("hung", "primary")


def test_measured_requests_may_end_before_a_socket_is_full(tmp_path: Path) -> None:
    """Of a recorded run with few requests nobody asks when a later one comes."""
    (tmp_path / "few.csv").write_text("t\n1 ms\n2 ms\n1500 ms\n")
    few: dict[str, object] = {"service__arrivals": {"csv": str(tmp_path / "few.csv")}}
    large = scenario("freeze: secondary, at: 1 s", **few, network__send_buffer="8 MiB")
    run = simulate(large, "qemu-5.1")
    assert (run.verdict, run.summary["service"]["answered"]) == ("failed_over", 3)
