"""Memory over time by account: what each host holds beyond the guest's own RAM."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from colosim.plots.curves import end_of, polylines
from colosim.plots.style import Colour, FigureError, Fill, axes_or_new, labels, line_of, styled
from colosim.plots.units import Unit, short_size, size_unit, time_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from colosim.runs.run import Run

__all__ = ["SIDES", "data", "draw", "figure", "lines", "peaks", "totals"]

SIDES = ("primary", "secondary")
CACHE = "ram_cache"
_SMALL = "accounts below 1% of the peak"
_SEEN_SHARE = 0.01

_FILLS = {
    CACHE: Fill(Colour.SKY, ".."),
    "staging_buffer": Fill(Colour.VERMILLION, "///"),
    "device_buffer": Fill(Colour.PURPLE, "\\\\\\"),
    "held_packets": Fill(Colour.YELLOW, "xx"),
    "socket_send_buffer": Fill(Colour.ORANGE, ""),
    "socket_receive_buffer": Fill(Colour.GREEN, ""),
    "stream_buffers": Fill(Colour.PURPLE, "++"),
    "dirty_bitmap": Fill(Colour.BLACK, ""),
    "cache_bitmap": Fill(Colour.BLUE, ""),
    _SMALL: Fill(Colour.GREY, ""),
}
"""Looks of the accounts, in the order in which they are stacked."""
_NAMES = {CACHE: "RAM cache"}
_OTHER = (Fill(Colour.PURPLE, "++"), Fill(Colour.YELLOW, "--"), Fill(Colour.BLUE, "oo"))
_HEADROOM = 1.22
_LATE = 0.55
_ENTRY_IN = 2.0
"""How wide an entry of the legend can be, in inches."""
_FEW = 2
"""Up to how many peaks are written beside their curves; more are in the legend."""


def _accounts(memory: pd.DataFrame, side: str) -> list[str]:
    known = set(memory.loc[memory["side"] == side, "account"])
    return [name for name in _FILLS if name in known] + sorted(known - set(_FILLS))


def _fill(account: str) -> Fill:
    return _FILLS.get(account) or _OTHER[sum(account.encode()) % len(_OTHER)]


def _name(account: str) -> str:
    return _NAMES.get(account, account.replace("_", " "))


def data(runs: Sequence[Run]) -> pd.DataFrame:
    """Return every point of every account's curve.

    Columns: ``run`` (its label), ``side``, ``account``, ``time_ns`` (since COLO was entered) and
    ``level_bytes``.  All accounts of a side have the same times; between two points a level is a
    straight line, and a jump stands as two points at one time.

    :raises FigureError: if a run shows no memory of a host, as a real log may not.
    """
    parts = []
    for label, run in zip(labels(runs), runs, strict=True):
        memory, end_ns = run.memory, end_of(run)
        for side in SIDES:
            accounts = _accounts(memory, side)
            if not accounts:
                raise FigureError(f"{run!r} shows no memory of the {side}")
            times, levels = polylines(memory, side, accounts, end_ns)
            parts += [
                pd.DataFrame(
                    {
                        "run": label,
                        "side": side,
                        "account": account,
                        "time_ns": times,
                        "level_bytes": level,
                    }
                )
                for account, level in levels.items()
            ]
    return pd.concat(parts, ignore_index=True)


def peaks(table: pd.DataFrame) -> pd.DataFrame:
    """Return the peak of all accounts together, from `data`.

    Columns: ``run``, ``side``, ``time_ns`` (when it was first reached) and ``peak_bytes``.
    """
    sums = totals(table)
    tops = sums.groupby(["run", "side"], sort=False)["level_bytes"].idxmax()
    rows = sums.loc[tops].reset_index(drop=True)
    return rows.rename(columns={"level_bytes": "peak_bytes"})


def _total(part: pd.DataFrame) -> pd.DataFrame:
    """Return time and sum of a side's accounts, which all have the same points."""
    first = part["account"].iloc[0]
    times = part.loc[part["account"] == first, "time_ns"].to_numpy()
    levels = part["level_bytes"].to_numpy().reshape(-1, len(times)).sum(axis=0)
    return pd.DataFrame({"time_ns": times, "level_bytes": levels})


