"""Fitting: known costs are found again in simulated runs, and what cannot be known is said."""

from __future__ import annotations

import dataclasses
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from colosim.errors import LogError
from colosim.host.host import GIB
from colosim.measured.conditions import host_preset, is_fitted
from colosim.measured.cost_file import (
    attributes,
    base_costs,
    cost_text,
    read_costs,
    text_of,
    three_digits,
)
from colosim.measured.estimates import Fit, Group
from colosim.measured.fit import fit
from colosim.measured.measured import measured, names
from colosim.measured.measurement import LATENCY_NS, MeasuredCheckpoint, MeasuredRun, nearest_rank
from colosim.measured.stage_formulas import (
    IN_FLIGHT_BYTES,
    PAGE_STREAM_BYTES,
    WHOLE_BYTES,
)
from colosim.scenario import preset

LABS = ("lab-qemu25", "lab-qemu72")
NEW_LABS = ("lab-qemu111", "lab-qemu111-kvm")
HOSTS = Path(__file__).parents[2] / "colosim" / "scenario" / "presets" / "hosts"

KNOWN = {
    "message": 90_000.0,
    "vm_stop": 170_000.0,
    "vm_start": 160_000.0,
    "bitmap_sync": 15_000.0,
    "bitmap_sync_ram": 8_000.0,
    "save": 850.0,
    "save fixed": 700_000.0,
    "fill": 0.95,
    "fill fixed": 600_000.0,
    "qsb_load": 800.0,
    "cache_flush": 400.0,
    "reset": 500_000.0,
    "device_load": 750_000.0,
}
"""Costs, and sums of costs, of an invented host."""


def invented(pages: int, ram_bytes: int, noise: random.Random, **changed: float) -> MeasuredRun:
    """Return an old-design run of an invented host, each stage off by up to 3%."""
    costs = KNOWN | changed
    like = measured("qemu25/old-ram512-n4096-bw0")
    conditions = dataclasses.replace(like.conditions, ram_bytes=ram_bytes)
    whole = PAGE_STREAM_BYTES * pages + WHOLE_BYTES
    steps = [
        ("s_request", LATENCY_NS + costs["message"]),
        ("p_reply", LATENCY_NS + costs["message"]),
        ("p_stopped", costs["vm_stop"]),
        ("p_lock_taken", 40_000),
        ("p_synced", costs["bitmap_sync"] + costs["bitmap_sync_ram"] * ram_bytes / GIB),
        ("p_lock_free", costs["save fixed"] + costs["save"] * pages),
        ("s_vmstate_send", 120_000),
        ("s_filled", costs["fill fixed"] + costs["fill"] * whole),
        ("p_received", LATENCY_NS + costs["message"]),
        ("s_lock_taken", 10_000),
        ("s_reset", costs["reset"]),
        ("s_flush_begin", costs["qsb_load"] * pages),
        ("s_flush_end", costs["cache_flush"] * pages),
        ("s_loaded", costs["device_load"]),
        ("p_loaded", 100_000),
        ("p_resumed", costs["vm_start"]),
    ]
    checkpoints = []
    for k in range(8):
        stages, now = {}, 0.0
        for name, took in steps:
            now += took * (1 + noise.uniform(-0.03, 0.03))
            stages[name] = round(now)
        checkpoints.append(
            MeasuredCheckpoint(
                request_ns=k * 10**9,
                dirty_pages=pages,
                flush_pages=pages,
                wire_bytes=None,
                staging_buffer_content_bytes=None,
                staging_buffer_capacity_bytes=None,
                stages=stages,
            )
        )
    return MeasuredRun(
        f"invented/{pages}-{ram_bytes}", "qsb", "2.5.50", conditions, tuple(checkpoints), None
    )


def runs_of(host: str) -> list[MeasuredRun]:
    """Return every shipped run of a host."""
    return [run for run in map(measured, names()) if host_preset(run) == host and is_fitted(run)]


def invented_runs(**changed: float) -> list[MeasuredRun]:
    """Return runs of several sizes of dirty set and of RAM."""
    noise = random.Random(7)  # noqa: S311 - noise, not a secret
    sizes = ((400, 1), (1000, 4), (3000, 2), (8000, 1), (20_000, 4), (3000, 4), (900, 2))
    return [invented(pages, ram << 28, noise, **changed) for pages, ram in sizes]


