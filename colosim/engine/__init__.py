"""What every model stands on: clock, random streams, memory ledger."""
