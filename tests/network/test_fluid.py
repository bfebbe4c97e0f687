"""The fluid against the page-by-page model and the closed form, whatever happens on the way."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colosim.network.fluid import Fluid, Point, rate_of
from colosim.network.transfer import Transfer
from tests.network.test_transfer import PAGE, closed, transfer_of
from tests.reference.page_by_page import Calendar, Pages, Passage, pass_through

if TYPE_CHECKING:
    from collections.abc import Callable

Change = tuple[int, "Callable[[Fluid], None]"]

SPEEDS = (Fraction(1, 4), Fraction(1, 2), Fraction(1), Fraction(2))


class Watched:
    """A fluid under a transfer: breakpoints, highest levels and ends; the order is checked."""

    def __init__(self, pages: Pages, *, link: Fraction | None) -> None:
        self.breakpoints = 0
        self.sending_peak = self.receiving_peak = Fraction(0)
        self.written_ns: int | None = None
        self.read_ns: int | None = None
        self.pages = pages
        self.fluid = Fluid(
            0,
            latency_ns=int(pages.latency),
            send_buffer_bytes=pages.send_buffer * PAGE,
            receive_buffer_bytes=pages.receive_buffer * PAGE,
            link=link,
            head_bytes=pages.head * PAGE,
        )
        self.fluid.on_levels = self.see

    def see(self, *points: Point) -> None:
        """Check the levels at a breakpoint."""
        fluid, pages = self.fluid, self.pages
        sending, receiving = (point.level for point in points)
        assert (
            fluid.written >= fluid.left >= fluid.arrived.value >= fluid.read >= fluid.window.value
        )
        assert fluid.written <= fluid.writes.goal
        assert fluid.read <= fluid.reads.goal
        assert fluid.left - fluid.read <= fluid.receive_buffer
        assert receiving <= fluid.receive_buffer
        assert pages.cut is not None or sending <= fluid.send_buffer
        self.breakpoints += 1
        self.sending_peak = max(self.sending_peak, sending)
        self.receiving_peak = max(self.receiving_peak, receiving)

    def run(self, changes: list[Change]) -> None:
        """Send all pages, with `changes` at their times, until everything is read."""
        fluid, pages = self.fluid, self.pages
        size = pages.count * PAGE
        write_ns, read_ns = int(pages.count * pages.write), int(pages.count * pages.read)
        fluid.writes.add(size, write_ns)
        reader: Change = (int(pages.reader), lambda fluid: fluid.reads.add(size, read_ns))
        longest = fluid.latency
        for at_ns, change in sorted([reader, *changes], key=lambda item: item[0]):
            self.note_ends(at_ns)
            fluid.advance(at_ns)
            change(fluid)
            longest = max(longest, fluid.latency)
        self.note_ends(None)
        assert self.written_ns is not None
        assert self.read_ns is not None
        fluid.advance(self.read_ns + 4 * int(longest) + 8)
        assert fluid.written == fluid.left == fluid.arrived.value == fluid.read == size
        assert fluid.empty

    def note_ends(self, until_ns: int | None) -> None:
        """Note the ends that come by themselves before `until_ns`."""
        written, read = self.fluid.ends()
        if self.written_ns is None and comes(written, until_ns):
            self.written_ns = written
        if self.read_ns is None and self.fluid.reads.goal and comes(read, until_ns):
            self.read_ns = read


def comes(at_ns: int | None, until_ns: int | None) -> bool:
    """Tell whether something comes at all, and before `until_ns`."""
    return at_ns is not None and (until_ns is None or at_ns < until_ns)


def link_of(pages: Pages) -> Fraction:
    """Return the link's rate in bytes a ns."""
    return Fraction(PAGE) / pages.link


def ends_agree(watched: Watched, pages: Pages, passage: Passage) -> None:
    """Check both ends, each within one page's service time a stage of the reference."""
    assert watched.written_ns is not None
    assert watched.read_ns is not None
    for flow, reference in (
        (watched.written_ns, passage.written[-1]),
        (watched.read_ns, passage.read[-1]),
    ):
        assert flow <= pages.a_page_later(reference) + 2
        assert reference <= pages.a_page_later(flow) + 2


