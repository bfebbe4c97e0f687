"""What clients see of a whole run."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from colosim.runs.run import simulate
from colosim.runs.simulation import Simulation
from colosim.scenario import loads
from colosim.service.open_loop import OpenLoop
from tests.fast_host import ON_FAST_HOSTS

if TYPE_CHECKING:
    import pytest

STORM = """
name: storm
designs: [qemu-5.1]
duration: 12 s
checkpoint_delay: 2 s
guest: {ram: 128 MiB, dirty: {pages: 120}}
service:
  protocol: udp
  arrivals: {regular: 200 /s}
  time: {fixed: 1 ms}
  secondary_lag: {first: {p50: 90 ms, p90: 130 ms}, later: 200 us}
"""


def seen(text: str, design: str = "qemu-5.1", **values: object) -> dict[str, Any]:
    """Return the summary of a run."""
    scenario = loads(text + ON_FAST_HOSTS).vary(
        {key.replace("__", "."): value for key, value in values.items()}
    )
    summary: dict[str, Any] = simulate(scenario, design).summary
    return summary


def test_identical_answers_force_checkpoint_after_checkpoint() -> None:
    """With a slow first answer 200 datagrams a second are a storm that the timer has no part in."""
    summary = seen(STORM)
    forced = sum(summary["service"]["forced"].values())
    assert forced > 60
    assert summary["checkpoints"]["completed"] - forced < 6
    assert summary["service"]["latency_ns"]["p50"] > 40_000_000


def test_without_a_slow_first_answer_there_is_no_storm() -> None:
    """The same requests force hardly a checkpoint where the secondary is as fast as ever."""
    summary = seen(STORM.replace("first: {p50: 90 ms, p90: 130 ms}, ", ""))
    assert sum(summary["service"]["forced"].values()) <= 2
    assert summary["service"]["latency_ns"]["p50"] < 3_000_000


def test_byte_streams_do_not_storm() -> None:
    """A stream is compared from its lowest byte: the lag alone forces nothing."""
    summary = seen(STORM.replace("udp", "tcp"))
    assert sum(summary["service"]["forced"].values()) == 0


def test_without_clients_nothing_moves() -> None:
    """Clients whose output waits for nothing leave the events of the pair as they were."""
    plain = STORM.partition("service:")[0]
    direct = STORM.replace(
        "  secondary_lag: {first: {p50: 90 ms, p90: 130 ms}, later: 200 us}\n", ""
    )
    summary = seen(direct + "output: {mode: direct}\n")
    assert summary["digest"] == seen(plain)["digest"]
    assert summary["events"] == seen(plain)["events"]
    assert "service" not in seen(plain)


def test_a_lost_secondary_holds_answers_until_the_comparison_is_deleted() -> None:
    """The guest runs on, its clients wait for the failover, or for ever if comparison is left."""
    killed = f"{STORM}faults: [{{kill: secondary, at: 1 s}}]\n"
    summary = seen(killed)
    assert summary["verdict"] == "failed_over"
    assert summary["time_to_client_ns"] > 1_000_000_000
    assert summary["service"]["unanswered"] <= 2
    left = seen(f"{killed}manager: {{comparison: leave}}\n")
    assert left["verdict"] == "failed_over"
    assert left["time_to_client_ns"] is None


def test_a_lost_primary_costs_the_requests_up_to_the_takeover() -> None:
    """The secondary answers what comes after it has taken over; what came before is lost."""
    summary = seen(f"{STORM}faults: [{{kill: primary, at: 1 s}}]\n")
    assert summary["verdict"] == "failed_over"
    outage_ns = summary["service"]["outage_ns_longest"]
    lost = summary["service"]["unanswered"]
    assert summary["time_to_client_ns"] > 2_000_000_000
    assert abs(lost - outage_ns // 5_000_000) <= 3


def test_every_diverging_answer_forces_a_checkpoint() -> None:
    """One in ten that differs leaves no periodic checkpoint at 20 requests a second."""
    text = STORM.replace("200 /s", "20 /s").replace("first: {p50: 90 ms, p90: 130 ms}, ", "")
    summary = seen(text, service__divergence="10%")
    assert 15 <= summary["service"]["forced"]["mismatch"] <= 35
    assert summary["checkpoints"]["completed"] - sum(summary["service"]["forced"].values()) <= 3


def test_one_outstanding_request_does_not_storm() -> None:
    """A client that waits for its answer leaves nothing newer to be compared first."""
    summary = seen(STORM.replace("200 /s", "20 /s"), service__outstanding=1)
    assert sum(summary["service"]["forced"].values()) <= 1
    assert summary["service"]["requests"] - summary["service"]["answered"] <= 1


def test_a_client_that_thinks_sends_as_often_as_it_is_answered() -> None:
    """Of a closed loop without output commit the throughput is one over latency and think time."""
    text = STORM.partition("  secondary_lag")[0].replace(
        "{regular: 200 /s}", "{clients: 1, think: 8800 us}"
    )
    summary = seen(f"{text}output: {{mode: direct}}\n", checkpoint_delay="100 s")
    assert summary["service"]["answered"] == 1200
    assert summary["service"]["latency_ns"]["max"] == 1_200_000


def test_measured_requests_come_as_they_were_sent() -> None:
    """Each takes its time and both ways; after the last of them none comes."""
    text = STORM.partition("  secondary_lag")[0].replace(
        "{regular: 200 /s}", "{csv: r.csv, values: 10ms 11ms 500ms}"
    )
    for outstanding in ("none", 1):
        summary = seen(
            f"{text}output: {{mode: direct}}\n",
            checkpoint_delay="100 s",
            service__outstanding=outstanding,
        )
        assert summary["service"]["requests"] == summary["service"]["answered"] == 3
        assert summary["service"]["latency_ns"]["max"] == 1_200_000


def test_a_free_running_buffer_adds_half_its_interval() -> None:
    """filter-buffer of 100 ms adds 50 ms in the median and 100 at most (measured: 53 ms)."""
    text = STORM.partition("  secondary_lag")[0]
    summary = seen(f"{text}output: {{mode: filter-buffer, interval: 100 ms}}\n", "unprotected")
    latency = summary["service"]["latency_ns"]
    assert 45_000_000 < latency["p50"] < 60_000_000
    assert latency["max"] <= 101_200_000


def test_guests_that_drift_apart_force_a_checkpoint_each_time() -> None:
    """Once they have, the next answer forces one, after which both are alike again."""
    text = STORM.replace("first: {p50: 90 ms, p90: 130 ms}, ", "").replace("udp", "tcp")
    summary = seen(text, checkpoint_delay="20 s", service__divergence={"rate": "1 /s"})
    assert 6 <= summary["service"]["forced"]["mismatch"] <= 18


def test_answers_that_differ_are_those_that_are_named() -> None:
    """Two answers that differ force two checkpoints."""
    text = STORM.replace("first: {p50: 90 ms, p90: 130 ms}, ", "").replace("udp", "tcp")
    summary = seen(text, service__divergence={"responses": [700, 1900]})
    assert summary["service"]["forced"] == {"mismatch": 2, "timeout": 0, "replay": 0}


def test_the_bytes_of_an_answer_cross_the_link() -> None:
    """An answer of 1 MiB is later by what its copy takes at 1 Gbit/s."""
    text = STORM.replace("first: {p50: 90 ms, p90: 130 ms}, ", "").replace("200 /s", "20 /s")
    text += "network: {preset: 1gbe}\n"
    small, large = (
        seen(text, service__response=size)["service"]["latency_ns"]["p50"]
        for size in ("1 KiB", "1 MiB")
    )
    assert 8_200_000 < large - small < 8_500_000


def test_a_long_byte_stream_waits_for_its_segments_and_for_nagle() -> None:
    """64 KiB are 45 segments; one answer in ten ends 40 ms later, none with nodelay.

    A stop that finds one under way leaves both guests' TCP out of step: checkpoints more.
    """
    text = STORM.partition("  secondary_lag")[0].replace("udp", "tcp")
    text = text.replace("{regular: 200 /s}", "{clients: 1}").replace(
        "  time", "  response: 64 KiB\n  time"
    )
    plain = seen(f"{text}output: {{mode: direct}}\n")["service"]
    nagle = seen(text)
    nodelay = seen(f"{text}output: {{nodelay: true}}\n")["service"]
    assert plain["latency_ns"]["p50"] == 1_200_000
    assert 3_900_000 < nagle["service"]["latency_ns"]["p50"] < 4_300_000
    assert nagle["service"]["latency_ns"]["p99"] > 40_000_000
    assert nodelay["latency_ns"]["p90"] < 10_000_000
    assert nodelay["throughput_per_s"] > nagle["service"]["throughput_per_s"]
    assert nagle["service"]["forced"]["mismatch"] >= 1


def test_answers_that_are_held_leave_newest_first() -> None:
    """Datagrams that a pause held leave the tap one after the other, the last of them first."""
    text = STORM.replace("first: {p50: 90 ms, p90: 130 ms}, later: 200 us", "later: 1 s")
    scenario = loads(text.replace("duration: 12 s", "duration: 2100 ms"))
    found: list[tuple[int, int]] = []

    def prepare(simulation: Simulation) -> None:
        clients = simulation.clients
        assert clients is not None
        clients.workload.on_answers = lambda at, latencies: found.extend(
            zip(at.tolist(), (at - latencies).tolist(), strict=True)
        )

    Simulation(scenario, "qemu-5.1", prepare=prepare).run()
    found.sort()
    together = [one for one in found if one[0] < found[0][0] + 10**6]
    assert len(together) > 5
    sent = [at for _, at in together]
    assert sent == sorted(sent, reverse=True)
    apart = {after - before for (before, _), (after, _) in pairwise(together)}
    assert apart == {15_000}


def test_a_secondary_that_resumes_with_the_primary_sends_nothing_again() -> None:
    """Long answers go out of step where it runs alone for longer than TCP's loss probe takes."""
    long = STORM.replace("udp", "tcp").replace("regular: 200 /s", "regular: 100 /s")
    long = long.replace("protocol: tcp", "protocol: tcp\n  response: 64 KiB")
    late, together = (seen(long, network__delayed_ack=ack) for ack in (True, False))
    assert sum(late["service"]["forced"].values()) >= 5
    assert sum(together["service"]["forced"].values()) == 0


def test_a_guest_that_stands_for_long_loses_requests_part_by_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What comes in a long stop is dropped and counted in parts, whatever their size."""
    alone = STORM.replace("designs: [qemu-5.1]", "designs: [unprotected]").partition("  secondary")
    frozen = alone[0] + "faults: [{freeze: primary, at: 1 s%s}]\n"
    found = []
    for part in (OpenLoop.part, 100):
        monkeypatch.setattr(OpenLoop, "part", part)
        found += [
            seen(frozen % lasts, "unprotected", service__arrivals={"regular": "2000 /s"})["service"]
            for lasts in ("", ", for: 10 s")
        ]
    stands, goes_on, *others = found
    assert others == [stands, goes_on]
    assert (stands["requests"], stands["dropped"]) == (24_000, 0)
    assert stands["unanswered"] >= 22_000
    assert goes_on["dropped"] > 18_000
