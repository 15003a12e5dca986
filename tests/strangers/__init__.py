"""Strangers at both ends: a hostile target, a hostile source and a hostile user, against the real programs.

`attempts.md` is the table of what they try; every test of the room plays rows of it, and `test_attempts.py` holds the
two together.
"""