def peaks_agree(watched: Watched, passage: Passage) -> None:
    """Check both buffers' highest levels, each within one page of the reference in quarters."""
    quarter = PAGE // 4
    assert abs(watched.sending_peak - passage.sending_peak() * quarter) <= PAGE
    assert abs(watched.receiving_peak - passage.receiving_peak() * quarter) <= PAGE


@st.composite
def transfers(draw: st.DrawFn) -> Pages:
    """Draw a transfer whose window takes what the link carries in a round trip, twice as fast."""
    service = st.integers(100, 5000)
    write, link, read = draw(service), draw(service), draw(service)
    latency = draw(st.integers(1, 20_000))
    fastest = min(Fraction(write), Fraction(link, 2), Fraction(read))
    window = int(2 * latency / fastest) + draw(st.integers(4, 40))
    return Pages(
        draw(st.integers(1, 40)), write, link, read, draw(st.integers(1, 30)), window, latency,
        draw(st.integers(0, 200_000)),
    )  # fmt: skip


@st.composite
def pauses(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Draw times at which something stops and goes on."""
    times = sorted(draw(st.lists(st.integers(1, 300_000), max_size=6, unique=True)))
    return list(zip(times[::2], times[1::2], strict=False))


def stopping(times: list[tuple[int, int]]) -> Calendar:
    """Return the calendar of what stands during `times`."""
    return Calendar(tuple(change for a, b in times for change in ((a, 0), (b, 1))))


def freezing(end: str, times: list[tuple[int, int]]) -> list[Change]:
    """Return the changes that freeze and thaw one end of a fluid at `times`."""

    def switch(*, frozen: bool) -> Callable[[Fluid], None]:
        return lambda fluid: setattr(getattr(fluid, end), "frozen", frozen)

    return [
        change
        for start, end in times
        for change in ((start, switch(frozen=True)), (end, switch(frozen=False)))
    ]


@given(transfers())
def test_an_undisturbed_transfer_agrees_with_the_reference(pages: Pages) -> None:
    """With a reader that comes at any time, ends and peaks are those of the page-by-page model."""
    watched = Watched(pages, link=link_of(pages))
    watched.run([])
    ends_agree(watched, pages, pass_through(pages))
    peaks_agree(watched, pass_through(pages.quartered()))


@given(closed())
def test_the_fluid_equals_the_closed_form(pages: Pages) -> None:
    """Where the closed form holds, the fluid's ends and peaks are the same to rounding."""
    transfer = transfer_of(pages)
    watched = Watched(pages, link=link_of(pages))
    watched.run([])
    assert watched.written_ns is not None
    assert watched.read_ns is not None
    # A latency below 1 ns is 1 ns in the fluid: there and back.
    assert abs(watched.written_ns - transfer.written_ns()) <= 3
    assert abs(watched.read_ns - transfer.read_end_ns()) <= 3
    a_few_ns = 4 * PAGE // min(int(pages.write), int(pages.link), int(pages.read)) + 4
    assert abs(watched.sending_peak - transfer.sending_peak_bytes()) <= a_few_ns


@given(transfers(), pauses(), pauses())
def test_freezes_of_either_end_agree_with_the_reference(
    pages: Pages, writer: list[tuple[int, int]], reader: list[tuple[int, int]]
) -> None:
    """Ends that freeze and thaw in mid-stream go on with what was left, as page by page."""
    pages = replace(pages, writer_calendar=stopping(writer), reader_calendar=stopping(reader))
    watched = Watched(pages, link=link_of(pages))
    watched.run([*freezing("writes", writer), *freezing("reads", reader)])
    passage = pass_through(pages.quartered())
    ends_agree(watched, pages, passage)
    peaks_agree(watched, passage)


@given(
    transfers(),
    st.dictionaries(st.integers(1, 300_000), st.sampled_from(SPEEDS), max_size=4),
    pauses(),
)
def test_rate_changes_agree_with_the_reference(
    pages: Pages, rates: dict[int, Fraction], reader: list[tuple[int, int]]
) -> None:
    """A link that changes its rate in mid-stream, also under a frozen reader, acts page by page."""
    speeds = tuple(sorted(rates.items()))
    pages = replace(pages, link_calendar=Calendar(speeds), reader_calendar=stopping(reader))

    def to_rate(speed: Fraction) -> Callable[[Fluid], None]:
        return lambda fluid: setattr(fluid, "link", link_of(pages) * speed)

    watched = Watched(pages, link=link_of(pages))
    changes = [(at_ns, to_rate(speed)) for at_ns, speed in speeds]
    watched.run([*changes, *freezing("reads", reader)])
    passage = pass_through(pages.quartered())
    ends_agree(watched, pages, passage)
    peaks_agree(watched, passage)


def cutting(cut: tuple[int, int]) -> list[Change]:
    """Return the changes that cut and mend the link."""

    def down(fluid: Fluid) -> None:
        fluid.lose_flight()
        fluid.link_down = True

    def up(fluid: Fluid) -> None:
        fluid.link_down = False
        fluid.probe_window()

    return [(cut[0], down), (cut[1], up)]


@given(transfers(), st.integers(1, 200_000), st.integers(0, 200_000), pauses())
def test_a_lost_link_agrees_with_the_reference(
    pages: Pages, cut_ns: int, down_ns: int, reader: list[tuple[int, int]]
) -> None:
    """What is in flight at a cut is sent again after the mend, and the stream goes on."""
    cut = (cut_ns, cut_ns + down_ns)
    pages = replace(pages, cut=cut, link_calendar=stopping([cut]), reader_calendar=stopping(reader))
    watched = Watched(pages, link=link_of(pages))
    watched.run([*cutting(cut), *freezing("reads", reader)])
    ends_agree(watched, pages, pass_through(pages.quartered()))


@given(transfers(), st.integers(1, 100_000), st.integers(0, 100_000))
def test_a_longer_latency_in_mid_stream_delays_what_leaves_from_then_on(
    pages: Pages, at_ns: int, more_ns: int
) -> None:
    """Bytes in flight keep their latency, later ones take longer, and the order is kept."""
    latency = int(pages.latency) + more_ns
    # A window that never closes, so that the latency delays and does not throttle.
    window = pages.receive_buffer + 2 * more_ns // 100 + pages.count
    pages = replace(pages, receive_buffer=window, reader=0)
    plain = Watched(pages, link=link_of(pages))
    plain.run([])
    watched = Watched(pages, link=link_of(pages))
    watched.run([(at_ns, lambda fluid: fluid.set_latency(latency))])
    assert plain.read_ns is not None
    assert watched.read_ns is not None
    assert plain.read_ns <= watched.read_ns <= plain.read_ns + more_ns + 1
    assert watched.written_ns == plain.written_ns


def test_a_shorter_latency_counts_for_what_leaves_from_then_on() -> None:
    """What leaves later does not overtake: it arrives with the last byte of the long way."""
    pages = Pages(100, 100, 100, 1, 8, 400, 10_000)
    watched = Watched(pages, link=link_of(pages))
    watched.run([(5_000, lambda fluid: fluid.set_latency(10))])
    # Half of the pages have left by then; the rest leaves within the long way of the last of them.
    assert watched.read_ns == 5_000 + 10_000 + 50
    fluid = watched.fluid
    now = int(fluid.now)
    fluid.writes.add(PAGE, 0)
    fluid.reads.add(PAGE, 0)
    assert fluid.ends() == (now, now + 100 + 10)


@given(transfers(), st.integers(1, 100_000), st.integers(1, 20_000))
def test_a_shorter_latency_in_mid_stream_is_never_worse(
    pages: Pages, at_ns: int, latency: int
) -> None:
    """The end comes no later than without the change, no sooner than with it from the start."""
    pages = replace(pages, reader=0, latency=pages.latency + latency)
    window = pages.receive_buffer + 2 * int(pages.latency) // 100 + pages.count
    pages = replace(pages, receive_buffer=window)
    ends = []
    for shape, changes in (
        (replace(pages, latency=latency), []),
        (pages, [(at_ns, lambda fluid: fluid.set_latency(latency))]),
        (pages, []),
    ):
        watched = Watched(shape, link=link_of(shape))
        watched.run(changes)
        assert watched.read_ns is not None
        ends.append(watched.read_ns)
    quick, changed, slow = ends
    assert quick - 1 <= changed <= slow + 1


@given(
    transfers(),
    st.lists(st.tuples(st.integers(1, 100_000), st.integers(1, 50_000)), min_size=2, max_size=5),
)
def test_latencies_may_change_as_they_like(pages: Pages, changes: list[tuple[int, int]]) -> None:
    """Whatever the latencies, nothing is lost, nothing overtakes, and everything is read."""
    watched = Watched(pages, link=link_of(pages))
    watched.run([(at_ns, partial(Fluid.set_latency, latency_ns=to)) for at_ns, to in changes])


@given(closed(), st.integers(0, 1_000_000))
def test_the_time_of_a_share_agrees_with_the_closed_form(pages: Pages, share_ppm: int) -> None:
    """A share of a stream passes writer and reader when the closed form says so, asked whenever."""
    transfer = transfer_of(pages)
    watched = Watched(pages, link=link_of(pages))
    fluid = watched.fluid
    fluid.writes.add(transfer.size_bytes, transfer.write_ns)
    fluid.advance(transfer.reader_ns)
    fluid.reads.add(transfer.size_bytes, transfer.read_ns)
    amount = transfer.size_bytes * share_ppm // 1_000_000
    for end in ("write", "read"):
        expected = max(transfer.reader_ns, transfer.passed_ns(end, amount)) if amount else 0
        for at_ns in (transfer.reader_ns, (transfer.reader_ns + expected) // 2):
            if at_ns > fluid.now:
                fluid.advance(at_ns)
            passed = fluid.passed_time(end, share_ppm)
            assert passed is not None
            assert abs(max(passed, expected) - max(expected, int(fluid.now))) <= 3


def breakpoints(count: int, **changes: object) -> int:
    """Return the number of breakpoints of a transfer of `count` pages, frozen twice, cut once."""
    shape = Pages(count, 300, 400, 500, 1024, 1536, 25_000, reader=9_000_000)
    pages = replace(shape, cut=(1, 2), **changes)  # type: ignore[arg-type]
    watched = Watched(pages, link=link_of(pages))
    reader = freezing("reads", [(15_000_000, 20_000_000)])
    writer = freezing("writes", [(30_000_000, 40_000_000)])
    watched.run([*reader, *writer, *cutting((50_000_000, 60_000_000))])
    return watched.breakpoints


@pytest.mark.parametrize("changes", [{}, {"read": 100}, {"write": 500, "head": 32}, {"link": 40}])
def test_the_number_of_breakpoints_does_not_depend_on_the_bytes(changes: dict[str, int]) -> None:
    """1 TiB costs no more breakpoints than 1 GiB, frozen, thawed, cut and mended alike."""
    assert breakpoints(1 << 28, **changes) == breakpoints(1 << 18, **changes) < 60


def test_ends_without_any_limit_still_cost_few_breakpoints() -> None:
    """Instant ends on an unlimited link are paced by the window over the round trip."""
    fluid = Fluid(
        0, latency_ns=25_000, send_buffer_bytes=1 << 20, receive_buffer_bytes=1 << 25, link=None
    )
    fluid.writes.add(1 << 40, 0)
    fluid.reads.add(1 << 40, 0)
    count = []
    fluid.on_levels = lambda *levels: count.append(levels)
    written, read = fluid.ends()
    assert read == (1 << 40) * 50_000 // (1 << 25) + 25_000
    assert written == ((1 << 40) - (1 << 20)) * 50_000 // (1 << 25) + 1
    fluid.advance(read)
    assert len(count) < 10


def test_a_frozen_reader_stops_the_writer_at_both_buffers() -> None:
    """Behind a frozen reader exactly both buffers' bytes are taken, and no end is foreseen."""
    pages = Pages(100, 100, 100, 100, 8, 16, 100)
    watched = Watched(pages, link=link_of(pages))
    fluid = watched.fluid
    fluid.reads.frozen = True
    fluid.writes.add(100 * PAGE, 10_000)
    fluid.reads.add(100 * PAGE, 10_000)
    assert fluid.ends() == (None, None)
    assert fluid.at_rest().closed_at == 16 * 100 + 2 * 100
    fluid.advance(10**9)
    assert [fluid.written, fluid.left, fluid.read] == [24 * PAGE, 16 * PAGE, 0]
    fluid.reads.frozen = False
    assert fluid.ends()[1] == 10**9 + 100 * 100


def test_a_held_write_leaves_when_its_ack_comes() -> None:
    """A small write that Nagle holds leaves at its time, and what is before it at once."""
    fluid = Fluid(
        0, latency_ns=10, send_buffer_bytes=1 << 20, receive_buffer_bytes=1 << 20, link=None
    )
    fluid.writes.add(1000, 0)
    fluid.hold(1000, 500)
    fluid.writes.add(100, 0)
    fluid.reads.add(1000, 0)
    assert fluid.ends() == (0, 11)
    fluid.reads.add(100, 0)
    assert fluid.ends() == (0, 511)


def test_writes_and_reads_queue_up_in_order() -> None:
    """Each write and read keeps its own pace, whatever was asked for after it."""
    fluid = Fluid(
        0, latency_ns=10, send_buffer_bytes=1 << 20, receive_buffer_bytes=1 << 20, link=None
    )
    fluid.writes.add(4096, 1000)
    fluid.writes.add(100, 0)
    fluid.reads.add(4096, 0)
    fluid.reads.add(100, 50)
    assert fluid.passed_time("write", 0) == 1000
    written, read = fluid.ends()
    assert written == 1000
    assert read is not None
    assert 1060 <= read <= 1062


def test_what_is_lost_keeps_the_writer_out_until_it_has_left() -> None:
    """After a loss the send buffer is over-full and takes nothing until there is room again."""
    fluid = Fluid(
        0, latency_ns=10_000, send_buffer_bytes=1000, receive_buffer_bytes=100_000,
        link=Fraction(1),
    )  # fmt: skip
    fluid.writes.add(50_000, 0)
    fluid.reads.add(50_000, 0)
    fluid.advance(10_000)
    assert fluid.written - fluid.left == 1000
    fluid.lose_flight()
    fluid.link_down = True
    fluid.advance(20_000)
    assert [fluid.written, fluid.left, fluid.read] == [11_000, 0, 0]
    fluid.link_down = False
    fluid.probe_window()
    fluid.advance(29_999)
    assert fluid.written == 11_000
    assert fluid.ends() == (20_000 + 49_000, 20_000 + 50_000 + 10_000)


def test_a_paced_writer_goes_on_when_what_was_lost_has_left() -> None:
    """Over-full after a loss, a paced writer goes on when there is room again, not later."""
    fluid = Fluid(
        0, latency_ns=7_000, send_buffer_bytes=1000, receive_buffer_bytes=100_000,
        link=Fraction(1),
    )  # fmt: skip
    fluid.writes.add(50_000, 25_000)
    fluid.reads.add(50_000, 0)
    fluid.advance(10_000)
    fluid.lose_flight()
    fluid.link_down = True
    fluid.advance(20_000)
    assert [fluid.written, fluid.left] == [11_000, 3_000]
    fluid.link_down = False
    fluid.link = Fraction(1, 3)
    fluid.probe_window()
    fluid.advance(44_000)
    assert [fluid.written, fluid.left] == [12_000, 11_000]


def test_a_jump_on_the_way_does_not_stop_the_flow() -> None:
    """A read at once between two paced ones opens the window by a jump; the pace goes on."""
    fluid = Fluid(
        0, latency_ns=100, send_buffer_bytes=16 * PAGE, receive_buffer_bytes=40 * PAGE,
        link=Fraction(PAGE, 50), head_bytes=32 * PAGE,
    )  # fmt: skip
    fluid.writes.add(200 * PAGE, 1)
    for pages, duration_ns in ((60, 60_000), (10, 0), (130, 130_000)):
        fluid.reads.add(pages * PAGE, duration_ns)
    written, read = fluid.ends()
    assert read == 100 + 190_000
    # The last places become free when 144 pages are read, and that is known a latency later.
    assert written == 100 + 134_000 + 100
    # Behind the closed window everything follows the reader at its distance.
    fluid.advance(80_100)
    assert fluid.read == 90 * PAGE
    assert fluid.left == 130 * PAGE - Fraction(PAGE, 10)
    assert fluid.arrived.value == fluid.left - Fraction(PAGE, 10)


def test_a_late_reader_behind_a_burst_agrees_with_the_closed_form() -> None:
    """A burst that has not all been written when the reader comes still passes at once."""
    transfer = Transfer(
        0, 100 * PAGE, 25_000, 100_000, 1, 200 * PAGE, 40 * PAGE, 32 * PAGE, 100, 9_500
    )
    assert not transfer.blocks_before(9_500)
    fluid = Fluid(
        0, latency_ns=1, send_buffer_bytes=200 * PAGE, receive_buffer_bytes=40 * PAGE,
        link=Fraction(PAGE, 1000), head_bytes=32 * PAGE,
    )  # fmt: skip
    fluid.writes.add(100 * PAGE, 25_000)
    fluid.advance(9_500)
    fluid.reads.add(100 * PAGE, 100)
    assert fluid.ends() == (25_000, 68_001)
    assert (transfer.written_ns(), transfer.read_end_ns()) == (25_000, 68_001)


def test_rates_are_exact() -> None:
    """A rate is the exact quotient of bytes a second and nanoseconds a second."""
    assert rate_of(None) is None
    assert rate_of(1_250_000_000) == Fraction(5, 4)


def test_the_closed_form_and_the_fluid_agree_on_a_real_checkpoint() -> None:
    """512 MiB guest, 16,386 dirty pages, 1 Gbit/s: both compute the same ends to 3 ns."""
    size = 4104 * 16_386
    transfer = Transfer(
        1_000, size, 44_000_000, 562_309_543, 25_000, 4 << 20, 6 << 20, 131_072, 60_000_000, 0
    )
    fluid = Fluid(
        1_000, latency_ns=25_000, send_buffer_bytes=4 << 20, receive_buffer_bytes=6 << 20,
        link=Fraction(size, 562_309_543), head_bytes=131_072,
    )  # fmt: skip
    fluid.writes.add(size, 44_000_000)
    fluid.reads.add(size, 60_000_000)
    written, read = fluid.ends()
    assert written is not None
    assert read is not None
    assert abs(written - transfer.written_ns()) <= 3
    assert abs(read - transfer.read_end_ns()) <= 3


@given(transfers(), st.integers(1, 100_000))
def test_a_send_that_has_failed_is_never_delivered_whole(pages: Pages, at_ns: int) -> None:
    """What had not found room when it failed is not written, not even by rounding."""
    watched = Watched(pages, link=link_of(pages))
    fluid, size = watched.fluid, pages.count * PAGE
    fluid.writes.add(size, int(pages.count * pages.write))
    fluid.advance(at_ns)
    whole = fluid.written >= size
    fluid.stop_writing()
    assert (fluid.writes.goal >= size) == whole or fluid.left > size - 1
    fluid.reads.add(size, 0)
    fluid.advance(10**9)
    assert fluid.read == fluid.writes.goal
