"""Designs that ask more of the array engine than those that ship; nothing in them knows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from colosim.designs.design import Design
from colosim.designs.messages import (
    CHECKPOINT_REPLY,
    CHECKPOINT_REQUEST,
    VMSTATE_LOADED,
    VMSTATE_RECEIVED,
    VMSTATE_SEND,
    Message,
)
from colosim.designs.qsb import Qsb
from colosim.designs.split import Split
from colosim.engine.clock import per_byte_ns
from colosim.network.section import Section
from colosim.trace.purpose import Purpose

if TYPE_CHECKING:
    from colosim.designs.design import Steps
    from colosim.designs.primary import Primary
    from colosim.designs.secondary import Secondary

HALF, TICK = Message("HALF"), Message("TICK")
FEW, MANY = Message("FEW", 5), Message("MANY", 4)


class Paced(Split):
    """The delay counts from request to request, with at least 1 ms of run."""

    name, summary, origin = "paced", "s", "o"
    begun_ns = 0

    def wait_for_checkpoint(self, p: Primary) -> Steps:
        """Sleep what is left of the delay."""
        yield p.thread.sleep(max(p.delay_ns - (p.env.now - self.begun_ns), 1_000_000))
        self.begun_ns = p.env.now


class Adaptive(Qsb):
    """Every checkpoint after one with many pages comes after half the delay."""

    name, summary, origin = "adaptive", "s", "o"

    def wait_for_checkpoint(self, p: Primary) -> Steps:
        """Sleep the delay, or half of it."""
        delay = p.delay_ns
        if p.dirty_pages > 10_000:
            delay //= 2
        yield p.thread.sleep(delay)


class Branching(Split):
    """Few pages are staged with the devices, many are streamed; a message says which."""

    name, summary, origin = "branching", "s", "o"
    few = False

    def checkpoint(self, p: Primary) -> Steps:
        """Stage all, or stream RAM."""
        yield from p.send(CHECKPOINT_REQUEST)
        yield from p.receive(CHECKPOINT_REPLY)
        with (yield from p.lock(Purpose.STOP)):
            yield from p.stop_guest()
        yield from p.send(VMSTATE_SEND)
        guest = p.host.guest
        few = guest.dirtied(p.checkpoint) < 5000
        self.few = bool(few)
        yield from p.send(FEW if few else MANY)
        with (yield from p.lock(Purpose.SAVE)):
            if few:
                yield from p.save_vmstate()
            else:
                yield from self.save(p)
        yield from p.send_size()
        yield from p.send_staged()
        yield from p.receive(VMSTATE_RECEIVED)
        yield from p.receive(VMSTATE_LOADED)
        with (yield from p.lock(Purpose.START)):
            yield from p.start_guest()

    def load(self, s: Secondary) -> Steps:
        """Load it as it comes."""
        yield from s.receive(CHECKPOINT_REQUEST)
        yield from s.send(CHECKPOINT_REPLY)
        yield from s.receive(VMSTATE_SEND)
        yield from s.receive(FEW)
        few = self.few
        if not few:
            yield from s.load_ram()
        yield from s.receive_size()
        yield from s.fill_staging()
        yield from s.send(VMSTATE_RECEIVED)
        with (yield from s.lock(Purpose.LOAD)):
            yield from s.reset()
            if few:
                yield from s.load_staged_ram()
            yield from s.flush_cache()
            yield from s.load_device_state()
        yield from s.send(VMSTATE_LOADED)


class Duplex(Split):
    """Both sides send small messages at their own pace, across each other."""

    name, summary, origin = "duplex", "s", "o"
    new_steps = ("primary: think", "secondary: think")

    def checkpoint(self, p: Primary) -> Steps:
        """Chat, then as `split`."""
        yield from p.send(CHECKPOINT_REQUEST)
        for _ in range(3):
            yield from p.work("think", p.costs.vm_stop_ns)
            yield from p.send(HALF)
        for _ in range(3):
            yield from p.receive(TICK)
        yield from p.receive(CHECKPOINT_REPLY)
        with (yield from p.lock(Purpose.STOP)):
            yield from p.stop_guest()
        yield from p.send(VMSTATE_SEND)
        yield from p.savevm_state_begin()
        with (yield from p.lock(Purpose.SAVE)):
            yield from self.save(p)
        yield from p.send_size()
        yield from p.send_staged()
        yield from p.receive(VMSTATE_RECEIVED)
        yield from p.receive(VMSTATE_LOADED)
        with (yield from p.lock(Purpose.START)):
            yield from p.start_guest()

    def load(self, s: Secondary) -> Steps:
        """Chat, then as `split`."""
        yield from s.receive(CHECKPOINT_REQUEST)
        for _ in range(3):
            yield from s.work("think", s.costs.reset_ns // 7)
            yield from s.send(TICK)
        for _ in range(3):
            yield from s.receive(HALF)
        yield from s.send(CHECKPOINT_REPLY)
        yield from s.receive(VMSTATE_SEND)
        yield from s.loadvm_state_begin()
        yield from s.load_ram()
        yield from s.receive_size()
        yield from s.fill_staging()
        yield from s.send(VMSTATE_RECEIVED)
        with (yield from s.lock(Purpose.LOAD)):
            yield from s.reset()
            yield from s.flush_cache()
            yield from s.load_device_state()
        yield from s.send(VMSTATE_LOADED)


OWN_DESIGNS: tuple[type[Design], ...] = (Paced, Adaptive, Branching, Duplex)


class _Script:
    """What each side does in a checkpoint: sends and takes messages and streams, and works."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.steps: dict[str, list[tuple[str, Any]]] = {"p": [], "s": []}
        self._due: dict[str, list[tuple[str, Any]]] = {"p": [], "s": []}
        self._act("p", first=True)
        self._take("s")
        for _ in range(int(rng.integers(4, 12))):
            side = "ps"[rng.integers(2)]
            if rng.random() < 0.5:
                self._take(side)
            self._act(side)
            if rng.random() < 0.5:
                self._take("ps"[side == "p"])
        for side in "ps":
            while self._due[side]:
                self._work(side)
                self._take(side)
        # The primary does not run ahead by more than one.
        self._act("s")
        while self._due["p"]:
            self._take("p")

    def _work(self, side: str) -> None:
        if self._rng.random() < 0.6:
            self.steps[side].append(("work", int(10 ** self._rng.uniform(3, 7.5))))

    def _take(self, side: str) -> None:
        if self._due[side]:
            self.steps[side].append(self._due[side].pop(0))

    def _act(self, side: str, *, first: bool = False) -> None:
        rng, other = self._rng, "ps"[side == "p"]
        self._work(side)
        if not first and rng.random() < 0.25:
            size = int(10 ** rng.uniform(2, 6.8))
            self.steps[side].append(("write", size))
            self._due[other].append(("read", size))
        else:
            name = CHECKPOINT_REQUEST.name if first else f"M{len(self.steps[side])}"
            message = Message(name, int(rng.integers(4, 200)))
            self.steps[side].append(("send", message))
            self._due[other].append(("receive", message))


