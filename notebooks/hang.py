# %% [markdown]
# # Can the survivor still be told?
#
# The split design streams RAM to the socket while it holds the iothread lock. In review it was
# asked: *if the destination hangs while RAM fills the network buffers, does the primary not hang
# for ever, holding that lock?* `x-colo-lost-heartbeat`, the command that would end it, needs the
# lock too.
#
# The scenario `hang` replays that moment: 512 MiB guest, 16,386 dirty pages (64 MiB), socket buffers
# of 4 MiB and 2 MiB. 40% into the RAM stream of the fourth checkpoint the secondary's process freezes
# (SIGSTOP); its kernel still answers. A cluster manager misses heartbeats and sends the command.

# %%
import pandas as pd
from IPython.display import Markdown
from matplotlib.figure import Figure

import colosim
from colosim.plots import hang
from colosim.plots.style import line_of

# %load_ext colosim.plots.notebook

MIB = 1 << 20
comparison = colosim.compare("hang")
runs = comparison.runs

# %% [markdown]
# ## The replay
#
# *What becomes of lock, buffers, guest and command after the fault?*

# %%
hang.figure([runs["split"], runs["qsb"]])


# %%
def said(ns: int | None, *, is_open: bool = False) -> str:
    """Return a time; one that lasts to the end of the run is only as long as its horizon."""
    return "to the end" if is_open else "never" if ns is None else f"{ns / 1e9:.3f} s"


verdicts = pd.DataFrame(
    {
        design: {
            "verdict": told["verdict"],
            "runs again after": said(told["time_to_guest_ns"]),
            "monitor deaf for": said(
                told["monitor_deaf_ns_longest"], is_open=told["monitor_deaf_open"]
            ),
            "guest stopped for": said(
                told["guest_stopped_ns_longest"], is_open=told["guest_stopped_open"]
            ),
        }
        for design, told in ((design, run.summary) for design, run in runs.items())
    }
).T
verdicts

# %%
hung = [design for design, run in runs.items() if run.verdict == "hung"]
assert hung == ["split", "device-first", "qemu-11"]
assert all(run.survivor == "primary" for run in runs.values())

open_holds = runs["split"].locks.query("got_ns.notna() and released_ns.isna()")
assert open_holds.purpose.tolist() == ["save"]
unserved = runs["split"].locks.query("got_ns.isna()")
assert unserved.purpose.tolist() == ["monitor"]
back = {d: run.summary["time_to_guest_ns"] for d, run in runs.items() if run.verdict != "hung"}
assert max(back.values()) < 3.1e9

Markdown(f"""
**Yes.** `split` and `device-first` hang, and `qemu-11`, today's, with them: the lock is held to save the
state, the monitor waits for it, and nobody serves, to the end of the run. `qsb`,
`flat` and `qemu-5.1` send without the lock; they are told, and serve again
{min(back.values()) / 1e9:.2f} s to {max(back.values()) / 1e9:.2f} s after the fault, nearly all of it
the manager's waiting for heartbeats. The 60 MiB that `split` saves were paid with this.
""")

# %% [markdown]
# ## Who waits for whom
#
# *Why does the command not get through?* Every arrow leads from what waits to what it waits for.

# %%
why = colosim.explain("hang", "split")
graph = why.state.graph
longest, other = sorted(graph.chains, key=lambda chain: -len(chain.nodes))


COLOURS = {"lock": "#f4c7a6", "buffer": "#a9cfe8", "peer": "#c5e5f7", "guest": "#d9d9d9"}
figure = Figure(figsize=(7.2, 4.6))
axes = figure.subplots()
places = {node.key: (0, -row) for row, node in enumerate(longest.nodes)}
places[other.nodes[0].key] = (1.2, places[other.nodes[1].key][1])  # beside what it waits for
boxes = {}
for node in graph.nodes:
    if node.key in places:
        state = f" ({node.state})" if node.state else ""
        box = {
            "boxstyle": "round",
            "facecolor": COLOURS.get(node.kind.value, "white"),
            "linewidth": 0.6,
        }
        boxes[node.key] = axes.text(
            *places[node.key], node.label + state, ha="center", va="center", fontsize=7.5, bbox=box
        ).get_bbox_patch()
