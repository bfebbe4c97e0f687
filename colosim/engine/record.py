"""The event record, which stands in `colosim.trace`."""

from colosim.trace.record import BATCH, Codes, Record, code_of, name_of

__all__ = ["BATCH", "Codes", "Record", "code_of", "name_of"]
