"""One bulk transfer at many points at once: `colosim.network.transfer`, and who waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from colosim.network import transfer

if TYPE_CHECKING:
    from colosim.arrays.threads import Call
    from colosim.network.section import Section

MOST_BYTES: Final = 3_037_000_499
"""The square of a larger stream is beyond 63 bits."""


@dataclass(slots=True, kw_only=True, eq=False)
class Transfer(transfer.Transfer):
    """A bulk write whose numbers are columns.

    `put_ns`: when its write began; `reader_ns` and `opens_ns` are `NEVER` until its reader has
    come.  `beyond`: where it is beyond the window, and waits for its reader before it leaves;
    `left`: when it does; `has_tail`: where its last segment is not full; `held`: where Nagle holds
    that back; `call`: its writer, who waits.
    """

    section: Section
    put_ns: Any
    beyond: Any
    has_tail: Any
    left: Any = 0
    held: Any = False
    call: Call | None = None
    is_fixed: bool = True
    taken: bool = False

    @property
    def arrives(self) -> Any:
        """When the last byte arrives, of one that does not wait for its reader."""
        return self.left + self.latency_ns

    @property
    def waits(self) -> bool:
        """Whether anywhere it waits for its reader before it leaves."""
        return self.beyond is not False
