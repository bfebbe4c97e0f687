"""The scenario as the simulator sees it: immutable, complete, integers in base units.

Every attribute that is a quantity carries its unit in its name; the YAML key is the plain name
(``checkpoint_delay`` is `Scenario.checkpoint_delay_ns`). Defaults are those of QEMU and Linux where
they have one.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, NamedTuple, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    ModelWrapValidatorHandler,
    Tag,
    ValidationInfo,
    model_validator,
)
from pydantic_core import core_schema

from colosim.scenario.bounds import Bound, BoundError, parse_bound
from colosim.scenario.costs import Costs, Strict
from colosim.scenario.fields import Choice, Flag, Measure, Text, reject
from colosim.scenario.presets import DEFAULT_HOST, DEFAULT_NETWORK, preset, preset_names
from colosim.scenario.units import (
    BANDWIDTH,
    COUNT,
    DIRTY_RATE,
    FACTOR,
    FAULT_RATE,
    PAGE_BYTES,
    PAGES,
    S_PER_GIGADAY,
    SHARE,
    SIZE,
    TIME,
    WORKING_SET,
    nearest,
    show,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "DEFAULT_DESIGNS",
    "Costs",
    "Fault",
    "FixedDirty",
    "Framing",
    "Guest",
    "Host",
    "Hosts",
    "HotColdDirty",
    "Liveness",
    "Manager",
    "MeasuredDirty",
    "Network",
    "RandomMoment",
    "RateDirty",
    "Scenario",
    "StepMoment",
    "Watch",
    "WriteLoad",
]

DEFAULT_DESIGNS: Final = ("qsb", "split", "device-first", "flat", "mainline")
"""The designs that ship, in the order of tables."""

TIME_NS_MAX: Final = 10**15
"""No time of a scenario is longer: 1,000,000 s."""
SIZE_BYTES_MAX: Final = 1 << 50
"""No size of a scenario is larger: 1 PiB."""
PAGES_MAX: Final = SIZE_BYTES_MAX // PAGE_BYTES
NAME_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._-]*"

_Time = Annotated[int, Measure(TIME, 0, TIME_NS_MAX)]
_TimeAbove0 = Annotated[int, Measure(TIME, 1, TIME_NS_MAX)]
_TimeOrNone = Annotated[int | None, Measure(TIME, 1, TIME_NS_MAX)]
_Size = Annotated[int, Measure(SIZE, 0, SIZE_BYTES_MAX)]
_Pages = Annotated[int, Measure(PAGES, 0, PAGES_MAX)]
_PagesAbove0 = Annotated[int, Measure(WORKING_SET, 1, PAGES_MAX)]
_Name = Annotated[
    str,
    Text(
        "a name of letters, digits, '.', '_' and '-' that begins with a letter or digit",
        NAME_PATTERN,
        100,
    ),
]
_NameOrNone = Annotated[str | None, Text("the name of a random stream", NAME_PATTERN, 100)]
_Side = Annotated[str, Choice(("primary", "secondary"), "a side")]
_Flag = Annotated[bool, Flag()]


_HostPresetName = Annotated[str, Choice(preset_names("hosts"), "a host preset")]
_NetworkPresetName = Annotated[str, Choice(preset_names("networks"), "a network preset")]


# --- guest ----------------------------------------------------------------------------------------


class WriteLoad(Strict):
    """Writes at a rate over a working set."""

    rate_pages_per_s: Annotated[int, Measure(DIRTY_RATE, 0, 10**12)] = Field(
        alias="rate", description="Page writes a second while the guest runs."
    )
    working_set_pages: _PagesAbove0 = Field(
        alias="working_set", description="Pages that the writes fall on."
    )
    pattern: Annotated[str, Choice(("round-robin", "uniform"), "a write pattern")] = Field(
        default="round-robin",
        description=(
            "round-robin: each page in turn; uniform: each write to a random "
            "page of the working set."
        ),
    )


class FixedDirty(Strict):
    """The same number of dirty pages at every checkpoint."""

    pages: _Pages = Field(default=2000, description="Dirty pages a checkpoint.")


class RateDirty(WriteLoad):
    """Dirty pages from one write load."""


class HotColdDirty(Strict):
    """Dirty pages from two write loads on separate parts of RAM."""

    hot: WriteLoad = Field(description="The small set that is written often.")
    cold: WriteLoad = Field(description="The large set that is written seldom.")


def _values(value: object) -> object:
    """Take measured values as a list, or as one text of numbers between spaces."""
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, (list, tuple)) or not value:
        message = "there are no values; expected a list of page counts"
        raise reject(message)
    if len(value) > MEASURED_VALUES_MAX:
        message = f"{len(value)} values; expected at most {MEASURED_VALUES_MAX}"
        raise reject(message)
    reader = Measure(PAGES, 0, PAGES_MAX)
    return tuple(reader.read(item) for item in value)


MEASURED_VALUES_MAX: Final = 50_000
"""Most values that a measured sequence may have."""


class MeasuredDirty(Strict):
    """Dirty pages as measured, one a checkpoint, from the start again when they are used up."""

    csv: Annotated[str, Text("the path of a CSV file", r"[^\x00-\x1f]+", 1024)] = Field(
        description="CSV file with a header line, relative to the scenario file."
    )
    column: Annotated[str, Text("the name of a column", r"[^\x00-\x1f]+", 200)] = Field(
        default="dirty_pages", description="Column that has the dirty pages of each checkpoint."
    )
    measured_pages: Annotated[tuple[int, ...], BeforeValidator(_values)] = Field(
        alias="values",
        description="The measured values; read from the file unless they stand here already.",
    )


def _dirty_tag(value: object) -> str:
    if isinstance(value, dict):
        keys = value.keys()
        if keys & {"hot", "cold"}:
            return "tag:hot-cold"
        if keys & {"csv", "column", "values", "measured_pages"}:
            return "tag:measured"
        if keys & {"rate", "working_set", "pattern", "rate_pages_per_s", "working_set_pages"}:
            return "tag:rate"
        return "tag:pages"
    return _DIRTY_TAGS.get(type(value).__name__, "tag:pages")


_DIRTY_TAGS: Final = {
    "HotColdDirty": "tag:hot-cold",
    "MeasuredDirty": "tag:measured",
    "RateDirty": "tag:rate",
}

Dirty = Annotated[
    Annotated[FixedDirty, Tag("tag:pages")]
    | Annotated[RateDirty, Tag("tag:rate")]
    | Annotated[HotColdDirty, Tag("tag:hot-cold")]
    | Annotated[MeasuredDirty, Tag("tag:measured")],
    Discriminator(_dirty_tag),
]


class Guest(Strict):
    """The virtual machine that the pair protects."""

    ram_bytes: Annotated[int, Measure(SIZE, PAGE_BYTES, SIZE_BYTES_MAX)] = Field(
        default=1 << 30, alias="ram", description="Guest RAM; whole pages of 4 KiB."
    )
    vcpus: Annotated[int, Measure(COUNT, 1, 4096)] = Field(
        default=1,
        description="Virtual CPUs. No cost depends on them: see device_state and vm_stop.",
    )
    device_state_bytes: Annotated[int, Measure(SIZE, 1, 1 << 40)] = Field(
        default=12_665,
        alias="device_state",
        description=(
            "Device state a checkpoint. Default: measured, minimal PC machine with one vCPU."
        ),
    )
    vmdesc_bytes: Annotated[int, Measure(SIZE, 0, 1 << 40)] = Field(
        default=106_159,
        alias="vmdesc",
        description=(
            "JSON description and stream header that qsb and flat send each "
            "time. Default: measured."
        ),
    )
    zero_share_ppm: Annotated[int, Measure(SHARE, 0, 10**6)] = Field(
        default=0,
        alias="zero_share",
        description="Share of the dirty pages that are zero (9 bytes on the wire).",
    )
    dirty: Dirty = Field(
        default_factory=lambda: FixedDirty(pages=2000),
        description=(
            "Pages dirtied between two checkpoints: pages; rate, working_set, "
            "pattern; hot, cold; or csv."
        ),
    )

    late_writes_pages_per_s: Annotated[int, Measure(DIRTY_RATE, 0, 10**12)] = Field(
        default=0,
        alias="late_writes",
        description=(
            "Pages a second that QEMU's main loop writes into the stopped primary guest whenever "
            "the iothread lock is free. Assumed 0: stopping the guest drains its devices."
        ),
    )

    @property
    def ram_pages(self) -> int:
        """Guest RAM in pages of 4 KiB."""
        return self.ram_bytes // PAGE_BYTES


# --- hosts ----------------------------------------------------------------------------------------


def _names_of(model: type[Strict]) -> dict[str, str]:
    """Return attribute name by YAML key."""
    return {field.alias or name: name for name, field in model.model_fields.items()}


def _filled(given: dict[str, Any], texts: dict[str, Any], model: type[Strict]) -> dict[str, Any]:
    """Return ``given`` with what it leaves out taken from a preset's ``texts``."""
    names = _names_of(model)
    return {
        **{
            key: text
            for key, text in texts.items()
            if key not in given and names.get(key, key) not in given
        },
        **given,
    }


