"""The kinds reject what could never work and take what Admiralty's users wrote; the roles are enough and no more."""

from typing import Any

import pytest

from federation.kinds import (
    CLUSTER_SOURCES,
    CLUSTER_SUMMARIES,
    CLUSTER_TARGETS,
    POD_CHAPERONS,
    SOURCES,
    TARGETS,
)
from federation.kube.api import connect
from federation.kube.errors import Forbidden, Invalid
from federation.kube.resources import ROLE_BINDINGS, SUBJECT_ACCESS_REVIEWS, Resource
from tests.lab.planes import eventually
from tests.source_plane import Source

SECRET = {"kubeconfigSecret": {"name": "c2"}}
FAR_SECRET = {"kubeconfigSecret": {"name": "c2", "namespace": "default"}}
CONTAINERS = [{"name": "c", "image": "busybox"}]


def manifest(resource: Resource, body: dict[str, Any], name: str = "x") -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": "default"} if resource.is_namespaced else {})
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **body}


@pytest.mark.parametrize(
    ("resource", "body"),
    [
        (TARGETS, {"spec": {"self": True}}),
        (TARGETS, {"spec": SECRET}),
        (TARGETS, {"spec": {"self": False, **SECRET}}),
        (TARGETS, {"spec": {"kubeconfigSecret": {"name": "c2", "key": "", "context": ""}}, "status": {}}),
        (TARGETS, {"spec": {**SECRET, "excludedLabelsRegexp": r"^kubernetes\.azure\.com/cluster="}}),
        (CLUSTER_TARGETS, {"spec": {"self": True}}),
        (CLUSTER_TARGETS, {"spec": FAR_SECRET}),
        (SOURCES, {"spec": {"serviceAccountName": "cd"}}),
        (SOURCES, {"spec": {"userName": "cd"}}),
        (CLUSTER_SOURCES, {"spec": {"serviceAccount": {"name": "cd", "namespace": "default"}}}),
        (POD_CHAPERONS, {"spec": {"containers": [{"name": "c", "aFieldOfTomorrow": {"a": 1}}], "another": [1]}}),
        (CLUSTER_SUMMARIES, {"capacity": {"cpu": 3, "memory": "1Gi"}, "allocatable": {"nvidia.com/gpu": "1"}}),
    ],
)
async def test_good_objects_are_taken_whole(source: Source, resource: Resource, body: dict[str, Any]) -> None:
    name = "singleton" if resource is CLUSTER_SUMMARIES else "x"
    made = await source.admin.create(resource, manifest(resource, body, name))
    for key in body.keys() - {"status"}:
        assert made[key] == body[key]
    await source.admin.delete(resource, name, "default" if resource.is_namespaced else "")