for edge in (*longest.edges, other.edges[0]):
    (x, y), (to_x, to_y) = places[edge.waiter], places[edge.target]
    ends = {"patchA": boxes[edge.waiter], "patchB": boxes[edge.target]}
    axes.annotate("", (to_x, to_y), (x, y), arrowprops={"arrowstyle": "->", **ends})
    across = y == to_y
    axes.text(
        (x + to_x) / 2 + 0.03,
        (y + to_y) / 2 + 0.2 * across,
        edge.label,
        fontsize=7,
        ha="center" if across else "left",
        va="center",
        style="italic",
    )
axes.set(xlim=(-0.5, 1.7), ylim=(0.5 - len(longest.nodes), 0.5))
axes.axis("off")
figure

# %%
kinds = [node.kind.value for node in longest.nodes]
assert " ".join(kinds) == "manager command thread lock thread buffer buffer thread peer"
assert longest.cause.state == "frozen" and longest.ends_outside("primary")
assert not graph.cycles
assert {chain.cause.key for chain in graph.chains} == {"secondary: process"}

text = str(why)
print(text[text.index("What would release it") :])

# %% [markdown]
# It is no deadlock in the strict sense: no cycle, every chain ends at the frozen process. But
# nothing on the primary's side can break the chain without the lock.
#
# ## Who can still be told
#
# The companions of `hang` change one thing each: what fits into the buffers, or what becomes of the
# destination. *Which designs serve again, and how long after the fault?*

# %%
COMPANIONS = {
    "hang-fits-buffers": "frozen, dirty set fits the buffers",
    "hang-killed": "killed",
    "hang": "frozen for good",
    "hang-thawed": "frozen, goes on after 30 s",
    "hang-vanished": "host gone, nothing comes back",
}
told = {name: colosim.compare(name, tables=False).runs for name in COMPANIONS}
service = (
    pd.DataFrame(
        {
            what: {design: run.summary["time_to_guest_ns"] for design, run in told[name].items()}
            for name, what in COMPANIONS.items()
        }
    ).T.astype("Float64")
    / 1e9
)

figure = Figure(figsize=(7.2, 3.3))
axes = figure.subplots()
NEVER_S = 8000
for index, design in enumerate(service.columns):
    look = line_of(design)
    for row, seconds in enumerate(service[design]):
        never = pd.isna(seconds)
        axes.plot(
            NEVER_S if never else seconds,
            row + 0.16 * (index - 2),
            marker=look.marker,
            linestyle="",
            color=look.colour,
            markersize=5,
            label=design if row == 0 else None,
        )
axes.axvline(3000, color="black", linewidth=0.8)
axes.text(NEVER_S, -0.68, "never", ha="center", weight="bold")
axes.set(xscale="log", xlim=(1, 20_000), ylim=(4.6, -0.6), xlabel="a guest runs again after (s)")
axes.set_xticks([1, 3, 10, 30, 100, 300, 1000], ["1", "3", "10", "30", "100", "300", "1,000"])
axes.minorticks_off()
axes.set_yticks(range(len(service)), service.index)
figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5)
figure

# %%
service.map(lambda seconds: "never" if pd.isna(seconds) else f"{seconds:.2f} s")

# %%
held = ["split", "device-first"]
free = ["qsb", "flat", "qemu-5.1"]
assert service[free].notna().all(axis=None) and (service[free] < 4).all(axis=None)
assert service.loc[COMPANIONS["hang"], held].isna().all()
assert (service.loc[COMPANIONS["hang-fits-buffers"], held] < 4).all()
assert (service.loc[COMPANIONS["hang-killed"], held] < 4).all()
assert service.loc[COMPANIONS["hang-thawed"], held].between(30, 31).all()
assert service.loc[COMPANIONS["hang-vanished"], held].between(900, 960).all()

