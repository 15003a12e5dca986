"""The process kubelet: nodes whose containers are local processes, for the lab. See `__main__` for the wiring."""
