"""One control plane that is a source: our CRDs and roles are installed, users of any name can be made.

Import the fixture `source` into a conftest. Its tests run once per engine.
"""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from federation.kube.api import Api
from federation.kube.errors import AlreadyExists
from federation.kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CUSTOM_RESOURCE_DEFINITIONS,
    NAMESPACES,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    SUBJECT_ACCESS_REVIEWS,
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
    Resource,
)
from lab.plan import EngineName
from tests.lab.planes import Plane, eventually, running_plane

DEPLOY = Path(__file__).parents[1] / "deploy"
KINDS: dict[str, Resource] = {
    resource.kind: resource
    for resource in (
        CLUSTER_ROLE_BINDINGS,
        CLUSTER_ROLES,
        CUSTOM_RESOURCE_DEFINITIONS,
        NAMESPACES,
        ROLE_BINDINGS,
        ROLES,
        VALIDATING_ADMISSION_POLICIES,
        VALIDATING_ADMISSION_POLICY_BINDINGS,
    )
}


@dataclass(frozen=True)
class Source:
    """A control plane and its administrator's client."""

    plane: Plane

    @property
    def admin(self) -> Api:
        """The administrator's client."""
        return self.plane.api

    def kubeconfig(self, user: str, *groups: str) -> dict[str, Any]:
        """A kubeconfig with a client certificate for `user`."""
        path = self.plane.site.directory / f"{user}-kubeconfig.json"
        self.plane.site.identities.kubeconfig(path, self.plane.url, user, groups)
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    async def token(self, account: str) -> str:
        """A token of service account `default/<account>`, made where it does not exist."""
        metadata = {"name": account, "namespace": "default"}
        with suppress(AlreadyExists):
            await self.admin.create(
                SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
            )
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        answer = await self.admin.create(SERVICE_ACCOUNTS, request, "default", name=account, subresource="token")
        return str(answer["status"]["token"])

    async def grant(self, role: str, *, user: str = "", account: str = "") -> None:
        """Bind a ClusterRole that may read nodes/proxy to a user, or to service account `default/<account>`."""
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
        if account:
            subject = {"kind": "ServiceAccount", "name": account, "namespace": "default"}
        binding = {
            "apiVersion": CLUSTER_ROLE_BINDINGS.api_version,
            "kind": CLUSTER_ROLE_BINDINGS.kind,
            "metadata": {"name": f"{'user' if user else 'account'}-{user or account}-{role}".replace(":", "-")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [subject],
        }
        with suppress(AlreadyExists):
            await self.admin.create(CLUSTER_ROLE_BINDINGS, binding)
        who = user or f"system:serviceaccount:default:{account}"
        await eventually(lambda: self._may_read_nodes(who), f"{who} has the rights of {role}")

    async def _may_read_nodes(self, user: str) -> bool:
        """Whether the API server's authoriser, which follows bindings with a delay, knows of the right."""
        attributes = {"verb": "get", "resource": "nodes", "subresource": "proxy"}
        review = {
            "apiVersion": SUBJECT_ACCESS_REVIEWS.api_version,
            "kind": SUBJECT_ACCESS_REVIEWS.kind,
            "spec": {"user": user, "resourceAttributes": attributes},
        }
        return bool((await self.admin.create(SUBJECT_ACCESS_REVIEWS, review))["status"].get("allowed"))


async def install(api: Api, *, has_policies: bool) -> None:
    """Create our CRDs, what the agent, extender and scheduler may do, and what sources may."""
    names = (
        "00-namespace",
        "agent-source",
        "agent-target",
        "agent-issuer",
        "extender",
        "candidate-scheduler",
        "source-identity",
        "users",
    )
    files = [*sorted((DEPLOY / "crds").glob("*.yaml")), *(DEPLOY / "rbac" / f"{name}.yaml" for name in names)]
    if has_policies:  # the embedded API server evaluates none
        files += sorted((DEPLOY / "policies").glob("*.yaml"))
    for file in files:
        for manifest in yaml.safe_load_all(file.read_text()):
            with suppress(AlreadyExists):
                await api.create(KINDS[manifest["kind"]], manifest)


@pytest.fixture(scope="session")
async def source(engine: EngineName, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Source]:
    """A control plane without nodes, with our CRDs and roles."""
    async with running_plane(engine.value, tmp_path_factory.mktemp("source")) as plane:
        await install(plane.api, has_policies=plane.kind == "kube")
        yield Source(plane)
