"""The network of a scenario: the link between the hosts, and TCP at both its ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, NamedTuple

from pydantic import Field

from colosim.scenario import units
from colosim.scenario.checks import check
from colosim.scenario.fields import (
    TIME_NS_MAX,
    Measure,
    Reader,
    Size,
    Switch,
    Text,
    Time,
    reject,
)
from colosim.scenario.presets import DEFAULT_NETWORK
from colosim.scenario.section import FromPreset, PresetName, Section
from colosim.scenario.units import show, text_of


class Framing(NamedTuple):
    """Of each ``frame_bytes`` that the link carries, ``payload_bytes`` are the stream's."""

    payload_bytes: int
    frame_bytes: int


class _FramingText(Reader):
    """Reads ``1448/1514``."""

    _text: Final = Text("payload and frame bytes, such as '1448/1514'", r"[0-9]{1,6}/[0-9]{1,6}")

    def read(self, value: object) -> Framing:
        """Return the pair."""
        if isinstance(value, Framing):
            return value
        text = self._text.read(value)
        payload, frame = map(int, text.split("/"))
        if not 0 < payload <= frame:
            why = "the payload is more than the frame, or none"
            raise reject(f"{show(text)}: {why}; expected such as '1448/1514'")
        return Framing(payload, frame)

    def text(self, value: Framing) -> str:
        """Return the text that reads back as the pair."""
        return f"{value.payload_bytes}/{value.frame_bytes}"

    def json_schema(self) -> dict[str, Any]:
        """Return a text's pattern."""
        return {"type": "string", "pattern": f"^{self._text.pattern}$", "examples": ["1448/1514"]}


_Buffer = Annotated[int, Measure(units.SIZE, 4096, 1 << 40)]
_Timeout = Annotated[int | None, Measure(units.TIME, 1, TIME_NS_MAX, "none")]


class Keepalive(Section):
    """SO_KEEPALIVE: probes of a connection on which nothing is out, to hear whether the peer is."""

    example = "{idle: 60 s, interval: 10 s, probes: 5}"

    idle_ns: Annotated[int, Measure(units.TIME, 10**9, TIME_NS_MAX)] = 7200 * 10**9
    """TCP_KEEPIDLE: silence before the first probe (Linux tcp_keepalive_time)."""
    interval_ns: Annotated[int, Measure(units.TIME, 10**9, TIME_NS_MAX)] = 75 * 10**9
    """TCP_KEEPINTVL: time between two probes (Linux tcp_keepalive_intvl)."""
    probes: Annotated[int, Measure(units.COUNT, 1, 127)] = 9
    """TCP_KEEPCNT: probes without an answer before the peer is given up."""


class Network(FromPreset):
    """What is between the two hosts: the link, and TCP at both its ends."""

    family = "networks"
    example = "{preset: 10gbe}"

    preset: Annotated[str, PresetName("networks", "a network preset")] = DEFAULT_NETWORK
    """Preset that gives every value not stated."""
    bandwidth_bytes_per_s: Annotated[int | None, Measure(units.BANDWIDTH, 1, 10**15, "unlimited")]
    """Nominal rate of the link, frames and all; 'unlimited' for no limit."""
    framing: Annotated[Framing, _FramingText()]
    """Payload bytes of each frame as the limit counts it, 'payload/frame'."""
    burst_bytes: Size
    """Token bucket: bytes that pass at once after a rest."""
    latency_ns: Time
    """One way, without the time that the bytes take."""
    send_buffer_bytes: _Buffer
    """Payload that the sender's kernel takes before a write blocks."""
    receive_buffer_bytes: _Buffer
    """Payload that the receiver's kernel takes before the window closes."""
    mss_bytes: Annotated[int, Measure(units.SIZE, 88, 65495)]
    """Largest payload of a TCP segment."""
    nagle: Switch
    """Whether a small segment waits for the ACK of the one before."""
    delayed_ack: Switch
    """Whether the receiver delays the ACK of a lone small segment."""
    delayed_ack_ns: Annotated[int, Measure(units.TIME, 0, 10**10)] = Field(alias="delayed_ack_time")
    """Shortest delay of a delayed ACK."""
    ack_tick_ns: Annotated[int, Measure(units.TIME, 1, 10**9)]
    """Grid of the kernel timer that ends the delay."""
    ack_tick_phase_ns: Annotated[int | None, Measure(units.TIME, 0, 10**9, "random")]
    """Where the grid lies; 'random' draws it from the seed."""
    slow_start_after_idle: Switch
    """Whether the congestion window starts anew after idle time."""
    retries2: Annotated[int, Measure(units.COUNT, 1, 255)]
    """Retransmissions to a vanished peer before the connection is given up (tcp_retries2)."""
    rto_ns: Annotated[int, Measure(units.TIME, 10**6, 120 * 10**9)]
    """First retransmission timeout."""
    user_timeout_ns: _Timeout
    """TCP_USER_TIMEOUT: longest that data is sent again, or a closed window probed; or 'none'."""
    send_timeout_ns: _Timeout
    """Longest that a send may wait for room before it fails (proposed); or 'none'."""
    keepalive: Keepalive | None = None
    """Probes of an idle connection: idle, interval, probes; none unless given (QEMU sets none)."""

    @property
    def payload_bytes(self) -> int:
        """Payload of a frame."""
        return self.framing.payload_bytes

    @property
    def frame_bytes(self) -> int:
        """Whole frame as the bandwidth limit counts it."""
        return self.framing.frame_bytes

    @property
    def keepalive_ns(self) -> int:
        """Longest silence of a connection that keepalive watches, in ns; 0 if none does."""
        one = self.keepalive
        return 0 if one is None else one.idle_ns + one.interval_ns * (one.probes + 1)

    def _too_small(self, key: str, buffer: int) -> Iterator[str]:
        if buffer < self.mss_bytes:
            one = f"one segment of {self.mss_bytes} bytes (mss)"
            yield f"a {key} of {buffer} bytes does not hold {one}"

    @check("send_buffer", "mss")
    def _sends_whole_segments(self) -> Iterator[str]:
        return self._too_small("send_buffer", self.send_buffer_bytes)

    @check("receive_buffer", "mss")
    def _receives_whole_segments(self) -> Iterator[str]:
        return self._too_small("receive_buffer", self.receive_buffer_bytes)

    @check("ack_tick_phase", "ack_tick")
    def _phase_is_within_a_tick(self) -> Iterator[str]:
        phase, tick = self.ack_tick_phase_ns, self.ack_tick_ns
        if phase is not None and phase >= tick:
            of = f"an ack_tick_phase of {text_of(phase, units.TIME)}"
            yield f"{of} is not below the ack_tick of {text_of(tick, units.TIME)}"
