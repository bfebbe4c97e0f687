"""What an explanation says was given: scenario, faults, commands, and what the manager did."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from colosim.analysis.held_back import held_back
from colosim.analysis.timeline import MS, duration, moment_of, place, seconds, size
from colosim.analysis.wait_for import SIDES
from colosim.scenario.canonical import plain_keys
from colosim.scenario.faults import RandomMoment
from colosim.scenario.units import FACTOR, FAULT_RATE
from colosim.scenario.units import text_of as quantity
from colosim.trace import events as ev
from colosim.trace.events import PRIMARY, SECONDARY

if TYPE_CHECKING:
    from colosim.analysis.timeline import Excerpt
    from colosim.runs.simulation import Simulation
    from colosim.scenario.faults import Fault, Planned
    from colosim.scenario.manager import Manager
    from colosim.scenario.model import Scenario
    from colosim.scenario.network import Network
    from colosim.trace.record import Timed

FAULTS_MAX = 10
MANAGER_LINES_MAX = 12
_SILENCING = ("freeze", "kill", "vanish")


def facts(simulation: Simulation, excerpt: Excerpt) -> list[tuple[str, str]]:
    """Return heads and texts: scenario, design, network, faults and cluster manager."""
    scenario = simulation.scenario
    design = type(simulation.design)
    described = (
        f"{scenario.name}: {scenario.description}" if scenario.description else scenario.name
    )
    rows = [
        ("Scenario", described),
        ("Design", f"{design.name}: {design.summary}"),
        ("Network", _link(scenario.network)),
    ]
    waited = None
    if not simulation.injector.struck:
        waited = held_back(simulation, excerpt.events)
    if waited is not None:
        rows.append(("Wait", waited))
    rows += [("Operator", text) for text in _typed(simulation, excerpt)]
    struck = simulation.injector.struck
    for index, (at_ns, fault) in enumerate(struck[:FAULTS_MAX]):
        again = fault.kind == "fail" and any(fault is one for _, one in struck[:index])
        text = f"the {fault.target}'s {fault.concerns} fails" if again else fault_in_words(fault)
        rows.append(("Fault", f"{moment_of(at_ns)}: {text}"))
    if len(struck) > FAULTS_MAX:
        rows.append(("", f"and {len(struck) - FAULTS_MAX} more"))
    did = _did(simulation, excerpt)
    if struck or did:
        rows += _manager(simulation, did)
    for missed in simulation.injector.never_struck:
        head = "Operator" if missed.kind == "command" else "Fault"
        rows.append((head, f"{fault_in_words(missed)}: its moment never came"))
    return rows


def given(scenario: Scenario) -> list[tuple[str, str]]:
    """Return heads and texts of what a scenario gives every design: load, network, faults."""
    guest = scenario.guest
    load = f"{size(guest.ram_bytes)} of RAM, dirty: {_flow(plain_keys(guest.dirty))}"
    rows = [("Load", load)]
    if scenario.service is not None:
        rows.append(("Clients", _flow(plain_keys(scenario.service, stated=True))))
    rows.append(("Network", _link(scenario.network)))
    for planned in (*scenario.faults, *scenario.commands):
        at = "" if planned.at_ns is None else f" at {moment_of(planned.at_ns)}"
        rows.append(("Fault", f"{fault_in_words(planned)}{at}"))
    return rows if scenario.faults or scenario.commands else [*rows, ("Fault", "none")]


def _flow(value: object) -> str:
    """Return keys and texts as a scenario has them in one line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_flow(item)}' for key, item in value.items())}}}"
    return str(value)


def _link(network: Network) -> str:
    bandwidth = network.bandwidth_bytes_per_s
    link = "no bandwidth limit" if bandwidth is None else f"{bandwidth / 125e6:g} Gbit/s"
    return (
        f"{link}, {network.latency_ns / 1e6:g} ms one way, "
        f"send buffer {size(network.send_buffer_bytes)}, "
        f"receive buffer {size(network.receive_buffer_bytes)}"
    )


def fault_in_words(fault: Planned) -> str:
    """Say what a fault is: kind, target, what of it, where, for how long."""
    said = f"{fault.kind} {fault.target}"
    if fault.concerns:
        said += f", {fault.concerns}"
    if fault.factor_ppm is not None:
        said += f" times {quantity(fault.factor_ppm, FACTOR)}"
    if getattr(fault, "leaks_lock", False):
        said += ", leaking the lock,"
    if fault.at_step:
        said += f" at checkpoint {fault.at_checkpoint}, {fault.at_step}"
        if fault.progress_ppm:
            said += f", {fault.progress_ppm / 1e4:g}% of it"
    if isinstance(fault.at, RandomMoment):
        said += f", at random, {quantity(fault.at.rate_per_gigaday, FAULT_RATE)}"
    if fault.for_ns is not None:
        said += f", for {_lasting(fault.for_ns)}"
    return said.removesuffix(",")


