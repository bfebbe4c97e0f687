"""The closed form of a transfer against the page-by-page model."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from colosim.network.transfer import Transfer
from tests.reference.page_by_page import Pages, pass_through

PAGE = 4096


@st.composite
def closed(draw: st.DrawFn) -> Pages:
    """Draw a transfer that the closed form covers: nothing but the reader closes the window."""
    service = st.integers(50, 5000)
    write, link, read = draw(service), draw(service), draw(service)
    latency = draw(st.integers(0, 20_000))
    count = draw(st.integers(1, 80))
    head = draw(st.sampled_from([0, 0, 1, 5]))
    window = head + 2 * latency // min(write, link, read) + draw(st.integers(3, 40))
    pages = Pages(
        count, write, link, read, draw(st.integers(1, 30)), window, latency, latency, head
    )
    if draw(st.booleans()):
        reader = draw(st.integers(0, 100_000) | st.integers(0, 2_000_000))
        late = Pages(count, write, link, read, pages.send_buffer, window, latency, reader, head)
        if not head or not transfer_of(late).blocks_before(reader):
            return late
    return pages


def transfer_of(pages: Pages, scale: int = 1) -> Transfer:
    """Return the closed form of `pages` whose count is `scale` times as large."""
    count = pages.count * scale
    return Transfer(
        0,
        count * PAGE,
        int(count * pages.write),
        int(count * pages.link),
        int(pages.latency),
        pages.send_buffer * PAGE,
        pages.receive_buffer * PAGE,
        pages.head * PAGE,
        int(count * pages.read),
        int(pages.reader),
    )


@given(closed())
def test_both_ends_finish_within_a_page_a_stage_of_the_reference(pages: Pages) -> None:
    """Writer and reader end within one page's service time a stage of the page-by-page model."""
    transfer, passage = transfer_of(pages), pass_through(pages)
    tolerance = pages.write + pages.link + pages.read + 2
    assert abs(transfer.written_ns() - passage.written[-1]) <= tolerance
    assert abs(transfer.read_end_ns() - passage.read[-1]) <= tolerance


@given(closed())
def test_peak_levels_are_within_a_page_of_the_reference(pages: Pages) -> None:
    """The send buffer's highest level is within one page of the page-by-page model."""
    transfer, passage = transfer_of(pages), pass_through(pages.quartered())
    quarter = PAGE // 4
    assert abs(transfer.sending_peak_bytes() - passage.sending_peak() * quarter) <= PAGE


@given(closed(), st.integers(0, 1_000_000))
def test_counters_are_ordered_and_inside_their_buffers(pages: Pages, at_ns: int) -> None:
    """At any time no more is read than has left, and no level is above its buffer."""
    transfer = transfer_of(pages)
    left, read = transfer.left_bytes(at_ns), transfer.read_bytes(at_ns)
    arrived = transfer.left_bytes(at_ns - transfer.latency_ns)
    assert transfer.size_bytes >= left >= arrived >= read >= 0
    assert left - read <= transfer.receive_buffer_bytes
    end = transfer.read_end_ns()
    assert transfer.read_bytes(end) == transfer.left_bytes(end) == transfer.size_bytes


@given(closed(), st.floats(0, 1))
def test_passing_times_invert_the_counters(pages: Pages, share: float) -> None:
    """When `passed_ns` says that bytes have passed, they have, and a moment before not."""
    transfer = transfer_of(pages)
    amount = max(1, int(Fraction(share) * transfer.size_bytes))
    left = transfer.left_ns(amount)
    assert transfer.left_bytes(left) >= amount
    assert transfer.left_bytes(left - 1) <= amount
    read = transfer.passed_ns("read", amount)
    assert transfer.read_bytes(read) >= amount
    assert transfer.read_bytes(read - 1) <= amount
    assert transfer.passed_ns("read", transfer.size_bytes) == transfer.read_end_ns()
    assert transfer.passed_ns("write", transfer.size_bytes) == transfer.written_ns()


@given(closed())
def test_the_cost_does_not_depend_on_the_size(pages: Pages) -> None:
    """Ends of a transfer a million times as large stay in proportion (exact at any size)."""
    large = transfer_of(pages, 1_000_000)
    slowest = int(max(pages.write, pages.link, pages.read)) * pages.count * 1_000_000
    head = int(pages.head * pages.link)
    start = int(max(pages.reader, pages.latency))
    assert slowest - head <= large.read_end_ns() <= slowest + start + 2 * int(pages.latency) + 1


def test_a_burst_on_an_instant_write_arrives_at_once() -> None:
    """With a full token bucket and no time to write, the head is in the receive buffer at once."""
    transfer = Transfer(
        0, 100 * PAGE, 0, 100_000, 500, 1 << 20, 1 << 20, 32 * PAGE, read_ns=400_000, reader_ns=0
    )
    assert transfer.left_bytes(0) == 32 * PAGE
    assert transfer.left_bytes(-1) == 0
    assert transfer.sending_peak_bytes() == 68 * PAGE
