"""What goes wrong, and when: by time or by protocol step."""
