"""What somebody who was let in may do, and may not: by real requests with the credential that the agent issued."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from federation.kube.api import Api, connect
from federation.kube.resources import Resource
from tests.controllers.letting_in import agent, new_site
from tests.lab.planes import eventually
from tests.source_plane import Source

REVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", is_namespaced=False
)
RBAC = "rbac.authorization.k8s.io|"
OURS = "multicluster.admiralty.io|"

# verb, group|resource/subresource: what both get where they are let in, and what neither gets anywhere.
ALLOWED = [
    *((verb, OURS + "podchaperons") for verb in ("get", "list", "watch", "create", "patch", "delete")),
    *((verb, "secrets") for verb in ("create", "update", "patch", "delete")),
    *((verb, "configmaps") for verb in ("create", "update", "patch", "delete")),
    *((verb, "pods") for verb in ("get", "list", "watch")),
    ("get", "pods/log"),
    ("create", "pods/exec"),
    ("create", "pods/attach"),
    ("create", "pods/portforward"),
    ("list", "events"),
]
DENIED = [
    *((verb, "secrets") for verb in ("get", "list", "watch", "deletecollection")),
    *((verb, "configmaps") for verb in ("get", "list", "watch")),
    *((verb, "pods") for verb in ("create", "patch", "delete", "update")),
    ("create", "pods/binding"),
    ("create", "pods/eviction"),
    ("patch", "pods/status"),
    ("patch", OURS + "podchaperons/status"),
    ("create", "serviceaccounts/token"),
    ("create", "serviceaccounts"),
    ("impersonate", "serviceaccounts"),
    ("create", RBAC + "rolebindings"),
    ("create", RBAC + "roles"),
    ("bind", RBAC + "clusterroles"),
    ("escalate", RBAC + "clusterroles"),
    ("create", OURS + "sources"),
    ("list", OURS + "sources"),
    ("create", "apps|deployments"),
]
DENIED_CLUSTER_WIDE = [
    *((verb, "nodes") for verb in ("get", "list", "patch", "delete")),
    ("get", "nodes/proxy"),
    ("list", "namespaces"),
    ("create", "namespaces"),
    ("create", RBAC + "clusterrolebindings"),
    ("create", OURS + "clustersources"),
    ("patch", OURS + "clustersummaries"),
    ("create", "apiextensions.k8s.io|customresourcedefinitions"),
]


# What a ClusterSource may follow in all namespaces at once.
FOLLOWED = [(verb, OURS + "podchaperons") for verb in ("get", "list", "watch")]


@dataclass(frozen=True)
class Guest:
    """Somebody who was let in, and the namespace of the test."""

    api: Api
    namespace: str

    async def may(self, verb: str, what: str, namespace: str = "", name: str = "") -> bool:
        group, _, rest = what.rpartition("|")
        resource, _, subresource = rest.partition("/")
        attributes = {"verb": verb, "group": group, "resource": resource, "subresource": subresource, "name": name}
        spec = {"resourceAttributes": attributes | {"namespace": namespace}}
        review = {"apiVersion": REVIEWS.api_version, "kind": REVIEWS.kind, "spec": spec}
        return bool((await self.api.create(REVIEWS, review))["status"].get("allowed"))

    async def wrong(self, rights: list[tuple[str, str]], expected: bool, namespace: str = "") -> list[tuple[str, str]]:
        return [(verb, what) for verb, what in rights if await self.may(verb, what, namespace) is not expected]


@pytest.fixture(params=["Source", "ClusterSource"])
async def guest(request: pytest.FixtureRequest, source: Source) -> AsyncIterator[Guest]:
    site, is_cluster = await new_site(source), request.param == "ClusterSource"
    name = f"cd-{secrets.token_hex(4)}"
    account = {"serviceAccount": {"name": "cd", "namespace": site.namespace}}
    async with agent(source):
        await site.make(name, account if is_cluster else {"serviceAccountName": "cd"}, is_cluster=is_cluster)
        made = await site.until(name, "Issued", kind="CredentialIssued", is_cluster=is_cluster)
    async with await connect(await site.credential(made)) as api:
        found = Guest(api, site.namespace)
        await eventually(lambda: found.may("create", OURS + "podchaperons", site.namespace), "rights have arrived")
        await eventually(lambda: found.may("get", OURS + "clustersummaries"), "the summary's, too")
        yield found


async def test_a_source_may_do_what_it_must_and_no_more(guest: Guest, request: pytest.FixtureRequest) -> None:
    is_cluster = "ClusterSource" in request.node.name
    assert await guest.wrong(ALLOWED, True, guest.namespace) == []
    assert await guest.wrong(DENIED, False, guest.namespace) == []
    assert await guest.wrong(DENIED_CLUSTER_WIDE, False) == []
    assert await guest.wrong(ALLOWED, is_cluster, "default") == []
    assert await guest.wrong(DENIED, False, "default") == []
    for closed in ("kube-system", "kube-public", "isthmus"):
        assert await guest.wrong(ALLOWED + DENIED, False, closed) in ([], FOLLOWED if is_cluster else [])
    assert await guest.wrong([("list", OURS + "clustersummaries"), ("watch", OURS + "clustersummaries")], True) == []
    assert await guest.may("get", "namespaces", name="kube-system")  # whose uid is the cluster's id
    assert not await guest.may("get", "namespaces", name="default")
