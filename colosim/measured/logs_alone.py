"""What a stranger's logs would give: a few runs fitted by their logs alone, held against others.

Of the runs that are fitted nothing is kept but what a trace shows: no link, no guest RAM, no
accelerator, no byte that was counted beside the log.  What they do not determine is as in the
default host.  The others are simulated under their conditions with the costs so found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from colosim.measured.cost_file import attributes, base_costs
from colosim.measured.measured import measured, names
from colosim.measured.own_fit import fit_logs
from colosim.measured.own_runs import OwnRun, conditions_of
from colosim.measured.validation import validate
from colosim.scenario import loads

if TYPE_CHECKING:
    from colosim.measured.measurement import MeasuredRun

FITTED: Final = {
    "qemu72": (
        "base_r128_n500_binf_t0",
        "base_r128_n4000_binf_t0",
        "base_r128_n500_b1000_t0",
        "base_r128_n16000_b1000_t0",
        "base_r128_n4000_b200_t0",
        "base_r128_n16000_b200_t0",
    ),
    "qemu111": (
        "base_c0_n500_binf",
        "base_c0_n4000_binf",
        "base_c0_n60000_binf",
        "base_c0_n4000_b1000",
    ),
    "qemu111, KVM": ("kvm_c0_n500_binf", "kvm_c0_n16000_binf"),
}
"""By host the runs that are fitted: of each a few, as somebody would record them."""
_OTHERS: Final = {
    "qemu72": ("base_",),
    "qemu111": ("base_c0_", "x_probe_c0_"),
    "qemu111, KVM": ("kvm_c0_", "kvm_r1024_"),
}
"""What the names of the runs begin with that are held against them: of the same QEMU, plain."""


class Alone(NamedTuple):
    """A run that was not fitted: medians of its pause, and of simulated/measured, less 1."""

    host: str
    run: str
    limited: bool
    measured_ns: float
    simulated_ns: float
    error: float


def bare(run: MeasuredRun) -> OwnRun:
    """Return a run as its logs alone tell it."""
    unknown = loads(f"name: x\ndesigns: ['{run.design}']")
    return OwnRun(
        replace(
            run,
            conditions=conditions_of(unknown),
            checkpoints=tuple(replace(one, wire_bytes=None) for one in run.checkpoints),
        ),
        network_known=False,
        ram_known=False,
        accelerator=None,
    )


def logs_alone(hosts: Sequence[str] = tuple(FITTED), *, jobs: int = 1) -> list[Alone]:
    """Fit some runs of each host by their logs alone, and hold the others against them."""
    found = []
    for host in hosts:
        folder = host.partition(",")[0]
        fitted = [f"{folder}/{name}" for name in FITTED[host]]
        made, _ = fit_logs([bare(measured(name)) for name in fitted])
        values = {key: one.value for key, one in made.estimates.items()}
        costs = attributes(base_costs(made.base) | values)
        begins = tuple(f"{folder}/{begin}" for begin in _OTHERS[host])
        others = [
            measured(name)
            for name in names()
            if name.startswith(begins) and name not in fitted and "__busy" not in name
        ]
        for run, told in zip(others, validate(others, costs, jobs=jobs), strict=True):
            pause = told.stage("pause")
            if pause is not None:
                limited = run.conditions.bandwidth_bits is not None
                pair = (pause.measured, pause.simulated)
                found.append(Alone(host, run.name, limited, *pair, pause.error))
    return found
