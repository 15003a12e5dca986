"""The lab's GitLab against GitLab's own rules: every endpoint, in every case."""
