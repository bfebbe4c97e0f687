# %% [markdown]
# # From a scenario to a figure with bands
#
# One run of one seed says nothing of how sure a number is. With `spread: measured` the work of each
# checkpoint scatters as on the host that the preset was fitted on, and seeds say how much of that
# comes through. Fifteen lines, from the scenario to the figure:

# %%
import colosim
from colosim.plots import sweep
from colosim.scenario import load

# %load_ext colosim.plots.notebook

lab = load("compare").vary({"spread": "measured", "checkpoint_delay": "100 ms"})
axes = {
    "design": ["qsb", "split"],
    "guest.dirty.pages": {"log": [500, 16_000], "points": 6},
}
runs = colosim.sweep(lab, axes, seeds="1..10")
sweep.figure(runs, "guest.dirty.pages", "pause_ns.p99")

# %% [markdown]
# A line is the median over ten seeds, its band goes from the least to the most.
#
# ## How sure is a difference?
#
# *Both designs have the same draws under one seed, so they are held against each other seed by seed.*

# %%
from IPython.display import Markdown

found = colosim.over_seeds(lab, range(1, 11), ["qsb", "split"])
table = found.table.set_index(["quantity", "design"])
columns = ["mean", "mean_low", "mean_high", "difference", "difference_low", "difference_high"]
shown = table.loc[["pause_ns.p50", "pause_ns.p99"]]
(shown[columns].astype(float) / 1e6).round(2).join(shown["seeds_needed"])

# %%
split = table.loc[("pause_ns.p50", "split")]
assert split["difference_high"] < 0
qsb, tail = (table.loc[(key, "qsb")] for key in ("pause_ns.p50", "pause_ns.p99"))

Markdown(f"""
At the load of `compare` the median pause of `split` is {-split["difference"] / 1e6:.1f} ms shorter than that of `qsb`, at 95% between
{-split["difference_high"] / 1e6:.1f} and {-split["difference_low"] / 1e6:.1f} ms (Student's t of the pairs). To know `qsb`'s median pause to 1% takes
{int(qsb["seeds_needed"]):,} seeds, its p99 {int(tail["seeds_needed"]):,}.
""")
