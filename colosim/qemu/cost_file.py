"""A host's costs as a file, in the format of the shipped presets: written by a fit, read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from colosim.errors import LogError
from colosim.scenario import preset
from colosim.scenario.costs import Costs
from colosim.scenario.presets import parse_preset

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from colosim.qemu.fit import Estimate, Fit
    from colosim.scenario.presets import Preset

__all__ = ["attributes", "cost_text", "read_costs", "text_of"]

_UNITS = {
    "_ps_per_page": (1_000, "ns/page"),
    "_fs_per_byte": (1_000_000, "ns/B"),
    "_ns_per_gib": (1, "ns/GiB"),
    "_ps_per_chunk": (1_000, "ns/chunk"),
    "_ns": (1, "ns"),
}
"""By an attribute's ending: its integers in one ns, and the unit in which values are written."""
_DIGITS = 3
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
    whole = round(value * in_a_ns)
    step = max(0, len(str(abs(whole))) - _DIGITS)
    return round(whole, -step)


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


def _origin(estimate: Estimate) -> str:
    stages = ", ".join(estimate.stages)
    error = "" if estimate.error is None else f", +-{cost_text(estimate.key, estimate.error)}"
    text = f"fit to {len(estimate.runs)} runs{error} (standard error): {stages}"
    if estimate.group is not None:
        others = ", ".join(key for key in estimate.group.keys if key != estimate.key)
        text += f"; not told apart from {others}: {'; '.join(estimate.group.conventions)}"
    return text.replace(" (standard error)", "" if estimate.error is None else " standard error")


def text_of(fit: Fit, base: str, description: str) -> str:
    """Return the preset file of a fit: its costs, and what it cannot know from the preset `base`.

    :raises LogError: if there is no preset `base`.
    """
    try:
        known = preset("hosts", base)
    except KeyError:
        raise LogError(f"no host preset is called {base!r}") from None
    lines = ["# Written by `colosim qemu fit`; values without `fit` come from the base preset."]
    lines.append("# Sums that the runs determine where single costs are not told apart:")
    lines += [f"#   {line}" for group in fit.groups for line in group.sums]
    lines.append("# Runs:")
    names = sorted(fit.runs)
    lines += [
        "#   " + " ".join(names[begin : begin + _RUNS_A_LINE])
        for begin in range(0, len(names), _RUNS_A_LINE)
    ]
    lines += [f'description: "{description}"', "values:"]
    for field in Costs.model_fields.values():
        key = field.alias
        assert key is not None  # noqa: S101 - every cost has its key
        estimate = fit.estimates.get(key)
        if estimate is None:
            value: str | bool = known.values[key].value
            origin = known.values[key].origin
        else:
            value, origin = cost_text(key, estimate.value), _origin(estimate)
        lines.append(f'  {key}: {{value: "{value}", origin: "{origin}"}}')
    return "\n".join(lines) + "\n"


def read_costs(path: str | PathLike[str]) -> dict[str, Any]:
    """Return the costs of a preset file, by key, as a scenario would write them.

    :raises LogError: if the file cannot be read, or is none.
    """
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - PathLike
            found: Preset = parse_preset(str(path), file.read())
        Costs.model_validate(found.texts())
    except (OSError, ValueError, KeyError, AssertionError, AttributeError) as error:
        raise LogError(f"{path}: not a file of host costs: {error}") from error
    return dict(found.texts())
