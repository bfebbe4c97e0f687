"""Each design's transaction, as the whole order of what its two sides do."""

from __future__ import annotations

import pytest

from colosim.designs import load_designs
from colosim.runs.simulation import Simulation
from colosim.scenario import loads
from colosim.trace.events import WaitBegan, WaitEnded
from tests.fast_host import ON_FAST_HOSTS

QUIET = """
name: order
checkpoints: 1
guest: {ram: 64 MiB, dirty: {pages: 42}}
"""

QSB = [
    "primary: sends CHECKPOINT_REQUEST",
    "secondary: receives CHECKPOINT_REQUEST",
    "secondary: sends CHECKPOINT_REPLY",
    "primary: receives CHECKPOINT_REPLY",
    "primary: iothread lock got by checkpoint thread for stop",
    "primary: stop",
    "primary: guest stopped",
    "primary: iothread lock released by checkpoint thread for stop",
    "primary: iothread lock got by checkpoint thread for save",
    "primary: bitmap sync",
    "primary: dirty pages",
    "primary: vmstate save",
    "primary: staged",
    "primary: iothread lock released by checkpoint thread for save",
    "primary: sends VMSTATE_SEND",
    "primary: sends VMSTATE_SIZE",
    "primary: RAM stream begins",
    "primary: RAM stream ends",
    "secondary: receives VMSTATE_SEND",
    "secondary: receives VMSTATE_SIZE",
    "secondary: vmstate fill ends",
    "secondary: sends VMSTATE_RECEIVED",
    "secondary: iothread lock got by COLO incoming thread for load",
    "primary: receives VMSTATE_RECEIVED",
    "secondary: reset",
    "secondary: RAM load",
    "secondary: cache flush",
    "secondary: flushed pages",
    "secondary: device load",
    "secondary: iothread lock released by COLO incoming thread for load",
    "secondary: sends VMSTATE_LOADED",
    "primary: receives VMSTATE_LOADED",
    "primary: iothread lock got by checkpoint thread for start",
    "primary: start",
    "primary: guest running",
    "primary: iothread lock released by checkpoint thread for start",
    "checkpoint committed",
]
SPLIT_PRIMARY = [
    "sends CHECKPOINT_REQUEST",
    "receives CHECKPOINT_REPLY",
    "iothread lock got by checkpoint thread for stop",
    "stop",
    "guest stopped",
    "iothread lock released by checkpoint thread for stop",
    "sends VMSTATE_SEND",
    "sends QEMU_VM_SECTION_START",
    "iothread lock got by checkpoint thread for save",
    "bitmap sync",
    "dirty pages",
    "RAM stream begins",
    "RAM stream ends",
    "device save",
    "staged",
    "iothread lock released by checkpoint thread for save",
    "RAM tail begins",
    "RAM tail ends",
    "sends VMSTATE_SIZE",
    "device stream begins",
    "device stream ends",
    "receives VMSTATE_RECEIVED",
    "receives VMSTATE_LOADED",
    "iothread lock got by checkpoint thread for start",
    "start",
    "guest running",
    "iothread lock released by checkpoint thread for start",
]
SPLIT_SECONDARY = [
    "receives CHECKPOINT_REQUEST",
    "sends CHECKPOINT_REPLY",
    "receives VMSTATE_SEND",
    "receives QEMU_VM_SECTION_START",
    "RAM load ends",
    "RAM load ends",
    "receives VMSTATE_SIZE",
    "device fill ends",
    "sends VMSTATE_RECEIVED",
    "iothread lock got by COLO incoming thread for load",
    "reset",
    "cache flush",
    "flushed pages",
    "device load",
    "iothread lock released by COLO incoming thread for load",
    "sends VMSTATE_LOADED",
]
QEMU_5_1_PRIMARY = [
    *SPLIT_PRIMARY[:6],
    "iothread lock got by checkpoint thread for save",
    "sends VMSTATE_SEND",
    "device save",
    "staged",
    "iothread lock released by checkpoint thread for save",
    "bitmap sync",
    "dirty pages",
    "RAM stream begins",
    "RAM stream ends",
    *SPLIT_PRIMARY[18:],
]
QEMU_5_1_SECONDARY = [
    "receives CHECKPOINT_REQUEST",
    "iothread lock got by COLO incoming thread for stop",
    "stop",
    "guest stopped",
    "iothread lock released by COLO incoming thread for stop",
    "sends CHECKPOINT_REPLY",
    "receives VMSTATE_SEND",
    "iothread lock got by COLO incoming thread for receive",
    "RAM load ends",
    "receives VMSTATE_SIZE",
    "iothread lock released by COLO incoming thread for receive",
    "device fill ends",
    "sends VMSTATE_RECEIVED",
    "iothread lock got by COLO incoming thread for load",
    "cache flush",
    "flushed pages",
    "device load",
    "start",
    "guest running",
    "iothread lock released by COLO incoming thread for load",
    "sends VMSTATE_LOADED",
]


