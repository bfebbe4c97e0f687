"""What TCP adds for clients: the handshake of each connection, and requests that are sent again."""

from __future__ import annotations

import pytest

from colosim.errors import ScenarioError
from colosim.runs.run import Run, simulate
from colosim.scenario import loads
from tests.fast_host import ON_FAST_HOSTS

S, MS, US = 10**9, 10**6, 10**3
RTO_NS = 200 * MS
BASE = """
name: connections
duration: 12 s
checkpoint_delay: 1 s
guest: {ram: 128 MiB, dirty: {pages: 120}}
service: {protocol: tcp, arrivals: {regular: 5 /s}, time: {fixed: 1 ms}, latency: 2 ms}
"""


def run(design: str, fault: str = "", **service: object) -> Run:
    """Return a run with its requests."""
    faults = f"faults: [{{{fault}}}]\n" if fault else ""
    values = {f"service.{key}": value for key, value in service.items()}
    one = loads(BASE + faults + ON_FAST_HOSTS).vary({"designs": [design], **values})
    return simulate(one, design, requests=True)


def test_a_new_connection_costs_a_round_trip_and_the_guests_answer_to_its_syn() -> None:
    """Alone: two ways to the guest and back, and what it takes for each."""
    for handshake, more in ((None, 0), ({"fixed": "300 us"}, 4 * MS + 300 * US)):
        found = run("unprotected", handshake=handshake).requests["latency_ns"]
        assert set(found.dropna().tolist()) == {5 * MS + more}


def test_both_frames_of_a_new_connection_wait_for_the_secondary() -> None:
    """Each crosses to the secondary and back before it leaves: twice what one of them is late."""
    once = run("qemu-5.1").requests["latency_ns"].median()
    twice = run("qemu-5.1", handshake={"fixed": "1 ms"}).requests["latency_ns"].median()
    assert twice == 2 * once


@pytest.mark.parametrize("design", ["qemu-5.1", "remus"])
@pytest.mark.parametrize("outstanding", [None, 10_000])
def test_a_survivor_answers_what_clients_send_again(design: str, outstanding: int | None) -> None:
    """With the first retransmission after the takeover: 0.2, 0.6, 1.4 s, ... after the request."""
    found = run(design, "kill: primary, at: 5.33 s", outstanding=outstanding)
    assert (found.verdict, found.summary["survivor"]) == ("failed_over", "secondary")
    alive_ns = 5_330 * MS + found.summary["time_to_guest_ns"]
    rto_ns = RTO_NS + 4 * MS
    rows = found.requests[found.requests["sent_ns"] < alive_ns - 2 * MS]
    late = rows[rows["answered_ns"].fillna(alive_ns) >= alive_ns]
    assert len(late) > (10 if design == "qemu-5.1" else 0)
    for sent, answered in zip(late["sent_ns"], late["answered_ns"], strict=True):
        tries = (sent + (2**k - 1) * rto_ns for k in range(1, 10))
        assert answered == next(at for at in tries if at + 2 * MS >= alive_ns) + 5 * MS
    assert found.summary["service"]["unanswered"] <= 1


def test_datagrams_and_answers_that_nothing_held_are_lost_with_the_primary() -> None:
    """Nobody sends a datagram again; what clients have seen may be more than the survivor has."""
    for values in ({"protocol": "udp"}, {}):
        mode = "direct" if not values else "compared"
        text = BASE + f"output: {{mode: {mode}}}\nfaults: [{{kill: primary, at: 5.33 s}}]\n"
        one = loads(text + ON_FAST_HOSTS).vary(
            {"designs": ["qemu-5.1"], **{f"service.{k}": v for k, v in values.items()}}
        )
        assert simulate(one, "qemu-5.1").summary["service"]["unanswered"] > 10


def test_only_tcp_has_a_handshake() -> None:
    """It is refused for datagrams, and beside connections that requests share."""
    with pytest.raises(ScenarioError, match="udp has no handshake; expected protocol: tcp"):
        run("qemu-5.1", protocol="udp", handshake={"fixed": "1 ms"})
    with pytest.raises(ScenarioError, match="each request has a connection of its own"):
        run("qemu-5.1", connections=4, handshake={"fixed": "1 ms"})


def test_under_emulation_a_differing_answer_comes_again_once_the_clock_is_far_ahead() -> None:
    """From the fifth load on each forces a second checkpoint; where nothing is emulated none does.

    Each load takes the secondary's clock 40 ms further ahead, to the 0.2 s after which TCP resends.
    """
    differing = [5, 10, 15, 20, 25, 30, 35]
    text = BASE.replace("checkpoint_delay: 1 s", "checkpoint_delay: 10 s")
    text += "hosts: {preset: lab-qemu72}\nnetwork: {preset: lab-veth}\n"
    values = {"arrivals": {"regular": "10 /s"}, "divergence": {"responses": differing}}
    values |= {"outstanding": 1, "latency": "100 us"}
    for lag, again in (({"first": {"p50": "20 ms", "p90": "30 ms"}}, [26, 31, 36]), ({}, [])):
        of = {f"service.{key}": value for key, value in (values | {"secondary_lag": lag}).items()}
        scenario = loads(text).vary({"duration": "5 s", "designs": ["qemu-5.1"], **of})
        found = simulate(scenario, "qemu-5.1", requests=True)
        met = found.requests[found.requests["met_forced"] > 0]["request"].tolist()
        assert met == sorted(differing + again)
        assert found.summary["service"]["forced"]["replay"] == len(again)


def test_behind_a_filter_buffer_each_window_of_an_answer_waits_for_a_tick() -> None:
    """64 KiB: three ticks for the first, two for the next seven, then one (measured: eight)."""
    text = BASE.replace("{regular: 5 /s}", "{clients: 1}") + "output: {mode: filter-buffer, "
    found = simulate(
        loads(text + "interval: 100 ms}\n").vary(
            {"designs": ["unprotected"], "service.response": "64 KiB", "duration": "3 s"}
        ),
        "unprotected",
        requests=True,
    )
    ticks = [round(one / (100 * MS)) for one in found.requests["latency_ns"].dropna()]
    assert ticks[1:10] == [2] * 7 + [1, 1]
    assert ticks[0] == 3


def test_a_request_whose_copy_comes_to_the_stopped_secondary_is_executed_twice() -> None:
    """The longer a copy's way the more often; its second answer meets the next and forces one."""
    values = {"arrivals": {"clients": 1, "think": "7 ms"}, "protocol": "udp", "latency": "50 us"}
    lag = {"secondary_lag": {"later": "20 ms"}}
    of = {f"service.{key}": value for key, value in (values | lag).items()}
    forced = []
    for copy in ("0 s", "4 ms"):
        text = BASE + f"output: {{mode: compared, copy: {copy}}}\n" + ON_FAST_HOSTS
        one = loads(text).vary({"designs": ["qemu-5.1"], **of})
        forced.append(simulate(one, "qemu-5.1").summary["service"]["forced"]["replay"])
    assert forced[0] < forced[1]
