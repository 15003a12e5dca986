"""A hostile source: somebody whom arm-lab's owner let into one namespace, with the credential that was issued to them.

Beside it lies what is the owner's: a Secret, a ConfigMap, a pod, an account with rights, a PriorityClass.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from federation import names
from federation.kinds import POD_CHAPERONS, SOURCES
from federation.kube.api import Api, connect
from federation.kube.errors import AlreadyExists, Forbidden, Invalid, Unauthorized
from federation.kube.resources import CONFIG_MAPS, PODS, PRIORITY_CLASSES, ROLE_BINDINGS, SECRETS, SERVICE_ACCOUNTS
from tests.controllers.letting_in import read_credential
from tests.lab.planes import eventually
from tests.protocol.federation import Federation, Manifest, pod
from tests.strangers.siege import GOOD

TREASURE = "swordfish-of-the-owner"
OWNERS = "owners"  # the name of all that is the owner's
PRIORITY = "owners-priority"


@dataclass(frozen=True, slots=True)
class Thief:
    """The thief's own client, the owner's, and where both meet."""

    api: Api
    owner: Api
    federation: Federation
    credential: tuple[str, str]  # namespace and name of the Secret that was issued

    @property
    def namespace(self) -> str:
        """Where the thief was let in."""
        return self.federation.namespace

    async def ask(self, name: str = "", annotations: dict[str, str] | None = None, **spec: Any) -> Manifest:
        """Make a PodChaperon of the thief's own design; raises what the API server says."""
        return await self.api.create(POD_CHAPERONS, self.chaperon(name, annotations, **spec))

    def chaperon(self, name: str = "", annotations: dict[str, str] | None = None, **spec: Any) -> Manifest:
        """A PodChaperon as a source's agent would write it, but for these fields."""
        name = name or f"thiefs-{secrets.token_hex(4)}"
        labels = {names.PARENT_UID: secrets.token_hex(8), names.PARENT_CLUSTER_NAME: "thief"}
        parent = {names.PARENT_NAME: name, names.PARENT_NAMESPACE: self.namespace}
        metadata = {"name": name, "namespace": self.namespace, "labels": labels, "annotations": parent}
        metadata["annotations"] = parent | (annotations or {})
        body = {"apiVersion": names.API_VERSION, "kind": names.CHAPERON_KIND, "metadata": metadata}
        return body | {"spec": pod("sleep 60", **({"schedulerName": names.CANDIDATE_SCHEDULER} | spec))["spec"]}


@asynccontextmanager
async def let_in(federation: Federation) -> AsyncIterator[Thief]:
    """Let a thief into the federation's namespace in arm-lab."""
    owner, namespace = federation.lab.api(GOOD), federation.namespace
    await _furnish(owner, namespace)
    source = {"apiVersion": names.API_VERSION, "kind": "Source", "metadata": {"name": "thief"}}
    await owner.create(SOURCES, source | {"spec": {"serviceAccountName": "thief"}}, namespace)
    made = await federation.until(
        owner, SOURCES, "thief", lambda s: s and (s.get("status") or {}).get("credential"), seconds=30
    )
    where = made["status"]["credential"]
    async with await connect(await read_credential(owner, made)) as api:
        await eventually(lambda: _is_let_in(api, namespace), "the thief's rights have arrived")
        yield Thief(api, owner, federation, (where["secretNamespace"], where["secretName"]))


async def _is_let_in(api: Api, namespace: str) -> bool:
    try:
        await api.list(POD_CHAPERONS, namespace)
    except (Forbidden, Unauthorized):
        return False
    return True


async def _furnish(owner: Api, namespace: str) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": OWNERS}, "stringData": {"key": TREASURE}}
    await owner.create(SECRETS, secret, namespace)
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": OWNERS}, "data": {"key": "value"}}
    await owner.create(CONFIG_MAPS, config, namespace)
    await owner.create(PODS, pod("sleep 600", name=OWNERS), namespace)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": OWNERS}}
    await owner.create(SERVICE_ACCOUNTS, account, namespace)
    binding = {
        "apiVersion": ROLE_BINDINGS.api_version,
        "kind": "RoleBinding",
        "metadata": {"name": OWNERS},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount", "name": OWNERS, "namespace": namespace}],
    }
    await owner.create(ROLE_BINDINGS, binding, namespace)
    priority = {"apiVersion": PRIORITY_CLASSES.api_version, "kind": "PriorityClass", "metadata": {"name": PRIORITY}}
    with suppress(AlreadyExists):
        await owner.create(PRIORITY_CLASSES, priority | {"value": 1000})


async def refusal(call: Awaitable[object]) -> str:
    """Await a call that must be refused; returns the words of the refusal, which tell no treasure."""
    with pytest.raises((Forbidden, Invalid, Unauthorized)) as refused:
        await call
    assert TREASURE not in str(refused.value)
    return str(refused.value)
