"""The timeline, read back with Perfetto's own classes."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace as PerfettoTrace
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TrackEvent

from colosim.analysis.held_back import LOADED, waits_in
from colosim.designs import load_designs
from colosim.measured.imported import import_run
from colosim.plots import gantt
from colosim.plots.curves import curve_of
from colosim.plots.timeline import timeline
from colosim.plots.timeline.protobuf import varint
from colosim.plots.timeline.trace import Slice, Trace
from colosim.plots.units import int_or_none, rows_of
from colosim.runs.run import simulate
from colosim.scenario import loads
from tests.runs.conftest import FROZEN, PLAIN

if TYPE_CHECKING:
    from colosim.runs.run import Run

LAB = Path(__file__).parents[1] / "measured" / "data"
MAIN_LOOP, CHECKPOINT = "primary main loop", "primary checkpoint thread"


class Read:
    """A trace as a reader of it sees it: tracks by name, and what each has."""

    def __init__(self, content: bytes) -> None:
        trace = PerfettoTrace()
        trace.ParseFromString(content)
        self.names: dict[int, str] = {}
        self.slices: dict[str, list[tuple[str, int, int | None]]] = defaultdict(list)
        self.instants: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self.counters: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.flows: dict[int, list[tuple[str, str, int, bool]]] = defaultdict(list)
        self.times: list[int] = []
        self._open: dict[str, list[int]] = defaultdict(list)
        self._interned: dict[int, str] = {}
        for packet in trace.packet:
            assert packet.trusted_packet_sequence_id == 1
            if packet.HasField("track_descriptor"):
                self._track(packet.track_descriptor)
            else:
                self._event(packet)

    def _track(self, track: Any) -> None:
        own = track.name or track.thread.thread_name or track.process.process_name
        parent = self.names.get(track.parent_uuid)
        assert track.uuid not in self.names
        assert parent is not None or not track.parent_uuid
        is_part = parent is not None and not track.thread.thread_name
        self.names[track.uuid] = f"{parent}/{own}" if is_part else own

    def _event(self, packet: Any) -> None:
        for name in packet.interned_data.event_names:
            self._interned[name.iid] = name.name
        at_ns, event = packet.timestamp, packet.track_event
        self.times.append(at_ns)
        track = self.names[event.track_uuid].replace(": qemu-system", "")
        name = self._interned[event.name_iid] if event.name_iid else ""
        if event.type == TrackEvent.TYPE_SLICE_BEGIN:
            self._open[track].append(len(self.slices[track]))
            self.slices[track].append((name, at_ns, None))
        elif event.type == TrackEvent.TYPE_SLICE_END:
            index = self._open[track].pop()
            self.slices[track][index] = (*self.slices[track][index][:2], at_ns)
        elif event.type == TrackEvent.TYPE_COUNTER:
            self.counters[track].append((at_ns, event.counter_value))
        else:
            self.instants[track].append((at_ns, name))
            for flow in event.flow_ids:
                self.flows[flow].append((track, name, at_ns, False))
            for flow in event.terminating_flow_ids:
                self.flows[flow].append((track, name, at_ns, True))


THREADS = {"primary": CHECKPOINT, "secondary": "secondary COLO incoming thread"}


def runs() -> list[Any]:
    """Return a run of every design, one with a fault of each verdict, and two real ones."""
    plain = [pytest.param(loads(PLAIN), design, id=design) for design in load_designs()]
    frozen = [
        pytest.param(loads(FROZEN), design, id=f"{design}, frozen") for design in ("qsb", "split")
    ]
    real = [
        pytest.param(None, name, id=name) for name in ("split-fault-kill", "qemu-5.1-fault-stop")
    ]
    return [*plain, *frozen, *real]


def made(scenario: Any, name: str) -> tuple[Run, Read]:
    """Return a run and its timeline as it is read back."""
    run = import_run(LAB / name) if scenario is None else simulate(scenario, name)
    return run, Read(timeline(run))


@pytest.mark.parametrize(("scenario", "name"), runs())
def test_the_tracks_say_what_the_tables_say(scenario: Any, name: str) -> None:
    """Of every design, of a hang and of real logs: locks, messages and memory are the tables'."""
    run, read = made(scenario, name)
    assert read.times == sorted(read.times)
    for side in ("primary", "secondary"):
        locks = run.locks[(run.locks["side"] == side) & run.locks["got_ns"].notna()]
        held = [
            (f"{row.thread}: {row.purpose}", row.got_ns, int_or_none(row.released_ns))
            for row in rows_of(locks)
        ]
        assert read.slices[f"{side}/iothread lock"] == sorted(held, key=lambda one: one[1])
    sent: dict[int, list[tuple[str, str, int]]] = {}
    waits = waits_in(run)
    for number, row in enumerate(run.messages.to_dict("records"), start=1):
        stood = row["name"] == LOADED and row["sent_ns"] in waits
        message = f"{row['name']} (delayed ACK)" if stood else row["name"]
        ends = [
            (THREADS[row["from"]], f"sends {message}", row["sent_ns"]),
            (THREADS[row["to"]], f"receives {message}", row["received_ns"]),
        ]
        sent[number] = [end for end in ends if int_or_none(end[2]) is not None]
    drawn = {
        number: sorted((end[:3] for end in found), key=lambda end: end[1].startswith("receives"))
        for number, found in read.flows.items()
    }
    assert drawn == sent
    for found in read.flows.values():
        assert [end[3] for end in found] in ([False, True], [False], [True])
    accounts = run.memory[["side", "account"]].drop_duplicates()
    for side, account in rows_of(accounts):
        points = dict(read.counters[f"{side}/{account}"])
        curve = curve_of(run.memory, side, account)
        assert points.keys() >= set(curve.times_ns.tolist())
        levels = curve.at(np.array([*points]))
        assert [*points.values()] == np.rint(levels).astype(int).tolist()


