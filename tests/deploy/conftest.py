"""Fixtures for the tests of what is installed."""

from tests.source_plane import source

__all__ = ["source"]  # a fixture, found here by name