def log_of(design: str, pages: int = 42) -> list[str]:
    """Return the names of all events of one checkpoint but waits, from its request on."""
    text = QUIET.replace("pages: 42", f"pages: {pages}")
    scenario = loads(text + ON_FAST_HOSTS, file="order.yaml", known_designs=tuple(load_designs()))
    record = Simulation(scenario, design).run().record
    names = [str(event) for _, event, _ in record if not isinstance(event, WaitBegan | WaitEnded)]
    return names[names.index("primary: sends CHECKPOINT_REQUEST") :]


def of_side(design: str, side: str) -> list[str]:
    """Return one side's events, without its name."""
    head = f"{side}: "
    return [name.removeprefix(head) for name in log_of(design) if name.startswith(head)]


def test_the_old_design_sends_nothing_while_it_holds_the_lock() -> None:
    """`qsb` saves under the lock, sends after it, and its secondary loads from its buffer."""
    assert log_of("qsb", 10) == QSB


def test_the_flat_buffer_is_the_old_protocol_without_a_cache() -> None:
    """`flat` does what `qsb` does, but loads pages straight into guest RAM: nothing to flush."""
    expected = [name for name in QSB if "flush" not in name]
    assert log_of("flat", 10) == expected


@pytest.mark.parametrize("side", ["primary", "secondary"])
def test_the_split_streams_ram_in_the_hold(side: str) -> None:
    """`split` streams RAM inside the primary's hold, and outside the secondary's."""
    expected = SPLIT_PRIMARY if side == "primary" else SPLIT_SECONDARY
    assert of_side("split", side) == expected


def test_device_first_differs_in_the_order_inside_the_hold() -> None:
    """`device-first` saves device state first, then streams RAM, in the same hold.

    Its set-up section was sent when COLO was entered.
    """
    start = SPLIT_PRIMARY.index("bitmap sync")
    end = SPLIT_PRIMARY.index("device save")
    inside = SPLIT_PRIMARY[start:end]
    whole = [*SPLIT_PRIMARY[:start], "device save", "staged", *inside, *SPLIT_PRIMARY[end + 2 :]]
    for side, expected in (("primary", whole), ("secondary", SPLIT_SECONDARY)):
        once = [name for name in expected if "QEMU_VM_SECTION_START" not in name]
        assert of_side("device-first", side) == once


def test_qemu_5_1_streams_without_the_lock_and_receives_under_it() -> None:
    """`qemu-5.1` holds the primary's lock for device state, the secondary's while RAM comes in."""
    assert of_side("qemu-5.1", "primary") == QEMU_5_1_PRIMARY
    assert of_side("qemu-5.1", "secondary") == QEMU_5_1_SECONDARY


def test_up_to_5_0_the_cache_is_flushed_in_the_receiving_hold() -> None:
    """`qemu-3.1` is `qemu-5.1`, but for the flush: before the size, in the hold that received."""
    flush = ["cache flush", "flushed pages"]
    rest = [name for name in QEMU_5_1_SECONDARY if name not in flush]
    loaded = rest.index("RAM load ends") + 1
    assert of_side("qemu-3.1", "primary") == QEMU_5_1_PRIMARY
    assert of_side("qemu-3.1", "secondary") == [*rest[:loaded], *flush, *rest[loaded:]]


def test_qemu_11_streams_in_the_hold_again_and_resets() -> None:
    """`qemu-11` saves devices and streams RAM in one hold; its secondary receives without one."""
    stream = ["bitmap sync", "dirty pages", "RAM stream begins", "RAM stream ends"]
    rest = [name for name in QEMU_5_1_PRIMARY if name not in stream]
    staged = rest.index("staged") + 1
    assert of_side("qemu-11", "primary") == [*rest[:staged], *stream, *rest[staged:]]
    received = [name for name in QEMU_5_1_SECONDARY if not name.endswith("for receive")]
    flush = received.index("cache flush")
    assert of_side("qemu-11", "secondary") == [*received[:flush], "reset", *received[flush:]]
    assert of_side("qemu-11+multifd=4", "primary") == of_side("qemu-11", "primary")
    assert of_side("qemu-11+multifd=4", "secondary") == of_side("qemu-11", "secondary")


@pytest.mark.parametrize("design", ["split", "device-first"])
@pytest.mark.parametrize("pages", [0, 31])
def test_fewer_than_32_pages_are_not_sent_under_the_lock(design: str, pages: int) -> None:
    """v13 flushes at 64 iovecs, two for a page, and not at the section's end: so SIZE takes it."""
    log = log_of(design, pages)
    released = log.index("primary: iothread lock released by checkpoint thread for save")
    assert not [name for name in log[:released] if "RAM stream" in name]
    begins = [
        "primary: RAM tail begins",
        "primary: RAM tail ends",
        "primary: sends VMSTATE_SIZE",
    ]
    assert log[released + 1 : released + 4] == begins
