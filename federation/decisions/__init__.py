"""Verbs: pure functions from what is observed to what should be written. No I/O, no clock, no randomness."""
