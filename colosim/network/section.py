"""What a bulk write carries, as whoever reads it finds it on the wire."""

from __future__ import annotations

from typing import NamedTuple


class Section(NamedTuple):
    """A part of a checkpoint's state: RAM, device state, or both in one staged vmstate.

    `pages` of RAM are in it, `zero_pages` of them as a header and one byte each; `size_bytes` is
    what is written, framing included.  A stream that is written in parts is one section a part:
    each begins at `offset_bytes` of all `stream_bytes`, and has the pages of the whole.
    """

    checkpoint: int
    size_bytes: int
    pages: int = 0
    zero_pages: int = 0
    offset_bytes: int = 0
    stream_bytes: int = 0

    @property
    def full_pages(self) -> int:
        """Pages whose content is in it."""
        return self.pages - self.zero_pages

    @property
    def is_last(self) -> bool:
        """Whether no part of the stream follows."""
        return self.offset_bytes + self.size_bytes >= self.stream_bytes

    def share(self, spent: int) -> int:
        """Return what of a time that the whole stream takes this part does: parts add up to it."""
        whole, begin = self.stream_bytes, self.offset_bytes
        if not whole:
            return spent
        upto = spent * (begin + self.size_bytes) // whole
        return upto - spent * begin // whole if begin else upto

    def part(self, offset_bytes: int, size_bytes: int) -> Section:
        """Return the part of this stream, or of this part of one, that begins at `offset_bytes`."""
        return self._replace(
            size_bytes=size_bytes,
            offset_bytes=self.offset_bytes + offset_bytes,
            stream_bytes=self.stream_bytes or self.size_bytes,
        )
