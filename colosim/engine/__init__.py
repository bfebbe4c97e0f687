"""What every model stands on: clock, random streams, event record, memory ledger."""

from colosim.engine.clock import duration_ns, per_page_ns
from colosim.engine.environment import Environment
from colosim.engine.ledger import Ledger
from colosim.engine.streams import Streams
from colosim.trace.record import Record, code_of, name_of

__all__ = [
    "Environment",
    "Ledger",
    "Record",
    "Streams",
    "code_of",
    "duration_ns",
    "name_of",
    "per_page_ns",
]