@styled
def draw(run: Run, side: str = "primary", axes: Axes | None = None) -> Axes:
    """Draw one host's accounts, stacked, with the peak of their sum marked."""
    axes = axes_or_new(axes)
    part = _of_side(data([run]), side)
    _stack(axes, part, _Scale.of(part, _total(part)["level_bytes"].max()))
    axes.legend(handles=_handles(axes), loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=4)
    return axes


def _of_side(table: pd.DataFrame, side: str) -> pd.DataFrame:
    return table[table["side"] == side]


class _Scale(NamedTuple):
    """The units and limits of a panel."""

    time: Unit
    end_ns: int
    size: Unit
    top_bytes: int

    @classmethod
    def of(cls, table: pd.DataFrame, top_bytes: int) -> _Scale:
        """Return the scale of all of a table, up to `top_bytes`."""
        end_ns = int(table["time_ns"].max())
        return cls(time_unit(end_ns), end_ns, size_unit(top_bytes), top_bytes)


def _stack(axes: Axes, part: pd.DataFrame, scale: _Scale) -> None:
    times = _total(part)["time_ns"].to_numpy()
    stack = _merged(part, scale.top_bytes)
    accounts = list(stack)
    levels = np.array(list(stack.values()))
    fills = [_fill(account) for account in accounts]
    areas = axes.stackplot(
        times / scale.time.size,
        levels / scale.size.size,
        labels=[_name(account) for account in accounts],
        colors=[fill.colour for fill in fills],
    )
    for area, fill in zip(areas, fills, strict=True):
        area.set(hatch=fill.hatch, edgecolor=Colour.BLACK, linewidth=0.25)
    _frame(axes, scale)
    peak = peaks(part).iloc[0]
    _mark_peak(axes, _Peak(int(peak["time_ns"]), int(peak["peak_bytes"])), scale)


def _merged(part: pd.DataFrame, top_bytes: int) -> dict[str, NDArray[np.int64]]:
    """Return each account's levels; those that could not be seen are one account, `_SMALL`."""
    accounts = part.groupby("account", sort=False)["level_bytes"]
    levels = {str(name): level.to_numpy(dtype=np.int64) for name, level in accounts}
    small = [level for level in levels.values() if level.max() < top_bytes * _SEEN_SHARE]
    shown = {name: level for name, level in levels.items() if not any(level is s for s in small)}
    if small:
        shown[_SMALL] = np.sum(small, axis=0)
    return shown


def _frame(axes: Axes, scale: _Scale) -> None:
    axes.set_xlim(0, scale.end_ns / scale.time.size)
    axes.set_ylim(0, scale.top_bytes / scale.size.size * _HEADROOM)
    axes.set_xlabel(f"time ({scale.time.symbol})")
    axes.set_ylabel(f"memory ({scale.size.symbol})")


class _Peak(NamedTuple):
    """A peak, how its mark looks, and whose it is (empty: the panel has only one)."""

    time_ns: int
    peak_bytes: int
    colour: str = Colour.BLACK
    name: str = ""


def _mark_peak(axes: Axes, peak: _Peak, scale: _Scale, *, text: bool = True) -> None:
    """Mark a peak, and say how high it is if `text`."""
    late = peak.time_ns > _LATE * scale.end_ns
    point = (peak.time_ns / scale.time.size, peak.peak_bytes / scale.size.size)
    axes.plot(*point, marker="v", markersize=5, color=peak.colour, clip_on=False, zorder=5)
    if not text:
        return
    whose = f"{peak.name}: " if peak.name else ""
    axes.annotate(
        f"{whose}peak {short_size(peak.peak_bytes)}",
        point,
        xytext=(-5 if late else 5, 4),
        textcoords="offset points",
        ha="right" if late else "left",
        va="bottom",
        fontsize=7,
        color=peak.colour,
    )


