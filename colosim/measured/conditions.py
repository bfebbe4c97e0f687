"""The scenario of a measured run's conditions: what the simulator is given to be held against it.

Two ways.  *Closed loop*: the guest's write rate decides how many pages are dirty, the simulated
time decides when a checkpoint begins.  *Open loop*: every checkpoint has the pages that were
measured and begins as long after the one before as was measured (`colosim.measured.replay`).

Nothing here is taken from what a run measured but its pages, its run times and the reading of its
clock at the first request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from colosim.designs.registry import load_design
from colosim.errors import LogError
from colosim.scenario import Scenario
from colosim.scenario.network import Network
from colosim.scenario.presets import preset_names

if TYPE_CHECKING:
    from colosim.measured.measurement import Conditions, MeasuredRun

HOST_OF = {
    "qsb": "lab-qemu25",
    "split": "lab-qemu25",
    "flat": "lab-qemu25",
    "qemu-5.1": "lab-qemu72",
    "qemu-11": "lab-qemu111",
}
"""Host preset of each design that was measured, under software emulation."""
BUSY = "__busy"
"""How the name of a repeat ends that was taken while the machine had other work (load 1.5 to 7)."""

VIDEO_AND_STATUS_PAGES = 2
"""Pages that every epoch dirties beside the working set (qemu25: a set of n gives n + 2)."""
ESCAPED = {500: 12}
"""Pages of the smallest set that escape the dirty log: 256-entry soft TLB of TCG (qemu25)."""
SLEEP_LATE_NS = 100_000
"""How much later than asked QEMU 2.5's usleep() between checkpoints ends (500.1 ms measured)."""
TICK_PHASE_NS = {"qemu25": 0, "qemu72": 1_255_000, "qemu111": 1_785_000, "proxy72": 0}
"""By lab, where the 4 ms ticks lie on the clock of its stamps: one constant for all its runs.

The ticks of Linux from 6.4 on are multiples of 4 ms of CLOCK_MONOTONIC, on which the qemu25
stamps are (proxy72 too), so there it is 0; CLOCK_REALTIME is ahead by what the host's boot left.  A
message that a delayed ACK had held is read 60 to 90 us after a tick, in the median of a run."""
FAULT_SEND_BUFFER_BYTES = 4_194_304
FAULT_RECEIVE_BUFFER_BYTES = 2_097_152
"""What the two sockets take in from a writer whose reader stands still: tcp_wmem's most, and what
was seen in the receiver (`ss` in the fault runs); in all 4.4 to 5.9 MB."""
CHANNEL_SEND_BUFFER_BYTES = 3_200_000
CHANNEL_RECEIVE_BUFFER_BYTES = 1_830_000
"""The same of a multifd channel whose reader waits for MULTIFD_FLUSH: medians of what its queues
had taken when its writer stood (idle runs of 16,000 and 60,000 pages; 4.9 to 5.1 MB in all)."""
DELAY_LINE_BYTES_PER_S = 1_000_000_000
"""What the lab's delay line (two TUN devices, one process) copies: 0.85 to 1.3 ns a byte."""
DELAY_LINE_LATE_NS = 80_000
"""How late the delay line is, each way, beyond the veth pair: two more wake-ups (one-way messages
take 1.1 ms where 1 ms was asked for)."""
SEND_BUFFER_SHARE = (5, 8)
"""Of a small checkpoint's bytes, what the send buffer had taken when writing ended behind a link.

Linux lets the send buffer grow with what the connection has had in flight (tcp_sndbuf_expand), so
a connection that only ever carries small checkpoints keeps a small one."""
BURST_BYTES = 131_072
PAGE_STREAM_BYTES = 4104
DEVICE_STATE_BYTES = {"tcg": 12_665, "kvm": 12_693}
"""By accelerator, of the lab's bare machine; measured."""


def host_preset(run: MeasuredRun) -> str:
    """Return the name of the host preset whose costs the run has: by its design and accelerator.

    :raises LogError: if no lab run of that design was fitted.
    """
    host = HOST_OF.get(run.design.partition("+")[0])
    if host is None:
        raise LogError(f"{run.name}: no host preset is fitted for the design {run.design!r}")
    by_accelerator = f"{host}-{run.conditions.accelerator}"
    return by_accelerator if by_accelerator in preset_names("hosts") else host


def is_fitted(run: MeasuredRun) -> bool:
    """Whether the run is of those that its host preset is fitted to.

    Not: a control, of another lab, or the repeat of a run on a machine that had other work.
    """
    fitted = host_preset(run).removeprefix("lab-").partition("-")[0] == run.lab
    return fitted and not run.name.endswith(BUSY)


def is_released(run: MeasuredRun) -> bool:
    """Whether it is of a release since 3.1: its checkpoints come by a timer, both guests run."""
    return load_design(run.design).traits.secondary_runs


def _network_preset(conditions: Conditions) -> str:
    if conditions.bandwidth_bits is None:
        return "lab-veth"
    mbit = conditions.bandwidth_bits // 10**6
    return {1000: "lab-veth-1gbit"}.get(mbit, f"lab-veth-{mbit}mbit")


def _phase_ns(run: MeasuredRun, first_request_ns: int, tick_ns: int) -> int | None:
    """Return where the ticks lie in a simulation whose first request is at `first_request_ns`."""
    if not run.clock_ns:
        return None
    on_its_clock = TICK_PHASE_NS.get(run.lab)
    if on_its_clock is None:
        return None
    return (on_its_clock + first_request_ns - run.clock_ns) % tick_ns


