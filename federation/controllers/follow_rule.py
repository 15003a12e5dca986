"""What a follower is given: the rule of its kind (two are in `services`), and the world that it reads."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from federation.clock import Clock
from federation.controllers.connection import Connection
from federation.kube.api import Api, Manifest
from federation.kube.resources import Resource
from federation.kube.store import Store
from federation.model.copied import Copy, Original
from federation.model.target import Target


class Rule(Protocol):
    """What one kind is followed for, and how."""

    resource: Resource
    linger_seconds: float

    def is_wanted(self, original: Original) -> bool:
        """Whether it leads to pods that are federated."""

    def change(self, original: Original, *, is_followed: bool) -> Manifest:
        """Return the patch that makes the original what it should be. Raises BadAnnotation."""

    def copy_of(self, original: Original, cluster_name: str, existing: Copy | None) -> Manifest | None:
        """Return the copy to write, or None."""

    def must_be_made_anew(self, original: Original, existing: Copy) -> bool:
        """Whether a copy has to be deleted first."""


@dataclass(frozen=True, slots=True)
class World:
    """What a follower reads: its own cluster's originals, the targets, and the live connections."""

    api: Api
    cluster_name: str
    originals: Store[Original]
    targets: Callable[[], list[Target]]
    trouble: Callable[[Target], str]  # why nothing in it can be believed or written; empty where all is well
    connections: Callable[[], list[Connection]]
    clock: Clock
