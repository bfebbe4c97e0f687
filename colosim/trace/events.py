"""What can happen in a run, simulated or real: one type for each kind of event.

An event says what happens and to whom.  When it happens, in ns since COLO was entered, and one
integer value stand beside it in the record; each type says here what its value means (0 where
nothing is said).  `str` of an event is its sentence, as ``events.csv`` has it.

    >>> str(Sent("primary", "VMSTATE_SEND"))
    'primary: sends VMSTATE_SEND'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Final, dataclass_transform

if TYPE_CHECKING:
    from colosim.trace.purpose import Purpose

PRIMARY: Final = "primary"
SECONDARY: Final = "secondary"
OTHER: Final = {PRIMARY: SECONDARY, SECONDARY: PRIMARY}
"""The other side of each."""

ABORTED: Final = "aborted"
COMMITTED: Final = "committed"

ROOM_FOR: Final = "room in its send buffer ({})"
"""What a thread waits for that has no room for a message."""
CHECKPOINT_TIMER: Final = "the checkpoint timer"
"""What a thread waits for until its next checkpoint is due."""

WRITTEN: Final[Mapping[str, Mapping[object, str]]] = {
    "side": {PRIMARY: PRIMARY, SECONDARY: SECONDARY},
    "pages": {pages: pages for pages in ("dirty", "flushed", "late", "background")},
    "call": {call: call for call in ("send", "receive")},
    "outcome": {outcome: outcome for outcome in (COMMITTED, ABORTED)},
    "leaks_lock": {False: "", True: " and leaks the lock"},
    "out_of_band": {False: "", True: " out of band"},
}
"""How the values of fields that cannot have any other are written; other fields are any text."""


@dataclass_transform(frozen_default=True)
@dataclass(frozen=True)
class Event:
    """Something that happens.  Each kind of event is a frozen dataclass."""

    def __init_subclass__(cls) -> None:
        """Make a dataclass of each subclass."""
        dataclass(frozen=True)(cls)

    subject: ClassVar[str] = ""
    """Who does it, in words in front of the sentence."""
    sentence: ClassVar[str]
    """The event in words, with its fields in braces."""

    @property
    def what(self) -> str:
        """The sentence without who does it."""
        return self._filled(self.sentence)

    def __str__(self) -> str:
        """Return the sentence of this event, with who does it in front."""
        return self._filled(self.subject + self.sentence)

    def _filled(self, sentence: str) -> str:
        words = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, written in WRITTEN.items():
            if name in words:
                words[name] = written[words[name]]
        return sentence.format(**words)


class OnSide(Event):
    """What happens on one side, ``primary`` or ``secondary``."""

    subject = "{side}: "
    side: str


class ByManager(Event):
    """What the cluster manager does or hears, and which side it concerns."""

    subject = "cluster manager: "
    side: str


# ---- the protocol --------------------------------------------------------------------------------


class Sent(OnSide):
    """A protocol message is in the sender's socket buffer.  Value: its bytes."""

    sentence = "sends {message}"
    message: str


class Received(OnSide):
    """A protocol message has been read.  Value: its bytes."""

    sentence = "receives {message}"
    message: str


class StreamBegan(OnSide):
    """A side begins to write a bulk stream.  Value: the bytes that it will write."""

    sentence = "{step} begins"
    step: str


class StreamEnded(OnSide):
    """The last byte of a bulk stream is written (who began it) or read.  Value: its bytes."""

    sentence = "{step} ends"
    step: str


class StreamBroken(OnSide):
    """The write of a bulk stream has failed, and nobody looked."""

    sentence = "{step} broken"
    step: str


class StepDone(OnSide):
    """A thread has done a step of work; a step of a design's own too.  Value: ns that it took."""

    sentence = "{step}"
    step: str


class PagesCounted(OnSide):
    """Pages of a checkpoint: ``dirty``, ``flushed``, ``late``, ``background``.  Value: how many.

    ``flushed`` pages went from the RAM cache into guest RAM, ``late`` ones became dirty while the
    guest still ran, ``background`` ones were sent while it ran.
    """

    sentence = "{pages} pages"
    pages: str


class Staged(OnSide):
    """State has been put into the staging buffer.  Value: all bytes that are in it."""

    sentence = "staged"


class CheckpointEnded(Event):
    """A transaction is over, ``committed`` or ``aborted``.  Value: its number, from 0."""

    sentence = "checkpoint {outcome}"
    outcome: str


# ---- the iothread lock, and other waits ----------------------------------------------------------


class LockWanted(OnSide):
    """A thread begins to wait for the iothread lock, which another has."""

    sentence = "iothread lock wanted by {thread} for {purpose}"
    thread: str
    purpose: Purpose


class LockGot(OnSide):
    """A thread has the iothread lock.  Value: ns that it waited."""

    sentence = "iothread lock got by {thread} for {purpose}"
    thread: str
    purpose: Purpose


class LockReleased(OnSide):
    """A thread gives the iothread lock back.  Value: ns that it had it."""

    sentence = "iothread lock released by {thread} for {purpose}"
    thread: str
    purpose: Purpose


