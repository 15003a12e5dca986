"""Bounds on what one client of one cluster may ask of it and of us."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at once, how long, how large.

    Defaults suit one agent on one cluster. Ten times fewer connections would let watches starve writes; ten times
    more would let one agent crowd out others at the API server.
    """

    connections_max: int = 200  # watches, log streams and writes together
    writes_concurrent_max: int = 64  # kube-apiserver answers 429 far above this; more only queues there
    request_timeout_seconds: float = 15.0  # a write that takes longer has most likely been lost
    page_size: int = 200  # objects a list request: reading more of 7 KB at once stops the loop for longer than 50 ms
    watch_seconds_min: int = 240  # a watch is renewed after a random time between these two,
    watch_seconds_max: int = 480  # so that all watches of all agents do not end at once
    silence_seconds_max: float = 90.0  # bookmarks come about once a minute: longer silence is a dead connection
    reconnect_seconds_min: float = 0.5  # first wait after a lost watch; doubles, with jitter
    reconnect_seconds_max: float = 30.0
    read_attempts_max: int = 3  # a read that got no answer, 429 or 5xx; writes are repeated by their reconciler
