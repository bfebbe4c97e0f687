"""What is between the two hosts: socket buffers, link, and TCP as it behaves."""
