"""Random scenarios: sizes, rates, buffers, latencies, faults at times and at steps, managers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

DESIGNS = (
    "qsb",
    "split",
    "device-first",
    "flat",
    "qemu-3.1",
    "qemu-5.1",
    "qemu-11",
    "qemu-11+multifd=3",
    "qemu-3.1+gap-migration=64KiB",
    "qemu-5.1+migrate-first=1MiB",
)
REMEDIES = (
    "",
    "+send-timeout=2s",
    "+user-timeout=2s",
    "+nodelay",
    "+ram-outside-lock",
    "+receive-outside-lock",
    "+chunked-lock=1MiB",
    "+ram-outside-lock+receive-outside-lock",
)
SIDES = ("primary", "secondary")
MESSAGES = (
    "CHECKPOINT_REQUEST",
    "CHECKPOINT_REPLY",
    "VMSTATE_SEND",
    "VMSTATE_SIZE",
    "VMSTATE_RECEIVED",
    "VMSTATE_LOADED",
)
WORK = {
    "primary": ("stop", "bitmap sync", "RAM stream", "vmstate save", "device save", "start"),
    "secondary": ("RAM load", "vmstate fill", "device fill", "reset", "cache flush", "device load"),
}
FAILS = {"primary": ("device save", "RAM save"), "secondary": ("device load",)}

KIB = 1024
sizes = st.one_of(
    st.sampled_from([4 * KIB, 64 * KIB, 256 * KIB, 1 << 20, 4 << 20]),
    st.integers(4 * KIB, 8 << 20),
)


def times(least_us: int, most_us: int) -> SearchStrategy[str]:
    """Return times between two numbers of microseconds, as text."""
    return st.integers(least_us, most_us).map(lambda us: f"{us} us")


def pages(most: int = 30_000) -> SearchStrategy[int]:
    """Return numbers of pages, small ones often."""
    return st.one_of(st.integers(0, 40), st.integers(0, most))


@st.composite
def write_rates(draw: DrawFn) -> dict[str, Any]:
    """Return a guest's writer, one of four with phases, one of four with bursts."""
    load: dict[str, Any] = {
        "rate": f"{draw(st.integers(0, 400_000))} pages/s",
        "working_set": f"{draw(st.integers(1, 4000))} pages",
        "pattern": draw(st.sampled_from(["round-robin", "uniform"])),
    }
    if draw(st.integers(0, 3)) == 0:
        other = {"rate": f"{draw(st.integers(0, 400_000))} pages/s"}
        if draw(st.booleans()):
            other["for"] = draw(times(1, 400_000))
        load["phases"] = [{"for": draw(times(1, 400_000)), "rate": load.pop("rate")}, other]
    if draw(st.integers(0, 3)) == 0:
        lengths = {"every": draw(times(1_000, 400_000)), "for": draw(times(1_000, 400_000))}
        load["bursts"] = lengths | {"factor": draw(st.integers(0, 9))}
    return load


@st.composite
def guests(draw: DrawFn) -> dict[str, Any]:
    """Return a guest."""
    dirty = draw(
        st.one_of(
            pages().map(lambda number: {"pages": number}),
            write_rates(),
            st.tuples(write_rates(), write_rates()).map(
                lambda two: dict(zip(("hot", "cold"), two, strict=True))
            ),
        )
    )
    return {
        "ram": f"{draw(st.sampled_from([128, 512, 4096]))} MiB",
        "device_state": f"{draw(st.integers(1, 200_000))} B",
        "zero_share": f"{draw(st.integers(0, 100))}%",
        "dirty": dirty,
    }


@st.composite
def networks(draw: DrawFn) -> dict[str, Any]:
    """Return a network."""
    network: dict[str, Any] = {
        "preset": draw(st.sampled_from(["10gbe", "1gbe", "wan-5ms", "lab-veth"])),
        "send_buffer": f"{draw(sizes)} B",
        "receive_buffer": f"{draw(sizes)} B",
        "latency": draw(st.one_of(times(0, 200), times(0, 50_000))),
        "nagle": draw(st.booleans()),
        "delayed_ack": draw(st.booleans()),
        "slow_start_after_idle": draw(st.booleans()),
        "retries2": draw(st.sampled_from([3, 15])),
    }
    if draw(st.booleans()):
        network["bandwidth"] = f"{draw(st.integers(1, 400))} MiB/s"
        network["burst"] = f"{draw(st.sampled_from([0, 32 * KIB, 1 << 20]))} B"
    if draw(st.integers(0, 3)) == 0:
        network["user_timeout"] = draw(times(1000, 10_000_000))
    return network


