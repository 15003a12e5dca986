"""Our code against the embedded API server in the same process: no sockets, and time that the test moves."""