def _stated(model: Strict, given: Iterable[str]) -> None:
    """Let `model` know which keys were given: what a preset fills in is not stated."""
    names = _names_of(type(model))
    model.model_fields_set.intersection_update(names.get(key, key) for key in given)


def _filled_by_preset(schema: dict[str, Any]) -> None:
    """Leave every key free in the JSON Schema: the preset fills what the scenario leaves out."""
    schema.pop("required", None)


class Host(Strict):
    """One host: where its costs come from, and the costs."""

    model_config = ConfigDict(json_schema_extra=_filled_by_preset)

    preset: _HostPresetName = Field(
        default=DEFAULT_HOST, description="Preset that gives every cost not stated."
    )
    costs: Costs = Field(description="Costs that differ from the preset's.")

    @model_validator(mode="wrap")
    @classmethod
    def _fill_costs(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, dict):
            return handler(data)
        name = data.get("preset", DEFAULT_HOST)
        known = name if name in preset_names("hosts") else DEFAULT_HOST
        given = costs = data.get("costs", {})
        if isinstance(given, dict):
            costs = _filled(given, preset("hosts", known).texts(), Costs)
        host = handler({**data, "costs": costs})
        if isinstance(given, dict):
            _stated(host.costs, given)
        _stated(host, data)
        return host