@pytest.fixture(scope="module")
def found() -> Fit:
    """Return the fit to an invented host's runs."""
    return fit(invented_runs())


def test_known_costs_are_found_again(found: Fit) -> None:
    """From runs with 3% of noise on every stage, each separate cost comes back within 3%."""
    values = found.values()
    for key in ("message", "vm_stop", "vm_start", "reset", "cache_flush", "qsb_load"):
        assert values[key] == pytest.approx(KNOWN[key], rel=0.03), key
    assert values["bitmap_sync"] + values["bitmap_sync_ram"] / 2 == pytest.approx(19_000, rel=0.03)


def test_sums_are_found_where_costs_are_not_told_apart(found: Fit) -> None:
    """Scanning and writing a page come back as a sum; what divides it is the base preset's value.

    That cost is marked undetermined and has no error.
    """
    base = base_costs("lab-qemu25")
    scan, write = found.estimates["page_scan"], found.estimates["qsb_write"]
    assert (scan.value, scan.error, scan.undetermined) == (base["page_scan"], None, True)
    assert scan.value + write.value == pytest.approx(KNOWN["save"], rel=0.05)
    assert write.error is not None
    assert write.undetermined is False
    assert scan.group == Group(
        ("page_scan", "qsb_write"),
        ("page_scan left at the base preset's value",),
        (f"page_scan + qsb_write = {scan.value + write.value:.0f} ns",),
    )
    assert write.group == scan.group
    assert (found.estimates["reset"].group, found.estimates["reset"].undetermined) == (None, False)


def test_undetermined_costs_are_those_of_the_base_preset() -> None:
    """Another base preset gives other values to what the runs leave open, and the same sums."""
    fits = {base: fit(invented_runs(), base=base, jackknife=False) for base in (*LABS, "kvm-xeon")}
    for base, found in fits.items():
        left = {key: one.value for key, one in found.estimates.items() if one.undetermined}
        assert left == {key: base_costs(base)[key] for key in left}, base
        assert len(left) == 5, base
        assert {sums for group in found.groups for sums in group.sums} == {
            sums for group in fits["lab-qemu25"].groups for sums in group.sums
        }, base


def test_a_base_preset_that_has_more_than_the_sum_is_refused() -> None:
    """A part that is dearer in the base preset than the runs' whole sum gives no preset."""
    with pytest.raises(LogError, match=r"'lab-qemu25' contradicts the runs: its \w+ alone"):
        fit(invented_runs(save=50.0), jackknife=False)


def test_an_unknown_base_preset_is_refused() -> None:
    """The message names the preset that is most like what was written."""
    with pytest.raises(LogError, match=r"'lab-qemu52'; did you mean lab-qemu\d\d\?"):
        fit(invented_runs(), base="lab-qemu52")


def test_of_a_writer_that_was_held_up_only_an_upper_bound_is_known() -> None:
    """In every qemu25 stream the reader held the writer up; some of qemu72 were the writer's own.

    So a page's scan and write are bounded in one, and a determined sum in the other.
    """
    old, new = (fit(runs_of(host), jackknife=False) for host in LABS)
    assert old.bounds == ("page_scan + 4104 socket_write at most 1040 ns (as left: 846 ns)",)
    assert old.estimates["socket_write"].undetermined
    assert old.estimates["socket_write"].group is not None
    assert old.estimates["socket_write"].group.keys == ("socket_write", "staging_send")
    assert new.bounds == ()
    assert any("page_scan + 4104 socket_write = 1090 ns" in group.sums for group in new.groups)


def test_runs_of_streams_alone_leave_the_writer_at_the_base_preset() -> None:
    """Where a cost is in no sum but the bounded one, it is written, and marked, as the base has it.

    A cost that no stage has anything of keeps the base preset's own origin.
    """
    runs = [run for run in runs_of("lab-qemu25") if run.design == "split"]
    found = fit(runs, base="kvm-xeon", jackknife=False)
    lines = text_of(found, "x").splitlines()
    assert (
        '  page_scan: {value: "100 ns/page", origin: "undetermined by 2 runs, left at the base '
        "preset's value: stream write\"}" in lines
    )
    assert any(
        line.startswith('  qsb_load: {value: "2100 ns/page", origin: "two') for line in lines
    )
    assert "#   page_scan + 4104 socket_write at most 1040 ns (as left: 716 ns)" in lines


