"""Fitting: known costs are found again in simulated runs, and what cannot be known is said."""

from __future__ import annotations

import dataclasses
import random
import re
from pathlib import Path

import pytest

from colosim.errors import LogError
from colosim.qemu.conditions import HOST_OF
from colosim.qemu.cost_file import attributes, cost_text, read_costs, text_of
from colosim.qemu.fit import Fit, fit
from colosim.qemu.measured import measured, names
from colosim.qemu.measurement import MeasuredCheckpoint, MeasuredRun
from colosim.qemu.stage_formulas import GIB, LATENCY_NS, PAGE_STREAM_BYTES, WHOLE_BYTES
from colosim.scenario import preset
from colosim.scenario.costs import Costs

HOSTS = Path("colosim/scenario/presets/hosts")

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
                design="qsb",
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
    """Scanning and writing a page come back as a sum, in a group that says how it was divided."""
    values = found.values()
    assert values["page_scan"] + values["qsb_write"] == pytest.approx(KNOWN["save"], rel=0.05)
    group = found.estimates["page_scan"].group
    assert group is not None
    assert {"page_scan", "qsb_write"} <= set(group.keys)
    assert any(line.startswith("page_scan + qsb_write = ") for line in group.sums)
    assert "page_scan as qsb and flat give it together" in group.conventions
    assert found.estimates["reset"].group is None


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


_NUMBER = re.compile(r"[0-9]+\.?[0-9]*(?:e[+-][0-9]+)?")


def same_but_for_the_last_digit(one: str, other: str) -> bool:
    """Whether two texts are the same, numbers within 1% (standard errors: 10%) of each other."""
    if _NUMBER.sub("#", one) != _NUMBER.sub("#", other):
        return False
    pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
    return all(float(a) == pytest.approx(float(b), rel=0.1, abs=1e-12) for a, b in pairs)


@pytest.mark.parametrize("host", ["lab-qemu25", "lab-qemu72"])
def test_the_shipped_presets_are_what_a_fit_writes(host: str, tmp_path: Path) -> None:
    """Fitting anew to every shipped run of a host writes its shipped preset."""
    runs = [run for run in map(measured, names()) if HOST_OF[run.design] == host]
    again = text_of(fit(runs), host, preset("hosts", host).description)
    shipped = (HOSTS / f"{host}.yaml").read_text(encoding="utf-8")
    for one, other in zip(shipped.splitlines(), again.splitlines(), strict=True):
        assert same_but_for_the_last_digit(one, other)
    (tmp_path / "costs.yaml").write_text(again, encoding="utf-8")
    ours = Costs.model_validate(preset("hosts", host).texts())
    theirs = Costs.model_validate(read_costs(tmp_path / "costs.yaml"))
    for name, value in ours.model_dump().items():
        assert getattr(theirs, name) == pytest.approx(value, rel=0.01), name


def test_the_network_presets_have_what_the_runs_show() -> None:
    """The lab's buffers are what was in flight: fitted without a limit, else a median of runs."""
    flights = []
    for host in ("lab-qemu25", "lab-qemu72"):
        stream = fit(
            [run for run in map(measured, names()) if HOST_OF[run.design] == host],
            jackknife=False,
        ).stream
        assert stream is not None
        flights.append(stream.buffer_bytes)
    unlimited = preset("networks", "lab-veth").values
    kib = [int(str(unlimited[key].value).split()[0]) for key in ("send_buffer", "receive_buffer")]
    assert min(flights) <= sum(kib) * 1024 <= max(flights)
    for mbit, name in ((1000, "lab-veth-1gbit"), (200, "lab-veth-200mbit")):
        held = sorted(
            size
            for run in map(measured, names())
            if run.conditions.bandwidth_bits == mbit * 10**6
            and (run.median("dirty_pages") or 0) > (3000 if mbit > 500 else 0)
            and (size := run.send_buffer_bytes())
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
