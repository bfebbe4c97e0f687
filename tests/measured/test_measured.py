"""The measured tables that ship, and the statistics of a measured run."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.errors import LogError
from colosim.measured.measured import dump, measured, names, parse
from colosim.measured.measurement import STAGES, nearest_rank


def test_every_table_reads_back_to_itself() -> None:
    """A shipped table is exactly what its run is written as, under the name of its file."""
    for name in names():
        text = (resources.files("colosim.measured") / "tables" / f"{name}.json").read_text("utf-8")
        run = parse(text)
        assert (run.name, dump(run)) == (name, text)


def test_the_tables_are_those_of_the_readme() -> None:
    """The counts of runs and fault runs a design are as the tables' README says."""
    count: dict[tuple[str, str], list[int]] = {}
    for name in names():
        run = measured(name)
        entry = count.setdefault((name.partition("/")[0], run.design), [0, 0])
        entry[0] += 1
        entry[1] += run.fault is not None
    assert count == {
        ("qemu25", "qsb"): [15, 4],
        ("qemu25", "split"): [15, 4],
        ("qemu25", "flat"): [6, 1],
        ("qemu72", "qemu-5.1"): [47, 15],
        ("qemu111", "qemu-11"): [37, 8],
        ("qemu111", "qemu-11+multifd=2"): [9, 0],
        ("qemu111", "qemu-11+multifd=4"): [25, 6],
        ("qemu111", "qemu-11+multifd=8"): [8, 0],
        ("qemu111", "qemu-5.1"): [18, 2],
    }


def test_the_runs_of_the_first_comparison() -> None:
    """Medians are nearest-rank, in integers, over complete checkpoints after two of warm-up."""
    medians = [measured(f"qemu25/{one}-ram512-n16384-bw0").medians() for one in ("old", "split")]
    assert medians == [
        {
            "pause_ns": 131_243_000,
            "transaction_ns": 131_618_000,
            "ram_ns": 69_494_000,
            "lock_hold_primary_ns": 19_095_000,
            "lock_hold_secondary_ns": 24_467_000,
            "staging_buffer_content_bytes": 67_367_158,
            "staging_buffer_capacity_bytes": 67_371_008,
            "wire_bytes": 67_367_178,
            "dirty_pages": 16_386,
        },
        {
            "pause_ns": 91_459_000,
            "transaction_ns": 91_793_000,
            "ram_ns": 48_010_000,
            "lock_hold_primary_ns": 47_940_000,
            "lock_hold_secondary_ns": 8_223_000,
            "staging_buffer_content_bytes": 12_665,
            "staging_buffer_capacity_bytes": 4_194_304,
            "wire_bytes": 67_261_019,
            "dirty_pages": 16_386,
        },
    ]


