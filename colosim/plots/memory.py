"""Memory over time by account: what each host holds beyond the guest's own RAM."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from colosim.plots.curves import end_of, polylines
from colosim.plots.look import FigureError, columns_of, width_of
from colosim.plots.style import (
    Colour,
    Fill,
    axes_or_new,
    broken,
    labels,
    legend_below,
    looks,
    styled,
    write_title,
)
from colosim.plots.units import Unit, rows_of, short_size, size_unit, time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch
    from numpy.typing import NDArray

    from colosim.runs.run import Run

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
_TICKS_IN = 0.6
"""How much of a column the numbers beside its panel take."""
_FEW = 2
"""Up to how many peaks are written beside their curves; more are in the legend."""
_SHORT = 16
"""Up to how long a name is written there."""
_NAME_IN = 2.5
"""How wide a name of its legend can be."""
_LINE_IN = 0.13


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


def totals(table: pd.DataFrame, *, cache: bool = True) -> pd.DataFrame:
    """Return the sum over the accounts of `data`, with or without the RAM cache.

    Columns: ``run``, ``side``, ``time_ns``, ``level_bytes``.
    """
    kept = table if cache else table[table["account"] != CACHE]
    point = kept.groupby(["run", "side", "account"], sort=False).cumcount()
    points = kept.assign(point=point).groupby(["run", "side", "point"], sort=False)
    sums = points.agg(time_ns=("time_ns", "first"), level_bytes=("level_bytes", "sum"))
    return sums.reset_index().drop(columns="point")


def peaks(table: pd.DataFrame) -> pd.DataFrame:
    """Return when each sum of `totals` was first at its peak.

    Columns: ``run``, ``side``, ``time_ns`` and ``peak_bytes``.
    """
    tops = table.groupby(["run", "side"], sort=False)["level_bytes"].idxmax()
    rows = table.loc[tops].reset_index(drop=True)
    return rows.rename(columns={"level_bytes": "peak_bytes"})


@styled
def draw(run: Run, side: str = "primary", axes: Axes | None = None) -> Axes:
    """Draw one host's accounts, stacked, with the peak of their sum marked."""
    axes = axes_or_new(axes)
    table = data([run])
    part = table[table["side"] == side]
    top = int(totals(part)["level_bytes"].max())
    _stack(axes, part, _Scale.of(part, top))
    legend_below(axes, _legend((part, top)), 4, bbox_to_anchor=(0.5, -0.2))
    return axes


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

    def frame(self, axes: Axes) -> None:
        """Set limits and labels of both axes."""
        axes.set_xlim(0, self.end_ns / self.time.size)
        axes.set_ylim(0, self.top_bytes / self.size.size * _HEADROOM)
        axes.set_xlabel(f"time ({self.time.symbol})")
        axes.set_ylabel(f"memory ({self.size.symbol})")

    def mark_peak(self, axes: Axes, peak: Any, colour: str, text: str) -> None:
        """Mark a row of `peaks`, with a text if there is one."""
        late = peak.time_ns > _LATE * self.end_ns
        point = (peak.time_ns / self.time.size, peak.peak_bytes / self.size.size)
        axes.plot(*point, marker="v", markersize=5, color=colour, clip_on=False, zorder=5)
        axes.annotate(
            text,
            point,
            xytext=(-5 if late else 5, 4),
            textcoords="offset points",
            ha="right" if late else "left",
            va="bottom",
            fontsize=7,
            color=colour,
        )


def _stack(axes: Axes, part: pd.DataFrame, scale: _Scale) -> None:
    sums = totals(part)
    stack = _merged(part, scale.top_bytes)
    areas = axes.stackplot(
        sums["time_ns"] / scale.time.size,
        np.array(list(stack.values())) / scale.size.size,
        colors=[_fill(account).colour for account in stack],
    )
    for area, account in zip(areas, stack, strict=True):
        area.set(hatch=_fill(account).hatch, edgecolor=Colour.BLACK, linewidth=0.25)
    scale.frame(axes)
    (peak,) = rows_of(peaks(sums))
    scale.mark_peak(axes, peak, Colour.BLACK, f"peak {short_size(peak.peak_bytes)}")