Markdown(f"""
Sending without the lock serves again within {service[free].max(axis=None):.1f} s in every case. With
the lock held it is the *network* that decides: a reset (killed) frees the sender, a process that goes on
lets it go on, a host that is gone is given up after {service.loc[COMPANIONS["hang-vanished"], "split"]:.0f} s
of retransmission at Linux defaults. Only a peer that is frozen while its kernel answers is for good:
TCP's window probes are acknowledged, so nothing ever times out.
""")

# %% [markdown]
# ## How much must be dirty?
#
# With 1,000 dirty pages nothing hangs: what is left to send fits into the socket buffers.
# *From how many dirty pages on does `split` hang, and what do larger buffers change?*
#
# The frozen process here stops right at the start of the stream.


# %%
def hangs(pages, buffer):
    """Tell whether split hangs with so many dirty pages, the send buffer being `buffer` bytes."""
    load = [
        f"guest.dirty.pages={pages}",
        f"network.send_buffer={buffer} B",
        "expect={}",
        "measured={}",
    ]
    early = 'faults=[{freeze: secondary, at: {checkpoint: 3, step: "primary: RAM stream", progress: 0%}}]'
    run = colosim.run("hang", "split", overrides=[*load, early], tables=False)
    return run.verdict == "hung"


def fewest_pages(buffer):
    """Return the fewest dirty pages with which split hangs."""
    low, high = 100, 100_000
    assert not hangs(low, buffer) and hangs(high, buffer)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if hangs(middle, buffer) else (middle, high)
    return high


receive = comparison.scenario.network.receive_buffer_bytes
limits = pd.Series({mib * MIB: fewest_pages(mib * MIB) for mib in (1, 2, 4, 8, 16)})

figure = Figure(figsize=(5.0, 2.9))
axes = figure.subplots()
both = (limits.index + receive) / MIB
axes.plot(both, both, color="#8c8c8c", linewidth=0.8)
axes.plot(both, limits.to_numpy() * 4104 / MIB, "s", color="#0072b2")
axes.fill_between(both, both, 24, color="#d55e00", alpha=0.15, linewidth=0)
axes.text(4, 19, "hangs")
axes.text(14, 4, "is told")
axes.set(
    xlabel="send buffer + receive buffer (MiB)",
    ylabel="fewest dirty bytes to hang (MiB)",
    xlim=(2, 19),
    ylim=(0, 24),
)
figure

# %%
spare = limits.to_numpy() * 4104 - (limits.index + receive)
assert (abs(spare) < 0.25 * MIB).all()
usual = int(limits[4 * MIB])

Markdown(f"""
**As soon as the dirty set exceeds the two socket buffers**, within {abs(spare).max() / 1024:.0f} KiB.
With the 4 + 2 MiB of the real runs that is {usual:,} pages, {usual * 4 / 1024:.1f} MiB: any guest that
does something. Larger buffers move the limit, byte for byte, and do not remove it.
""")

# %% [markdown]
# ## The same, ten years on, on the other side
#
# `qemu-5.1` (QEMU 5.1 to 10.0) sends without the lock, but its secondary *receives under its own*.
# *What if the primary freezes in the stream, and what does yank change?*

# %%
frozen = colosim.run("hang-primary-frozen")
yanked = colosim.run("hang-primary-frozen-yank")
hang.figure([frozen, yanked])

# %%
assert (frozen.verdict, frozen.survivor) == ("hung", "secondary")
assert frozen.locks.query("got_ns.notna() and released_ns.isna()").purpose.tolist() == ["receive"]
assert yanked.verdict == "failed_over"
assert yanked.summary["time_to_guest_ns"] < 3.1e9

Markdown(f"""
The class of fault moved; it did not go away. `qemu-5.1`'s secondary is {frozen.verdict}, its lock held to
receive. **`yank`** (QEMU 6.0 on) is served out of band, without the lock: it shuts the socket down, the read
fails, the lock is given back, and the secondary serves
{yanked.summary["time_to_guest_ns"] / 1e9:.2f} s after the fault.
""")

# %% [markdown]
# ## And today
#
# QEMU 11 streams RAM under the lock again. *What would each way out do, and cost when nothing fails?*
# The scenario `hang-today` has the conditions of the real runs of 11.1.3: 15,400 pages over 1 Gbit/s, plain
# and over four multifd channels. Each line names the real run that shows it, or says that none does.

