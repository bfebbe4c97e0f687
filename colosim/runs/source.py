"""A digest of the code that results depend on: colosim's own, and that of designs of one's own."""

from __future__ import annotations

import hashlib
import inspect
from functools import cache
from pathlib import Path

import colosim
from colosim.designs.registry import OWN, load_design

_OWN = {design.name for design in OWN}


@cache
def source_digest(designs: tuple[str, ...]) -> str:
    """Return a digest of colosim's source, and of the files of those designs that are another's."""
    files = sorted(Path(colosim.__file__).parent.rglob("*.py"))
    foreign = {name.partition("+")[0] for name in designs} - _OWN
    files += [Path(inspect.getfile(load_design(name))) for name in sorted(foreign)]
    digest = hashlib.sha256()
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
