"""A run judged both ways where chance decides who gets an iothread lock next."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from colosim.runs.simulation import Simulation
from colosim.runs.verdict import judge

if TYPE_CHECKING:
    from colosim.runs.verdict import Judgement

_OTHER = {"fifo": "barging", "barging": "fifo"}


def judge_both_ways(simulation: Simulation) -> Judgement:
    """Judge a simulation that has run; with `otherwise` if its verdict hangs on ``lock``.

    Where somebody waited as a thread gave the lock back and asked for it again within 20 us
    (`colosim.host.lock.IothreadLock.contested`), the run is simulated with the other ``lock`` too.
    """
    judgement = judge(simulation)
    if not any(host.lock.contested for host in simulation.hosts.values()):
        return judgement
    other = Simulation(
        simulation.scenario.model_copy(update={"lock": _OTHER[simulation.scenario.lock]}),
        type(simulation.design),
        seed=simulation.seed,
        keep=False,
    )
    if simulation.checks is not None:
        other.check()
    ends = judge(other.run())
    if ends.verdict == judgement.verdict:
        return judgement
    words = f"with lock: {other.scenario.lock} it is {ends.verdict} ({ends.reason})"
    return replace(judgement, otherwise=replace(ends, reason=words))
