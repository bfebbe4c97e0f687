# %% [markdown]
# # Where does the pause go?
#
# While a checkpoint is under way the guest stands still, and its iothread lock is held for a part
# of that time. Both are latency that somebody feels: the guest's clients, and whoever talks to
# QEMU's monitor.

# %%
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

import colosim
from colosim.plots import against, best, gantt
from colosim.plots.style import line_of

# %load_ext colosim.plots.notebook

DESIGNS = ["qsb", "split", "device-first", "flat", "qemu-5.1"]
QUICK = ["checkpoints=6", "expect={}"]
comparison = colosim.compare("compare", DESIGNS, overrides=QUICK)
runs = comparison.runs
assert set(comparison.verdicts.values()) == {"completed"}

# %% [markdown]
# ## One transaction, thread by thread
#
# *What happens while the guest is stopped, who does it, and who waits?* (512 MiB guest, 16,386
# dirty pages, the hosts of the real runs.)

# %%
gantt.figure([runs["qsb"], runs["split"], runs["qemu-5.1"]])

# %%
one = {design: run.checkpoints.iloc[-1] for design, run in runs.items()}

assert one["split"].pause_ns < one["qsb"].pause_ns
assert one["split"].secondary_ram_loaded_at_ns < one["split"].secondary_received_at_ns
assert one["qsb"].primary_vmstate_save_ns > 50 * one["split"].primary_device_save_ns
overlap = one["split"].primary_ram_sent_at_ns - one["split"].secondary_vmstate_send_at_ns
assert overlap > 0.9 * one["split"].primary_ram_stream_ns

Markdown(f"""
`qsb` does one thing after the other: save ({one["qsb"].primary_vmstate_save_ns / 1e6:.1f} ms), send
({one["qsb"].primary_ram_stream_ns / 1e6:.1f} ms), load. `split` saves *by* sending, and the secondary
loads RAM into its cache meanwhile: pause {one["split"].pause_ns / 1e6:.1f} ms instead of
{one["qsb"].pause_ns / 1e6:.1f} ms. The price is the lock, which `split` holds while it sends:
{one["split"].lock_hold_primary_ns / 1e6:.1f} ms against {one["qsb"].lock_hold_primary_ns / 1e6:.1f} ms.
`qemu-5.1` sends without it ({one["qemu-5.1"].lock_hold_primary_ns / 1e6:.2f} ms), but its secondary
receives under its own.
""")

# %% [markdown]
# ## The next checkpoint takes another time
#
# *How far do pauses scatter?* The work of each checkpoint takes what was measured of such hosts: forty
# checkpoints of each design, in ms.

# %%
SCATTER = ["spread=measured", "expect={}"]
many = colosim.compare("compare", DESIGNS, overrides=[*SCATTER, "checkpoints=42"]).runs
wide = {design: run.summary["pause_ns"] for design, run in many.items()}
shares = pd.DataFrame(wide).loc[["p50", "p90", "p99", "max"]]
(shares / 1e6).round(1)

# %%
assert all(pause["p50"] < pause["p99"] for pause in wide.values())
assert wide["split"]["p50"] < wide["qsb"]["p50"]

Markdown(f"""
The median pause of `qsb` is {wide["qsb"]["p50"] / 1e6:.0f} ms, one in ten is longer than {wide["qsb"]["p90"] / 1e6:.0f} ms; of `split` they are
{wide["split"]["p50"] / 1e6:.0f} and {wide["split"]["p90"] / 1e6:.0f} ms. All designs have the same draws, so the difference is theirs.
""")

# %% [markdown]
# ## The transaction by stage
#
# *How long is the primary's thread in each stage?* In ms; the stages follow one another, so they
# add up to the transaction, from request to running guest.

# %%
STAGES = [
    "handshake",
    "stop",
    "bitmap_sync",
    "vmstate_save",
    "ram_stream",
    "device_save",
    "ram_tail",
    "device_stream",
    "received_wait",
    "loaded_wait",
    "start",
]
stages = pd.DataFrame(
    {design: row[[f"primary_{stage}_ns" for stage in STAGES]] for design, row in one.items()}
).fillna(0)
stages.index = STAGES
assert (stages.sum() == pd.Series({d: row.transaction_ns for d, row in one.items()})).all()

table = stages.copy()
table.loc["transaction"] = stages.sum()
table.loc["pause"] = [row.pause_ns for row in one.values()]
(table / 1e6).map(lambda ms: f"{ms:.2f}" if ms else "")

# %%
share = (stages.loc["loaded_wait"] / stages.sum()).astype(float)
last = {design: row.lock_hold_secondary_ns for design, row in one.items()}
idle = {design: stages.loc["loaded_wait", design] - last[design] for design in DESIGNS}
assert share.min() > 0.2 and share["split"] > 0.4
assert idle["split"] > 2 * last["split"]

