"""A host's costs as a file, in the format of the shipped presets: written by a fit, read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from os import PathLike
from typing import TYPE_CHECKING, Any

from colosim.errors import LogError
from colosim.scenario import preset
from colosim.scenario.costs import Costs
from colosim.scenario.presets import KVM, parse_preset, preset_names
from colosim.scenario.spread import stage_text
from colosim.scenario.units import nearest

if TYPE_CHECKING:
    from colosim.measured.estimates import Estimate, Fit
    from colosim.scenario.presets import Preset

_UNITS = {
    "_ps_per_page": (1_000, "ns/page"),
    "_fs_per_byte": (1_000_000, "ns/B"),
    "_ns_per_gib": (1, "ns/GiB"),
    "_ps_per_chunk": (1_000, "ns/chunk"),
    "_ns": (1, "ns"),
}
"""By an attribute's ending: its integers in one ns, and the unit in which values are written."""
_DIGITS = 3
ROUNDING_NOISE = 1e-9
"""How far, relatively, another machine's linear algebra could move a fitted cost.

Measured over OpenBLAS's kernels: 5e-14 between the shipped presets and those fitted without a run.
"""
_RUNS_A_LINE = 3
_NS_PER_US = 1_000


def _attribute(key: str) -> str:
    for name, field in Costs.model_fields.items():
        if field.alias == key:
            return name
    raise KeyError(key)


def _unit_of(key: str) -> tuple[int, str]:
    name = _attribute(key)
    return next(unit for ending, unit in _UNITS.items() if name.endswith(ending))


def _rounded(key: str, value: float) -> int:
    """Return a cost in the integers of its attribute, to three digits."""
    in_a_ns, _ = _unit_of(key)
    return int(_same(key, value, lambda near: str(_three(near * in_a_ns))))


def _three(value: float) -> int:
    step: int = 10 ** max(0, len(str(int(value))) - _DIGITS)
    return round(value / step) * step


def three_digits(value: float) -> str:
    """Return a number as text, to three digits.

    :raises LogError: if it is so near a rounding tie that another machine could round otherwise.
    """
    return _same("a sum", value, lambda near: f"{Decimal(f'{near:.{_DIGITS - 1}e}'):f}")


def _same(what: str, value: float, text: Callable[[float], str]) -> str:
    # Six digits first: a tie of whole microseconds, as logs have them, then rounds one way.
    near = (value * (1 + off) for off in (-ROUNDING_NOISE, ROUNDING_NOISE))
    low, high = (text(float(f"{one:.5e}")) for one in near)
    if low != high:
        raise LogError(
            f"{what} is fitted as {value!r} ns, so near the middle of two numbers of {_DIGITS} "
            "digits that another machine could round it the other way: fit to a run more or less"
        )
    return low


def attributes(values: Mapping[str, float]) -> dict[str, int]:
    """Return costs in ns per unit, by key, as the integers of `Costs`, by attribute."""
    return {_attribute(key): _rounded(key, value) for key, value in values.items()}


def cost_text(key: str, value: float) -> str:
    """Return a cost (in ns per unit) as a scenario would write it, to three digits."""
    in_a_ns, unit = _unit_of(key)
    whole = _rounded(key, value)
    if unit == "ns" and whole >= _NS_PER_US:
        return f"{_decimal(whole, _NS_PER_US)} us"
    return f"{_decimal(whole, in_a_ns)} {unit}"


def _decimal(whole: int, divisor: int) -> str:
    digits = len(str(divisor)) - 1
    text = f"{whole // divisor}.{whole % divisor:0{digits}d}" if digits else str(whole)
    return text.rstrip("0").rstrip(".") if "." in text else text


def base_costs(base: str) -> dict[str, float]:
    """Return the costs of a shipped host preset by key, in ns per unit.

    :raises LogError: if there is no preset of this name.
    """
    costs = Costs.model_validate(base_preset(base).texts())
    return {
        key: getattr(costs, _attribute(key)) / _unit_of(key)[0] for key in base_preset(base).values
    }


def base_preset(name: str) -> Preset:
    """Return a shipped host preset.

    :raises LogError: if there is none of this name.
    """
    try:
        return preset("hosts", name)
    except KeyError:
        near = nearest(name, preset_names("hosts")) or ", ".join(preset_names("hosts"))
        raise LogError(f"no host preset is called {name!r}; did you mean {near}?") from None


def _origin(estimate: Estimate, *, own: bool) -> str:
    stages = ", ".join(estimate.stages)
    runs = f"{len(estimate.runs)} {'of your ' if own else ''}runs"
    if estimate.undetermined:
        text = f"undetermined by {runs}, left at the base preset's value: {stages}"
    else:
        text = f"fit to {runs}" if estimate.value else f"fit to {runs}, at its lower bound"
        if estimate.error:
            text += f", +-{cost_text(estimate.key, estimate.error)} standard error"
        text += f": {stages}"
    if estimate.group is not None:
        others = ", ".join(key for key in estimate.group.keys if key != estimate.key)
        text += f"; not told apart from {others}: {'; '.join(estimate.group.conventions)}"
    return text


def text_of(fit: Fit, description: str, *, own: bool = False) -> str:
    """Return the preset file of a fit: its costs, and what it cannot know from its base preset.

    `own`: the runs are the user's own, so that what is from the base preset is said to be so.

    :raises LogError: if a number stands so near a rounding tie that another machine could write
        another one.
    """
    lines = ["# Written by `colosim qemu fit`; values without `fit` come from the base preset."]
    lines.append("# Sums that the runs determine where single costs are not told apart:")
    lines += [f"#   {line}" for group in fit.groups for line in group.sums]
    if fit.bounds:
        lines.append("# Sums of which the runs bear no more than an upper bound:")
        lines += [f"#   {line}" for line in fit.bounds]
    lines.append("# Runs:")
    names = sorted(fit.runs)
    lines += [
        "#   " + " ".join(names[begin : begin + _RUNS_A_LINE])
        for begin in range(0, len(names), _RUNS_A_LINE)
    ]
    base = base_preset(fit.base)
    lines.append(f'description: "{description}"')
    lines += [] if base.accelerator == KVM else [f"accelerator: {base.accelerator}"]
    lines.append("values:")
    for key, known in base.values.items():
        value, origin = known.value, known.origin
        origin = f"from {fit.base}: {origin}" if own else origin
        estimate = fit.estimates.get(key)
        if estimate is not None:
            origin = _origin(estimate, own=own)
            if not estimate.undetermined:
                value = cost_text(key, estimate.value)
        lines.append(f'  {key}: {{value: "{value}", origin: "{origin}"}}')
    lines += ["spread:"] if fit.spread else []
    lines += [stage_text(name, stage) for name, stage in sorted(fit.spread.items())]
    return "\n".join(lines) + "\n"


def read_costs(path: str | PathLike[str]) -> dict[str, Any]:
    """Return the costs of a preset file, by key, as a scenario would write them.

    :raises LogError: if the file cannot be read, or is none.
    """
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - PathLike
            found: Preset = parse_preset(str(path), file.read())
        keys = [str(field.alias) for field in Costs.model_fields.values()]
        if lacking := [key for key in keys if key not in found.values]:
            raise LogError(f"{path}: not a file of host costs: it lacks {', '.join(lacking)}")
        Costs.model_validate(found.texts())
    except (OSError, ValueError, KeyError, AssertionError, AttributeError) as error:
        raise LogError(f"{path}: not a file of host costs: {error}") from error
    return dict(found.texts())