def test_a_fit_that_does_not_converge_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """No values come out of a fit that was still moving."""
    monkeypatch.setattr("colosim.measured.fit._STEPS", 3)
    with pytest.raises(LogError, match="does not converge"):
        fit(invented_runs(), jackknife=False)


def test_a_planted_change_is_seen(found: Fit) -> None:
    """A host whose flush is a tenth dearer has a cost a tenth larger, far beyond its error."""
    changed = fit(invented_runs(cache_flush=440.0)).estimates["cache_flush"]
    before = found.estimates["cache_flush"]
    assert before.error is not None
    assert changed.value - before.value == pytest.approx(40, rel=0.1)
    assert changed.value - before.value > 5 * before.error


def test_an_outlier_moves_a_cost_little(found: Fit) -> None:
    """One run in seven that took twice as long moves a robustly fitted cost by less than 5%."""
    runs = invented_runs()
    slow = invented(3000, 2 << 28, random.Random(1), cache_flush=800.0)  # noqa: S311
    changed = fit([*runs[:-1], slow], jackknife=False).values()["cache_flush"]
    assert changed == pytest.approx(found.values()["cache_flush"], rel=0.05)


def test_no_run_is_refused() -> None:
    """Without a complete checkpoint there is nothing to fit to."""
    empty = dataclasses.replace(invented_runs()[0], checkpoints=())
    with pytest.raises(LogError, match=r"complete checkpoint"):
        fit([empty])


@pytest.mark.parametrize("host", [*LABS, *NEW_LABS])
def test_the_shipped_presets_are_what_a_fit_writes(host: str, tmp_path: Path) -> None:
    """Fitting anew to every shipped run of a host writes its shipped preset, byte for byte."""
    again = text_of(fit(runs_of(host)), preset("hosts", host).description)
    assert again == (HOSTS / f"{host}.yaml").read_text(encoding="utf-8")
    (tmp_path / "costs.yaml").write_text(again, encoding="utf-8")
    assert read_costs(tmp_path / "costs.yaml") == preset("hosts", host).texts()


KERNELS = ("Haswell", "Zen", "Prescott", "Nehalem", "Sandybridge")
"""Kernels of OpenBLAS for x86-64; its name for Zen's is Haswell."""

FIT = """
from colosim.measured.conditions import host_preset, is_fitted
from colosim.measured.cost_file import text_of
from colosim.measured.fit import fit
from colosim.measured.measured import measured, names

for host in {hosts}:
    runs = [run for run in map(measured, names()) if host_preset(run) == host and is_fitted(run)]
    print(text_of(fit(runs, jackknife={jackknife}), "x"))
"""


def written_by_kernels(
    hosts: Sequence[str], kernels: Sequence[str] = KERNELS, *, jackknife: bool
) -> dict[str, str]:
    """Return presets as each kernel that this processor can run writes them."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")}
    found: dict[str, str] = {}
    for kernel in kernels:
        ran = subprocess.run(
            [sys.executable, "-c", FIT.format(jackknife=jackknife, hosts=hosts)],
            env=plain | {"OPENBLAS_CORETYPE": kernel, "OPENBLAS_VERBOSE": "2"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        if ran.returncode < 0:
            continue  # ended by a signal: the processor has no such instructions
        assert ran.returncode == 0, ran.stderr
        cores = {line for line in ran.stderr.splitlines() if line.startswith("Core: ")}
        for core in cores:
            assert found.setdefault(core, ran.stdout) == ran.stdout
    return found


def assert_the_same(written: dict[str, str]) -> None:
    """Hold what the kernels wrote to be one text; skip, with the reason, if only one could run."""
    assert len(set(written.values())) == min(1, len(written))
    if len(written) < 2:
        pytest.skip(f"numpy's linear algebra has no two kernels here, only {list(written)}")


def test_two_kernels_of_linear_algebra_write_the_same_preset() -> None:
    """A preset without standard errors is the same bytes under OpenBLAS's newest and oldest one."""
    assert_the_same(written_by_kernels(["lab-qemu25"], ["Haswell", "Prescott"], jackknife=False))


@pytest.mark.slow
def test_every_kernel_of_linear_algebra_writes_the_same_standard_errors() -> None:
    """So are all of them, with each run left out in turn."""
    assert_the_same(written_by_kernels([*LABS, *NEW_LABS], jackknife=True))


