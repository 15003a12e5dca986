"""Fixtures for the controllers' tests."""

from tests.source_plane import source

__all__ = ["source"]  # a fixture, found here by name
