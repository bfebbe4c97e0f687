"""What clients see: their requests, the comparison of outputs, and when answers leave."""
