"""The scenarios that the tests of the analysis share."""

from __future__ import annotations

from colosim.designs import load_designs
from colosim.runs.simulation import Simulation
from colosim.scenario import Scenario, loads

TEXT = """
name: t
description: the destination is lost while RAM is being sent
checkpoints: 6
checkpoint_delay: 500 ms
guest: {ram: 512 MiB, dirty: {pages: 16386}}
hosts: {preset: lab-qemu25}
network: {preset: lab-veth-1gbit, send_buffer: 4 MiB, receive_buffer: 2 MiB}
manager: {fence: false}
"""
STREAM = "at: {checkpoint: 3, step: 'primary: RAM stream', progress: 40%}"


def scenario(*faults: str, overrides: tuple[str, ...] = ()) -> Scenario:
    """Return the shared scenario with these faults, each the inside of a YAML mapping."""
    text = TEXT + "".join(
        f"{'faults:' if not at else ''}\n  - {{{fault}}}" for at, fault in enumerate(faults)
    )
    return loads(text, overrides=overrides, known_designs=tuple(load_designs()))


def simulated(design: str, *faults: str, overrides: tuple[str, ...] = ()) -> Simulation:
    """Return a finished simulation of the shared scenario with these faults."""
    return Simulation(scenario(*faults, overrides=overrides), design).run()
