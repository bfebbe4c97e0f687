"""The fast network against the reference of stock SimPy processes, whatever happens to either end.

Each send and receive of a random conversation ends in both with the same outcome, at the same time
but for a chunk's service at each stage, and the buffers are as full.  A case whose fault lies so
close to a boundary that the reference itself gives another answer a chunk's service sooner or later
says nothing, nor does one in which Nagle decides otherwise at a tenth more or less of latency: it
is an edge, and of these there must be few.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

from colosim.network.reference import CHUNK_BYTES
from colosim.trace.events import PRIMARY, SECONDARY
from tests.reference.conversation import WAKE_NS, Conversation, Passes, Told, scenario_of

NS_PER_S = 10**9
KIB = 1024
PAGE = 4 * KIB
MS = 10**6
PPM = 10**6
AGREES, EDGE, PARTS = "agrees", "edge", "parts"
SOME, MANY = 20, 1000
EDGES_AT_MOST = 0.1
PART_AT_MOST = 0.005
"""Of many cases.  Known: how Nagle decides after the tail of a bulk write whose reader came late,
and a reset's moment within a chunk."""
SIDES = (PRIMARY, SECONDARY)
NEVER = (-(10**18), "")
GRID = 8


@dataclass(frozen=True)
class Fault:
    """What strikes at a share of the undisturbed conversation, and what it multiplies."""

    what: str
    at_ppm: int
    factor: float = 1.0
    latency_factor: int = 1


