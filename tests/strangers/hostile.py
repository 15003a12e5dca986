"""A target that belongs to nobody's friend: an API server in memory that reserves and runs whatever it is asked to,
at once and without doing it, and of which any answer can be replaced by another.

Its good manners are the least that an agent needs to work with it, so that one lie at a time can be told.
"""

import asyncio
import base64
import json
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from federation import names
from tests.strangers.wire import Handler, Request, Wire, serving

Manifest = dict[str, Any]

_NAMED = re.compile(
    r"/(?:namespaces/(?P<namespace>[^/]+)/)?(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[a-z]+))?"
)
_OURS = f"/apis/{names.GROUP}/{names.VERSION}"
_PREFIXES = (_OURS, "/api/v1", "/apis/networking.k8s.io/v1")


class HostileTarget:
    """What it holds, what it was asked, and which answers are replaced.

    `obeys` is what becomes of a PodChaperon that is asked for; by default it is reserved, and runs once allowed.
    """

    def __init__(self) -> None:
        self.cluster_id = secrets.token_hex(16)
        self.objects: dict[tuple[str, str, str], Manifest] = {}  # (plural, namespace, name)
        self.asked: Counter[str] = Counter()  # "GET podchaperons", "WATCH podchaperons"
        self.bodies: list[tuple[str, bytes]] = []  # path and body of what was written
        self.obeys: Callable[[Manifest], None] = obey
        self.summary: Manifest = summary()
        self.url = ""
        self.authority = b""
        self.token = f"stolen-{secrets.token_hex(16)}"
        self._version = 100
        self._instead: list[tuple[str, re.Pattern[str], Handler]] = []
        self._watching: dict[asyncio.Queue[Manifest], str] = {}

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator["HostileTarget"]:
        """Serve for the length of the block."""
        target = cls()
        async with serving(target.handle) as (target.url, target.authority):
            yield target

    def instead(self, method: str, path: str, handler: Handler) -> None:
        """Answer requests of a method (WATCH: a GET that watches) whose path matches by something else."""
        self._instead.append((method, re.compile(path), handler))

    def kubeconfig(self, **user: Any) -> Manifest:
        """The kubeconfig that its owner hands to whoever would like to use it."""
        authority = base64.b64encode(self.authority).decode()
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": self.url, "certificate-authority-data": authority}}],
            "users": [{"name": "u", "user": {"token": self.token} | user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }

    async def handle(self, request: Request, wire: Wire) -> None:
        """Answer one request."""
        method = "WATCH" if request.is_watch else request.method
        path = next((request.path.removeprefix(p) for p in _PREFIXES if request.path.startswith(p)), request.path)
        found = _NAMED.fullmatch(path)
        plural = found["plural"] if found else path
        self.asked[f"{method} {plural}"] += 1
        if request.body:
            self.bodies.append((request.path, request.body))
        for wanted, pattern, handler in self._instead:
            if wanted == method and pattern.search(request.path):
                await handler(request, wire)
                return
        if found is None:
            await wire.json(200, {"gitVersion": "v1.37.0"})
            return
        await self._answer(request, wire, method, plural, found["namespace"] or "", found["name"] or "")

    async def _answer(self, request: Request, wire: Wire, method: str, plural: str, namespace: str, name: str) -> None:
        key = (plural, namespace, name)
        if plural == "namespaces":
            key = (plural, "", namespace or name)
            self.objects[key] = {"metadata": {"name": name, "uid": self.cluster_id, "resourceVersion": "1"}}
        if method == "WATCH":
            await self._watch(wire, plural)
        elif plural == "clustersummaries":
            await wire.json(200, self.summary if name else self._listing(plural, [self.summary]))
        elif method == "GET" and not name:
            items = [value for (kind, space, _), value in self.objects.items() if kind == plural and space == namespace]
            await wire.json(200, self._listing(plural, items))
        elif method == "POST":
            await self._create(request, wire, plural, namespace)
        elif key not in self.objects:
            await wire.json(404, not_found(plural, name))
        elif method == "GET":
            await wire.json(200, self.objects[key])
        elif method == "DELETE":
            await wire.json(200, self.objects[key])
            self.tell(plural, "DELETED", self.objects.pop(key))
        else:
            patch = request.json
            _merge(self.objects[key], patch if isinstance(patch, dict) else {})
            self.change(*key)
            await wire.json(200, self.objects[key])

    async def _create(self, request: Request, wire: Wire, plural: str, namespace: str) -> None:
        body = request.json
        body["metadata"] |= {"uid": secrets.token_hex(16), "namespace": namespace, "generation": 1}
        body["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
        self.add(plural, body)
        await wire.json(201, body)

    def add(self, plural: str, manifest: Manifest) -> None:
        """Hold an object, as if somebody had made it here."""
        metadata = manifest["metadata"]
        self.objects[plural, metadata.get("namespace", ""), metadata["name"]] = manifest
        self.change(plural, metadata.get("namespace", ""), metadata["name"], "ADDED")

    def change(self, plural: str, namespace: str, name: str, kind: str = "MODIFIED") -> None:
        """Tell the watches of an object that has changed."""
        manifest = self.objects[plural, namespace, name]
        if plural == "podchaperons":
            self.obeys(manifest)
        self.tell(plural, kind, manifest)

    def tell(self, plural: str, kind: str, manifest: Manifest) -> None:
        """Send an event to all who watch a kind."""
        self._version += 1
        manifest["metadata"]["resourceVersion"] = str(self._version)
        event = json.loads(json.dumps({"type": kind, "object": manifest}))
        for queue, watched in self._watching.items():
            if watched == plural:
                queue.put_nowait(event)

    @property
    def chaperons(self) -> list[Manifest]:
        """The PodChaperons it was asked for and still holds."""
        return [value for (plural, _, _), value in self.objects.items() if plural == "podchaperons"]

    def _listing(self, plural: str, items: list[Manifest]) -> Manifest:
        return {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": str(self._version)}, "items": items}

    async def _watch(self, wire: Wire, plural: str) -> None:
        queue: asyncio.Queue[Manifest] = asyncio.Queue()
        self._watching[queue] = plural
        try:
            await wire.begin_stream()
            while True:
                await wire.chunk(json.dumps(await queue.get()).encode() + b"\n")
        finally:
            del self._watching[queue]


def obey(chaperon: Manifest) -> None:
    """Reserve at once; once allowed, say that it runs."""
    annotations = chaperon["metadata"].setdefault("annotations", {})
    annotations[names.IS_RESERVED] = "true"
    annotations[names.NODE_NAME] = "nowhere"
    if names.IS_ALLOWED in annotations and "status" not in chaperon:
        chaperon["status"] = running(chaperon)


def refuse(chaperon: Manifest) -> None:
    """Say that there is no room."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    chaperon["status"] = {
        "phase": "Pending",
        "conditions": [condition | {"lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }


def running(chaperon: Manifest) -> Manifest:
    """The status of a pod that runs."""
    moment = "2026-01-01T00:00:00Z"
    state = {"running": {"startedAt": moment}}
    containers = [
        {"name": one["name"], "ready": True, "restartCount": 0, "image": "i", "imageID": "i", "state": state}
        for one in chaperon["spec"]["containers"]
    ]
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": moment}
    return {"phase": "Running", "startTime": moment, "containerStatuses": containers, "conditions": [ready]}


def summary(labels: dict[str, str] | None = None, **amounts: Any) -> Manifest:
    """A ClusterSummary with room for everybody."""
    room = {"cpu": "64", "memory": "256Gi", "pods": "500"} | amounts
    metadata = {"name": names.SUMMARY_NAME, "uid": "s", "resourceVersion": "1", "labels": labels or {}}
    return {
        "apiVersion": names.API_VERSION,
        "kind": "ClusterSummary",
        "metadata": metadata,
        "kubeletVersion": "v1.37.0",
        "capacity": room,
        "allocatable": room,
    }


def not_found(plural: str, name: str) -> Manifest:
    """The Status of an object that is not there."""
    return status(404, "NotFound", f'{plural} "{name}" not found', {"name": name, "kind": plural})


def status(code: int, reason: str, message: str, details: Manifest | None = None) -> Manifest:
    """A Status as API servers answer it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    return body | {"message": message, "details": details or {}}


def _merge(into: Manifest, patch: Manifest) -> None:
    for key, value in patch.items():
        if isinstance(value, dict):
            known = into.setdefault(key, {})
            if isinstance(known, dict):
                _merge(known, value)
        elif value is None:
            into.pop(key, None)
        elif key not in {"uid", "resourceVersion"}:
            into[key] = value
