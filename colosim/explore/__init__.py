"""Every fault at every protocol step: enumeration, running, report, and the smallest case."""
