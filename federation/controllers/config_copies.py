"""Keeps the copies of ConfigMaps and Secrets equal to their originals while bound proxies refer to them.

The source may not list Secrets in a target, so nothing there tells what was copied; it follows from the proxies: what
one refers to that is bound to a target has its copy there, under the same name. Changes of originals are noticed by a
watch of their metadata alone: no Secret's content is kept in memory, or read before somebody needs it.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from enum import Enum

from loguru import logger

from federation import names
from federation.controllers.connection import Connection
from federation.controllers.lane import Errand, errand_key
from federation.decisions.following import copy_of, placeholder
from federation.kube.api import Api, Manifest
from federation.kube.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from federation.kube.resources import CONFIG_MAPS, SECRETS, Resource
from federation.kube.store import Store
from federation.model.chaperon import Chaperon
from federation.model.pod import ProxyPod
from federation.model.references import Kind, Reference

ConfigKey = tuple[Kind, str, str]  # kind, namespace, name

RESOURCES: dict[Kind, Resource] = {"ConfigMap": CONFIG_MAPS, "Secret": SECRETS}

FOREIGN: Manifest = {}  # stands, by identity, for an object that is not our copy


class Put(Enum):
    """What came of bringing a copy into a target; FOREIGN: an object of that name there is not ours."""

    WRITTEN = "written"
    EQUAL = "equal"
    FOREIGN = "foreign"


async def read_original(api: Api, reference: Reference, namespace: str) -> Manifest | None:
    """Return the original, live, or None where there is none."""
    try:
        original = await api.get(RESOURCES[reference.kind], reference.name, namespace)
    except NotFound:
        return None
    original.setdefault("kind", reference.kind)
    return original


async def put_copy(original: Manifest, chaperons: Sequence[Chaperon], connection: Connection) -> Put:
    """Bring one copy, owned by the chaperons that need it, into a target."""
    resource = RESOURCES[original["kind"]]
    copy = copy_of(original, chaperons, None)
    assert copy is not None, "where nothing exists there is something to write"
    existing = await _create(resource, copy, connection)
    if existing is None:
        return Put.WRITTEN
    if existing is FOREIGN:
        return Put.FOREIGN
    renewed = copy_of(original, chaperons, existing)
    if renewed is None:
        return Put.EQUAL
    if existing.get("type") == renewed.get("type"):
        await connection.api.replace(resource, renewed)
        return Put.WRITTEN
    metadata = renewed["metadata"]  # a Secret's type is immutable
    await connection.api.delete(resource, metadata["name"], metadata["namespace"], uid=existing["metadata"]["uid"])
    del metadata["resourceVersion"]
    if await _create(resource, renewed, connection) is not None:
        raise Conflict(409, "Conflict", f"{original['kind']} {metadata['name']} was made by another meanwhile")
    return Put.WRITTEN


async def put_placeholder(reference: Reference, chaperon: Chaperon, connection: Connection) -> Put:
    """Take the name of an original that is not at home, in a target, so that the pod reads nothing there (T6)."""
    resource = RESOURCES[reference.kind]
    copy = copy_of(placeholder(reference, chaperon.namespace), [chaperon], None)
    assert copy is not None, "where nothing exists there is something to write"
    existing = await _create(resource, copy, connection)
    if existing is None or existing is FOREIGN:
        return Put.FOREIGN if existing is FOREIGN else Put.WRITTEN
    kept = copy_of(placeholder(reference, chaperon.namespace, existing), [chaperon], existing)
    if kept is None:
        return Put.EQUAL
    await connection.api.replace(resource, kept)
    return Put.WRITTEN


async def is_shared(reference: Reference, namespace: str, connection: Connection) -> bool:
    """Whether a target has an object of that name which its owner lets pods of sources read."""
    try:
        found = await _labelled(reference, namespace, connection, names.SHARED, "true")
    except NotFound:
        return False
    return found is not None


async def _create(resource: Resource, copy: Manifest, connection: Connection) -> Manifest | None:
    """Create a copy and return None, or return our copy that is there already, or FOREIGN where it is not ours."""
    metadata = copy["metadata"]
    try:
        await connection.api.create(resource, copy)
    except AlreadyExists:
        reference = Reference(copy["kind"], metadata["name"])
        ours = metadata["labels"][names.PARENT_CLUSTER_NAME]
        try:
            found = await _labelled(reference, metadata["namespace"], connection, names.PARENT_CLUSTER_NAME, ours)
        except NotFound as error:
            raise Conflict(409, "Conflict", error.message) from error  # gone meanwhile: look again
        return FOREIGN if found is None else found
    return None


async def _labelled(
    reference: Reference, namespace: str, connection: Connection, label: str, value: str
) -> Manifest | None:
    """Return a target's object if it bears a label, None if it does not. Raises NotFound.

    A source has no right to read Secrets there. A patch that consists of a test alone is answered with the object
    where the test holds, and with 422 where it does not: it shows us what is meant for us, and nothing else.
    """
    resource = RESOURCES[reference.kind]
    test = {"op": "test", "path": f"/metadata/labels/{label.replace('/', '~1')}", "value": value}
    try:
        return await connection.api.patch(resource, reference.name, [test], namespace, kind="json")
    except Invalid:
        return None
    except Forbidden:  # Admiralty's role has `get` instead of `patch`
        found = await connection.api.get(resource, reference.name, namespace)
        return found if (found["metadata"].get("labels") or {}).get(label) == value else None


class ConfigCopies:
    """Reconciles ConfigMaps and Secrets by (kind, namespace, name).

    `again` has one looked at again after some seconds; set by the wiring.
    """

    def __init__(
        self,
        *,
        api: Api,
        pods: Store[ProxyPod],
        connections: Callable[[], list[Connection]],
        own_names: frozenset[str] = frozenset(),
    ) -> None:
        self._api = api
        self._pods = pods
        self._connections = connections
        self.again: Callable[[ConfigKey, float], None] = lambda key, seconds: None
        self._own_names = own_names  # of ConfigMaps that every cluster makes for itself

    async def reconcile(self, key: ConfigKey) -> float | None:
        """Bring every copy of one original up to date."""
        if key[0] == "ConfigMap" and key[2] in self._own_names:
            return None
        connections = {c.target.node_name: c for c in self._connections() if not c.target.is_self and not c.trouble}
        needed = self._needed_by(key, connections)
        if not needed:
            return None
        for node_name, chaperons in needed.items():
            self._hand_over(key, chaperons, connections[node_name])
        return None

    def _hand_over(self, key: ConfigKey, chaperons: list[Chaperon], connection: Connection) -> None:
        """Have one target's copy brought up to date by its lane (rule F4)."""

        async def run() -> None:
            await self._bring(key, chaperons, connection)

        what = object()  # never the same: the original may have changed after it was read
        errand = Errand(what, run, lambda after: self.again(key, after), is_begun=True)
        connection.lane.put(errand_key(RESOURCES[key[0]], key[1], key[2]), errand)

    async def _bring(self, key: ConfigKey, chaperons: list[Chaperon], connection: Connection) -> None:
        kind, namespace, name = key
        original = await read_original(self._api, Reference(kind, name), namespace)
        if original is None:
            return  # running pods keep what they have, as they do when a ConfigMap is deleted at home
        if await put_copy(original, chaperons, connection) is Put.WRITTEN:
            target = connection.target.name
            logger.info("copy brought up to date", kind=kind, name=name, namespace=namespace, target=target)

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