class Hosts(Strict):
    """The two hosts of the pair."""

    preset: _HostPresetName = Field(
        default=DEFAULT_HOST, description="Preset of both hosts, unless one names its own."
    )
    primary: Host = Field(description="Host that runs the guest at first.")
    secondary: Host = Field(description="Host that receives the checkpoints.")

    model_config = ConfigDict(json_schema_extra=_filled_by_preset)

    @model_validator(mode="wrap")
    @classmethod
    def _pass_preset_on(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, dict):
            return handler(data)
        name = data.get("preset", DEFAULT_HOST)
        known = name if name in preset_names("hosts") else DEFAULT_HOST
        given = {side: data.get(side, {}) for side in ("primary", "secondary")}
        hosts = handler(
            {
                **data,
                **{
                    side: {"preset": known, **host} if isinstance(host, dict) else host
                    for side, host in given.items()
                },
            }
        )
        for side, host in given.items():
            if isinstance(host, dict):
                _stated(getattr(hosts, side), host)
        _stated(hosts, data)
        return hosts


# --- network --------------------------------------------------------------------------------------


class Framing(NamedTuple):
    """Of each ``frame_bytes`` that the link carries, ``payload_bytes`` are the stream's."""

    payload_bytes: int
    frame_bytes: int


_FRAMING_PATTERN: Final = r"[0-9]{1,6}/[0-9]{1,6}"


