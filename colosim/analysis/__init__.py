"""What one asks of runs: designs side by side, who waits for whom, why a run ended as it did."""