def _lasting(time_ns: int) -> str:
    """Return a setting in the unit in which people give it."""
    return seconds(time_ns) if time_ns >= 1000 * MS else f"{time_ns / MS:g} ms"


def _manager(simulation: Simulation, did: list[str]) -> list[tuple[str, str]]:
    """Say how the cluster manager is set, and what it saw and did, in order of time."""
    settings = simulation.scenario.manager
    fences = settings.fence and settings.policy != "wait"
    fenced = "powers a lost host off" if fences else "no fencing"
    asks = ", asks the monitors" if settings.answered_by == "monitor" else ""
    said = [f"{_watched(settings)}{asks}, policy {settings.policy}, {fenced}"]
    if not any("for lost" in line for line in did):
        said.append("takes nobody for lost")
    said += did[:MANAGER_LINES_MAX]
    if len(did) > MANAGER_LINES_MAX:
        said.append(f"and {len(did) - MANAGER_LINES_MAX} more")
    return [("" if index else "Manager", text) for index, text in enumerate(said)]


def _watched(settings: Manager) -> str:
    """Say how the two hosts are watched."""
    both = {side: settings.watch(side) for side in SIDES}
    said = {
        side: f"heartbeat {seconds(heartbeat_ns)}, timeout {seconds(timeout_ns)}"
        for side, (heartbeat_ns, timeout_ns) in both.items()
    }
    if both[PRIMARY] == both[SECONDARY]:
        return said[PRIMARY]
    return ", ".join(f"{words} of the {side}" for side, words in said.items())


def _did(simulation: Simulation, excerpt: Excerpt) -> list[str]:
    """Return what the cluster manager saw and did, a sentence each."""
    before = (None, *(event for _, event, _ in excerpt.marks))
    told = (
        (at_ns, _doing(simulation, excerpt, at_ns, event))
        for (at_ns, event, _), cause in zip(excerpt.marks, before, strict=False)
        if not isinstance(cause, ev.OperatorSends | ev.AgentYanks)  # else the command is theirs
    )
    return [f"{moment_of(at_ns)}: {text}" for at_ns, text in told if text]


def _typed(simulation: Simulation, excerpt: Excerpt) -> list[str]:
    """Return what an operator has sent, and what became of it."""
    return [
        f"{moment_of(at_ns)}: {_doing(simulation, excerpt, at_ns, then) or event.what}"
        for (at_ns, event, _), (_, then, _) in pairwise(excerpt.marks)
        if isinstance(event, ev.OperatorSends)
    ]


def _doing(simulation: Simulation, excerpt: Excerpt, at_ns: int, event: ev.Event) -> str:
    """Return one event of the cluster manager's as a sentence, nothing if it is none of its own."""
    match event:
        case ev.CommandServed(side, command, True):
            return f"{command} to the {side}, served out of band"
        case ev.CommandReceived(side, command):
            return f"{command} to the {side}, {_fate(excerpt.marks, side, command, at_ns)}"
        case ev.CommandDropped():
            return ""
        case ev.PeerLost(side):
            return f"takes the {side} for lost{_silence(simulation, side, at_ns)}"
        case ev.CommandUnsent():
            return f"{event.what}: not connected"
        case ev.PoweredOff(side):
            return f"powers the {side} off"
        case ev.ByManager():
            return event.what
    return ""


def _fate(marks: Sequence[Timed], side: str, command: str, sent_ns: int) -> str:
    """Say what became of a command."""
    served, dropped = ev.CommandServed(side, command), ev.CommandDropped(side, command)
    for at_ns, event, waited_ns in marks:
        if event == served and at_ns - waited_ns == sent_ns:
            return f"served {duration(waited_ns)} later" if waited_ns else "served at once"
        if event == dropped and at_ns >= sent_ns:
            return f"lost with its client {duration(at_ns - sent_ns)} later"
    return "never served"


def _silence(simulation: Simulation, side: str, lost_ns: int) -> str:
    """Say for how long `side` had been silent when it was taken for lost, if that is known.

    It is for a fault that by itself, with the settings of the manager, explains that moment.
    """
    settings = simulation.scenario.manager
    if settings.answered_by != "agent":
        return ""
    heartbeat_ns, timeout_ns = settings.watch(side)
    struck = simulation.injector.struck
    for at_ns, fault in struck:
        due_ns = max(at_ns, at_ns // heartbeat_ns * heartbeat_ns + timeout_ns)
        if fault.kind in _SILENCING and fault.target in {side, "network"} and due_ns == lost_ns:
            later = duration(lost_ns - at_ns)
            if len(struck) == 1:
                return f", {later} after the fault"
            return f", {later} after the {fault.kind} of {_of(fault)}"
    return ""


def _of(fault: Fault) -> str:
    if fault.target == "network" or fault.kind == "vanish":
        return place(fault.target)
    return f"the {fault.target}"
