"""How high bulk transfers can fill the socket buffers at most, from their closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from colosim.network.transfer import Transfer


def most_bytes(transfers: tuple[Transfer, ...]) -> tuple[int, int]:
    """Return what transfers that meet in the send and the receive buffer fill of either at most.

    The closed form rounds bytes down: each number of it is taken for one more.  It does not see a
    window that closes between two transfers.
    """
    first, *others = transfers
    size = sum(one.size_bytes for one in transfers)
    most = (min(size, first.send_buffer_bytes), min(size, first.receive_buffer_bytes))
    if any(one.reader_ns < 0 for one in transfers):
        return most
    sending, receiving = first.sending_peak_bytes() + 1, _receiving(first)
    before = [first]
    for one in others:
        filled = one.filled_from_ns + one.write_ns
        sending = max(sending, one.size_bytes + sum(_unsent(other, filled) for other in before))
        receiving = max(receiving, _receiving_behind(one, before))
        before.append(one)
    if receiving > first.receive_buffer_bytes:
        return most  # the window may close: what then stays behind is in the send buffer
    return min(sending, most[0]), min(receiving, most[1])


def _unsent(transfer: Transfer, at_ns: int) -> int:
    return transfer.size_bytes - transfer.left_bytes(at_ns)


def _unread(transfer: Transfer, at_ns: int) -> int:
    return transfer.size_bytes - transfer.read_bytes(at_ns - 1) + 1


def _receiving(transfer: Transfer) -> int:
    """Return what one transfer fills of the receive buffer at most.

    What arrives is concave and what is read a line: it is highest at a bend.
    """
    latency_ns, begun_ns = transfer.latency_ns, transfer.begun_ns
    bends = [begun_ns, transfer.left_ns(transfer.size_bytes) + latency_ns]
    head, apart = transfer.head_bytes, transfer.link_ns - transfer.write_ns
    if head and apart > 0:
        after_ns = head * transfer.write_ns * transfer.link_ns // (transfer.size_bytes * apart)
        bends.append(transfer.start_ns + latency_ns + after_ns)
    return max(
        transfer.left_bytes(bend + 1 - latency_ns) + 1 - transfer.read_bytes(bend - 1)
        for bend in bends
        if bend >= begun_ns
    )


def _receiving_behind(transfer: Transfer, before: list[Transfer]) -> int:
    """Return what a transfer fills of the receive buffer at most, with what is unread before it.

    All before it has arrived when its own first byte does.
    """
    arrives_ns = transfer.start_ns + transfer.latency_ns
    if all(one.begun_ns <= arrives_ns for one in before):
        # It is read at an even rate, so the sum is highest where the last byte arrives.
        arrives_ns += transfer.link_ns
    return transfer.size_bytes + sum(_unread(one, arrives_ns) for one in before)