Markdown(f"""
One stage is odd. **{share["split"]:.0%} of `split`'s transaction passes in waiting for VMSTATE_LOADED**
({stages.loc["loaded_wait", "split"] / 1e6:.1f} ms), while the secondary is done with loading after
{last["split"] / 1e6:.1f} ms.
""")

# %% [markdown]
# ## What Nagle costs
#
# VMSTATE_RECEIVED and VMSTATE_LOADED are two 4-byte messages one after another. Nagle holds the
# second one back until the first is acknowledged, and the primary, with nothing to say, delays
# that acknowledgement by 40 ms or more. QEMU sets no `TCP_NODELAY` on the migration socket.
#
# *How long is the pause with and without that?* A line is the median over five seeds, its band all of
# them.

# %%
VARIANTS = {
    "as QEMU is": [],
    "without Nagle": ["network.nagle=false"],
    "without delayed ACK": ["network.delayed_ack=false"],
}
rows = []
for pages in (500, 2_000, 8_000, 32_000):
    for design in ("qsb", "split", "qemu-5.1"):
        for variant, overrides in VARIANTS.items():
            load = [*QUICK, *SCATTER, f"guest.dirty.pages={pages}", *overrides]
            for seed in range(1, 6):
                run = colosim.run("compare", design, seed=seed, overrides=load, tables=False)
                rows.append((pages, design, variant, run.summary["pause_ns"]["p50"]))
drawn = pd.DataFrame(rows, columns=["pages", "design", "variant", "pause_ns"])
over_seeds = drawn.groupby(["pages", "design", "variant"])["pause_ns"]
nagle = over_seeds.agg(low="min", pause_ns="median", high="max").reset_index()

figure = Figure(figsize=(7.2, 2.9))
axes = figure.subplots(1, 2, width_ratios=(2, 1))
for design in ("qsb", "split", "qemu-5.1"):
    look = line_of(design)
    for variant, dashes in (("as QEMU is", "-"), ("without Nagle", ":")):
        part = nagle.query("design == @design and variant == @variant")
        axes[0].plot(
            part.pages / 1e3,
            part.pause_ns / 1e6,
            dashes,
            marker=look.marker,
            color=look.colour,
            label=f"{design}, {variant}",
        )
        low, high = part.low / 1e6, part.high / 1e6
        axes[0].fill_between(part.pages / 1e3, low, high, color=look.colour, alpha=0.2, linewidth=0)
axes[0].set(xscale="log", yscale="log", xlabel="dirty pages (thousands)", ylabel="guest pause (ms)")
axes[0].set_xticks([0.5, 2, 8, 32], ["0.5", "2", "8", "32"])
axes[0].set_yticks([2, 5, 10, 20, 50, 100, 200], ["2", "5", "10", "20", "50", "100", "200"])
axes[0].minorticks_off()
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
small = nagle.query("pages == 500 and design == 'split'")
small = small.set_index("variant").loc[[*VARIANTS]].reset_index()
ends = [(small.pause_ns - small.low) / 1e6, (small.high - small.pause_ns) / 1e6]
colours = ["#0072b2", "#a6cee3", "#a6cee3"]
bars = axes[1].barh(small.variant, small.pause_ns / 1e6, xerr=ends, color=colours)
axes[1].bar_label(bars, fmt="{:.1f}", padding=4)
axes[1].set(xlabel="guest pause (ms)", title="split, 500 pages", xlim=(0, 60))
axes[1].invert_yaxis()
axes[1].grid(visible=False)
figure

# %%
pause = nagle.pivot(index="pages", columns=["design", "variant"], values="pause_ns").astype(int)
with_it, without = (
    pause.xs("as QEMU is", axis=1, level=1),
    pause.xs("without Nagle", axis=1, level=1),
)
no_ack = pause.xs("without delayed ACK", axis=1, level=1)
cost = with_it - without
assert (without <= with_it).all(axis=None) and (no_ack <= with_it).all(axis=None)
assert with_it.to_numpy().min() > 40e6  # the floor
assert ((without - no_ack).abs() < 2e6).all(axis=None)  # either end of it will do
assert cost.loc[500, "split"] > 0.75 * with_it.loc[500, "split"]


def spread(pauses):
    """Return the longest pause of a design over the shortest, at 500 dirty pages."""
    return pauses.loc[500].max() / pauses.loc[500].min()


assert spread(with_it) < spread(without)

