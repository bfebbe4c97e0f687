"""Which design a log can come from, and where it parts from the others."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from colosim.designs.messages import SET_UP
from colosim.designs.registry import OWN, load_designs
from colosim.errors import LogError
from colosim.measured import log
from colosim.measured.conformance import deviation, identify
from colosim.measured.events import TRACE, History, SideEvent
from colosim.measured.log import Log
from colosim.measured.protocol import protocol_of, protocols
from colosim.measured.sessions import log_files, sessions, sessions_of
from colosim.runs.simulation import Simulation
from colosim.scenario import loads
from colosim.trace.events import (
    GuestRunning,
    GuestStopped,
    OnSide,
    Received,
    Sent,
    WaitBegan,
    WaitEnded,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA = Path(__file__).parent / "data"
PRIMARY = (DATA / "qemu72-primary.log").read_text("utf-8").splitlines(keepends=True)
SECONDARY = (DATA / "qemu72-secondary.log").read_text("utf-8").splitlines(keepends=True)
DESIGNS = sorted(load_designs())


def told(lines: Sequence[str]) -> History:
    """Return the history of a log of one side and one session."""
    ((history,),) = sessions_of(log.parse(lines, source="x.log"))
    return history


def where(lines: Sequence[str], design: str = "qemu-5.1") -> tuple[int, str] | None:
    """Return line and event of the first deviation of a log of one side from a design."""
    for (history,) in sessions_of(log.parse(lines, source="x.log")):
        found = deviation(protocol_of(design), history)
        if found is not None:
            return found.line, found.event.what
    return None


def line_of(lines: Sequence[str], words: str, nth: int = 0) -> int:
    """Return the 0-based index of the nth line with these words."""
    return [index for index, line in enumerate(lines) if words in line][nth]


def test_the_protocol_is_what_the_simulator_does() -> None:
    """A protocol is the order of one dry checkpoint's events; only streaming designs try again."""
    split = protocol_of("split").events["primary"]
    kinds = (Sent, Received, GuestRunning, GuestStopped)
    assert [event.what for event in split if isinstance(event, kinds)] == [
        "sends CHECKPOINT_REQUEST",
        "receives CHECKPOINT_REPLY",
        "guest stopped",
        "sends VMSTATE_SEND",
        "sends QEMU_VM_SECTION_START",
        "sends VMSTATE_SIZE",
        "receives VMSTATE_RECEIVED",
        "receives VMSTATE_LOADED",
        "guest running",
    ]
    again = {design for design in DESIGNS if protocol_of(design).requests_again}
    assert again == {"split", "qemu-3.1", "qemu-5.1", "qemu-11"}


def test_a_real_pair_of_logs_is_of_qemu_5_1_or_later() -> None:
    """The secondary's guest, which stops and runs, and the late flush tell older designs apart.

    Who holds the lock while RAM is under way is in no log.
    """
    found = identify([told(PRIMARY), told(SECONDARY)])
    assert found.designs == ("qemu-5.1", "qemu-11")
    assert sorted(found.excluded) == ["device-first", "flat", "qemu-3.1", "qsb", "split"]


def test_a_plain_primary_log_does_not_tell_all_designs_apart() -> None:
    """Five designs look alike from the primary's messages; the staged ones send later."""
    found = identify([told(PRIMARY)])
    assert found.designs == ("split", "device-first", "qemu-3.1", "qemu-5.1", "qemu-11")
    assert found.nearest() == "qemu-5.1"
    assert str(found.excluded["qsb"]) == (
        "x.log:20: qsb cannot produce this: the primary sends VMSTATE_SEND; expected: bitmap sync; "
        "could have: split, device-first, qemu-3.1, qemu-5.1, qemu-11"
    )


def test_a_log_of_messages_alone_is_of_any_design() -> None:
    """Without state changes and syncs messages have the same order in every design of COLO."""
    messages = [line for line in PRIMARY if "_message " in line]
    assert identify([told(messages)]).designs == tuple(one.design for one in protocols())


