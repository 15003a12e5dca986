"""Tests of the webhook's server."""
