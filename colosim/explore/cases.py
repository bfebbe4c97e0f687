"""The cases of an exploration: design x side x step x moment x fault x victim."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from colosim.designs.registry import load_design
from colosim.engine.clock import PPM
from colosim.explore.choices import (
    ChoicesError,
    Replay,
    enumerate_cases,
    parse,
    written,
)
from colosim.explore.faults import fault_of, requested_faults, socket_of, victims_of
from colosim.faults.steps import AFTER, BEFORE, READS, RECEIVES, SENDS, WRITES, Step
from colosim.runs.simulation import protocol_of
from colosim.scenario.service import COMPARED
from colosim.scenario.units import SHARE, UnitError
from colosim.scenario.units import parse as parse_quantity
from colosim.trace.events import PRIMARY, SECONDARY

if TYPE_CHECKING:
    from colosim.explore.choices import Chooser
    from colosim.scenario.faults import Fault
    from colosim.scenario.model import Scenario

CHECKPOINT = 1
"""The checkpoint that faults strike, from 0: the first whose buffers are warm."""
CHECKPOINTS = 4
"""How many checkpoints a pair must commit that is to count as well again."""
PPM_PER_PERCENT = 10_000
_NAME_CHARACTERS = 80

WAITING, HALFWAY = "while it waits", "during 50%"
FIRST_BYTE, FULL, REST_FITS, LAST_BYTE = "first byte", "buffers full", "rest fits", "last byte"
_ANY_SHARE = "during …"


def base_of(scenario: Scenario) -> Scenario:
    """Return the scenario as its cases run it: short, without faults and bounds of its own."""
    return scenario.model_copy(
        update={
            "description": "",
            "checkpoints": CHECKPOINTS,
            "duration_ns": None,
            "warmup": 0,
            "faults": (),
            "commands": (),
            "measured": {},
            "expect": {},
        }
    )


@dataclass(frozen=True, slots=True)
class Case:
    """One case; `choices` has its labels in the order in which they were chosen."""

    design: str
    choices: dict[str, str]
    faults: tuple[Fault, ...]

    @property
    def text(self) -> str:
        """The list of choices that replays it."""
        return written(self.choices)

    def scenario(self, base: Scenario) -> Scenario:
        """Return the scenario that runs it."""
        return base.model_copy(update={"designs": (self.design,), "faults": self.faults})


class Space:
    """Every case of some designs and faults under one scenario.

    `depth`: how many faults strike, the second at the same moment as the first or later.
    `command`: the words that run the scenario as its user named it, for commands that replay a
    case; without it ``colosim run`` and the scenario's name.
    """

    def __init__(
        self,
        scenario: Scenario,
        designs: Sequence[str] = (),
        faults: Sequence[str] = (),
        depth: int = 1,
        command: Sequence[str] = (),
    ) -> None:
        self.base = base_of(scenario)
        self.designs = tuple(dict.fromkeys(designs)) or scenario.designs
        self.command = tuple(command) or ("colosim", "run", scenario.name)
        self.faults = requested_faults(faults)
        if not faults and scenario.network.bandwidth_bytes_per_s is None:
            # What has no limit does not get slower by a factor.
            self.faults = tuple(one for one in self.faults if "bandwidth" not in one)
        self.depth = depth
        self._steps: dict[str, dict[tuple[str, str], Step]] = {}
        self._known: dict[str, list[tuple[Step, str, list[str]]]] = {}
        self._made: dict[tuple[Step, str, str, str], Fault] = {}

    def steps(self, design: str) -> dict[tuple[str, str], Step]:
        """Return the protocol steps of a design under this scenario, by side and name."""
        if design not in self._steps:
            found = protocol_of(load_design(design), self.base, CHECKPOINT)
            self._steps[design] = {(step.side, step.name): step for step in found}
        return self._steps[design]

    def __iter__(self) -> Iterator[Case]:
        """Yield every case, in order."""
        return enumerate_cases(self._build) if self.count() else iter(())

    def replay_command(self, case: Case) -> str:
        """Return the command that runs one case again, as a shell reads it."""
        return shlex.join([*self.command, "--choices", case.text])

    def count(self) -> int:
        """Return how many cases there are, without building them."""
        return sum(self._count(design) for design in self.designs)

    def _count(self, design: str) -> int:
        weights = [
            sum(len(self._victims(fault, step.side)) for fault in faults)
            for step, _, faults in self._moments(design)
        ]
        total = sum(weights)
        for _ in range(self.depth - 1):
            total = tail = 0
            for weight in reversed(weights):
                tail += weight
                total += weight * tail
        return total

    def replay(self, text: str) -> Case:
        """Return the case of a printed list of choices; ``during 40%`` may be any share.

        Its design may be any that there is, listed or not.

        :raises ChoicesError: if a choice is none, or is asked by nobody.
        :raises DesignError: if there is no such design or remedy.
        """
        chosen = parse(text)
        replay = Replay(chosen)
        depth = 2 if any(label.endswith(" 2") for label in chosen) else 1
        designs = self.designs
        named = chosen.get("design", "")
        if named and named not in designs:
            load_design(named)
            designs = (*designs, named)
        space = Space(self.base, designs, (), depth)
        faults = [words for label, words in chosen.items() if label.startswith("fault")]
        space.faults = tuple(dict.fromkeys((*space.faults, *requested_faults(faults))))
        case = space._build(replay, exact=False)
        replay.check_all_used()
        return case

    # ---- one case ------------------------------------------------------------------------------

    @property
    def _room_bytes(self) -> int:
        network = self.base.network
        return network.send_buffer_bytes + network.receive_buffer_bytes

    def _moments(self, design: str) -> list[tuple[Step, str, list[str]]]:
        """Return each moment of a design, the primary's before the secondary's, and its faults."""
        if design not in self._known:
            steps = self.steps(design).values()
            moments = [
                (step, when, self._faults_at(design, step, when))
                for side in (PRIMARY, SECONDARY)
                for step in steps
                if step.side == side
                for when in moments_of(step, self._room_bytes)
            ]
            self._known[design] = [entry for entry in moments if entry[2]]
        return self._known[design]

    def _victims(self, words: str, side: str) -> tuple[str, ...]:
        return victims_of(words, side, disk=self.base.disk is not None)

    def _faults_at(self, design: str, step: Step, when: str) -> list[str]:
        """Return the faults that can strike there; a function fails as its step begins.

        A socket of the proxy is one of a design whose output is compared.
        """
        functions = step.may_fail if when == BEFORE else ()
        # A lock that is not held cannot be leaked.
        returns = {"fail": functions, "leak": functions if step.lock else ()}
        found = []
        proxy = self.base.service is not None and self.base.mode_of(design) == COMPARED
        for words in self.faults:
            if socket_of(words) and not proxy:
                continue
            kind, _, what = words.partition(" ")
            if kind not in returns:
                found.append(words)
            else:
                named = [name for name in returns[kind] if what in {"", name}]
                found += [f"{kind} {name}" for name in named]
        return list(dict.fromkeys(found))

    def _build(self, chooser: Chooser, *, exact: bool = True) -> Case:
        choices: dict[str, str] = {}

        def choose(label: str, alternatives: Sequence[str]) -> str:
            choices[label] = answer = chooser.choose(label, alternatives)
            return answer

        # A design in which none of the faults can strike has no cases.
        struck = [name for name in self.designs if self._moments(name)] if exact else self.designs
        design = choose("design", struck)
        moments = self._moments(design)
        faults: list[Fault] = []
        for number in range(self.depth):
            label = "" if number == 0 else f" {number + 1}"
            side = choose("side" + label, list(dict.fromkeys(step.side for step, _, _ in moments)))
            here = [entry for entry in moments if entry[0].side == side]
            name = choose("step" + label, list(dict.fromkeys(step.name for step, _, _ in here)))
            here = [entry for entry in here if entry[0].name == name]
            step = here[0][0]
            more = [] if exact or step.kind in {SENDS, RECEIVES} else [_ANY_SHARE]
            when = choose("when" + label, [*(when for _, when, _ in here), *more])
            words = choose("fault" + label, self._faults_at(design, step, when))
            victim = choose("victim" + label, self._victims(words, side))
            faults.append(self._fault(step, when, words, victim))
            first = next((entry for entry in here if entry[1] == when), here[0])
            moments = moments[moments.index(first) :]
        return Case(design, choices, tuple(faults))

    def _fault(self, step: Step, when: str, words: str, victim: str) -> Fault:
        key = (step, when, words, victim)
        if key not in self._made:
            moment = when if when in {BEFORE, AFTER} else "during"
            at: dict[str, object] = {
                "checkpoint": CHECKPOINT,
                "step": f"{step.side}: {moment} {step.name}",
            }
            if when not in {BEFORE, AFTER, WAITING}:
                share = share_ppm(step, when, self._room_bytes)
                at["progress"] = f"{share // PPM_PER_PERCENT}.{share % PPM_PER_PERCENT:04}%"
            self._made[key] = fault_of(words, victim, at)
        return self._made[key]


def case_scenario(scenario: Scenario, text: str, designs: Sequence[str] = ()) -> Scenario:
    """Return the scenario of one case, by its printed list of choices.

    It has the case's design alone, and a name of its own, as it is another run.  `designs`: those
    that it may be of; without, any.

    :raises ChoicesError: if a choice is none, or its design is none of `designs`.
    :raises DesignError: if there is no such design or remedy.
    """
    space = Space(scenario, designs)
    case = space.replay(text)
    if designs and case.design not in designs:
        raise ChoicesError(
            f"design: {case.design!r} is chosen, but --design says {', '.join(designs)}"
        )
    name = f"{scenario.name[:_NAME_CHARACTERS]}-case-{sha256(case.text.encode()).hexdigest()[:8]}"
    return case.scenario(space.base).model_copy(update={"name": name})


def moments_of(step: Step, room_bytes: int) -> list[str]:
    """Return the moments of a step: before and after it, at its blocking point, at its marks.

    `room_bytes`: what both socket buffers take.  A stream's marks: its first byte; when it has
    written what the buffers take; when what is left would fit into empty buffers; its last byte.
    """
    inside = []
    if step.kind == RECEIVES and step.duration_ns > 1:
        inside = [WAITING]
    elif step.kind in {WRITES, READS}:
        inside = [FIRST_BYTE]
        if step.kind == WRITES and step.amount_bytes > room_bytes:
            inside.append(FULL)
        inside.append(HALFWAY)
        if step.amount_bytes > room_bytes:
            inside.append(REST_FITS)
        inside.append(LAST_BYTE)
    elif step.kind != SENDS and step.duration_ns:
        inside = [HALFWAY]
    return [BEFORE, *inside, AFTER]


def share_ppm(step: Step, when: str, room_bytes: int) -> int:
    """Return how far a step is at a moment inside it, in millionths.

    :raises ChoicesError: if it is a share that cannot be read, or none from 0% to 100%.
    """
    amount = max(1, step.amount_bytes)
    marks = {
        FIRST_BYTE: 1,
        FULL: room_bytes,
        REST_FITS: amount - room_bytes,
        LAST_BYTE: amount,
    }
    if when in marks:
        return min(PPM, max(1, -(-marks[when] * PPM // amount)))
    words = when.removeprefix("during ")
    try:
        share = parse_quantity(words, SHARE)
    except UnitError as error:
        raise ChoicesError(f"when: {error}") from None
    if not 0 <= share <= PPM:
        raise ChoicesError(f"when: {words!r} is no share of a step; expected 0% to 100%")
    return share
