"""What people look for in a scenario and is not simulated: each with what stands in the way."""

from __future__ import annotations

from typing import Final

_WHY: Final = {
    "loss packet_loss drop drops reorder corrupt duplicate": (
        "packet loss is not simulated: a connection is bytes at a rate, without segments, and what "
        "a loss costs (fast retransmit or a timeout of 200 ms and more, a smaller congestion "
        "window) was not measured; 'slow: network' with a factor says what the rate becomes"
    ),
    "recover recovery rejoin resync resume_replication reprotect": (
        "a pair that is made again after a failover is not simulated: the copy of all RAM and of "
        "the disk to a new secondary is another migration, of which no run was measured; a "
        "run ends with its first failover, and the pair after the recovery is a scenario of its own"
    ),
    "auto_converge autoconverge throttle cpu_throttle": (
        "auto-converge is not simulated: it throttles a guest whose pages are sent while it runs, "
        "and a checkpoint stops the guest and sends its dirty pages once (with +gap-migration and "
        "+migrate-first some ahead, never measured so); a throttled guest is a smaller "
        "'guest.dirty' rate"
    ),
}
_BY_WORD: Final = {word: why for words, why in _WHY.items() for word in words.split()}


def not_simulated(key: str) -> str | None:
    """Return why a key is not there though one may look for it; None if it is unknown for good."""
    return _BY_WORD.get(key.replace("-", "_").lower())