def _merged(part: pd.DataFrame, top_bytes: int) -> dict[str, NDArray[np.int64]]:
    """Return each account's levels; those that could not be seen are one account, `_SMALL`."""
    shown: dict[str, NDArray[np.int64]] = {}
    small = []
    for account, levels in part.groupby("account", sort=False)["level_bytes"]:
        if levels.max() < top_bytes * _SEEN_SHARE:
            small.append(levels.to_numpy(dtype=np.int64))
        else:
            shown[str(account)] = levels.to_numpy(dtype=np.int64)
    return shown | ({_SMALL: np.sum(small, axis=0)} if small else {})


def _legend(*panels: tuple[pd.DataFrame, int]) -> list[Patch]:
    """Return entries of every account that is drawn in panels, once each, in stacking order."""
    drawn = dict.fromkeys(account for part, top in panels for account in _merged(part, top))
    return [_fill(account).patch(_name(account), 0.25) for account in drawn]


@styled
def figure(runs: Sequence[Run]) -> Figure:
    """Return both hosts' memory by account: a column a run, one scale a host."""
    table = data(runs)
    names = list(dict.fromkeys(table["run"]))
    tops = peaks(totals(table)).groupby("side")["peak_bytes"].max()
    columns = columns_of(len(names), 2.0)
    bands = -(-len(names) // columns)
    width = width_of(max(4.2, 1.2 + 2.0 * len(names)))
    made = Figure(figsize=(width, 4.6 * bands))
    grid = made.subplots(len(SIDES) * bands, columns, sharex=True, sharey="row", squeeze=False)
    panels = []
    for (row, side), (place, name) in product(enumerate(SIDES), enumerate(names)):
        scale = _Scale.of(table, int(tops[side]))
        band, column = divmod(place, columns)
        axes = grid[band * len(SIDES) + row][column]
        part = table[(table["run"] == name) & (table["side"] == side)]
        _stack(axes, part, scale)
        write_title(axes, f"{name}, {side}", width / columns - _TICKS_IN)
        axes.label_outer()
        panels.append((part, scale.top_bytes))
    for axes in grid[-len(SIDES) :, (len(names) - 1) % columns + 1 :].flat:
        axes.set_visible(False)
    legend_below(made, _legend(*panels), int(made.get_figwidth() / _ENTRY_IN))
    return made


def legend_in(runs: Sequence[Run]) -> float:
    """Return how many inches more than usual the legend of `lines` needs for long names."""
    names = labels(runs)
    if all(len(name) <= _SHORT for name in names):
        return 0.0
    return _LINE_IN * sum(
        broken(name, _NAME_IN, "legend.fontsize").count("\n") + 1 for name in names
    )


@styled
def lines(
    runs: Sequence[Run], side: str = "primary", axes: Axes | None = None, *, cache: bool = True
) -> Axes:
    """Draw the sum of one host's accounts, a line a run, with its peak.

    `cache`: whether the RAM cache, which is as large as the guest, counts; if not, the scale is
    that of both hosts.
    """
    axes = axes_or_new(axes)
    both = totals(data(runs), cache=cache)
    table = both[both["side"] == side]
    scale = _Scale.of(table, int((table if cache else both)["level_bytes"].max()))
    few = len(runs) <= _FEW and all(len(name) <= _SHORT for name in labels(runs))
    for (name, _, look), peak in zip(looks(runs), rows_of(peaks(table)), strict=True):
        part = table[table["run"] == name]
        peaked = f"peak {short_size(peak.peak_bytes)}"
        axes.plot(
            part["time_ns"] / scale.time.size,
            part["level_bytes"] / scale.size.size,
            color=look.colour,
            linestyle=look.dashes,
            label=name if few else f"{broken(name, _NAME_IN, 'legend.fontsize')}: {peaked}",
        )
        scale.mark_peak(axes, peak, look.colour, f"{name}: {peaked}" if few else "")
    scale.frame(axes)
    legend_below(axes, axes.get_legend_handles_labels()[0], 2, bbox_to_anchor=(0.5, -0.26))
    return axes
