"""A run and its directory: the simulation put together, its tables, summary, digest, provenance."""