class WaitBegan(OnSide):
    """A thread begins to wait: for a message, room in a buffer, a timer, a command, a thread."""

    sentence = "{thread} waits for {what_for}"
    thread: str
    what_for: str

    @property
    def step(self) -> str:
        """What it waits for; of a full buffer, the step or message that has no room in it."""
        what_for, room = self.what_for, ROOM_FOR.partition("{")[0]
        return what_for[len(room) : -1] if what_for.startswith(room) else what_for


class WaitEnded(OnSide):
    """A thread has what it waited for, or an error instead.  Value: ns that it waited."""

    sentence = "{thread} has waited for {what_for}"
    thread: str
    what_for: str


# ---- guest, process, memory, the end of COLO, and monitors ---------------------------------------


class GuestRunning(OnSide):
    """The guest runs from now on."""

    sentence = "guest running"


class GuestStopped(OnSide):
    """The guest is stopped.  Value: ns that it had run."""

    sentence = "guest stopped"


class ProcessChanged(OnSide):
    """The QEMU process is ``frozen``, ``thawed`` or ``killed``.  Value: of a thaw, ns frozen."""

    sentence = "process {state}"
    state: str


class MemoryLevel(OnSide):
    """An account of memory beyond the guest's RAM changes.  Value: its bytes from now on."""

    sentence = "memory {account}"
    account: str


class CallFailed(OnSide):
    """A ``send`` or ``receive`` call on the connection returns an error."""

    sentence = "{call} fails ({why})"
    call: str
    why: str


class SocketFailed(OnSide):
    """A call on a connection beside the migration's, by QEMU's name for it, returns an error."""

    sentence = "{socket} socket fails ({why})"
    socket: str
    why: str


class ConnectionTimedOut(OnSide):
    """The side's kernel gives the connection up: nothing has come back for too long."""

    sentence = "connection timed out"


class FailureInjected(OnSide):
    """A fault makes a function fail (such as ``device save``); it may leak the iothread lock."""

    sentence = "fault {function} fails{leaks_lock}"
    function: str
    leaks_lock: bool


class FunctionFailed(OnSide):
    """A function that saves or loads state returns an error."""

    sentence = "{function} fails"
    function: str


class ColoExit(OnSide):
    """The COLO thread leaves its loop: on ``request`` of a failover, or with an ``error``."""

    sentence = "COLO exit ({reason})"
    reason: str


class ServesAlone(OnSide):
    """This side's guest serves alone from now on."""

    sentence = "serves alone"


class FailoverPostponed(OnSide):
    """The failover is put off (``loading``: until a checkpoint that is being loaded is loaded)."""

    sentence = "failover postponed ({why})"
    why: str


class FailoverChanged(OnSide):
    """QEMU's failover status, as a real log has it."""

    sentence = "failover {state}"
    state: str


class MigrationChanged(OnSide):
    """QEMU's migration status, as a real log has it."""

    sentence = "migration {state}"
    state: str


class OperatorSends(OnSide):
    """An operator sends a command to a side's monitor."""

    sentence = "operator sends {command}"
    command: str


class AgentYanks(OnSide):
    """The agent on a side's host finds the monitor deaf, and yanks its own QEMU.

    Value: ns since the monitor answered last.
    """

    sentence = "agent yanks its own QEMU"


class CommandReceived(OnSide):
    """A command is in the monitor's socket."""

    sentence = "monitor receives {command}"
    command: str


class CommandServed(OnSide):
    """The monitor begins to serve a command; out of band: at once, without the iothread lock.

    Value: ns that it waited.
    """

    sentence = "monitor serves {command}{out_of_band}"
    command: str
    out_of_band: bool = False


class CommandRefused(OnSide):
    """A command that cannot be served now is answered with an error."""

    sentence = "refuses {command}"
    command: str


class JobScheduled(OnSide):
    """The main loop is to do something of its own, such as a bottom half."""

    sentence = "main loop schedules {job}"
    job: str


# ---- faults and the cluster manager --------------------------------------------------------------


class FaultStruck(Event):
    """A fault of a kind strikes a side or the ``network``."""

    sentence = "fault: {kind} {target}"
    kind: str
    target: str


class FaultEnded(Event):
    """What a fault struck is as before."""

    sentence = "fault ends: {target} is as before"
    target: str


class FaultsOver(Event):
    """All faults end, and none strikes any more."""

    sentence = "faults end"


class PeerLost(ByManager):
    """The cluster manager takes a side for lost."""

    sentence = "{side} is lost"


class PoweredOff(ByManager):
    """The cluster manager fences a side."""

    sentence = "powers {side} off"


class ExitHeard(ByManager):
    """The cluster manager hears that a side has left COLO with an error."""

    sentence = "hears COLO_EXIT (error) of the {side}"


class CommandUnsent(ByManager):
    """The cluster manager has no connection on which to send a command to a side."""

    sentence = "cannot send {command} to the {side}"
    command: str


class CommandDropped(ByManager):
    """A command that waited to be served is lost with the cluster manager's connection."""

    sentence = "{command} to the {side} is dropped"
    command: str


class MonitorLost(ByManager):
    """The cluster manager loses its connection to a side's monitor."""

    sentence = "loses its connection to the {side}'s monitor"


class MonitorRegained(ByManager):
    """The cluster manager is connected to a side's monitor again."""

    sentence = "is connected to the {side}'s monitor again"


class LivenessMissed(Event):
    """The pair did not make progress within the limit that its scenario sets."""

    sentence = "liveness: the limit has passed"
