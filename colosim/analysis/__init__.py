"""What is made of runs: comparison, wait-for graph and explanation, exploration, closed forms."""
