"""Rule T9, over all that a lab's life wrote: no secret in a log line, Event, status, annotation, argument or metric.

Secrets are learnt while the lab lives, by a watch of the Secrets of all its clusters, and from its directory: tokens,
keys, and whatever else a Secret held. Events are remembered as they come; the rest is looked at in the end.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from federation.kinds import CLUSTER_SOURCES, CLUSTER_SUMMARIES, CLUSTER_TARGETS, POD_CHAPERONS, SOURCES, TARGETS
from federation.kube.api import Api
from federation.kube.errors import ApiError
from federation.kube.resources import (
    CONFIG_MAPS,
    EVENTS,
    INGRESSES,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from federation.kube.store import Key, Store
from federation.kube.watch import follow
from lab.running import RunningLab

Manifest = dict[str, Any]

# Shorter ones are words of tests ("value", "first"), which are in many places by right.
SECRET_LENGTH_MIN = 16
_KINDS = (
    *(CLUSTER_SOURCES, CLUSTER_SUMMARIES, CLUSTER_TARGETS, CONFIG_MAPS, INGRESSES, JOBS, NAMESPACES, NODES, PODS),
    *(POD_CHAPERONS, SECRETS, SERVICES, SERVICE_ACCOUNTS, SOURCES, TARGETS),
)


class Secrecy:
    """The secrets of one lab and where none of them may be."""

    def __init__(self, lab: RunningLab) -> None:
        self.lab = lab
        self._secrets: dict[str, str] = {}  # text -> what it is
        self._events: set[str] = set()
        self._forgiven: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def watching(cls, lab: RunningLab) -> AsyncIterator["Secrecy"]:
        """Learn secrets and remember Events for the length of the block."""
        made = cls(lab)
        made._learn_directory()
        async with asyncio.TaskGroup() as group:
            tasks = []
            for cluster, api in lab.apis.items():
                for resource, take in ((SECRETS, made._learn), (EVENTS, made._remember)):
                    store: Store[Manifest] = Store(lambda manifest: manifest)
                    store.subscribe(_each(cluster, take))
                    tasks.append(group.create_task(follow(api, resource, store)))
            try:
                yield made
            finally:
                for task in tasks:
                    task.cancel()

    def forgive(self, text: str) -> None:
        """Do not count a secret that a test told by intention."""
        self._forgiven.add(text)

    async def told(self) -> list[str]:
        """Return which secrets are told, and where; they are not in the answer themselves."""
        self._learn_directory()
        found = []
        async for where, text in self._places():
            found += [f"{what} is in {where}" for secret, what in self._known() if secret in text]
        return sorted(set(found))

    def _known(self) -> Iterator[tuple[str, str]]:
        return ((secret, what) for secret, what in self._secrets.items() if secret not in self._forgiven)

    # -- what is secret ----------------------------------------------------------------------------------------------

    def _learn(self, cluster: str, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        for key, encoded in (manifest.get("data") or {}).items():
            what = f"{cluster}: Secret {metadata.get('namespace')}/{metadata['name']}, key {key}"
            with suppress(ValueError):
                for secret in _secrets_in(base64.b64decode(encoded).decode(), key):
                    self._add(secret, what)

    def _learn_directory(self) -> None:
        root = self.lab.directory.root
        for path in [*root.rglob("*.key"), *root.rglob("*kubeconfig*"), *(root / "kubeconfigs").glob("*")]:
            if path.is_file():
                with suppress(ValueError, OSError):
                    for secret in _secrets_in(path.read_text(), path.name):
                        self._add(secret, str(path.relative_to(root)))

    def _add(self, secret: str, what: str) -> None:
        for form in (secret, base64.b64encode(secret.encode()).decode()):
            self._secrets.setdefault(form, what)

    # -- where it may not be -----------------------------------------------------------------------------------------

    def _remember(self, cluster: str, manifest: Manifest) -> None:
        self._events.add(f"{cluster}: {manifest.get('reason')}: {manifest.get('message')}")

    async def _places(self) -> AsyncIterator[tuple[str, str]]:
        for log in sorted((self.lab.directory.root / "logs").glob("*.log")):
            yield log.name, await asyncio.to_thread(log.read_text, errors="replace")
        yield "an Event", "\n".join(self._events)
        for process in self.lab.directory.processes(self.lab.record.mark).all():
            with suppress(OSError):
                yield f"arguments of {process.name}", _proc(process.pid, "cmdline")
                yield f"metrics of {process.name}", await _metrics(process.pid)
        for cluster, api in self.lab.apis.items():
            async for where, text in _objects(api):
                yield f"{cluster}: {where}", text


def _each(cluster: str, take: Any) -> Any:
    def changed(key: Key, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None:
            take(cluster, new)

    return changed


async def _objects(api: Api) -> AsyncIterator[tuple[str, str]]:
    """Statuses, annotations and labels of all objects, and the metrics of their API server."""
    for resource in _KINDS:
        with suppress(ApiError):
            for item in (await api.list(resource)).items:
                metadata = item["metadata"]
                told = [item.get("status"), metadata.get("annotations"), metadata.get("labels")]
                yield f"{resource.kind} {metadata.get('namespace', '')}/{metadata['name']}", json.dumps(told)
    with suppress(ApiError):
        yield "metrics of the API server", (await api.request("GET", "/metrics")).body.decode(errors="replace")


def _proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")


async def _metrics(pid: int) -> str:
    """What a program of ours shows to who asks for its metrics; nothing where it shows none."""
    environment = _proc(pid, "environ").split("\0")
    port = next((v.partition("=")[2] for v in environment if v.startswith("ISTHMUS_EXTENDER_PORT=")), "")
    if not port:
        return ""
    with suppress(aiohttp.ClientError, TimeoutError):
        async with (
            aiohttp.ClientSession(trust_env=False, timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.get(f"http://127.0.0.1:{port}/metrics") as answer,
        ):
            return await answer.text()
    return ""


def _secrets_in(text: str, name: str) -> list[str]:
    """Return what is secret in a Secret's value or a file: of kubeconfigs tokens and keys, of PEM a line of the key."""
    if "PRIVATE KEY" in text:
        lines = [line for line in text.splitlines() if line and not line.startswith("-")]
        return [line for line in lines if len(line) >= SECRET_LENGTH_MIN][:1]
    if "CERTIFICATE" in text or name in {"namespace", "ca.crt"}:
        return []
    try:
        users = orjson.loads(text)["users"]  # bounds what strangers nest
    except (ValueError, KeyError, TypeError):
        return [text] if len(text) >= SECRET_LENGTH_MIN and "kubeconfig" not in name else []
    found = []
    for entry in users if isinstance(users, list) else []:
        user = entry.get("user") if isinstance(entry, dict) else None
        found += [str((user or {}).get(key) or "") for key in ("token", "password", "client-key-data")]
    return [one for one in found if len(one) >= SECRET_LENGTH_MIN]