class _FramingText:
    """Reads ``1448/1514``."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: object, _handler: object
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.read)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: object, _handler: object) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_FRAMING_PATTERN}$", "examples": ["1448/1514"]}

    @staticmethod
    def read(value: object) -> Framing:
        """Return the pair."""
        if isinstance(value, Framing):
            return value
        text = Text("payload and frame bytes, such as '1448/1514'", _FRAMING_PATTERN).read(value)
        payload, _, frame = text.partition("/")
        if not 0 < int(payload) <= int(frame):
            message = (
                f"{show(text)}: the payload is more than the frame, or none; "
                "expected such as '1448/1514'"
            )
            raise reject(message)
        return Framing(int(payload), int(frame))


class Network(Strict):
    """What is between the two hosts: the link, and TCP at both its ends."""

    model_config = ConfigDict(json_schema_extra=_filled_by_preset)

    preset: _NetworkPresetName = Field(
        default=DEFAULT_NETWORK, description="Preset that gives every value not stated."
    )
    bandwidth_bytes_per_s: Annotated[int | None, Measure(BANDWIDTH, 1, 10**15, "unlimited")] = (
        Field(
            alias="bandwidth",
            description="Nominal rate of the link, frames and all; 'unlimited' for no limit.",
        )
    )
    framing: Annotated[Framing, _FramingText] = Field(
        description="Payload bytes of each frame as the limit counts it, 'payload/frame'."
    )
    burst_bytes: _Size = Field(
        alias="burst", description="Token bucket: bytes that pass at once after a rest."
    )
    latency_ns: _Time = Field(
        alias="latency", description="One way, without the time that the bytes take."
    )
    send_buffer_bytes: Annotated[int, Measure(SIZE, 4096, 1 << 40)] = Field(
        alias="send_buffer",
        description="Payload that the sender's kernel takes before a write blocks.",
    )
    receive_buffer_bytes: Annotated[int, Measure(SIZE, 4096, 1 << 40)] = Field(
        alias="receive_buffer",
        description="Payload that the receiver's kernel takes before the window closes.",
    )
    mss_bytes: Annotated[int, Measure(SIZE, 88, 65495)] = Field(
        alias="mss", description="Largest payload of a TCP segment."
    )
    nagle: _Flag = Field(description="Whether a small segment waits for the ACK of the one before.")
    delayed_ack: _Flag = Field(
        description="Whether the receiver delays the ACK of a lone small segment."
    )
    delayed_ack_ns: Annotated[int, Measure(TIME, 0, 10**10)] = Field(
        alias="delayed_ack_time", description="Shortest delay of a delayed ACK."
    )
    ack_tick_ns: Annotated[int, Measure(TIME, 1, 10**9)] = Field(
        alias="ack_tick", description="Grid of the kernel timer that ends the delay."
    )
    ack_tick_phase_ns: Annotated[int | None, Measure(TIME, 0, 10**9, "random")] = Field(
        alias="ack_tick_phase", description="Where the grid lies; 'random' draws it from the seed."
    )
    slow_start_after_idle: _Flag = Field(
        description="Whether the congestion window starts anew after idle time."
    )
    retries2: Annotated[int, Measure(COUNT, 1, 255)] = Field(
        description=(
            "Retransmissions to a vanished peer before the connection is given up (tcp_retries2)."
        )
    )
    rto_ns: Annotated[int, Measure(TIME, 10**6, 120 * 10**9)] = Field(
        alias="rto", description="First retransmission timeout."
    )
    user_timeout_ns: Annotated[int | None, Measure(TIME, 1, TIME_NS_MAX, "none")] = Field(
        alias="user_timeout",
        description="TCP_USER_TIMEOUT: longest that sent data may stay unacknowledged; or 'none'.",
    )
    send_timeout_ns: Annotated[int | None, Measure(TIME, 1, TIME_NS_MAX, "none")] = Field(
        alias="send_timeout",
        description="Longest that a send may wait for room before it fails (proposed); or 'none'.",
    )

    @property
    def payload_bytes(self) -> int:
        """Payload of a frame."""
        return self.framing.payload_bytes

    @property
    def frame_bytes(self) -> int:
        """Whole frame as the bandwidth limit counts it."""
        return self.framing.frame_bytes

    @model_validator(mode="wrap")
    @classmethod
    def _fill(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, dict):
            return handler(data)
        name = data.get("preset", DEFAULT_NETWORK)
        known = name if name in preset_names("networks") else DEFAULT_NETWORK
        network = handler(_filled(data, preset("networks", known).texts(), cls))
        _stated(network, data)
        return network


# --- faults ---------------------------------------------------------------------------------------


class StepMoment(Strict):
    """A moment of the protocol: a step of a checkpoint, and how far it is."""

    checkpoint: Annotated[int, Measure(COUNT, 0, 10**9)] = Field(
        description="Which checkpoint, from 0."
    )
    step: Annotated[
        str, Text("a step such as 'primary: RAM stream'", r"(primary|secondary): \S.*", 200)
    ] = Field(description="Step of the design, with its side: 'primary: RAM stream'.")
    progress_ppm: Annotated[int, Measure(SHARE, 0, 10**6)] = Field(
        default=0, alias="progress", description="Share of the step that is done."
    )

    @model_validator(mode="before")
    @classmethod
    def _share_in_step(cls, data: object) -> object:
        """Take a share behind the step, as in ``primary: RAM stream at 40%``, for its progress."""
        step = data.get("step") if isinstance(data, dict) else None
        name, at, share = step.rpartition(" at ") if isinstance(step, str) else ("", "", "")
        if not isinstance(data, dict) or not (at and share.endswith("%")):
            return data
        if data.keys() & {"progress", "progress_ppm"}:
            message = f"the step {show(str(step))} has its share already; expected no progress too"
            raise reject(message)
        return {**data, "step": name, "progress": share}


class RandomMoment(Strict):
    """Random moments at a constant rate, from a random stream of their own (a Poisson process).

    A fault that ends by itself strikes again and again, one that does not strikes once.
    """

    rate_per_gigaday: Annotated[int, Measure(FAULT_RATE, 1, 10**3 * S_PER_GIGADAY)] = Field(
        alias="rate", description="How often: strikes in a second, minute, hour or day."
    )
    stream: _NameOrNone = Field(
        default=None,
        description=(
            "Random stream that the moments are drawn from; faults that share one strike together. "
            "Kind and target of the fault unless it is named, as in 'freeze-secondary'."
        ),
    )

    @property
    def mean_ns(self) -> Fraction:
        """Mean time between two moments, in ns."""
        return Fraction(S_PER_GIGADAY * 10**9, self.rate_per_gigaday)


def _moment_tag(value: object) -> str:
    if isinstance(value, RandomMoment) or (isinstance(value, dict) and "rate" in value):
        return "tag:random"
    return "tag:step" if isinstance(value, (dict, StepMoment)) else "tag:time"


_Moment = Annotated[
    Annotated[_Time, Tag("tag:time")]
    | Annotated[StepMoment, Tag("tag:step")]
    | Annotated[RandomMoment, Tag("tag:random")],
    Discriminator(_moment_tag),
]


class Fault(Strict):
    """Something that goes wrong at ``at``; one subclass a kind, each with the key of its kind."""

    kind: ClassVar[str] = ""

    at: _Moment = Field(
        description="When: a time from the start, a step of a checkpoint, or at random at a rate."
    )

    @property
    def target(self) -> str:
        """What it strikes: ``primary``, ``secondary`` or ``network``."""
        return str(getattr(self, self.kind))

    @property
    def at_ns(self) -> int | None:
        """Time from the start, or None if that is not what is given."""
        return self.at if isinstance(self.at, int) else None

    @property
    def at_checkpoint(self) -> int | None:
        """Checkpoint of the named step, from 0, or None if a time is given."""
        return self.at.checkpoint if isinstance(self.at, StepMoment) else None

    @property
    def at_step(self) -> str | None:
        """Named step, or None if a time is given."""
        return self.at.step if isinstance(self.at, StepMoment) else None

    @property
    def progress_ppm(self) -> int | None:
        """How far the named step is, or None if a time is given."""
        return self.at.progress_ppm if isinstance(self.at, StepMoment) else None

    @property
    def stream(self) -> str | None:
        """Name of the random stream of its moments, or None if they are not random."""
        if not isinstance(self.at, RandomMoment):
            return None
        return self.at.stream or f"{self.kind}-{self.target}"

    @property
    def for_ns(self) -> int | None:
        """Time after which it ends by itself, or None if it does not."""
        lasting: int | None = getattr(self, "lasting_ns", None)
        return lasting

    @property
    def factor_ppm(self) -> int | None:
        """For ``slow``: the rate or latency is multiplied by this."""
        return None

    @property
    def concerns(self) -> str | None:
        """For ``slow`` and ``fail``: the value of the key ``what``."""
        what: str | None = getattr(self, "what", None)
        return what


class FreezeFault(Fault):
    """The threads of a QEMU process stop; its host's TCP goes on acknowledging."""

    kind = "freeze"
    freeze: _Side = Field(description="Side that freezes.")
    lasting_ns: _TimeOrNone = Field(
        default=None, alias="for", description="Thaws by itself after this time."
    )


