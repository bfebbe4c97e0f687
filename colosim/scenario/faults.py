"""The faults of a scenario: what goes wrong, and when."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from pydantic import Field

from colosim.scenario import units
from colosim.scenario.checks import check
from colosim.scenario.disk import DISK
from colosim.scenario.fields import (
    A_SHARE,
    NAME_PATTERN,
    TIME_NS_MAX,
    Choice,
    Measure,
    Reader,
    Side,
    Switch,
    Text,
    TimeAbove0,
    TimeOrNone,
    reject,
)
from colosim.scenario.section import Forms, Section
from colosim.scenario.service import SOCKETS
from colosim.scenario.units import meant, show
from colosim.trace.steps import DEVICE_LOAD, DEVICE_SAVE

if TYPE_CHECKING:
    from pathlib import Path

_TIME: Final = Measure(units.TIME, 0, TIME_NS_MAX)
_PLACES: Final = ("primary", "secondary", "network", DISK)
_Place = Annotated[str, Choice(_PLACES, "a side, the network or the disk")]
_Silent = Annotated[
    str,
    Choice((*_PLACES, "channel", *SOCKETS), "a side, the network, the disk, a channel or a socket"),
]
_Socket = Annotated[str, Choice(SOCKETS, "a socket of the proxy")]
_Reader = Annotated[str, Choice(("primary", "secondary", *SOCKETS), "a side or a socket")]


class StepMoment(Section):
    """A moment of the protocol: a step of a checkpoint, and how far it is."""

    example = "{checkpoint: 3, step: 'primary: RAM stream'}"

    checkpoint: Annotated[int, Measure(units.COUNT, 0, 10**9)]
    """Which checkpoint, from 0."""
    step: Annotated[
        str, Text("a step such as 'primary: RAM stream'", r"(primary|secondary): \S.*", 200)
    ]
    """Step of the design, with its side: 'primary: RAM stream'."""
    progress_ppm: Annotated[int | None, A_SHARE] = None
    """Share of the step that is done; without it the fault strikes as the step begins."""

    @classmethod
    def completed(cls, given: dict[str, Any], _folder: Path | None) -> dict[str, Any]:
        """Take a share behind the step for its progress."""
        step = given.get("step")
        name, _, share = step.rpartition(" at ") if isinstance(step, str) else ("", "", "")
        if not (name and share.endswith("%")):
            return {}
        if given.keys() & {"progress", "progress_ppm"}:
            raise reject(f"the step {show(step)} has its share already; expected no progress too")
        return {"step": cls.readers()["step"].read(name), "progress_ppm": A_SHARE.read(share)}


class RandomMoment(Section):
    """Random moments at a constant rate, from a random stream of their own (a Poisson process).

    A fault that ends by itself strikes again and again, one that does not strikes once.
    """

    example = "{rate: 2 /day}"

    rate_per_gigaday: Annotated[int, Measure(units.FAULT_RATE, 1, 10**3 * units.S_PER_GIGADAY)]
    """How often: strikes in a second, minute, hour or day."""
    stream: Annotated[str | None, Text("the name of a random stream", NAME_PATTERN, 100)] = None
    """Random stream that the moments are drawn from; faults that share one strike together. Kind
    and target of the fault unless it is named, as in 'freeze-secondary'.
    """

    @property
    def mean_ns(self) -> Fraction:
        """Mean time between two moments, in ns."""
        return Fraction(units.S_PER_GIGADAY * 10**9, self.rate_per_gigaday)


def _moment(value: object) -> type[Section] | Reader:
    if not isinstance(value, dict):
        return _TIME
    return RandomMoment if {"rate", "rate_per_gigaday"} & value.keys() else StepMoment


class Planned(Section):
    """What a scenario lets happen at a moment: a fault, or a command."""

    kind: ClassVar[str] = ""
    ends: ClassVar[tuple[str, ...]] = ()
    """Kinds of fault that it ends, of the same target."""

    at: Annotated[
        Annotated[int, _TIME] | StepMoment | RandomMoment,
        Forms(_moment, _TIME, StepMoment, RandomMoment),
    ]
    """When: a time from the start, a step of a checkpoint, or at random at a rate."""

    @classmethod
    def advice(cls, key: str) -> str:
        """Say where what belongs to a step of a checkpoint stands."""
        if key not in StepMoment.keys():  # noqa: SIM118 - a class, not a dict
            return ""
        return (
            "goes with a step of a checkpoint, under 'at', such as"
            " at: {checkpoint: 3, step: 'primary: RAM stream', progress: 40%}"
        )

    @property
    def target(self) -> str:
        """What it concerns: a side, ``network``, ``disk`` or ``channel``."""
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
        """How far the named step is, or None if that or a time is not given."""
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
    def concerns(self) -> str | None:
        """For ``slow`` and ``fail``: the value of the key ``what``."""
        what: str | None = getattr(self, "what", None)
        return what

    @property
    def factor_ppm(self) -> int | None:
        """For ``slow``: the rate or latency is multiplied by this."""
        return None


class Fault(Planned):
    """Something that goes wrong at ``at``; one subclass a kind, each with the key of its kind."""

    def may_end(self, begun: Fault) -> bool:
        """Whether it may find `begun` in effect; a step or a random moment may be at any time."""
        if begun.kind not in self.ends or begun.target != self.target:
            return False
        if self.at_ns is None or begun.at_ns is None:
            return True
        lasting_ns = self.at_ns - begun.at_ns
        return lasting_ns >= 0 and (begun.for_ns is None or lasting_ns < begun.for_ns)


class FreezeFault(Fault):
    """The threads of a QEMU process stop; its host's TCP goes on acknowledging."""

    kind = "freeze"
    freeze: _Reader
    """Side that freezes; or a socket of the proxy, ``mirror`` or ``compare``, that is read no more.
    """
    lasting_ns: TimeOrNone = Field(default=None, alias="for")
    """Thaws by itself after this time."""