def network(run: MeasuredRun, first_request_ns: int, *, faulty: bool = False) -> Network:
    """Return the network of the run: a lab preset, and what the run's conditions change in it."""
    conditions = run.conditions
    name = _network_preset(conditions)
    try:
        base = Network.model_validate({"preset": name})
    except ValueError:
        base = Network.model_validate({"preset": "lab-veth-1gbit"})
    changed: dict[str, Any] = {
        "latency_ns": base.latency_ns
        + conditions.latency_ns
        + (DELAY_LINE_LATE_NS if conditions.latency_ns else 0),
        "ack_tick_phase_ns": _phase_ns(run, first_request_ns, base.ack_tick_ns),
        "delayed_ack": conditions.delayed_ack,
        "retries2": conditions.retries2,
    }
    limited = conditions.bandwidth_bits is not None
    if conditions.latency_ns:
        changed["framing"] = f"{conditions.payload_bytes}/{conditions.frame_bytes}"
    if limited:
        assert conditions.bandwidth_bits is not None  # noqa: S101 - as `limited` says
        changed["bandwidth_bytes_per_s"] = conditions.bandwidth_bits // 8
        changed["burst_bytes"] = (
            conditions.burst_bytes * conditions.payload_bytes // conditions.frame_bytes
        )
        changed["send_buffer_bytes"] = _send_buffer_bytes(run, base.send_buffer_bytes)
    elif conditions.latency_ns:
        # The delay line's own socket buffers take what a round trip needs.
        changed["bandwidth_bytes_per_s"] = DELAY_LINE_BYTES_PER_S
        changed["framing"] = "1448/1448"
    if faulty or (conditions.latency_ns and not limited):
        changed["send_buffer_bytes"] = FAULT_SEND_BUFFER_BYTES
        changed["receive_buffer_bytes"] = FAULT_RECEIVE_BUFFER_BYTES
    elif load_design(run.design).traits.channels:
        if not limited:
            changed["send_buffer_bytes"] = CHANNEL_SEND_BUFFER_BYTES
        changed["receive_buffer_bytes"] = CHANNEL_RECEIVE_BUFFER_BYTES
    return Network.model_validate({"preset": base.preset, **changed})


def _send_buffer_bytes(run: MeasuredRun, most: int) -> int:
    """Return the send buffer of a connection that carries checkpoints of the run's size.

    Where that is not known, it is as large as it can be.
    """
    pages = run.median("dirty_pages")
    if pages is None:
        return most
    pages //= load_design(run.design).traits.channels or 1
    share, of = SEND_BUFFER_SHARE
    return max(BURST_BYTES, min(most, PAGE_STREAM_BYTES * pages * share // of))


def dirty_model(run: MeasuredRun) -> dict[str, Any]:
    """Return the guest's write behaviour: round-robin over a working set at a rate."""
    conditions = run.conditions
    pages = conditions.working_set_pages
    if not is_released(run):
        pages += VIDEO_AND_STATUS_PAGES - ESCAPED.get(pages, 0)
    if not (pages and conditions.write_rate):
        return {"pages": 0}
    return {
        "rate_pages_per_s": conditions.write_rate,
        "working_set_pages": pages,
        "pattern": "round-robin",
    }


def delay_ns(run: MeasuredRun) -> int:
    """Return x-checkpoint-delay as it comes out: a sleep ends late, a timer's period does not."""
    late = 0 if is_released(run) else SLEEP_LATE_NS
    return run.conditions.checkpoint_delay_ns + late


def scenario(
    run: MeasuredRun,
    dirty: Mapping[str, Any],
    checkpoints: int | None,
    costs: Mapping[str, Any] | None = None,
    *,
    faulty: bool = False,
    **more: Any,
) -> Scenario:
    """Return the scenario of a run's conditions with this dirty behaviour and length.

    `costs` replaces costs of the fitted preset, by key, on both hosts.
    """
    host = host_preset(run)
    delay = delay_ns(run)
    side = {
        "preset": host,
        "accelerator": run.conditions.accelerator,
        "costs": dict(costs or {}),
    }
    return Scenario.model_validate(
        {
            "name": run.name.replace("/", "-"),
            "designs": (run.design,),
            **({} if checkpoints is None else {"checkpoints": checkpoints}),
            "checkpoint_delay_ns": delay,
            "guest": {
                "ram_bytes": run.conditions.ram_bytes,
                "dirty": dict(dirty),
                "device_state_bytes": DEVICE_STATE_BYTES[run.conditions.accelerator],
            },
            "hosts": {"preset": host, "primary": side, "secondary": side},
            "network": network(run, delay, faulty=faulty),
            **more,
        }
    )


def open_loop(run: MeasuredRun, costs: Mapping[str, Any] | None = None) -> Scenario:
    """Return the scenario whose every checkpoint has the dirty pages that were measured.

    :raises LogError: if those of a checkpoint were not.
    """
    pages = tuple(one.dirty_pages for one in run.checkpoints if one.complete)
    if None in pages:
        raise LogError(f"{run.name}: the dirty pages of checkpoint {pages.index(None)} are unknown")
    dirty = {"csv": f"{run.name.replace('/', '-')}.csv", "values": pages or (0,)}
    return scenario(run, dirty, max(1, len(pages)), costs)


def closed_loop(run: MeasuredRun, costs: Mapping[str, Any] | None = None, **more: Any) -> Scenario:
    """Return the scenario whose guest dirties pages at its rate; `more` attributes of it."""
    complete = sum(one.complete for one in run.checkpoints)
    return scenario(run, dirty_model(run), max(1, complete), costs, **more)
