"""What became of one case: verdict, how long nobody served or was told, and what freed it."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from colosim.failover.state import COMMAND
from colosim.runs.simulation import Simulation
from colosim.runs.verdict import COMPLETED, NOT_APPLICABLE, Judgement, judge

if TYPE_CHECKING:
    from colosim.analysis.exploration.cases import Case
    from colosim.scenario.model import Scenario

__all__ = ["COLUMNS", "Outcome", "freed_by", "run_case"]

COLUMNS: Final = (
    "design",
    "side",
    "step",
    "when",
    "fault",
    "victim",
    "choices",
    "verdict",
    "survivor",
    "service_lost_ns",
    "monitor_deaf_ns",
    "freed_by",
    "checkpoints",
    "reason",
    "digest",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case and how it ended.

    `side`, `step`, `when`, `fault` and `victim` are those of the (first) fault; `choices` replays
    it.  `service_lost_ns` is the longest time that no guest served, `monitor_deaf_ns` the longest
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


def run_case(base: Scenario, case: Case) -> Outcome:
    """Run one case: the same simulation, event for event, as ``colosim run --choices``."""
    simulation = Simulation(case.scenario(base), case.design)
    simulation.check(shlex.join(["colosim", "run", base.name, "--choices", case.text]))
    simulation.run()
    missed = simulation.injector.never_struck
    judgement = judge(simulation)
    if missed:
        steps = ", ".join(str(fault.at_step) for fault in missed)
        judgement = Judgement(NOT_APPLICABLE, None, f"nothing struck at {steps}: it never came")
    chosen = case.choices
    return Outcome(
        design=case.design,
        side=chosen["side"],
        step=chosen["step"],
        when=chosen["when"],
        fault=chosen["fault"],
        victim=chosen["victim"],
        choices=case.text,
        verdict=judgement.verdict,
        survivor=judgement.survivor,
        service_lost_ns=simulation.service.stopped_longest_ns,
        monitor_deaf_ns=max(host.lock.deaf_longest_ns for host in simulation.hosts.values()),
        freed_by=None if missed else freed_by(simulation, judgement),
        checkpoints=simulation.committed,
        reason=judgement.reason,
        digest=simulation.record.digest,
    )


def freed_by(simulation: Simulation, judgement: Judgement) -> str | None:
    """Return what let the pair or the survivor go on, in the order in which it came."""
    side = judgement.survivor
    words = {
        f"{side}: connection timed out": "TCP gives up",
        f"{side}: send fails (send timed out)": "send timeout",
        f"{side}: monitor serves yank out of band": "yank",
    }
    ends = []
    for at_ns, name, _ in simulation.record:
        if name.endswith(": process thawed"):
            ends.append((at_ns, "thaw"))
        elif name.startswith("fault ends: "):
            ends.append((at_ns, "heal"))
        elif name in words:
            ends.append((at_ns, words[name]))
    if judgement.verdict == COMPLETED:
        return ", ".join(dict.fromkeys(word for _, word in ends)) or None
    if side is None or not simulation.failovers[side].done:
        return None
    for command in simulation.hosts[side].monitor.commands:
        served_ns = command.served_ns
        if command.name != COMMAND or served_ns is None:
            continue
        yanked = [word for _, word in ends if word == "yank"]
        waited = [word for at_ns, word in ends if command.sent_ns <= at_ns <= served_ns]
        if served_ns == command.sent_ns:
            return ", ".join((*yanked, COMMAND))
        return ", ".join((*yanked, waited[-1] if waited else "end of the hold", COMMAND))
    return None
