"""Keeps the copies of ConfigMaps and Secrets equal to their originals while bound proxies refer to them.

The source may not list Secrets in a target, so nothing there tells what was copied; it follows from the proxies: what
one refers to that is bound to a target has its copy there, under the same name. Changes of originals are noticed by a
watch of their metadata alone: no Secret's content is kept in memory, or read before somebody needs it.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

from loguru import logger

from federation.controllers.connection import Connection
from federation.decisions.following import copy_of
from federation.kube.api import Api, Manifest
from federation.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from federation.kube.resources import CONFIG_MAPS, SECRETS, Resource
from federation.kube.store import Store
from federation.model.chaperon import Chaperon
from federation.model.pod import ProxyPod
from federation.model.references import Kind, Reference

ConfigKey = tuple[Kind, str, str]  # kind, namespace, name

RESOURCES: dict[Kind, Resource] = {"ConfigMap": CONFIG_MAPS, "Secret": SECRETS}


async def read_original(api: Api, reference: Reference, namespace: str) -> Manifest | None:
    """Return the original, live, or None where there is none."""
    try:
        original = await api.get(RESOURCES[reference.kind], reference.name, namespace)
    except NotFound:
        return None
    original.setdefault("kind", reference.kind)
    return original


async def put_copy(original: Manifest, chaperons: Sequence[Chaperon], connection: Connection) -> bool:
    """Bring one copy, owned by the chaperons that need it, into a target; returns whether anything was written."""
    resource, metadata = RESOURCES[original["kind"]], original["metadata"]
    try:
        existing: Manifest | None = await connection.api.get(resource, metadata["name"], metadata["namespace"])
    except NotFound:
        existing = None
    copy = copy_of(original, chaperons, existing)
    if copy is None:
        return False
    if existing is not None:
        await connection.api.replace(resource, copy)
        return True
    try:
        await connection.api.create(resource, copy)
    except AlreadyExists as error:
        raise Conflict(409, "Conflict", error.message) from error  # another pod's copy: look again, join its owners
    return True


class ConfigCopies:
    """Reconciles ConfigMaps and Secrets by (kind, namespace, name)."""

    def __init__(self, *, api: Api, pods: Store[ProxyPod], connections: Callable[[], list[Connection]]) -> None:
        self._api = api
        self._pods = pods
        self._connections = connections

    async def reconcile(self, key: ConfigKey) -> float | None:
        """Bring every copy of one original up to date."""
        kind, namespace, name = key
        connections = {c.target.node_name: c for c in self._connections() if not c.target.is_self and not c.trouble}
        needed = self._needed_by(key, connections)
        if not needed:
            return None
        original = await read_original(self._api, Reference(kind, name), namespace)
        if original is None:
            return None  # running pods keep what they have, as they do when a ConfigMap is deleted at home
        trouble: ApiError | None = None
        for node_name, chaperons in needed.items():
            try:
                if await put_copy(original, chaperons, connections[node_name]):
                    target = connections[node_name].target.name
                    logger.info("copy brought up to date", kind=kind, name=name, namespace=namespace, target=target)
            except ApiError as error:  # the other targets still get theirs
                trouble = error
        if trouble is not None:
            raise trouble
        return None

    def _needed_by(self, key: ConfigKey, connections: dict[str, Connection]) -> dict[str, list[Chaperon]]:
        """Return the chaperons of bound proxies that refer to an original, by virtual node.

        Only of bound ones: a cluster that a pod may still not go to never sees a Secret.
        """
        needed: dict[str, list[Chaperon]] = defaultdict(list)
        for pod in self._pods.by("reference", reference_index(*key)):
            connection = connections.get(pod.node_name)
            if connection is None or pod.is_terminating or pod.is_finished:
                continue
            for chaperon in connection.chaperons.by("parent", f"{pod.namespace}/{pod.name}"):
                if chaperon.parent_uid == pod.uid and not chaperon.is_terminating:
                    needed[pod.node_name].append(chaperon)
        return needed


def reference_index(kind: Kind, namespace: str, name: str) -> str:
    """Return the value under which a store of pods files those that refer to something."""
    return f"{kind}/{namespace}/{name}"


def reference_keys(pod: ProxyPod) -> list[ConfigKey]:
    """Return the keys of all that a pod refers to."""
    return [(reference.kind, pod.namespace, reference.name) for reference in pod.references]
