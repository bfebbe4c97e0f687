# %% [markdown]
# # What does a checkpoint cost in memory?
#
# A COLO checkpoint moves dirty RAM and device state from the primary to the secondary. Where do
# the bytes stay on the way, on which host, and for how long?
#
# The pair below is that of real QEMU 2.5.50 runs: a guest of 512 MiB that dirties 16,386 pages
# (64 MiB) between checkpoints. Only the design differs.

# %%
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

import colosim
from colosim.plots import against, memory, overview

# %load_ext colosim.plots.notebook

MIB = 1 << 20
DESIGNS = ["qsb", "split", "flat", "qemu-5.1"]
SCATTER = ["checkpoints=4", "expect={}", "spread=measured"]
comparison = colosim.compare("compare", DESIGNS, overrides=SCATTER)
runs = comparison.runs
assert set(comparison.verdicts.values()) == {"completed"}

# %% [markdown]
# ## Who holds what?
#
# *What does each host hold beyond the guest's own RAM, by buffer, over four checkpoints?*

# %%
memory.figure([runs["qsb"], runs["split"], runs["flat"]])

# %% [markdown]
# The peaks in numbers, in MiB:

# %%
peaks = pd.DataFrame(
    {
        (side, design): run.summary["memory_peak_bytes"][side]
        for side in ("primary", "secondary")
        for design, run in runs.items()
    }
).T[["ram_cache", "staging_buffer", "socket_send_buffer", "socket_receive_buffer", "extra_total"]]
(peaks / MIB).map(lambda size: "" if pd.isna(size) else f"{size:.2f}")

# %%
guest_bytes = comparison.scenario.guest.ram_bytes
pages = int(runs["qsb"].checkpoints.dirty_pages.iloc[-1])
staged = {
    design: int(run.checkpoints.staging_buffer_content_bytes.max()) for design, run in runs.items()
}
kept = {design: int(peaks.loc[("primary", design), "staging_buffer"]) for design in runs}
cache = {design: peaks.loc[("secondary", design), "ram_cache"] for design in runs}

assert staged["qsb"] == 4104 * pages + 119_014  # a page and its header; sections, devices, JSON
assert kept["qsb"] >= staged["qsb"] > 15 * kept["split"]
assert kept["split"] == kept["qemu-5.1"] == 4 * MIB > 300 * staged["split"]
assert cache["qsb"] == cache["split"] == cache["qemu-5.1"] == guest_bytes
assert pd.isna(cache["flat"])

Markdown(f"""
**`qsb` holds the whole vmstate twice**: {kept["qsb"] / MIB:.1f} MiB in a staging buffer on the primary
and as much on the secondary, 4,104 bytes for each of the {pages:,} pages and 119,014 besides.
**`split` stages only device state**: {staged["split"]:,} bytes, in a buffer that starts at
{kept["split"] / MIB:.0f} MiB. Its RAM goes straight to the socket, so the price is what the socket
buffers hold. `qemu-5.1` is like it.

On the secondary all this is small beside the **RAM cache**, one guest RAM
({guest_bytes / MIB:.0f} MiB), which all but `flat` have: a checkpoint that breaks off half-way must
not spoil the guest. `flat` loads into guest RAM once it has received everything.
""")

# %% [markdown]
# ## When, and why then?
#
# *At which step of a transaction does the buffer grow?*

# %%
overview.figure([runs["qsb"], runs["split"]], checkpoint=0)

# %%
first = {design: run.checkpoints.iloc[0] for design, run in runs.items()}


def grown_at(run, side):
    """Return when the staging buffer of a side first had its peak."""
    rows = run.memory.query("account == 'staging_buffer' and side == @side")
    return int(rows.loc[rows.level_bytes.idxmax(), "time_ns"])


qsb = first["qsb"]
assert qsb.primary_synced_at_ns <= grown_at(runs["qsb"], "primary") < qsb.primary_lock_free_at_ns
assert qsb.secondary_size_at_ns <= grown_at(runs["qsb"], "secondary") < qsb.secondary_filled_at_ns
assert grown_at(runs["split"], "primary") == 0

later = runs["qsb"].checkpoints.iloc[-1]
dearer = qsb.primary_vmstate_save_ns / later.primary_vmstate_save_ns
assert dearer > 1.5

