"""Bounds on what callers can make one virtual node's endpoint spend."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """How many, how large, how long; per virtual node.

    Ten times fewer streams would cut off a team that follows logs; ten times more and one node's callers could use up
    the agent's file descriptors (two per stream).
    """

    connections_max: int = 1000  # of callers who may; refused beyond it
    strangers_max: int = 1000  # connections without a whole request: of more, the oldest is closed
    streams_max: int = 400  # log, exec, attach and port-forward streams together
    head_bytes_max: int = 256 * 1024  # an exec command travels in the URL; kube-apiserver takes 1 MiB
    head_seconds_max: float = 10.0  # from the accepted connection to a whole request head
    handshake_seconds_max: float = 10.0
    connect_seconds_max: float = 10.0  # to the target's API server
    answer_seconds_max: float = 60.0  # until the target's head; kubelet there may pull up a slow container runtime
    idle_seconds_max: float = 4 * 3600.0  # a stream without a byte either way; kubelet's own default is 4 h
    goodbye_seconds_max: float = 3.0  # TLS shutdown with a peer that does not answer
    error_bytes_max: int = 64 * 1024  # of a target's error body that are read
    chunk_bytes: int = 64 * 1024  # read at once; also what a slow reader makes us hold, twice