def _play(side: Any, steps: list[tuple[str, Any]]) -> Steps:
    for what, given in steps:
        if what == "work":
            yield from side.work("think", given)
        elif what == "send":
            yield from side.send(given)
        elif what == "receive":
            yield from side.receive(given)
        elif what == "write":
            spent = per_byte_ns(given, side.costs.socket_write_fs_per_byte)
            yield from side.write("think", Section(side.checkpoint, given), spent)
        else:
            yield from side.read(
                "think",
                lambda part: per_byte_ns(part.size_bytes, side.costs.socket_read_fs_per_byte),
            )


def random_protocol(seed: int) -> type[Design]:
    """Return a design in which both sides send messages and streams at their own pace."""
    script = _Script(np.random.default_rng(seed))

    def checkpoint(_self: Design, p: Primary) -> Steps:
        first, *rest = script.steps["p"]
        head = [first] if first[0] == "send" else [first, rest.pop(0)]
        yield from _play(p, head)
        with (yield from p.lock(Purpose.STOP)):
            yield from p.stop_guest()
        yield from _play(p, rest)
        with (yield from p.lock(Purpose.START)):
            yield from p.start_guest()

    def load(_self: Design, s: Secondary) -> Steps:
        yield from _play(s, script.steps["s"])

    return type(
        f"Random{seed}",
        (Design,),
        {
            "name": f"random{seed}",
            "summary": "s",
            "origin": "o",
            "new_steps": ("primary: think", "secondary: think"),
            "checkpoint": checkpoint,
            "load": load,
        },
    )
