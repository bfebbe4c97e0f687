"""One bulk transfer page by page: a tandem queue with blocking, in exact rationals.

Slow, and meant to be obviously right.  It shares no code with `colosim.network`.  Page i passes
the writing thread, the send buffer, the link and the receive buffer to the reading thread::

    s[i] = max(s[i-1] + a, x[i-K1])                  in the send buffer, when it has room
    x[i] = max(x[i-1], s[i], c[i-K2] + L) + e        left, when the window has room
    r[i] = x[i] + L                                  arrived
    c[i] = max(c[i-1], r[i], reader's coming) + d    read

Work goes through a calendar of speeds, so what is left of a page's service goes on after a thaw,
while what has left a sender, pages and window updates, still arrives.  A cut link is another
matter: what is in flight is lost, pages are sent again, and the window is asked for at the mend.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import permutations

Time = Fraction | int


@dataclass(frozen=True)
class Calendar:
    """The speed of a stage: 1 until the first of `changes`, (time, speed) in order of time.

    Speed 0 is a freeze; the last speed is above 0.
    """

    changes: tuple[tuple[Time, Time], ...] = ()

    def finish(self, start: Time, work: Time) -> Fraction:
        """Return when `work` (in time at speed 1), begun at `start`, is done."""
        now, left, speed = Fraction(start), Fraction(work), Fraction(1)
        for change, next_speed in self.changes:
            if change > now:
                if speed and now + left / speed <= change:
                    return now + left / speed
                left -= speed * (change - now)
                now = Fraction(change)
            speed = Fraction(next_speed)
        return now + left / speed


@dataclass(frozen=True)
class Pages:
    """What is sent and through what: a page's service times, buffers in pages, the latency."""

    count: int
    write: Time
    link: Time
    read: Time
    send_buffer: int
    receive_buffer: int
    latency: Time = 0
    reader: Time = 0
    head: int = 0
    writer_calendar: Calendar = field(default_factory=Calendar)
    link_calendar: Calendar = field(default_factory=Calendar)
    reader_calendar: Calendar = field(default_factory=Calendar)
    cut: tuple[Time, Time] | None = None

    def quartered(self) -> Pages:
        """Return the same in quarter pages, for levels.

        A whole page in service takes up a whole place until it is through, so each stage's level
        is up to a page off by itself, and what a freeze puts off is put off again on its way back
        to the writer.  A quarter page keeps the sum of all that within a page.
        """
        return replace(
            self,
            count=self.count * 4,
            write=Fraction(self.write) / 4,
            link=Fraction(self.link) / 4,
            read=Fraction(self.read) / 4,
            send_buffer=self.send_buffer * 4,
            receive_buffer=self.receive_buffer * 4,
            head=self.head * 4,
        )

    def a_page_later(self, at: Time) -> Fraction:
        """Return `at` put off by one page's service at each stage: the tolerance of the flow."""
        stages = (
            (self.writer_calendar, self.write),
            (self.link_calendar, self.link),
            (self.reader_calendar, self.read),
        )
        latest = Fraction(at)
        for order in permutations(stages):
            put_off = Fraction(at)
            for calendar, service in order:
                put_off = calendar.finish(put_off, service)
            latest = max(latest, put_off)
        return latest


@dataclass(frozen=True)
class Passage:
    """When each page was in the send buffer, had left, had arrived and was read.

    And when link and reader began to work on it: a page in service waits no more.
    """

    written: list[Fraction]
    left: list[Fraction]
    arrived: list[Fraction]
    read: list[Fraction]
    leaving: list[Fraction]
    reading: list[Fraction]

    def sending_peak(self) -> int:
        """Return the most pages that waited in the send buffer at once."""
        return _peak(self.written, self.leaving)

    def receiving_peak(self) -> int:
        """Return the most pages that waited in the receive buffer at once."""
        return _peak(self.arrived, self.reading)


def _peak(into: list[Fraction], out: list[Fraction]) -> int:
    return max(i + 1 - bisect_right(out, at) for i, at in enumerate(into))


def pass_through(pages: Pages) -> Passage:
    """Send `pages` one by one from time 0."""
    passage = Passage([], [], [], [], [], [])
    first_left: list[Fraction] = []
    tokens_at = Fraction(0)
    for i in range(pages.count):
        # The writer has worked, and finds room; what a cut loses takes its room again.
        done = pages.writer_calendar.finish(passage.written[-1] if i else 0, pages.write)
        before = i - pages.send_buffer
        if before >= 0:
            room = max(done, first_left[before])
            if pages.cut and room > pages.cut[0]:
                room = max(done, passage.left[before])
            done = pages.writer_calendar.finish(room, 0)
        passage.written.append(done)
        # The link is free, and the window open.
        ready = max(done, first_left[-1] if i else Fraction(0))
        before = i - pages.receive_buffer
        if before >= 0:
            ready = max(ready, _known(pages, passage.read[before]))
        if pages.head:
            # A token bucket of `head` pages: the link is ahead of its pace by no more than that.
            ready = left = max(ready, tokens_at - pages.head * pages.link)
            tokens_at = max(left, tokens_at) + pages.link
        else:
            left = pages.link_calendar.finish(ready, pages.link)
        first_left.append(left)
        passage.leaving.append(ready)
        if pages.cut and left + pages.latency > pages.cut[0]:
            # Not there before the cut: it leaves after the mend, behind those before it.
            mended = pages.cut[1] if left <= pages.cut[0] else 0
            again = max(ready, Fraction(mended), passage.left[-1] if i else Fraction(0))
            left = pages.link_calendar.finish(again, pages.link)
        passage.left.append(left)
        passage.arrived.append(left + pages.latency)
        begin = max(passage.arrived[-1], passage.read[-1] if i else Fraction(pages.reader))
        begin = max(begin, Fraction(pages.reader))
        passage.reading.append(begin)
        passage.read.append(pages.reader_calendar.finish(begin, pages.read))
    return passage


def _known(pages: Pages, read: Fraction) -> Fraction:
    """Return when the sender knows that a page was read at `read`."""
    known = read + pages.latency
    if pages.cut and known > pages.cut[0] and read < pages.cut[1]:
        return Fraction(pages.cut[1])
    return known