@pytest.mark.parametrize("design", ["qsb", "split"])
def test_threads_have_the_bars_of_the_gantt_chart(design: str) -> None:
    """What a thread does and waits for in a checkpoint is what the Gantt chart shows of it."""
    run, read = made(loads(PLAIN), design)
    bars = gantt.data([run], 2)
    request = int_or_none(run.checkpoints["primary_request_at_ns"].iloc[2])
    assert request is not None
    for side, track in THREADS.items():
        drawn = set(read.slices[track])
        for bar in rows_of(bars[bars["lane"] == f"{side} thread"]):
            assert (bar.what, bar.begin_ns + request, bar.end_ns + request) in drawn


def test_checkpoints_and_pages(pair: list[Run]) -> None:
    """Transactions are slices from request to commit, and each one's dirty pages are counted."""
    for run in pair:
        read = Read(timeline(run))
        rows = list(rows_of(run.checkpoints))
        assert read.slices["checkpoints"] == [
            (f"checkpoint {row.checkpoint}", row.primary_request_at_ns, row.primary_resumed_at_ns)
            for row in rows
        ]
        assert read.counters["primary/dirty pages"] == [
            (row.primary_synced_at_ns, row.dirty_pages) for row in rows
        ]


def test_a_hang_is_there_to_be_seen(frozen_pair: list[Run]) -> None:
    """The fault, the command that waits, the lock and the guest are open to the end."""
    read = Read(timeline(frozen_pair[1]))
    fault = read.instants["faults"][0]
    assert fault[1] == "fault: freeze secondary"
    assert read.slices["secondary/process"] == [("frozen", fault[0], None)]
    lost = read.instants["cluster manager"][0]
    assert lost[1] == "secondary is lost"
    assert read.instants[MAIN_LOOP] == [(lost[0], "monitor receives x-colo-lost-heartbeat")]
    assert read.slices[MAIN_LOOP] == [("waits for the iothread lock (monitor)", lost[0], None)]
    assert read.slices["checkpoints"][-1][::2] == ("checkpoint 2, unfinished", None)
    for track in ("primary/iothread lock", CHECKPOINT, "primary/guest"):
        assert read.slices[track][-1][2] is None


def test_the_same_run_is_the_same_bytes(frozen_pair: list[Run]) -> None:
    """A timeline depends on its run alone."""
    for run in frozen_pair:
        again = simulate(run.scenario, run.design)
        assert timeline(run) == timeline(again)


def test_varints_are_those_of_protocol_buffers() -> None:
    """Small, large and negative integers have the bytes of the specification."""
    assert [varint(value) for value in (0, 1, 127, 128, 150, 1 << 63, -1)] == [
        b"\x00",
        b"\x01",
        b"\x7f",
        b"\x80\x01",
        b"\x96\x01",
        b"\x80" * 9 + b"\x01",
        b"\xff" * 9 + b"\x01",
    ]


def test_slices_nest_and_those_that_cross_are_left_out() -> None:
    """Inner slices end before outer ones; one that crosses another is handed back."""
    trace = Trace()
    track = trace.track("one")
    slices = [
        Slice("outer", "", 0, 10),
        Slice("crossing", "", 5, 15),
        Slice("inner", "", 5, 10),
        Slice("empty", "", 10, 10),
        Slice("open", "", 12, None),
    ]
    assert trace.slices(track, slices) == [slices[1]]
    assert Read(trace.to_bytes()).slices["one"] == [
        ("outer", 0, 10),
        ("inner", 5, 10),
        ("empty", 10, 10),
        ("open", 12, None),
    ]


def test_times_before_zero_are_moved() -> None:
    """A real log's first sample may come before COLO was entered; no trace has negative times."""
    trace = Trace()
    trace.slices(trace.track("one"), [Slice("early", "", -3, 4)])
    assert Read(trace.to_bytes()).slices["one"] == [("early", 0, 7)]


def test_an_arrow_goes_from_each_request_to_its_answer() -> None:
    """A run with a table of requests shows when each was sent and answered."""
    text = "{name: x, duration: 100 ms, service: {arrivals: {regular: 50 /s}}}"
    run = simulate(loads(text), "unprotected", requests=True)
    read = Read(timeline(run))
    sent, answers = read.instants["clients: requests sent"], read.instants["clients: answers"]
    rows = list(rows_of(run.requests))
    assert sent == [(row.sent_ns, f"request {row.request}") for row in rows]
    answered = [row for row in rows if int_or_none(row.answered_ns) is not None]
    assert answers == [(row.answered_ns, f"request {row.request}") for row in answered]
    assert len(answered) >= 4
    ends = [[at for _, _, at, _ in read.flows[number]] for number in sorted(read.flows)]
    assert ends[: len(answered)] == [[row.sent_ns, row.answered_ns] for row in answered]
