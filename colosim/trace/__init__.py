"""What can happen in a run, as types, and the record that keeps it; no other room stands below.

`events` has the kinds of event, `purpose` what an iothread lock is held for, `steps` the steps and
points of a checkpoint, `record` the event record and its digest.
"""

from colosim.trace.events import Event
from colosim.trace.purpose import Purpose
from colosim.trace.record import Record, code_of, event_of, name_of
from colosim.trace.sentences import parse

__all__ = ["Event", "Purpose", "Record", "code_of", "event_of", "name_of", "parse"]
