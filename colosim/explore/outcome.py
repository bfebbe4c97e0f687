"""What became of one case: verdict, how long nobody served or was told, and what freed it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from colosim.analysis.recovery import freed_by
from colosim.runs.lock_choice import judge_both_ways
from colosim.runs.simulation import Simulation
from colosim.runs.summary import deaf_longest_ns

if TYPE_CHECKING:
    from colosim.explore.cases import Case
    from colosim.runs.verdict import Judgement
    from colosim.scenario.model import Scenario


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case and how it ended.

    `side`, `step`, `when`, `fault` and `victim` are those of the (first) fault; `choices` replays
    it.  `depends_on` is ``lock`` where the verdict hangs on who gets the iothread lock next.
    `service_lost_ns` is the longest time that no guest served, `monitor_deaf_ns` the longest
    that a monitor could not be, both up to the end of the run; `freed_by` is what let the pair or
    the survivor go on, None if nothing did or had to.  `checkpoints` counts the committed ones.
    """

    design: str
    side: str
    step: str
    when: str
    fault: str
    victim: str
    choices: str
    verdict: str
    depends_on: str | None
    survivor: str | None
    service_lost_ns: int
    monitor_deaf_ns: int
    freed_by: str | None
    checkpoints: int
    reason: str
    digest: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


COLUMNS = tuple(field.name for field in fields(Outcome))
"""The names of what is said of a case, in order."""


def judged(simulation: Simulation, replay: str | None = None) -> Judgement:
    """Run a simulation with every safety checker on, and return how it ended.

    `replay`: the command that a violation tells.
    """
    simulation.check(replay)
    simulation.run()
    return judge_both_ways(simulation)


def run_case(base: Scenario, case: Case, replay: str | None = None) -> Outcome:
    """Run one case: the same simulation, event for event, as ``colosim run --choices``.

    `replay`: the command that runs it so.
    """
    simulation = Simulation(case.scenario(base), case.design)
    judgement = judged(simulation, replay)
    return Outcome(
        design=case.design,
        **{name: case.choices[name] for name in ("side", "step", "when", "fault", "victim")},
        choices=case.text,
        verdict=judgement.verdict,
        depends_on=judgement.depends_on,
        survivor=judgement.survivor,
        service_lost_ns=simulation.service.stopped_longest_ns,
        monitor_deaf_ns=deaf_longest_ns(simulation.tally, judgement.survivor),
        freed_by=freed_by(list(simulation.record), judgement),
        checkpoints=simulation.committed,
        reason=judgement.sentence,
        digest=simulation.record.digest,
    )