@pytest.mark.parametrize(
    ("resource", "body", "field"),
    [
        (TARGETS, {}, "spec"),
        (TARGETS, {"spec": {}}, "spec"),
        (TARGETS, {"spec": {"self": False}}, "spec"),
        (TARGETS, {"spec": {"self": True, **SECRET}}, "spec"),
        (TARGETS, {"spec": {"kubeconfigSecret": {"key": "config"}}}, "spec.kubeconfigSecret.name"),
        (TARGETS, {"spec": {"kubeconfigSecret": {"name": ""}}}, "spec.kubeconfigSecret.name"),
        (TARGETS, {"spec": {"kubeconfigSecret": {"name": "../../kube-system/x"}}}, "spec.kubeconfigSecret.name"),  # T2
        (TARGETS, {"spec": {"kubeconfigSecret": {"name": "a", "key": "../x"}}}, "spec.kubeconfigSecret.key"),
        (
            TARGETS,
            {"spec": {"kubeconfigSecret": {"name": "a", "context": "c" * 1025}}},
            "spec.kubeconfigSecret.context",
        ),
        (CLUSTER_TARGETS, {"spec": SECRET}, "spec.kubeconfigSecret.namespace"),
        (
            CLUSTER_TARGETS,
            {"spec": {"kubeconfigSecret": {"name": "a/b", "namespace": "c"}}},
            "spec.kubeconfigSecret.name",
        ),
        (
            CLUSTER_TARGETS,
            {"spec": {"kubeconfigSecret": {"name": "a", "namespace": "../x"}}},
            "spec.kubeconfigSecret.namespace",
        ),
        (SOURCES, {"spec": {"serviceAccountName": "../x"}}, "spec.serviceAccountName"),
        (SOURCES, {"spec": {"userName": "u" * 1025}}, "spec.userName"),
        (CLUSTER_SOURCES, {"spec": {"serviceAccount": {"name": "a/b", "namespace": "c"}}}, "spec.serviceAccount.name"),
        (
            CLUSTER_SOURCES,
            {"spec": {"serviceAccount": {"name": "a", "namespace": "a.b"}}},
            "spec.serviceAccount.namespace",
        ),
        (SOURCES, {"spec": {}}, "spec"),
        (SOURCES, {"spec": {"userName": ""}}, "spec.userName"),
        (CLUSTER_SOURCES, {"spec": {"serviceAccount": {"name": "cd"}}}, "spec.serviceAccount.namespace"),
        (POD_CHAPERONS, {"spec": {"containers": []}}, "spec.containers"),
        (CLUSTER_SUMMARIES, {"capacity": {"cpu": {"much": 1}}}, "capacity"),
    ],
)
async def test_bad_objects_are_refused_by_field(
    source: Source, resource: Resource, body: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await source.admin.create(resource, manifest(resource, body))
    assert field in refused.value.message


async def may(source: Source, user: str, verb: str, what: str, namespace: str = "") -> bool:
    group, _, rest = what.rpartition("|")
    resource, _, subresource = rest.partition("/")
    attributes = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
    review = {
        "apiVersion": SUBJECT_ACCESS_REVIEWS.api_version,
        "kind": SUBJECT_ACCESS_REVIEWS.kind,
        "spec": {"user": user, "resourceAttributes": attributes | {"namespace": namespace}},
    }
    return bool((await source.admin.create(SUBJECT_ACCESS_REVIEWS, review))["status"].get("allowed"))


CHAPERONS = "multicluster.admiralty.io|podchaperons"


@pytest.mark.parametrize(
    ("user", "verb", "what", "expected"),
    [
        ("isthmus-agent", "patch", "pods/status", True),
        ("isthmus-agent", "create", "pods/binding", True),
        ("isthmus-agent", "patch", CHAPERONS + "/status", True),
        ("isthmus-agent", "create", "rbac.authorization.k8s.io|clusterroles", False),
        ("isthmus-agent", "escalate", "rbac.authorization.k8s.io|clusterroles", False),
        ("isthmus-agent", "impersonate", "users", False),
        ("isthmus-agent", "bind", "rbac.authorization.k8s.io|clusterroles", False),  # but three, by name
        ("isthmus-agent", "create", "serviceaccounts/token", True),  # isthmus-agent-issuer
        ("isthmus-agent", "create", "rbac.authorization.k8s.io|roles", False),
        ("isthmus-agent", "patch", "services", True),
        ("isthmus-agent", "patch", "networking.k8s.io|ingresses", True),
        ("isthmus-agent", "patch", "configmaps", True),  # by admiralty-source, as is what follows
        ("isthmus-agent", "patch", "services/status", False),
        ("isthmus-extender", "get", "services", False),
        ("isthmus-agent", "delete", "secrets", True),  # by admiralty-source, for targets with `self: true`
        ("isthmus-extender", "patch", CHAPERONS, True),
        ("isthmus-extender", "create", "pods/binding", True),
        ("isthmus-extender", "get", "secrets", False),
        ("isthmus-extender", "create", "pods", False),
        ("isthmus-candidate-scheduler", "list", CHAPERONS, True),
        ("isthmus-candidate-scheduler", "patch", CHAPERONS, False),
        ("isthmus-candidate-scheduler", "list", "nodes", True),
        ("isthmus-candidate-scheduler", "get", "secrets", False),
    ],
)
async def test_identities_have_their_rights_and_no_more(
    source: Source, user: str, verb: str, what: str, expected: bool
) -> None:
    assert await may(source, user, verb, what) is expected


def binding(name: str, role: str) -> dict[str, Any]:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "guest"}
    return manifest(ROLE_BINDINGS, {"roleRef": reference, "subjects": [subject]}, name)


async def test_the_agent_lets_sources_in_and_gives_nobody_more_than_that(source: Source) -> None:
    async with await connect(source.kubeconfig("isthmus-agent")) as agent:
        with pytest.raises(Forbidden, match="attempting to grant RBAC permissions not currently held"):
            await agent.create(ROLE_BINDINGS, binding("too-much", "cluster-admin"))
        await agent.create(ROLE_BINDINGS, binding("guest", "admiralty-source"))
    await eventually(lambda: may(source, "guest", "create", CHAPERONS, "default"), "the guest's rights")
    rights = {
        ("create", "pods/exec"): True,
        ("get", "pods/log"): True,
        ("patch", "secrets"): True,
        ("get", "secrets"): False,
        ("list", "services"): True,
        ("update", "services"): True,
        ("deletecollection", "services"): False,
        ("patch", "services/status"): False,
        ("create", "networking.k8s.io|ingresses"): True,
        ("create", "discovery.k8s.io|endpointslices"): False,
        ("list", "secrets"): False,
        ("watch", "configmaps"): False,
        ("create", "pods"): False,
        ("patch", CHAPERONS + "/status"): False,
    }
    for (verb, what), expected in rights.items():
        assert await may(source, "guest", verb, what, "default") is expected, (verb, what)
    assert not await may(source, "guest", "get", CHAPERONS, "kube-system")
