"""The commented scenario that `colosim init NAME` writes."""

from __future__ import annotations

import json
from typing import Final

from colosim.scenario.load import loads

_TEXT: Final = """\
# yaml-language-server: $schema=scenario.schema.json
# {name}: say here in a line or two what this scenario shows.
#
# Only the name is needed; everything else below stands at its default, most of it commented out.
# Quantities carry their unit: 4 GiB, 10 Gbit/s, 200 ms, 16384 pages. KB, MB and GB are refused.
#   colosim validate {name}.yaml     every fault of the file at once
#   colosim compare {name}.yaml      the designs side by side
#   colosim resolve {name}.yaml      every value, filled in
#   colosim schema > scenario.schema.json      lets an editor complete and check this file
name: {name}
description: ""

designs: [qsb, split, device-first, flat, mainline]
seed: 1

# Length of the run: so many checkpoints, or a duration such as 60 s.
checkpoints: 20
# warmup: 2                      # checkpoints left out of the statistics
# checkpoint_delay: 200 ms       # x-checkpoint-delay
# horizon: 1000 s                # how long the checkpoints may take before the run is judged

guest:
  ram: 1 GiB
  vcpus: 1
  # zero_share: 10%              # of the dirty pages
  # device_state: 12665 B
  # Dirty pages between two checkpoints; one of these four:
  dirty: {{pages: 2000}}
  # dirty: {{rate: 50000 pages/s, working_set: 96 MiB, pattern: uniform}}
  # dirty:
  #   hot: {{rate: 50000 pages/s, working_set: 16 MiB}}
  #   cold: {{rate: 500 pages/s, working_set: 512 MiB, pattern: uniform}}
  # dirty: {{csv: measured.csv, column: dirty_pages}}

hosts:
  preset: kvm-xeon               # colosim schema lists the presets
  # secondary:
  #   costs: {{reset: 500 us, cache_flush: 390 ns/page}}

network:
  preset: 10gbe
  # bandwidth: 1 Gbit/s          # or unlimited
  # latency: 25 us               # one way
  # send_buffer: 4 MiB
  # receive_buffer: 6 MiB

# What goes wrong, and when: by time, or by a step of a checkpoint (counted from 0).
# faults:
#   - freeze: secondary
#     at: {{checkpoint: 3, step: "primary: RAM stream", progress: 40%}}
#   - thaw: secondary
#     at: 30 s

manager:
  heartbeat: 1 s
  timeout: 3 s
  policy: lost-heartbeat         # or yank-then-lost-heartbeat, or wait

# What `colosim check` holds the run to, by design; '*' is every design.
# expect:
#   split: {{verdict: completed, pause_ns.p99: < 100 ms}}
#   "*": {{memory_peak_bytes.primary.staging_buffer: < 64 MiB}}
"""


def template(name: str) -> str:
    """Return a commented scenario called ``name`` that runs as it is.

    :raises ScenarioError: if ``name`` cannot be the name of a scenario.
    """
    loads(f"name: {json.dumps(name)}", file="<name>")
    return _TEXT.format(name=name)
