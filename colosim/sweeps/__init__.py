"""Grids of runs: thousands of points, what is finished kept, failures told apart."""