@pytest.mark.parametrize("off", [-1e-10, 0, 1e-10])
def test_a_number_near_a_rounding_tie_is_an_error(off: float) -> None:
    """What another machine could round the other way is never written.

    A tie of three digits goes one way (six digits are rounded first), one of three and six none.
    """
    for write in (
        lambda value: cost_text("reset", 1000 * value),
        lambda value: str(attributes({"cache_flush": value})),
        three_digits,
    ):
        with pytest.raises(LogError, match="near the middle of two numbers"):
            write(842.5005 * (1 + off))
        assert "842" in write(842.5 * (1 + off))
        assert "842" in write(842.5 * (1 - 1e-5))
        assert "843" in write(842.5 * (1 + 1e-5))


def send_buffer_bytes(run: MeasuredRun) -> int | None:
    """Return what a run's send buffer held when the last byte went in, as the median says.

    It is the payload that the limited link carried between the end of writing and the end of
    reading.  Linux wakes a blocked writer once a third of its buffer is free, so this is about
    four fifths of the buffer's size.  None where the link had no limit.
    """
    conditions = run.conditions
    tails = [one.tail_ns for one in run.counted() if one.tail_ns is not None]
    if conditions.bandwidth_bits is None or not tails:
        return None
    bits = nearest_rank(tails, 50) * conditions.bandwidth_bits * conditions.payload_bytes
    return bits // (8 * 10**9 * conditions.frame_bytes)


def test_the_send_buffer_is_known_where_the_link_was_limited() -> None:
    """What was still to be carried when writing ended, by the median; none without a limit."""
    assert send_buffer_bytes(measured("qemu25/split-ram512-n16384-bw1000")) == 2_121_549
    assert send_buffer_bytes(measured("qemu25/split-ram512-n16384-bw0")) is None


def test_the_network_presets_have_what_the_runs_show() -> None:
    """The lab's buffers are what was in flight: between the hosts' medians, or a run's median."""
    flights = [fit(runs_of(host), jackknife=False).in_flight_bytes or 0 for host in LABS]
    unlimited = preset("networks", "lab-veth").values
    kib = [int(str(unlimited[key].value).split()[0]) for key in ("send_buffer", "receive_buffer")]
    assert sum(kib) * 1024 == IN_FLIGHT_BYTES
    assert min(flights) <= IN_FLIGHT_BYTES <= max(flights)
    for mbit, name in ((1000, "lab-veth-1gbit"), (200, "lab-veth-200mbit")):
        held = sorted(
            size
            for run in map(measured, names())
            if run.lab in {"qemu25", "qemu72"}  # the presets are fitted to these
            and run.conditions.bandwidth_bits == mbit * 10**6
            and (run.median("dirty_pages") or 0) > (3000 if mbit > 500 else 0)
            and (size := send_buffer_bytes(run))
        )
        shipped = int(str(preset("networks", name).values["send_buffer"].value).split()[0])
        assert shipped * 1024 == pytest.approx(held[len(held) // 2], rel=0.05)


def test_costs_are_written_to_three_digits() -> None:
    """A cost is written with three digits in its own unit, and reads back as that."""
    assert cost_text("vm_stop", 173_891.2) == "174 us"
    assert cost_text("bitmap_sync", 15_321) == "15.3 us"
    assert cost_text("cache_free", 0.102391) == "0.102 ns/B"
    assert cost_text("cache_flush", 406.94) == "407 ns/page"
    assert attributes({"cache_free": 0.102391}) == {"cache_free_fs_per_byte": 102_000}


def test_a_file_without_costs_is_refused(tmp_path: Path) -> None:
    """What is no host preset is told so, with its name."""
    path = tmp_path / "x.yaml"
    path.write_text("values: [1]\n", encoding="utf-8")
    with pytest.raises(LogError, match=r"x\.yaml"):
        read_costs(path)


def test_a_file_of_before_a_cost_was_told_apart_says_what_it_lacks(tmp_path: Path) -> None:
    """A file that an older fit wrote is refused by the names of the costs that it lacks."""
    path = tmp_path / "x.yaml"
    text = (HOSTS / "lab-qemu72.yaml").read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if "  channel_" not in line]
    path.write_text("\n".join(kept), encoding="utf-8")
    with pytest.raises(LogError, match=r"lacks channel_write, channel_read$"):
        read_costs(path)
