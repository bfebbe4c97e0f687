"""Checkpoint designs: one file each, readable as the protocol, and the registry that finds them."""

from colosim.designs.design import Design
from colosim.designs.registry import DesignNames, load_design, load_designs

__all__ = ["Design", "DesignNames", "load_design", "load_designs"]
