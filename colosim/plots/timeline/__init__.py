"""A run as a timeline for Perfetto (https://ui.perfetto.dev), as TrackEvent protocol buffers.

`protobuf`  the encoding
`trace`     tracks, slices, instants, counters and arrows as packets
`content`   what of a run goes on which track
"""

from __future__ import annotations

from colosim.plots.timeline.content import timeline

__all__ = ["timeline"]
