"""alice, a hostile user: a ServiceAccount at home with the role `edit` in the test's namespace, and nothing else."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from federation import names
from federation.kinds import TARGETS
from federation.kube.api import Api, connect
from federation.kube.errors import Forbidden, Unauthorized
from federation.kube.resources import ROLE_BINDINGS, SERVICE_ACCOUNTS
from lab.directory import LabDirectory
from tests.lab.planes import eventually
from tests.protocol.federation import Federation, Manifest, pod

HOME_OF_ALICE = "alice"


@dataclass(frozen=True, slots=True)
class Alice:
    """Her client, and the federation whose namespace she edits."""

    api: Api
    federation: Federation

    @property
    def namespace(self) -> str:
        """Where she may edit."""
        return self.federation.namespace

    def elected(self, script: str = "sleep 600", annotations: dict[str, str] | None = None, **spec: Any) -> Manifest:
        """A pod that is to be federated."""
        return pod(script, annotations={names.ELECT: "", **(annotations or {})}, **spec)


@asynccontextmanager
async def alice_of(federation: Federation) -> AsyncIterator[Alice]:
    """Let alice edit the federation's namespace for the length of the block."""
    home, namespace = federation.home, federation.namespace
    metadata = {"name": HOME_OF_ALICE, "namespace": namespace}
    await home.create(SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    binding = {
        "apiVersion": ROLE_BINDINGS.api_version,
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount"} | metadata],
    }
    await home.create(ROLE_BINDINGS, binding)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = await home.create(SERVICE_ACCOUNTS, request, namespace, name=HOME_OF_ALICE, subresource="token")
    kubeconfig = as_user(federation.lab.directory, federation.lab.source, answer["status"]["token"])
    async with await connect(kubeconfig) as api:
        await eventually(lambda: _may_edit(api, namespace), "alice's rights have arrived")
        yield Alice(api, federation)


def as_user(directory: LabDirectory, cluster: str, token: str) -> Manifest:
    """The kubeconfig of a cluster for the bearer of a token."""
    found: Manifest = json.loads(directory.kubeconfig(cluster).read_text())
    (user,) = found["users"]
    return found | {"users": [{"name": user["name"], "user": {"token": token}}]}


async def _may_edit(api: Api, namespace: str) -> bool:
    try:
        await api.list(TARGETS, namespace)
    except (Forbidden, Unauthorized):
        return False
    return True