# %%
today = {
    name.removeprefix("qemu-11"): run.summary
    for name, run in colosim.compare("hang-today", tables=False).runs.items()
}
WAYS = {
    "": ("as it is", "1"),
    "+yank": ("yank, out of band", "2"),
    "+send-timeout=5s": ("send timeout, 5 s", "3"),
    "+user-timeout=5s": ("TCP_USER_TIMEOUT, 5 s", "4"),
    "+keepalive": ("keepalive, 5 s + 5 x 1 s", "5"),
    "+ram-outside-lock": ("RAM outside the lock", "6"),
    "+ram-outside-lock+yank": ("RAM outside, and yank", "6"),
    "+socket-buffers=128MiB": ("buffers of 128 MiB", "7"),
}
SHOWN_BY = """\
Real runs that show it, of 11.1.3 where nothing else is said:
[1] fault_s_stop_stream_c0 and _c4: no query in 5 s, no command in 10 s
[2] the same: yanked out of band, the guest ran 33 and 4.7 ms later; here the
    manager yanks 1 s after it takes the secondary for lost
[3] none: QEMU has no send timeout. 5 s without a byte of room end COLO
[4] none of QEMU's; a silence of the link of 5 s ends COLO, too
[5] none; the frozen host's kernel answers every probe
[6] plain: q10_fault_s_stop_stream_c0 (10.0.13): command in 0.5 ms, guest after
    9 ms; in a healthy pair the monitor was deaf for 6 ms in 7.2.22, which does
    so, and for 844 in 11.1.3 (q72_x_probe_*, x_probe_*).
    Channels: none. Failover shuts the main channel alone, and the checkpoint
    thread stands in another: the guest stays stopped. A yank shuts all
[7] fault_s_stop_stream_small_c0: 300 pages fit, command in 2.0 ms, guest after
    4.5. It only moves the limit; of kernel memory both hosts together take"""


def ms(ns):
    """Return a time in at most seven letters."""
    return f"{ns / 1e9:.2f} s" if ns >= 10**9 else f"{ns / 1e6:.{0 if ns >= 10**7 else 1}f} ms"


def cells(summary):
    """Return when a guest ran again, how long the monitor was deaf, and how long in a checkpoint."""
    back = summary["time_to_guest_ns"]
    deaf = "to end" if summary["monitor_deaf_open"] else ms(summary["monitor_deaf_ns_longest"])
    return ("never" if back is None else ms(back), deaf, ms(summary["monitor_deaf_ns"]["p50"]))


lines = [
    f"{'':<25}{'guest back':^16}{'monitor deaf':^16}{'nothing fails:':^16}",
    f"{'secondary frozen':<25}{'after':^16}{'for':^16}{'deaf, a checkpt.':^16}",
    f"{'in mid-stream':<25}" + f"{'plain':>7} {'4 ch.':>7} " * 3,
]
for option, (name, note) in WAYS.items():
    pairs = zip(cells(today[option]), cells(today["+multifd=4" + option]), strict=True)
    lines.append(f"{name:<25}" + "".join(f"{a:>7} {b:>7} " for a, b in pairs) + f"[{note}]")
sockets = today["+socket-buffers=128MiB"]["memory_peak_bytes"]
peak = (
    sockets["primary"]["socket_send_buffer"] + sockets["secondary"]["socket_receive_buffer"]
) / MIB
lines = [line.rstrip() for line in lines]
table = "\n".join([*lines, "", f"{SHOWN_BY}\n    {peak:.0f} MiB, as it is 6"])
print(table)

# %%
assert max(map(len, table.splitlines())) <= 80
verdict = {
    option: (today[option]["verdict"], today["+multifd=4" + option]["verdict"]) for option in WAYS
}
assert verdict[""] == verdict["+keepalive"] == ("hung", "hung")
assert verdict["+ram-outside-lock"] == ("failed_over", "stopped")
rest = set(WAYS) - {"", "+keepalive", "+ram-outside-lock"}
assert {verdict[option] for option in rest} == {("failed_over", "failed_over")}
