"""Creates what `deploy/` holds, as `kubectl apply -f` would on a fresh cluster."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from federation.kube.api import Api
from federation.kube.errors import AlreadyExists, NotFound, TooManyRequests
from federation.kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CUSTOM_RESOURCE_DEFINITIONS,
    MUTATING_WEBHOOK_CONFIGURATIONS,
    NAMESPACES,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
    Resource,
)
from lab.waiting import until_object

Manifest = dict[str, Any]

# In the order in which they must exist.
KINDS: tuple[Resource, ...] = (
    NAMESPACES,
    CUSTOM_RESOURCE_DEFINITIONS,
    SERVICE_ACCOUNTS,
    CLUSTER_ROLES,
    ROLES,
    CLUSTER_ROLE_BINDINGS,
    ROLE_BINDINGS,
    MUTATING_WEBHOOK_CONFIGURATIONS,
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
)

ESTABLISHED_SECONDS = 30
LOOK_SECONDS = 0.1


def read(paths: Sequence[Path]) -> list[Manifest]:
    """All documents of these YAML files."""
    return [document for path in paths for document in yaml.safe_load_all(path.read_text()) if document]


async def apply(api: Api, manifests: Sequence[Manifest], change: Callable[[Manifest], Manifest] = lambda m: m) -> None:
    """Create what is not there yet, in an order that works, and wait until new kinds are served."""
    rank = {resource.kind: number for number, resource in enumerate(KINDS)}
    resources = {resource.kind: resource for resource in KINDS}
    for manifest in sorted(manifests, key=lambda manifest: rank[manifest["kind"]]):
        await create(api, resources[manifest["kind"]], change(manifest))
    new_kinds = {
        manifest["metadata"]["name"] for manifest in manifests if manifest["kind"] == "CustomResourceDefinition"
    }
    if new_kinds:
        await until_object(
            api,
            CUSTOM_RESOURCE_DEFINITIONS,
            lambda definition: definition["metadata"]["name"] in new_kinds and _is_established(definition),
            count=len(new_kinds),
            what="custom resource definitions established",
            seconds=ESTABLISHED_SECONDS,
        )
        for manifest in manifests:
            if manifest["kind"] == "CustomResourceDefinition":
                await _until_served(api, manifest["spec"])


async def create(api: Api, resource: Resource, manifest: Manifest) -> None:
    """Create an object; that it exists already is fine."""
    try:
        await api.create(resource, manifest)
    except AlreadyExists:
        return


def cluster_role_binding(name: str, role: str, user: str) -> Manifest:
    """The binding of a user to a ClusterRole, everywhere."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }


async def _until_served(api: Api, spec: Manifest) -> None:
    """Established is a promise: for up to a second kube-apiserver goes on to answer 404, then 429."""
    resource = Resource(spec["group"], spec["versions"][0]["name"], spec["names"]["plural"], spec["names"]["kind"])
    async with asyncio.timeout(ESTABLISHED_SECONDS):
        while True:
            try:
                await api.request("GET", resource.path(), [("limit", "1")])
            except (NotFound, TooManyRequests):
                await asyncio.sleep(LOOK_SECONDS)
            else:
                return


def _is_established(definition: Manifest) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or []
    return any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions)