class ThawFault(Fault):
    """The threads of a frozen QEMU process go on."""

    kind = "thaw"
    thaw: _Side = Field(description="Side that thaws.")


class KillFault(Fault):
    """A QEMU process is killed; the reset comes when its memory is torn down."""

    kind = "kill"
    kill: _Side = Field(description="Side that is killed.")


_Place = Annotated[str, Choice(("primary", "secondary", "network"), "a side or the network")]


class VanishFault(Fault):
    """A host, or the network, is gone: nothing comes back from it."""

    kind = "vanish"
    vanish: _Place = Field(description="What vanishes.")
    lasting_ns: _TimeOrNone = Field(
        default=None, alias="for", description="Heals by itself after this time."
    )


class HealFault(Fault):
    """What had vanished or was slow is as before."""

    kind = "heal"
    heal: _Place = Field(description="What heals.")


class SlowFault(Fault):
    """The network, or one host's way to it, gets slow."""

    kind = "slow"
    slow: _Place = Field(description="What gets slow.")
    what: Annotated[str, Choice(("bandwidth", "latency"), "what gets slow")] = Field(
        default="bandwidth", description="What the factor multiplies."
    )
    factor: Annotated[int, Measure(FACTOR, 1, 10**12)] = Field(
        description="Multiplies bandwidth or latency; above 0. Stored in millionths."
    )
    lasting_ns: _TimeOrNone = Field(
        default=None, alias="for", description="Heals by itself after this time."
    )

    @property
    def factor_ppm(self) -> int:
        """Factor in millionths."""
        return self.factor


