"""Tests of the bridge: pure tables and properties first, then against the lab's GitLab and a real API server."""
