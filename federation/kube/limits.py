"""Bounds on what one client of one cluster may ask of it and of us."""

from dataclasses import dataclass

_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at once, how long, how large.

    Defaults suit one agent on its own cluster. Ten times fewer connections would let watches starve writes; ten times
    more would let one agent crowd out others at the API server. `STRANGER` bounds what a target may have us hold.
    """

    connections_max: int = 200  # watches, log streams and writes together
    writes_concurrent_max: int = 64  # kube-apiserver answers 429 far above this; more only queues there
    request_timeout_seconds: float = 15.0  # a write that takes longer has most likely been lost
    page_size: int = 200  # objects a list request: reading more of 7 KB at once stops the loop for longer than 50 ms
    watch_seconds_min: int = 240  # a watch is renewed after a random time between these two,
    watch_seconds_max: int = 480  # so that all watches of all agents do not end at once
    silence_seconds_max: float = 90.0  # bookmarks come about once a minute: longer silence is a dead connection
    reconnect_seconds_min: float = 0.2  # first wait after a lost watch; doubles, with jitter,
    reconnect_seconds_max: float = 2.0  # up to this while nobody answers (refusing a connection costs nothing),
    trouble_seconds_max: float = 30.0  # up to this where the answer is what is wrong: it heals when somebody acts
    read_attempts_max: int = 3  # a read that got no answer, 429 or 5xx; writes are repeated by their reconciler
    body_bytes_max: int = 256 * _MEBIBYTE  # an answer; 200 objects of etcd's limit (1.5 MiB), which nobody has
    line_bytes_max: int = 16 * _MEBIBYTE  # an event of a watch
    failure_bytes_max: int = 64 * 1024  # an answer that is no success
    parts_max: int = 20_000_000  # objects and lists within one answer
    depth_max: int = 512  # nesting; what we write, others parse by recursion
    objects_max: int = 1_000_000  # of one kind: those that a list or a store may hold
    list_seconds_max: float = 600.0  # all pages of one list


# A page of 200 chaperons is about 3 MB; one that is larger is asked for in smaller pieces (Api.pages). An answer's
# values take up to twenty times its bytes in memory, so this is what bounds how much a target can have us take at once.
STRANGER = Limits(
    body_bytes_max=4 * _MEBIBYTE,
    line_bytes_max=4 * _MEBIBYTE,
    parts_max=200_000,
    depth_max=64,
    objects_max=20_000,
    list_seconds_max=300.0,
)