class FailFault(Fault):
    """A function of QEMU returns an error."""

    kind = "fail"
    fail: _Side = Field(description="Side on which it fails.")
    what: Annotated[str, Choice(("device save", "RAM save", "device load"), "what fails")] = Field(
        description=(
            "Which function: the error return of the device save, the RAM save or the device load."
        )
    )
    leaks_lock: _Flag = Field(
        default=False,
        description=(
            "Whether the error path leaves without giving the iothread lock back, as that of the "
            "RAM save did in the developing branches of 2015."
        ),
    )


class BusyFault(Fault):
    """The main loop does something else for a time, with the lock: it serves no command."""

    kind = "busy"
    busy: _Side = Field(description="Side whose main loop is busy.")
    lasting_ns: _TimeAbove0 = Field(alias="for", description="For how long.")


class DisconnectFault(Fault):
    """The cluster manager loses its connection to a side's monitor: it can tell it nothing."""

    kind = "disconnect"
    disconnect: _Side = Field(description="Side whose monitor loses its client.")
    lasting_ns: _TimeOrNone = Field(
        default=None, alias="for", description="Connects again after this time."
    )


FAULT_KINDS: Final[dict[str, type[Fault]]] = {
    "freeze": FreezeFault,
    "thaw": ThawFault,
    "kill": KillFault,
    "vanish": VanishFault,
    "heal": HealFault,
    "slow": SlowFault,
    "fail": FailFault,
    "busy": BusyFault,
    "disconnect": DisconnectFault,
}
"""Every kind of fault by its key."""


def _of_one_kind(value: object) -> object:
    """Refuse what has not exactly one of the keys that name a kind."""
    if isinstance(value, Fault):
        return value
    if not isinstance(value, dict):
        message = (
            f"expected a fault such as {{freeze: secondary, at: 2 s}}; the kinds "
            f"are {', '.join(FAULT_KINDS)}"
        )
        raise reject(message)
    kinds = [key for key in FAULT_KINDS if key in value]
    if len(kinds) == 1:
        return value
    if kinds:
        message = (
            f"a fault is of one kind, but {' and '.join(kinds)} stand together; "
            "make them entries of their own"
        )
        raise reject(message)
    near = next((found for key in value if (found := nearest(str(key), FAULT_KINDS))), None)
    hint = f"; did you mean {near!r}?" if near else ""
    message = f"the fault has no kind; expected one of the keys {', '.join(FAULT_KINDS)}{hint}"
    raise reject(message)


def _fault_tag(value: object) -> str:
    """Name the kind of what `_of_one_kind` let pass."""
    if isinstance(value, Fault):
        return f"tag:{value.kind}"
    return next(
        (f"tag:{key}" for key in FAULT_KINDS if isinstance(value, dict) and key in value),
        "tag:freeze",
    )


AnyFault = Annotated[
    Annotated[FreezeFault, Tag("tag:freeze")]
    | Annotated[ThawFault, Tag("tag:thaw")]
    | Annotated[KillFault, Tag("tag:kill")]
    | Annotated[VanishFault, Tag("tag:vanish")]
    | Annotated[HealFault, Tag("tag:heal")]
    | Annotated[SlowFault, Tag("tag:slow")]
    | Annotated[FailFault, Tag("tag:fail")]
    | Annotated[BusyFault, Tag("tag:busy")]
    | Annotated[DisconnectFault, Tag("tag:disconnect")],
    Discriminator(_fault_tag),
    BeforeValidator(_of_one_kind),
]


class Liveness(Strict):
    """A safety phase with faults, then a liveness phase without: it must go on within a limit."""

    until_ns: _TimeAbove0 = Field(
        alias="until",
        description="When faults end: what is frozen thaws, what vanished or is slow heals.",
    )
    within_ns: _TimeAbove0 = Field(
        alias="within",
        description="How long after it the pair may take to commit, or a survivor to serve.",
    )


# --- cluster manager ------------------------------------------------------------------------------