Markdown(f"""
The primary's buffer grows **while the state is saved, under the iothread lock**, and the secondary's
when VMSTATE_SIZE tells it how much will come. Growing is paid once, in page faults: the first save
takes {qsb.primary_vmstate_save_ns / 1e6:.0f} ms, later ones {later.primary_vmstate_save_ns / 1e6:.0f} ms
({dearer:.1f} times less).
""")

# %% [markdown]
# ## Peak against dirty set
#
# *How do the peaks grow with what the guest writes between two checkpoints?* A line is the median over
# three seeds; where they differ it has a band.

# %%
scattered = comparison.scenario
sweep = against.data(scattered, "dirty-pages", designs=DESIGNS, seeds=range(1, 4))
figure = Figure(figsize=(7.2, 3.0))
for axes, side in zip(figure.subplots(1, 2), ("primary", "secondary")):
    against.draw(sweep, f"{side}_peak_bytes", axes)
    axes.get_legend().remove()
figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
figure

# %%
over_seeds = {"index": "value", "columns": "design", "aggfunc": "max"}
peak = sweep.pivot_table(values="primary_peak_bytes", **over_seeds).astype(int)
big = peak.loc[peak.index >= 4000]
per_page = (big.iloc[-1] - big.iloc[0]) / (big.index[-1] - big.index[0])
socket_bytes = comparison.scenario.network.send_buffer_bytes
second = sweep.pivot_table(values="secondary_peak_bytes", **over_seeds).astype(int)

assert 4096 < per_page["qsb"] < 4120 and 4096 < per_page["flat"] < 4120
assert per_page["split"] < 1 and per_page["qemu-5.1"] < 1
assert peak["split"].max() < 4 * MIB + socket_bytes + MIB
even = int(peak.index[peak["qsb"] > peak["split"]].min())
assert (peak["qsb"] > peak["split"])[peak.index >= even].all()
assert (second["flat"] < second["split"]).all()

Markdown(f"""
**`qsb` and `flat` pay {per_page["qsb"]:,.0f} bytes a dirty page on each host, `split` and `qemu-5.1`
none**: their peak stays at {peak["split"].max() / MIB:.1f} MiB, whatever the guest does. At
{peak.index.max():,} pages that is {peak["qsb"].max() / MIB:.0f} MiB against
{peak["split"].max() / MIB:.1f} MiB on the primary. From {even:,} pages on `split` holds less; below,
both have little more than the 4 MiB with which their buffers start.
""")

# %% [markdown]
# ## The high-water mark that stays
#
# A QEMUSizedBuffer never shrinks while COLO runs: `qsb_set_length(0)` resets its length only.
#
# *What does one busy moment leave behind?* Thirty checkpoints of a guest that dirties some 2,000 pages
# each time, and thirty times as many in bursts that come every 10 s in the mean.

# %%
BURSTS = "bursts: {every: 10 s, for: 500 ms, factor: 30}"
WRITES = f"guest.dirty={{rate: 4000 pages/s, working_set: 60000 pages, {BURSTS}}}"
bursting = [*SCATTER, WRITES, "checkpoints=30"]
late = colosim.run("compare", "qsb", overrides=bursting).checkpoints
first = int(late.dirty_pages.idxmax())

figure = Figure(figsize=(7.2, 2.6))
axes = figure.subplots()
axes.step(late.checkpoint, late.staging_buffer_capacity_bytes / MIB, where="mid", color="#d55e00")
axes.bar(late.checkpoint, late.staging_buffer_content_bytes / MIB, color="#0072b2", width=0.7)
axes.set(xlabel="checkpoint", ylabel="primary's staging buffer (MiB)", xlim=(-0.8, 29.8))
axes.text(29.6, 184, "allocated", color="#d55e00", ha="right", va="top")
axes.text(29.6, 12, "used by the checkpoint", color="#0072b2", ha="right", va="bottom")
figure

# %%
after = late[(late.checkpoint > first) & (late.dirty_pages < 3_000)]
allocated = after.staging_buffer_capacity_bytes
used = after.staging_buffer_content_bytes
assert (allocated == late.staging_buffer_capacity_bytes.max()).all()
assert (allocated > 20 * used).all()

Markdown(f"""
**The burst is never given back**: after it {allocated.iloc[-1] / MIB:.0f} MiB stay allocated on the
primary (and on the secondary) for checkpoints that put {used.iloc[-1] / MIB:.0f} MiB in,
{(1 - used.sum() / allocated.sum()):.0%} of it unused until COLO ends. Size the hosts for the largest
checkpoint there will ever be, which is the guest's whole RAM, or use a design that does not stage it.
""")