class ThawFault(Fault):
    """The threads of a frozen QEMU process go on."""

    kind = "thaw"
    ends = ("freeze",)
    thaw: _Reader
    """Side that thaws, or socket that is read again."""


class KillFault(Fault):
    """A QEMU process is killed; the reset comes when its memory is torn down."""

    kind = "kill"
    kill: Side
    """Side that is killed."""


class VanishFault(Fault):
    """A host, or the network, is gone: nothing comes back from it."""

    kind = "vanish"
    vanish: _Silent
    """What vanishes; ``disk`` is the connection of the replicated disk, ``channel`` the first
    multifd channel, of designs that have one, ``mirror`` and ``compare`` the proxy's sockets.
    """
    lasting_ns: TimeOrNone = Field(default=None, alias="for")
    """Heals by itself after this time."""


class CloseFault(Fault):
    """A socket of the proxy is closed: what would go over it is lost."""

    kind = "close"
    close: _Socket
    """Socket that is closed: ``mirror``, of requests, or ``compare``, of the secondary's answers.
    """
    lasting_ns: TimeOrNone = Field(default=None, alias="for")
    """Is connected again after this time (a second with the documented ``reconnect=1``)."""


class HealFault(Fault):
    """What had vanished or was slow is as before."""

    kind = "heal"
    ends = ("vanish", "slow")
    heal: _Silent
    """What heals."""


class SlowFault(Fault):
    """The network, or one host's way to it, gets slow."""

    kind = "slow"
    slow: _Place
    """What gets slow."""
    what: Annotated[str, Choice(("bandwidth", "latency"), "what gets slow")] = "bandwidth"
    """What the factor multiplies."""
    factor: Annotated[int, Measure(units.FACTOR, 1, 10**12)]
    """Multiplies bandwidth or latency; above 0. Stored in millionths."""
    lasting_ns: TimeOrNone = Field(default=None, alias="for")
    """Heals by itself after this time."""

    @property
    def factor_ppm(self) -> int:
        """Factor in millionths."""
        return self.factor


_OF_PRIMARY = ("savevm_state_begin", DEVICE_SAVE, "RAM save")
_OF_SECONDARY = ("loadvm_state_begin", DEVICE_LOAD)


class FailFault(Fault):
    """A function of QEMU returns an error."""

    kind = "fail"
    fail: Side
    """Side on which it fails."""
    what: Annotated[str, Choice((*_OF_PRIMARY, *_OF_SECONDARY), "what fails")]
    """Which function returns an error: a step that saves or loads state."""
    leaks_lock: Switch = False
    """Whether the error path leaves without giving the iothread lock back, as that of the RAM save
    did in the developing branches of 2015.
    """

    @check("what", "fail")
    def _is_of_its_side(self) -> Iterator[str]:
        own = _OF_PRIMARY if self.fail == "primary" else _OF_SECONDARY
        if self.what not in own:
            expected = " or ".join(map(repr, own))
            yield f"the {self.what} is not the {self.fail}'s; expected {expected}"


class BusyFault(Fault):
    """The main loop does something else for a time, with the lock: it serves no command."""

    kind = "busy"
    busy: Side
    """Side whose main loop is busy."""
    lasting_ns: TimeAbove0 = Field(alias="for")
    """For how long."""


class DisconnectFault(Fault):
    """The cluster manager loses its connection to a side's monitor: it can tell it nothing."""

    kind = "disconnect"
    disconnect: Side
    """Side whose monitor loses its client."""
    lasting_ns: TimeOrNone = Field(default=None, alias="for")
    """Connects again after this time."""


_Guest = Annotated[str, Choice(("guest",), "the guest")]


class PanicFault(Fault):
    """The guest panics, and QEMU stops it (``-action panic=pause``, the default up to 5.2)."""

    kind = "panic"
    panic: _Guest
    """The guest, wherever it runs."""


class ShutdownFault(Fault):
    """The guest powers itself off."""

    kind = "shutdown"
    shutdown: _Guest
    """The guest, wherever it runs."""


FAULT_KINDS: Final[dict[str, type[Fault]]] = {kind.kind: kind for kind in Fault.__subclasses__()}
"""Every kind of fault by its key."""


def _kind(value: object) -> type[Fault]:
    """Return the kind of what has exactly one of the keys that name one."""
    names = ", ".join(FAULT_KINDS)
    if not isinstance(value, dict):
        such = "a fault such as {freeze: secondary, at: 2 s}"
        raise reject(f"expected {such}; the kinds are {names}")
    kinds = [key for key in FAULT_KINDS if key in value]
    if len(kinds) > 1:
        together = f"{' and '.join(kinds)} stand together; make them entries of their own"
        raise reject(f"a fault is of one kind, but {together}")
    if not kinds:
        hint = next((hint for key in value if (hint := meant(str(key), FAULT_KINDS))), "")
        raise reject(f"the fault has no kind; expected one of the keys {names}{hint}")
    return FAULT_KINDS[kinds[0]]


AnyFault = Annotated[
    FreezeFault
    | ThawFault
    | KillFault
    | VanishFault
    | CloseFault
    | HealFault
    | SlowFault
    | FailFault
    | BusyFault
    | DisconnectFault
    | PanicFault
    | ShutdownFault,
    Forms(_kind, *FAULT_KINDS.values(), excludes=False),
]