class Watch(Strict):
    """How the cluster manager watches one host, where that differs from the other."""

    heartbeat_ns: _TimeOrNone = Field(
        default=None, alias="heartbeat", description="Time between two heartbeats of this host."
    )
    timeout_ns: _TimeOrNone = Field(
        default=None, alias="timeout", description="This host, silent for so long, is lost."
    )


class Manager(Strict):
    """The cluster manager: how it finds out that a host is lost, and what it does then."""

    heartbeat_ns: _TimeAbove0 = Field(
        default=10**9,
        alias="heartbeat",
        description="Time between two heartbeats that it asks for.",
    )
    timeout_ns: _TimeAbove0 = Field(
        default=3 * 10**9,
        alias="timeout",
        description="A host silent for so long is taken for lost.",
    )
    primary: Watch | None = Field(
        default=None, description="How it watches the primary's host, if otherwise."
    )
    secondary: Watch | None = Field(
        default=None, description="How it watches the secondary's host, if otherwise."
    )
    policy: Annotated[
        str, Choice(("lost-heartbeat", "yank-then-lost-heartbeat", "wait"), "a policy")
    ] = Field(
        default="lost-heartbeat", description="What it sends to the survivor; 'wait' sends nothing."
    )
    answered_by: Annotated[str, Choice(("agent", "monitor"), "who answers heartbeats")] = Field(
        default="agent",
        description=(
            "Who answers: the host's cluster agent, or QEMU's monitor (deaf when the lock is held)."
        ),
    )
    hears_exit: _Flag = Field(
        default=False,
        description=(
            "Whether it listens to COLO_EXIT events: at one with an error it tells the primary, "
            "which has the newest state, that its peer is lost. Else nobody acts on an error."
        ),
    )
    fence: _Flag = Field(
        default=False,
        description="Whether it powers the lost host off before the survivor takes over.",
    )
    fence_time_ns: _Time = Field(
        default=0,
        alias="fence_time",
        description="How long fencing takes; only then is the survivor told.",
    )
    delay_ns: _Time = Field(default=0, alias="delay", description="Its own reaction time.")
    yank_wait_ns: _Time = Field(
        default=10**9, alias="yank_wait", description="From the yank to the command."
    )

    def watch(self, side: str) -> tuple[int, int]:
        """Return heartbeat period and timeout for the host of `side`, in ns."""
        own: Watch = getattr(self, side) or Watch()
        return own.heartbeat_ns or self.heartbeat_ns, own.timeout_ns or self.timeout_ns


# --- the whole ------------------------------------------------------------------------------------


def _bounds(value: object) -> object:
    """Read the bounds of a mapping design -> key -> text; a Bound is taken as it is."""
    if not isinstance(value, dict):
        message = "expected a mapping of designs, such as {split: {verdict: hung}}"
        raise reject(message)
    read: dict[str, dict[str, Bound]] = {}
    for design, stated in value.items():
        if not isinstance(stated, dict):
            message = (
                f"{show(design)}: expected a mapping of summary keys to bounds, "
                f"such as {{verdict: hung}}"
            )
            raise reject(message)
        read[design] = {}
        for key, bound in stated.items():
            try:
                read[design][key] = (
                    bound if isinstance(bound, Bound) else parse_bound(key, str(bound))
                )
            except BoundError as error:
                raise reject(str(error)) from None
    return read


class _Expectations:
    """Reads ``expect:``."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: object, _handler: object
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(_bounds)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: object, _handler: object) -> dict[str, Any]:
        bound = {
            "type": ["string", "integer"],
            "examples": ["< 100 ms", "<= 5 MiB", ">= 3", "1 ms .. 5 ms", "hung"],
        }
        return {
            "type": "object",
            "additionalProperties": {"type": "object", "additionalProperties": bound},
        }


OPTIONS_PATTERN: Final = r"(?:\+[a-z][a-z0-9-]*(?:=[A-Za-z0-9.]+)?)*"
"""What may follow a design's name: remedies, which the designs know."""

_DesignName = Annotated[
    str, Text("the name of a design, or one with remedies", NAME_PATTERN + OPTIONS_PATTERN, 300)
]