Markdown(f"""
**Nagle with delayed ACK is a floor of {with_it.to_numpy().min() / 1e6:.0f} ms under every pause**, for
every design. With 500 dirty pages it is {cost.loc[500, "split"] / with_it.loc[500, "split"]:.0%} of
`split`'s pause ({with_it.loc[500, "split"] / 1e6:.1f} ms with it,
{without.loc[500, "split"] / 1e6:.1f} ms without); at 32,000 pages still
{cost.loc[32_000, "split"] / 1e6:.1f} ms of {with_it.loc[32_000, "split"] / 1e6:.0f} ms. It also hides
the designs from each other: at 500 pages the longest pause is {spread(with_it):.2f} times the shortest,
without it {spread(without):.1f} times. Switching off either of the two ends it; `TCP_NODELAY` is one
`setsockopt`.
""")

# %% [markdown]
# ## Bandwidth against copying
#
# *When is the wire the limit, and when are it the copies inside the hosts?* Two servers with
# hardware virtualisation, 16,386 dirty pages, without Nagle so that the designs show.

# %%
SERVERS = ["hosts.preset=kvm-xeon", "network.preset=10gbe", "network.nagle=false", *QUICK]
servers = colosim.compare("compare", ["split"], overrides=SERVERS, tables=False).scenario
speeds = [int(gbit * 125_000_000) for gbit in (0.2, 0.5, 1, 2.5, 5, 10, 25, 40, 100)]
scattered = servers.vary({"spread": "measured"})
sweep = against.data(scattered, "bandwidth", speeds, designs=DESIGNS, seeds=range(1, 6))
against.draw(sweep)

# %%
medians_of = {"index": "value", "columns": "design", "values": "pause_ns", "aggfunc": "median"}
by_speed = sweep.pivot_table(**medians_of).astype(int)
slow, fast = by_speed.iloc[0], by_speed.iloc[-1]
wire_ns = 16_386 * 4104 / speeds[0] * 1e9
assert (slow / slow.min()).max() < 1.05  # the wire is all there is
assert slow.min() > wire_ns
assert fast["qsb"] > 1.5 * fast["split"]
gain = by_speed.loc[speeds[-3]] / by_speed.loc[speeds[-1]]  # 25 to 100 Gbit/s
assert (gain < 1.1).all()
assert (by_speed.iloc[1:] <= 1.01 * by_speed.shift().iloc[1:]).all(axis=None)

Markdown(f"""
At 200 Mbit/s every design takes the wire's time: they are within {slow.max() / slow.min() - 1:.1%} of
each other, and moving fewer copies is worth nothing. **Past 10 Gbit/s the wire no longer counts**: from
25 to 100 Gbit/s the best gain is {gain.max() - 1:.1%}, and what is left is copying. There
`qsb` pauses {fast["qsb"] / fast["split"]:.1f} times as long as `split`, and `flat`
{fast["flat"] / fast["split"]:.1f} times; `{fast.idxmin()}` is the shortest, at
{fast.min() / 1e6:.1f} ms.
""")

# %% [markdown]
# ## Which design wins where
#
# The pause is one measure. The iothread lock is the other: while it is held, no monitor command is
# served. `qsb` holds it to copy; `split` holds it until the last byte is in a socket buffer.
#
# *For which dirty sets and links is `split` ahead of `qsb`, in pause and in lock hold?*

# %%
PAGES = [250, 1_000, 2_000, 4_000, 16_000, 64_000]


def medians(design, pages, speed):
    """Return the median pause and the median lock hold of the primary, in ns."""
    load = [*SERVERS, f"guest.dirty.pages={pages}", f"network.bandwidth={speed} B/s"]
    summary = colosim.run("compare", design, overrides=load, tables=False).summary
    return summary["pause_ns"]["p50"], summary["lock_hold_ns"]["primary"]["p50"]


ratios = pd.DataFrame(index=PAGES, columns=pd.MultiIndex.from_product([("pause", "lock"), speeds]))
for pages in PAGES:
    for speed in speeds:
        new, old = medians("split", pages, speed), medians("qsb", pages, speed)
        ratios.loc[pages, ("pause", speed)] = new[0] / old[0]
        ratios.loc[pages, ("lock", speed)] = new[1] / old[1]
ratios = ratios.astype(float)

figure = Figure(figsize=(7.2, 3.2))
panels = figure.subplots(1, 2, sharey=True)
for axes, quantity, title in zip(panels, ("pause", "lock"), ("guest pause", "primary's lock held")):
    values = ratios[quantity].to_numpy()
    axes.grid(visible=False)
    axes.pcolormesh(values, cmap="RdBu_r", norm="log", vmin=1 / 20, vmax=20, edgecolor="white")
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            dark = not 1 / 5 < value < 5
            axes.text(
                x + 0.5,
                y + 0.5,
                f"{value:.2g}",
                ha="center",
                va="center",
                fontsize=6.5,
                color="white" if dark else "black",
                weight="bold" if value > 1 else "normal",
            )
    axes.set_xticks([x + 0.5 for x in range(len(speeds))], [f"{s / 125e6:g}" for s in speeds])
    axes.set_yticks([y + 0.5 for y in range(len(PAGES))], [f"{pages:,}" for pages in PAGES])
    axes.set(title=f"{title}: split / qsb", xlabel="bandwidth (Gbit/s)")
