"""What is particular to each kind: its names, defaults, validation and printed columns."""