@pytest.mark.parametrize("name", ["split-fault-kill", "qemu-5.1-fault-stop"])
def test_lab_runs_that_end_in_a_failover_conform(name: str) -> None:
    """Aborted checkpoints and failovers are part of what a design does."""
    folder = DATA / name
    (session,) = sessions(log_files(folder))
    found = identify(session)
    own = name.removesuffix("-fault-kill").removesuffix("-fault-stop")
    assert found.designs == ((own,) if own == "split" else (own, "qemu-11"))


def test_a_message_out_of_order_is_reported_at_its_line() -> None:
    """VMSTATE_SEND before the guest is stopped is no design's doing."""
    lines = list(PRIMARY)
    stop = line_of(lines, "'run' => 'stop'", 1)
    lines[stop], lines[stop + 1] = lines[stop + 1], lines[stop]
    assert where(lines) == (stop + 1, "sends VMSTATE_SEND")
    found = identify([told(lines)])
    assert found.designs == ()
    assert found.excluded["qemu-5.1"].expected == ("guest stopped",)


def test_a_missing_stop_is_reported_at_the_next_message() -> None:
    """A checkpoint in which the guest is never stopped parts where the state is asked for."""
    lines = list(PRIMARY)
    stop = line_of(lines, "'run' => 'stop'", 2)
    del lines[stop]
    assert where(lines) == (stop + 1, "sends VMSTATE_SEND")


def test_a_message_on_the_wrong_side_is_reported_at_its_line() -> None:
    """A primary that sends VMSTATE_LOADED does what only a secondary can."""
    lines = list(PRIMARY)
    loaded = line_of(lines, "Receive 'vmstate-loaded'", 1)
    lines[loaded] = lines[loaded].replace("colo_receive_message Receive", "colo_send_message Send")
    assert where(lines) == (loaded + 1, "sends VMSTATE_LOADED")


def test_an_unknown_message_is_of_no_design() -> None:
    """A message that no design knows is named, with nobody who could have sent it."""
    lines = list(PRIMARY)
    send = line_of(lines, "'vmstate-send'", 1)
    lines.insert(send, lines[send].replace("vmstate-send", "migrate-ram-background"))
    found = identify([told(lines)]).excluded["qemu-5.1"]
    assert (found.line, found.event.what, found.could) == (
        send + 1,
        "sends MIGRATE_RAM_BACKGROUND",
        (),
    )


def test_a_request_within_a_checkpoint_that_goes_on_is_reported() -> None:
    """A second request can only follow a broken connection: nothing may be received after it."""
    lines = list(PRIMARY)
    size = line_of(lines, "'vmstate-size'", 1)
    request = lines[line_of(lines, "'checkpoint-request'", 1)]
    lines.insert(size + 1, request)
    assert where(lines) == (size + 2, "sends CHECKPOINT_REQUEST")
    assert where(lines[: size + 2]) is None
    assert where(lines[: size + 2], "qsb") is not None


def test_each_entry_into_colo_begins_a_session() -> None:
    """A log that was written on is two runs, with a failover between them or without a word."""
    ready = next(line for line in PRIMARY if "checkpoint-ready" in line)
    failover = ready.replace(
        "colo_receive_message Receive 'checkpoint-ready' message",
        "colo_failover_set_state new state completed",
    )
    for between in ([], [failover]):
        lines = [*PRIMARY, *between, *PRIMARY]
        assert len(sessions_of(log.parse(lines, source="x.log"))) == 2
        assert where(lines) is None


def test_no_request_follows_a_failover() -> None:
    """After the failover the rest of the checkpoint may come, but not a new one and then more."""
    ready = next(line for line in PRIMARY if "checkpoint-ready" in line)
    failover = re.sub(r"colo_receive.*", "colo_failover_set_state new state require", ready)
    end = line_of(PRIMARY, "'stop' => 'run'", 2) + 1
    stopped = line_of(PRIMARY, "'vmstate-size'", 1)
    assert where([*PRIMARY[:stopped], failover, *PRIMARY[stopped:end]]) is None
    assert where([*PRIMARY[:stopped], failover, *PRIMARY[stopped:]]) == (
        end + 2,
        "sends CHECKPOINT_REQUEST",
    )