panels[0].set_ylabel("dirty pages")
figure

# %%
lock = ratios["lock"]
assert (ratios["pause"] < 1).all(axis=None)  # in pause split is always ahead
assert (lock.iloc[-1].diff().dropna() <= 0.01).all()  # the faster the link, the shorter its hold
assert lock.loc[4_000, speeds[0]] > 1 > lock.loc[4_000, speeds[-1]]
assert lock.loc[16_000].min() > 1  # no link helps: the secondary reads more slowly than qsb copies
assert (lock.loc[[250, 1_000]] < 1).all(axis=None)  # fits into the socket buffers whatever the link


def crossover(pages, low, high):
    """Return the bandwidth, to 1%, from which split holds the lock for less time than qsb."""
    while high > 1.01 * low:
        middle = (low + high) // 2
        if medians("split", pages, middle)[1] > medians("qsb", pages, middle)[1]:
            low = middle
        else:
            high = middle
    return high


even = {pages: crossover(pages, speeds[0], speeds[-1]) for pages in (2_000, 4_000)}
assert all(speeds[0] < speed < speeds[-1] for speed in even.values())
assert list(even.values()) == sorted(even.values())
worst = lock.stack().idxmax()
rows = "\n".join(f"| {pages:,} | {speed / 125e6:.1f} Gbit/s |" for pages, speed in even.items())

Markdown(f"""
**In pause `split` is ahead everywhere**: it takes {ratios["pause"].min(axis=None):.0%} of `qsb`'s at best, and
{ratios["pause"].max(axis=None):.0%} where the wire is all that counts. **In lock hold a slow
link makes `split` worse**, up to {lock.max(axis=None):.0f} times ({worst[0]:,} pages at
{worst[1] / 125e6:g} Gbit/s), and a fast one helps only small dirty sets:

| dirty pages | `split` holds the lock for less from |
| ---: | ---: |
{rows}

From 16,000 pages on no link helps: the secondary reads a page more slowly than `qsb` copies one, and
`split` holds the lock {lock.loc[16_000].min():.1f} to {lock.loc[64_000].min():.1f} times as long as
`qsb` through any. A dirty set that fits into the socket buffers (1,000 pages are 4 MB) is never held
up. And a hold that
grows with the peer's slowness has no upper end when the peer stops: that is `hang.ipynb`.
""")

# %% [markdown]
# ## The whole map
#
# *Which design is best at which load and link?* A grid of thousands of runs on arrays takes seconds, so
# nothing needs to be guessed between a few points. Of designs within 1% of each other the older is shown;
# dotted lines have the value of the best.

# %%
axes = {
    "design": ["qsb", "split", "flat", "qemu-5.1"],
    "guest.dirty.pages": {"log": [250, 64_000], "points": 24},
    "network.bandwidth": {"log": ["200 Mbit/s", "100 Gbit/s"], "points": 36},
}
grid = colosim.sweep(servers, axes)
assert not grid.attrs["refused"]
best.figure(
    grid,
    "network.bandwidth",
    "guest.dirty.pages",
    ["pause_ns.p50", "lock_hold_ns.secondary.p50"],
)

# %%
older = grid[grid["design"] != "qemu-5.1"]
best.figure(older, "network.bandwidth", "guest.dirty.pages", ["lock_hold_ns.primary.p50"])

# %%
pause = best.data(grid, "network.bandwidth", "guest.dirty.pages", "pause_ns.p50")
by_load = (
    pause[pause["design"] == "qemu-5.1"].groupby("guest.dirty.pages")["network.bandwidth"].min()
)
assert set(pause["design"]) == {"split", "qemu-5.1"}
assert by_load.is_monotonic_increasing
held = best.data(older, "network.bandwidth", "guest.dirty.pages", "lock_hold_ns.primary.p50")
assert "qsb" not in set(held["design"]) | set(pause["design"])

Markdown(f"""
Of {len(grid):,} runs not one was refused. In pause `split` and `qemu-5.1` share the map: `qemu-5.1` is ahead
(or even) from a bandwidth on that grows with the load, {by_load.iloc[0] / 125e6:.2g} Gbit/s at {by_load.index[0]:,} pages and
{by_load.iloc[-1] / 125e6:.2g} Gbit/s at {by_load.index[-1]:,}. `qsb` is best nowhere, in pause or lock: where staging pays, `flat`'s
single copy is faster.
""")