@dataclass(frozen=True)
class Case:
    """A network, a conversation over it, and what goes wrong."""

    latency_us: int
    bandwidth: int
    send_kib: int
    receive_kib: int
    nagle: bool
    delayed_ack: bool
    script: tuple[Passes, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def network(self) -> str:
        """The network as a scenario has it; without grid of ACK timers, which one ns may miss."""
        return (
            f"{{latency: {self.latency_us} us, bandwidth: {self.bandwidth} B/s, framing: 1/1, "
            f"send_buffer: {self.send_kib} KiB, receive_buffer: {self.receive_kib} KiB, "
            f"nagle: {str(self.nagle).lower()}, delayed_ack: {str(self.delayed_ack).lower()}, "
            "ack_tick: 1 ns, ack_tick_phase: 0 s, slow_start_after_idle: false, burst: 0 B}"
        )

    @property
    def chunk_bytes(self) -> int:
        """What the reference moves in one go."""
        return min(CHUNK_BYTES, min(self.send_kib, self.receive_kib) * KIB // 2)

    @property
    def window_bytes(self) -> int:
        """What may be under way at once."""
        return min(self.send_kib, self.receive_kib) * KIB

    @property
    def tolerance_ns(self) -> int:
        """What a chunk takes at each stage, of all steps; anew for each fault and its end.

        Latencies where Nagle waits for one or they change, and what they are rounded to.
        """
        factor = min((one.factor for one in self.faults), default=1.0)
        round_trip_ns = (
            2000 * self.latency_us * max((one.latency_factor for one in self.faults), default=1)
        )
        rate = min(self.bandwidth * factor, self.window_bytes * NS_PER_S / round_trip_ns)
        total = 10.0
        for step in self.script:
            size = min(step.size, self.chunk_bytes)
            total += size * NS_PER_S / rate + WAKE_NS + 10
            total += sum(step.spent_ns or ()) * size / step.size
        if self.nagle or any(one.latency_factor > 1 for one in self.faults):
            total += 2 * round_trip_ns
        return int(total * (1 + 2 * len(self.faults)))

    @property
    def slack_bytes(self) -> int:
        """How far levels may part: a chunk in a thread's hands, one on the link, what is lost."""
        lost = any("vanish" in fault.what for fault in self.faults)
        lost = lost or any("vanish" in step.strikes for step in self.script)
        return 2 * self.chunk_bytes + (self.window_bytes if lost else 0)

    def conversation(
        self, model: str, faults: str, looks_ns: list[int] | None = None
    ) -> Conversation:
        """Return the conversation under `model` with `faults`."""
        scenario = scenario_of(self.network, faults, model)
        return Conversation(scenario, list(self.script), looks_ns)


def fails_alike(one: Told, other: Told, side: str, tolerance_ns: int) -> bool:
    """Tell whether a side fails in both, for one reason, a chunk sooner or later: maybe a step."""
    ours, theirs = (
        [end for key, end in told.ends.items() if key[0] == side and end[1]]
        for told in (one, other)
    )
    return bool(ours and theirs) and (
        ours[0][1] == theirs[0][1] and abs(ours[0][0] - theirs[0][0]) <= tolerance_ns
    )


def differs(one: Told, other: Told, tolerance_ns: int) -> list[tuple[object, ...]]:
    """Return the steps of which two conversations do not tell the same."""
    odd: list[tuple[object, ...]] = []
    for key in {**one.ends, **other.ends}:
        at_ns, reason = one.ends.get(key, NEVER)
        then_ns, because = other.ends.get(key, NEVER)
        far = at_ns != then_ns and abs(at_ns - then_ns) > tolerance_ns
        if (far or reason != because) and not fails_alike(one, other, key[0], tolerance_ns):
            odd.append((key, (at_ns, reason), (then_ns, because)))
    return odd


def faults_of(moments: list[tuple[int, str]], later_ns: int = 0) -> str:
    """Return faults as a scenario has them."""
    timed = [f"{{{what}, at: {max(0, at_ns + later_ns)} ns}}" for at_ns, what in moments]
    return f"[{', '.join(timed)}]"


def verdict(case: Case) -> str:
    """Run a case in both models; say whether they agree, or that it is an edge.

    :raises AssertionError: if they do not agree.
    """
    calm = replace(case, script=tuple(replace(step, strikes="") for step in case.script))
    whole_ns = calm.conversation("fast", "[]").run().end_ns
    moments = [(whole_ns * fault.at_ppm // PPM, fault.what) for fault in case.faults]
    tolerance_ns = case.tolerance_ns
    fast = case.conversation("fast", faults_of(moments)).run()
    slow = case.conversation("reference", faults_of(moments)).run()
    note(f"{faults_of(moments)}, tolerance {tolerance_ns}")
    odd = differs(fast, slow, tolerance_ns)
    if not odd:
        odd = levels_differ(case, faults_of(moments), [whole_ns // 3, whole_ns * 2 // 3])
    if not odd:
        return AGREES
    struck = moments + slow.strikes
    for told, model in ((slow, "reference"), (fast, "fast")):
        for later_ns in (-tolerance_ns, tolerance_ns):
            moved = calm.conversation(model, faults_of(struck, later_ns)).run()
            if differs(moved, told, 2 * tolerance_ns):
                return EDGE
    for tenths in (9, 11):
        other = replace(case, latency_us=-(-case.latency_us * tenths // 10))
        if differs(
            other.conversation("reference", faults_of(moments)).run(), slow, 2 * tolerance_ns
        ):
            return EDGE
    raise AssertionError(odd)


def levels_differ(case: Case, faults: str, looks_ns: list[int]) -> list[tuple[object, ...]]:
    """Return where a buffer is not as full as in the fast network a chunk's service around it."""
    around = [
        at_ns + case.tolerance_ns * share // GRID
        for at_ns in looks_ns
        for share in range(-GRID, GRID + 1)
    ]
    looks = [max(0, at_ns) for at_ns in around]
    fast = case.conversation("fast", faults, looks).run().levels
    slow = case.conversation("reference", faults, looks_ns).run().levels
    odd: list[tuple[object, ...]] = []
    for index, at_ns in enumerate(looks_ns):
        near = [levels for levels in fast if abs(levels[0] - at_ns) <= case.tolerance_ns]
        for buffer in range(1, 5):
            bounds = [levels[buffer] for levels in near]
            level = slow[index][buffer]
            if not min(bounds) - case.slack_bytes <= level <= max(bounds) + case.slack_bytes:
                odd.append((at_ns, buffer, level, min(bounds), max(bounds)))
    return odd


# ---- what is tried -------------------------------------------------------------------------------

sides = st.sampled_from(SIDES)
spans = st.one_of(st.just(0), st.integers(0, MS), st.integers(0, 100 * MS))
per_byte = st.sampled_from([0.0, 0.3, 1.0, 5.0, 20.0])
outages = st.integers(MS, 3000 * MS)
lasting = st.one_of(st.integers(1, MS), st.integers(1, 3000 * MS))
NOTHING: st.SearchStrategy[tuple[Fault, ...]] = st.just(())


def faults(whats: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[Fault, ...]]:
    """Return one or two faults at random moments."""
    one = st.builds(Fault, whats, st.integers(0, PPM))
    return st.lists(one, min_size=1, max_size=2).map(tuple)


def slow(what: str, factors: list[float]) -> st.SearchStrategy[tuple[Fault, ...]]:
    """Return a change of bandwidth or latency, for a time or for good."""
    return st.builds(
        lambda factor, at_ppm, lasts: (
            Fault(
                f"slow: network, what: {what}, factor: {factor}{lasts}",
                at_ppm,
                factor=min(1.0, factor),
                latency_factor=int(max(1, factor)),
            ),
        ),
        st.sampled_from(factors),
        st.integers(0, PPM),
        st.one_of(st.just(""), st.integers(1, 100 * MS).map(", for: {} ns".format)),
    )


KINDS = {
    "plain": NOTHING,
    "frozen": faults(sides.map("freeze: {}".format)),
    "thawed": faults(
        st.tuples(sides, lasting).map(lambda at: "freeze: {}, for: {} ns".format(*at))
    ),
    "killed": faults(sides.map("kill: {}".format)),
    "vanished": faults(st.just("vanish: network")),
    "healed": faults(outages.map("vanish: network, for: {} ns".format)),
    "slower": slow("bandwidth", [0.5, 0.1, 0.01]),
    "farther": slow("latency", [2, 10]),
    "in the instant of a send": NOTHING,
}
INSTANT = ("freeze: {}", "freeze: {}, for: 50 ms", "kill: {}", "vanish: {}", "vanish: {}, for: 1 s")


@st.composite
def scripts(draw: st.DrawFn, chunk_bytes: int) -> tuple[Passes, ...]:
    """Draw what passes: messages, and bulk from a page, less than a chunk, to many chunks."""
    script = []
    for _ in range(draw(st.integers(1, 6))):
        before = (draw(spans), draw(spans))
        if draw(st.booleans()):
            size = draw(
                st.one_of(st.integers(PAGE, chunk_bytes), st.integers(PAGE, 40 * chunk_bytes))
            )
            spent = (int(size * draw(per_byte)), int(size * draw(per_byte)))
            script.append(Passes(draw(sides), size, spent, before))
        else:
            script.append(Passes(draw(sides), draw(st.sampled_from([4, 13, 17])), None, before))
    return tuple(script)


@st.composite
def cases(draw: st.DrawFn, kind: str) -> Case:
    """Draw a case.  Over an outage Nagle is off: what it held then goes along or not."""
    kibs = st.sampled_from([16, 64, 256, 1024, 4096])
    case = Case(
        draw(st.sampled_from([1, 25, 500, 5000])),
        draw(st.sampled_from([20 * MS, 100 * MS, 1000 * MS, 3000 * MS])),
        draw(kibs),
        draw(kibs),
        nagle=kind not in {"vanished", "healed", "in the instant of a send"}
        and draw(st.booleans()),
        delayed_ack=draw(st.booleans()),
    )
    script = draw(scripts(case.chunk_bytes))
    if kind == "in the instant of a send":
        index, what = draw(st.integers(0, len(script) - 1)), draw(st.sampled_from(INSTANT))
        struck = replace(script[index], strikes=what.format(draw(sides)))
        script = (*script[:index], struck, *script[index + 1 :])
    return replace(case, script=script, faults=draw(KINDS[kind]))


def try_out(kind: str, most: int) -> Counter[str]:
    """Try so many cases of a kind, and count what came of them; of a few none may part."""
    counts: Counter[str] = Counter()

    @settings(max_examples=most, suppress_health_check=list(HealthCheck))
    @given(cases(kind))
    def tried(case: Case) -> None:
        try:
            came = verdict(case)
        except AssertionError:
            came = PARTS
            counts[PARTS] += 1
            if counts[PARTS] > PART_AT_MOST * most:
                raise
            return
        event(came)
        counts[came] += 1

    tried()
    return counts


@pytest.mark.parametrize("kind", list(KINDS))
def test_fast_and_reference_agree(kind: str) -> None:
    """A few cases of each kind."""
    try_out(kind, SOME)


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
def test_fast_and_reference_agree_in_many_cases(kind: str) -> None:
    """Many cases of each kind, of which few are edges."""
    counts = try_out(kind, MANY)
    assert counts[EDGE] <= EDGES_AT_MOST * counts.total()
