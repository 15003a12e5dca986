"""The extender's own parts."""