class Scenario(Strict):
    """One scenario: everything that a run depends on besides the design."""

    name: _Name = Field(description="Name of the scenario; run directories are called after it.")
    description: Annotated[str, Text("a text")] = Field(
        default="", description="What the scenario shows."
    )
    designs: tuple[_DesignName, ...] = Field(
        default=DEFAULT_DESIGNS, min_length=1, description="Designs to run, in the order of tables."
    )
    seed: Annotated[int, Measure(COUNT, 0, 2**64 - 1)] = Field(
        default=1, description="Seed of every random stream."
    )
    model: Annotated[str, Choice(("fast", "reference"), "a model of lock and network")] = Field(
        default="fast",
        description=(
            "How lock and network are computed: in closed form, or ('reference') step by step by "
            "stock SimPy processes, slowly, to compare with."
        ),
    )
    checkpoints: Annotated[int | None, Measure(COUNT, 1, 10**9)] = Field(
        default=None, description="Length of the run in checkpoints (20 if no length is given)."
    )
    duration_ns: Annotated[int | None, Measure(TIME, 1, TIME_NS_MAX)] = Field(
        default=None,
        alias="duration",
        description="Length of the run in simulated time, instead of checkpoints.",
    )
    horizon_ns: _TimeAbove0 = Field(
        default=1000 * 10**9,
        alias="horizon",
        description="How long a run of so many checkpoints may take before it is judged.",
    )
    warmup: Annotated[int, Measure(COUNT, 0, 10**9)] = Field(
        default=0, description="First checkpoints that are left out of the statistics."
    )
    checkpoint_delay_ns: _Time = Field(
        default=200 * 10**6,
        alias="checkpoint_delay",
        description="From the end of a transaction to the start of the next (x-checkpoint-delay).",
    )
    guest: Guest = Field(default_factory=Guest, description="The virtual machine.")
    hosts: Hosts = Field(
        default_factory=lambda: Hosts.model_validate({}), description="Costs of the two hosts."
    )
    network: Network = Field(
        default_factory=lambda: Network.model_validate({}), description="Link and TCP."
    )
    faults: tuple[AnyFault, ...] = Field(
        default=(), max_length=100, description="What goes wrong, and when."
    )
    liveness: Liveness | None = Field(
        default=None, description="When faults end, and how soon the pair or a survivor goes on."
    )
    manager: Manager = Field(default_factory=Manager, description="The cluster manager.")
    measured: dict[
        str,
        Annotated[
            str,
            Text(
                "a measured table such as 'qemu25/old-ram512-n16384-bw0'",
                r"[A-Za-z0-9][A-Za-z0-9._/-]*",
                200,
            ),
        ],
    ] = Field(
        default_factory=dict, description="Measured tables to show beside the simulated, by design."
    )
    expect: Annotated[dict[str, dict[str, Bound]], _Expectations] = Field(
        default_factory=dict,
        description=(
            "Bounds on the summary by design ('*': every design), such as "
            "{split: {pause_ns.p99: < 100 ms}}."
        ),
    )

    def vary(self, values: Mapping[str, object]) -> Scenario:
        r"""Return a scenario in which other values stand, held to all that a file is held to.

        Keys are those of a file, with dots, and set what ``--set`` sets: keys that exclude the one
        set are taken out, ``None`` takes the key out itself, so that its default holds.  A text is
        read as in a file (``"2 s"``); a whole number needs no unit and is in the base unit (bytes,
        ns, pages; shares and factors are as a file has them).  What is not set stays as it is; the
        file is not read again.  A CSV file that is set is looked for from the current folder.

        >>> from colosim.scenario import loads
        >>> idle = loads("name: idle\nguest: {dirty: {rate: 5 pages/s, working_set: 1 MiB}}")
        >>> busy = idle.vary({"guest.dirty.pages": 500, "checkpoint_delay": "2 s"})
        >>> busy.guest.dirty, busy.checkpoint_delay_ns
        (FixedDirty(pages=500), 2000000000)

        :raises ScenarioError: with every fault, as for a file; the line is the value's number.
        """
        from colosim.scenario.variation import varied  # noqa: PLC0415 - it knows the model

        return varied(self, values)

    @model_validator(mode="after")
    def _default_length(self) -> Self:
        if self.checkpoints is None and self.duration_ns is None:
            object.__setattr__(self, "checkpoints", 20)
        return self

    @model_validator(mode="after")
    def _possible(self, info: ValidationInfo) -> Self:
        """Refuse impossible combinations, unless the caller looks for them itself."""
        from colosim.scenario.checks import conflicts  # noqa: PLC0415 - checks know the model

        if (info.context or {}).get("conflicts") == "later":
            return self
        found = [conflict.message for conflict in conflicts(self)]
        if found:
            raise reject("; ".join(found))
        return self