@pytest.mark.parametrize(
    ("design", "version", "overhead", "share"),
    [
        ("qsb", "2.5", 119_034, 0.99),
        ("split", "2.5", 12_875, 0.99),
        ("qemu-5.1", "7.2", 12_928, 0.98),
        ("qemu-11", "11", 12_963, 0.95),
    ],
)
def test_bytes_on_the_wire_follow_the_pages(
    design: str, version: str, overhead: int, share: float
) -> None:
    """Of the measured checkpoints nearly all carry 4104 bytes a page and the design's overhead.

    With multifd channels 4096 a page, 1344 a packet, and two syncs; under KVM 28 bytes more.
    """
    exact = total = 0
    for run in map(measured, names()):
        base, _, channels = run.design.partition("+multifd=")
        if base != design or not run.qemu.startswith(version):
            continue
        fixed = overhead + 28 * (run.conditions.accelerator == "kvm")
        for one in run.counted():
            if one.wire_bytes is None or one.dirty_pages is None:
                continue
            expected = 4104 * one.dirty_pages + fixed
            if channels:
                packets = -(-one.dirty_pages // 128) + 2 * int(channels)
                expected = 4096 * one.dirty_pages + fixed + 16 + 1344 * packets
            total += 1
            exact += one.wire_bytes == expected
    assert exact >= share * total > 0


def test_a_checkpoint_goes_through_its_stages_in_order() -> None:
    """Each side's stages of a complete checkpoint never go back in time."""
    for name in names():
        for one in measured(name).counted():
            for side in ("p_", "s_"):
                times = [one.stages[s] for s in STAGES if s in one.stages and s.startswith(side)]
                assert times == sorted(times), name


def test_fault_runs_keep_what_they_show() -> None:
    """The frozen secondary leaves split's monitor deaf and qsb's answering; yank frees qemu-5.1."""
    split = measured("qemu25/split-fault-stop-ram512-n16384-bw0").fault
    qsb = measured("qemu25/old-fault-stop-ram512-n16384-bw0").fault
    qemu_5_1 = measured("qemu72/fault_p_stop_stream_big_1").fault
    assert split is not None
    assert qsb is not None
    assert qemu_5_1 is not None
    assert (split.monitor_answered, split.command_served, split.thaw_running_ns) == (
        False,
        False,
        215_713_000,
    )
    assert (qsb.monitor_answered, qsb.command_served, qsb.running_ns) == (True, True, 2_211_000)
    assert (qemu_5_1.monitor_answered, qemu_5_1.command_served, qemu_5_1.yank_running_ns) == (
        False,
        False,
        18_072_000,
    )


def test_an_incomplete_checkpoint_counts_for_nothing() -> None:
    """The checkpoint that a fault struck is in the table and not in the statistics."""
    run = measured("qemu25/split-fault-kill-ram512-n16384-bw1000")
    assert len(run.checkpoints) > len(run.counted(warmup=0)) > 0


def test_the_link_carries_payload_as_its_frames_allow() -> None:
    """1 Gbit/s of a veth carries a byte of payload in 8 ns x 1514/1448; no limit takes no time."""
    limited = measured("qemu25/old-ram512-n16384-bw1000").conditions
    assert limited.link_ns(1448 * 10**6) == 1514 * 8 * 10**6
    assert measured("qemu25/old-ram512-n16384-bw0").conditions.link_ns(10**9) == 0


def test_an_unknown_name_is_an_error_with_near_ones() -> None:
    """A misspelt table is refused with the right name at hand."""
    with pytest.raises(LogError, match="qemu25/old-ram512-n16384-bw0"):
        measured("qemu25/old-ram512-n16384-bw")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 9}', '{"schema": 1, "name": 3}'])
def test_a_text_that_is_no_table_is_an_error(text: str) -> None:
    """Other JSON, another schema and no JSON are refused as such."""
    with pytest.raises(LogError):
        parse(text)


def test_a_quantity_must_exist() -> None:
    """Asking for a quantity of another name is an error, not an empty answer."""
    with pytest.raises(KeyError):
        measured("qemu25/old-ram512-n16384-bw0").values("paus_ns")


def test_a_run_without_counted_checkpoints_has_no_medians() -> None:
    """What was not measured is absent, not zero."""
    run = dataclasses.replace(measured("qemu25/old-ram512-n16384-bw0"), checkpoints=())
    assert run.medians() == {}
    assert parse(dump(run)) == run


@given(st.lists(st.integers(), min_size=1, max_size=40), st.integers(1, 100))
def test_nearest_rank_is_the_smallest_value_with_so_many_at_or_below(
    values: list[int], percent: int
) -> None:
    """The quantile is one of the values, and no smaller one would do."""
    quantile = nearest_rank(values, percent)
    assert quantile in values
    assert 100 * sum(value <= quantile for value in values) >= percent * len(values)
    assert 100 * sum(value < quantile for value in values) < percent * len(values)


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1], 0), ([1], 101)])
def test_a_quantile_needs_values_and_a_percentage(values: list[int], percent: int) -> None:
    """No value, or no percentage, is an error."""
    with pytest.raises(ValueError, match=r"quantile|percent"):
        nearest_rank(values, percent)


def test_reading_a_table_imports_neither_pandas_nor_numpy() -> None:
    """`compare` shows measured medians without the price of a table library."""
    code = (
        "import sys; from colosim.measured.measured import measured;"
        "measured('qemu25/old-ram512-n16384-bw0');"
        "print(sorted({'pandas', 'numpy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
