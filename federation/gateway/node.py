"""What the gateway has to know of the virtual node it speaks for."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from federation.kube.api import Api, Manifest


@dataclass(frozen=True, slots=True)
class Delegate:
    """The pod that really runs, and the client of the cluster it runs in."""

    api: Api
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class ServedNode:
    """One virtual node.

    `name` is the Node's name, `cluster` what messages call the target. `find(namespace, pod)` returns the delegate of
    a proxy *bound to this node* and raises NoDelegate for every other pod: the API server has authorised the caller
    for pods of this node only. `pods()` returns the proxies bound to it, as manifests.
    """

    name: str
    cluster: str
    find: Callable[[str, str], Awaitable[Delegate]]
    pods: Callable[[], Awaitable[list[Manifest]]]
