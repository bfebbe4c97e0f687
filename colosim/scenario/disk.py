"""The replicated disk of a scenario: what of it the pair waits for, and its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from colosim.scenario import units
from colosim.scenario.checks import check
from colosim.scenario.costs import PerByte
from colosim.scenario.fields import Choice, Measure, Reader, Size, Time
from colosim.scenario.section import Forms, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from colosim.scenario.network import Network

_Buffer = Annotated[int | None, Measure(units.SIZE, 1 << 16, 1 << 40)]
DISK: Final = "disk"
"""The connection of the disk, as what faults strike."""
COMMANDS: Final = ("x-blockdev-change", "drive_del", "nbd-server-stop", "yank block-node")
"""Monitor commands that only a QEMU with the disk has a use for."""


class Writes(Section):
    """How the guest writes: at a rate while it runs, a quorum's write being done once both have it.

    The local image's write goes on beside the secondary's and is assumed to be the shorter.
    """

    example = "{rate: 500 /s, size: 4 KiB}"

    rate: Annotated[int, Measure(units.REQUEST_RATE, 1, 10**14)]
    """Writes a second of the guest's time, at equal distances."""
    size_bytes: Annotated[int, Measure(units.SIZE, 512, 32 << 20)] = 4096
    """Of each."""
    depth: Annotated[int, Measure(units.COUNT, 1, 16)] = 16
    """How many are unanswered at most; the next waits in the guest. NBD sends 16 before it waits
    (MAX_NBD_REQUESTS in block/nbd.c; read); an IDE disk 1.
    """
    takes_ns: Time = 20_000
    """What each takes the secondary's server, one after the other, beyond its read (assumed: of
    GANNET's BerkeleyDB replication adds 0.1 ms to a request, 0.084 ms of it the round trip).
    """
    flush_ns: Time = 1_100_000
    """What flushing an image takes a stop longer that was written since, on either side (fitted:
    a healthy pair with 20 writes of 4 KiB a checkpoint, both versions).
    """
    flush_written_fs_per_byte: PerByte = 750_000
    """The same per byte written (fitted: 20 writes of 256 KiB)."""


class Disk(Section):
    """The documented disk: a quorum of a local image and of a node that writes to the secondary.

    Measured on pairs of QEMU 7.2.22 and 11.1.3, an empty qcow2 image on one machine.
    """

    example = "{replication: nbd}"

    replication: Annotated[str, Choice(("nbd",), "a way to replicate")]
    """How writes get to the secondary: 'nbd', by a connection of their own to its NBD server."""
    in_flight_bytes: Size = 0
    """What the running guest has written and the secondary has not answered: a stop waits for it.
    """
    writes: Writes | None = None
    """How the guest writes, instead of `in_flight`; then what a stop waits for follows from it."""
    flush_ns: Time = 200_000
    """What a flush takes the secondary's NBD server (measured: two add 0.4 ms to a stop)."""
    secondary_stop_ns: Time = 1_000_000
    """What the secondary's own stop takes longer, to flush its images (measured)."""
    secondary_load_ns: Time = 5_000_000
    """What the secondary's load takes longer, for the IDE device and the checkpoint of the
    replication (measured: 4.5 to 5 ms, not separated).
    """
    takeover_ns: Time = 4_000_000
    """What the secondary's failover takes longer, to end the replication (inferred: 4 to 6 ms from
    command to guest on 11.1 and 18 to 24 on 7.2, less what each takes without a disk).
    """
    send_buffer_bytes: _Buffer = None
    """Of its connection, as the network's unless given."""
    receive_buffer_bytes: _Buffer = None
    """Of its connection, as the network's unless given."""

    @check("in_flight", "writes")
    def _says_once_what_is_in_flight(self) -> Iterator[str]:
        if self.writes is not None and self.in_flight_bytes:
            yield "in_flight follows from writes; expected one of them"

    def over(self, network: Network) -> Network:
        """Return a pair's network as the disk's connection has it: with buffers of its own.

        QEMU sets TCP_NODELAY on it (nbd_client_connect, nbd_client_new; read).
        """
        return network.model_copy(
            update={
                "nagle": False,
                "send_buffer_bytes": self.send_buffer_bytes or network.send_buffer_bytes,
                "receive_buffer_bytes": self.receive_buffer_bytes or network.receive_buffer_bytes,
            }
        )


class _NoDisk(Reader):
    """Reads ``none``."""

    _word: Final = Choice(("none",), "a disk such as {replication: nbd}, or")

    def read(self, value: object) -> None:
        """Return no disk."""
        if value is not None:
            self._word.read(value)

    def json_schema(self) -> dict[str, Any]:
        """Return the word."""
        return {"const": "none"}


def _form(value: object) -> type[Section] | Reader:
    return Disk if isinstance(value, dict) else _NO_DISK


_NO_DISK: Final = _NoDisk()
DiskOrNone = Annotated[Disk | Annotated[None, _NO_DISK], Forms(_form, _NO_DISK, Disk)]
