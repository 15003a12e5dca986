"""One suite for two API servers: what the real one does is right."""