@st.composite
def moments(draw: DrawFn) -> Any:
    """Return a time, or a step of a checkpoint."""
    if draw(st.booleans()):
        return draw(times(0, 4_000_000))
    if draw(st.integers(0, 5)) == 0:
        rate = f"{draw(st.integers(1, 60))} /min"
        return {"rate": rate, "stream": draw(st.sampled_from(["one", "another"]))}
    side = draw(st.sampled_from(SIDES))
    step = draw(st.sampled_from(MESSAGES + WORK[side]))
    word = draw(st.sampled_from(["before ", "after ", ""]))
    at: dict[str, Any] = {
        "checkpoint": draw(st.integers(0, 2)),
        "step": f"{side}: {word}{step}",
    }
    if not word and not step.isupper():
        at["progress"] = f"{draw(st.integers(0, 100))}%"
    return at


@st.composite
def faults(draw: DrawFn) -> dict[str, Any]:
    """Return a fault."""
    kinds = ["freeze", "freeze", "kill", "vanish", "vanish", "slow", "fail", "busy", "disconnect"]
    kind = draw(st.sampled_from(kinds))
    if kind == "fail":
        side = draw(st.sampled_from(SIDES))
        return {
            "fail": side,
            "what": draw(st.sampled_from(FAILS[side])),
            "at": draw(times(0, 4_000_000)),
            "leaks_lock": draw(st.booleans()),
        }
    anywhere = kind in {"vanish", "slow"}
    where = draw(st.sampled_from((*SIDES, "network") if anywhere else SIDES))
    fault: dict[str, Any] = {kind: where, "at": draw(moments())}
    if kind == "slow":
        fault["factor"] = draw(st.sampled_from(["0.01", "0.5", "3", "20"]))
        fault["what"] = draw(st.sampled_from(["bandwidth", "latency"]))
    if kind == "busy" or (kind != "kill" and draw(st.booleans())):
        fault["for"] = draw(times(1, 8_000_000))
    return fault


@st.composite
def disks(draw: DrawFn) -> dict[str, Any]:
    """Return a disk, with a guest that writes to it or has some in flight."""
    disk: dict[str, Any] = {"replication": "nbd", "flush": draw(times(0, 20_000))}
    if draw(st.booleans()):
        disk["writes"] = {
            "rate": f"{draw(st.integers(1, 2000))} /s",
            "size": f"{draw(st.sampled_from([512, 4 * KIB, 256 * KIB]))} B",
            "depth": draw(st.sampled_from([1, 3, 16])),
            "takes": draw(times(0, 2000)),
        }
    else:
        disk["in_flight"] = f"{draw(st.sampled_from([0, 4 * KIB, 1 << 20]))} B"
    return disk


@st.composite
def managers(draw: DrawFn) -> dict[str, Any]:
    """Return a cluster manager."""
    policies = ["lost-heartbeat", "yank-then-lost-heartbeat", "wait"]
    return {
        "policy": draw(st.sampled_from(policies)),
        "fence": draw(st.booleans()),
        "hears_exit": draw(st.booleans()),
        "answered_by": draw(st.sampled_from(["agent", "monitor"])),
        draw(st.sampled_from(SIDES)): {"timeout": draw(times(500_000, 9_000_000))},
        "fence_time": draw(times(0, 2_000_000)),
        "heartbeat": draw(times(100_000, 500_000)),
        "timeout": draw(times(500_000, 3_000_000)),
        "delay": draw(times(0, 500_000)),
        "yank_wait": draw(times(0, 1_000_000)),
    }


@st.composite
def scenarios(draw: DrawFn) -> dict[str, Any]:
    """Return a scenario as the plain data of its file, with one design."""
    scenario: dict[str, Any] = {
        "name": "random",
        "designs": [draw(st.sampled_from(DESIGNS)) + draw(st.sampled_from(REMEDIES))],
        "seed": draw(st.integers(0, 3)),
        "checkpoints": draw(st.integers(3, 5)),
        "horizon": draw(st.sampled_from(["30 s", "1000 s"])),
        "checkpoint_delay": draw(times(0, 300_000)),
        "guest": draw(guests()),
        "hosts": {
            "preset": draw(st.sampled_from(["kvm-xeon", "lab-qemu25", "lab-qemu72", "lab-qemu111"]))
        },
        "network": draw(networks()),
        "manager": draw(managers()),
        "faults": draw(st.lists(faults(), max_size=3)),
    }
    if draw(st.integers(0, 3)) == 0:
        scenario["disk"] = draw(disks())
        scenario["manager"]["failover"] = draw(st.sampled_from(["short", "documented"]))
        scenario["manager"]["yank"] = draw(
            st.sampled_from([["migration"], ["block-node"], ["migration", "block-node"]])
        )
    if draw(st.integers(0, 4)) == 0:
        del scenario["checkpoints"]
        scenario["duration"] = "20 s"
        scenario["checkpoint_delay"] = draw(times(500_000, 1_500_000))
        scenario["liveness"] = {"until": "6 s", "within": draw(times(1000, 13_000_000))}
    return scenario