def test_a_shutdown_ends_a_log() -> None:
    """GUEST_SHUTDOWN is sent after VMSTATE_LOADED and read where a request would be."""
    end = line_of(PRIMARY, "Receive 'vmstate-loaded'", 1) + 1
    sent = PRIMARY[line_of(PRIMARY, "'vmstate-send'")].replace("vmstate-send", "guest-shutdown")
    assert where([*PRIMARY[:end], sent]) is None
    assert where([*PRIMARY[: end - 2], sent]) == (end - 1, "sends GUEST_SHUTDOWN")
    read = sent.replace("colo_send_message Send", "colo_receive_message Receive")
    idle = line_of(SECONDARY, "Send 'vmstate-loaded'", 1) + 1
    assert where([*SECONDARY[:idle], read]) is None
    assert where([*SECONDARY[: idle - 1], read]) == (idle, "receives GUEST_SHUTDOWN")


@pytest.mark.parametrize("lines", [PRIMARY, SECONDARY], ids=["primary", "secondary"])
def test_a_log_may_begin_and_end_anywhere(lines: list[str]) -> None:
    """Any stretch of a conforming log conforms, though its first checkpoint is not whole."""
    for begin in range(15, 40, 3):
        part = lines[begin : begin + 25]
        assert where(part) is None, part[0]


def test_lines_between_are_of_no_matter() -> None:
    """Other output between any two lines of a log changes nothing but the lines' numbers."""
    noisy = [line for one in PRIMARY for line in ("qemu: warning: something\n", one)]
    assert where(noisy) is None
    assert told(noisy).log.unknown_lines == len(PRIMARY)
    del noisy[2 * line_of(PRIMARY, "'run' => 'stop'", 1) + 1]
    assert where(noisy) == (2 * line_of(PRIMARY, "'vmstate-send'", 1) + 1, "sends VMSTATE_SEND")


FAULTS: dict[str, str] = {
    "none": "",
    "kill secondary": 'faults: [{kill: secondary, at: "700 ms"}]',
    "kill primary": 'faults: [{kill: primary, at: "700 ms"}]',
    "freeze and thaw": 'faults: [{freeze: secondary, at: "650 ms", for: "1 s"}]',
}


@pytest.mark.parametrize("design", [design for design in DESIGNS if load_designs()[design] in OWN])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_design_does_in_the_simulator_conforms_to_it(design: str, fault: str) -> None:
    """A simulated run's own events, as a log would show them, never part from its design."""
    text = f"name: own\nduration: 6 s\nguest: {{dirty: {{pages: 30000}}}}\n{FAULTS[fault]}\n"
    run = Simulation(loads(text, file="own"), design).run()
    for side in ("primary", "secondary"):
        history = simulated(run, side)
        assert deviation(protocol_of(design), history) is None


def simulated(run: Simulation, side: str) -> History:
    """Return a simulated side's events as the history of a log."""
    # What is no call of colo_send_message is in no log, and RAM in parts is loaded once.
    own = [
        SideEvent(number, at_ns, event, value)
        for number, (at_ns, event, value) in enumerate(run.record, start=1)
        if isinstance(event, OnSide)
        and event.side == side
        and at_ns > 0
        and not isinstance(event, WaitBegan | WaitEnded)
        and getattr(event, "message", "") != SET_UP.name
    ]
    events = tuple(
        one
        for one, after in pairwise([*own, None])
        if one is not None and (after is None or one.event != after.event)
    )
    return History(
        side=side,
        kind=TRACE,
        log=Log("simulated", (), len(events), 0, 0, (), truncated=False),
        events=events,
        shows=frozenset({"guest", "bitmap sync", "RAM load", "cache flush"}),
        entered=True,
    )


def test_a_log_that_shows_no_side_is_an_error() -> None:
    """COLO events without a message or a hint do not say whose they are."""
    lines = ["1@1.0:colo_failover_set_state new state require\n"]
    with pytest.raises(LogError, match="none that shows whether the primary or the secondary"):
        sessions_of(log.parse(lines))