def _handles(*panels: Axes) -> list[Patch]:
    """Return legend entries of every account that is drawn, once each, in stacking order."""
    found: dict[str, Patch] = {}
    for axes in panels:
        for label in axes.get_legend_handles_labels()[1]:
            account = next((key for key in _FILLS if _name(key) == label), label.replace(" ", "_"))
            fill = _fill(account)
            patch = Patch(facecolor=fill.colour, hatch=fill.hatch, label=label)
            patch.set(edgecolor=Colour.BLACK, linewidth=0.25)
            found.setdefault(label, patch)
    return list(found.values())


@styled
def figure(runs: Sequence[Run]) -> Figure:
    """Return both hosts' memory by account: a column a run, one scale a host."""
    table = data(runs)
    names = list(dict.fromkeys(table["run"]))
    tops = peaks(table).groupby("side")["peak_bytes"].max()
    made = Figure(figsize=(max(4.2, 1.2 + 2.0 * len(names)), 4.6))
    grid = made.subplots(len(SIDES), len(names), sharex=True, sharey="row", squeeze=False)
    for row, side in enumerate(SIDES):
        scale = _Scale.of(table, int(tops[side]))
        for axes, name in zip(grid[row], names, strict=True):
            _stack(axes, table[(table["run"] == name) & (table["side"] == side)], scale)
            axes.set_title(f"{name}, {side}")
            axes.label_outer()
    fitting = int(made.get_figwidth() / _ENTRY_IN)
    made.legend(handles=_handles(*grid.flat), loc="outside lower center", ncols=fitting)
    return made


@styled
def lines(
    runs: Sequence[Run], side: str = "primary", axes: Axes | None = None, *, cache: bool = True
) -> Axes:
    """Draw the sum of one host's accounts, a line a run, with its peak.

    `cache`: whether the RAM cache, which is as large as the guest, counts.
    """
    axes = axes_or_new(axes)
    table = _of_side(totals(data(runs), cache=cache), side)
    scale = _Scale.of(table, int(table["level_bytes"].max()))
    tops: list[_Peak] = []
    for index, (name, part) in enumerate(table.groupby("run", sort=False)):
        look = line_of(str(name).rpartition(", ")[2], index)
        axes.plot(
            part["time_ns"] / scale.time.size,
            part["level_bytes"] / scale.size.size,
            color=look.colour,
            linestyle=look.dashes,
            label=str(name),
        )
        top = int(part["level_bytes"].to_numpy().argmax())
        time_ns, peak_bytes = (int(part[key].iloc[top]) for key in ("time_ns", "level_bytes"))
        tops.append(_Peak(time_ns, peak_bytes, look.colour, str(name)))
    few = len(tops) <= _FEW
    for peak in tops:
        _mark_peak(axes, peak, scale, text=few)
    _frame(axes, scale)
    handles, names = axes.get_legend_handles_labels()
    if not few:
        names = [f"{peak.name}: peak {short_size(peak.peak_bytes)}" for peak in tops]
    axes.legend(handles, names, loc="upper center", bbox_to_anchor=(0.5, -0.26), ncols=2)
    return axes


def totals(table: pd.DataFrame, *, cache: bool = True) -> pd.DataFrame:
    """Return the sum over the accounts of `data`, with or without the RAM cache.

    Columns: ``run``, ``side``, ``time_ns``, ``level_bytes``.
    """
    kept = table if cache else table[table["account"] != CACHE]
    parts = []
    for (label, side), part in kept.groupby(["run", "side"], sort=False):
        total = _total(part)
        total.insert(0, "side", str(side))
        total.insert(0, "run", str(label))
        parts.append(total)
    return pd.concat(parts, ignore_index=True)
