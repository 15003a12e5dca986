"""From a Source to objects: what is wanted, what is put right, what is left alone, what goes."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import names
from federation.decisions.source import (
    Change,
    Create,
    Delete,
    Place,
    Plan,
    decide,
    is_for_sources,
    issues_for,
    leftovers,
    settled,
)
from federation.decisions.source import wanted as wanted_in
from federation.decisions.source_policies import unguarded
from federation.model.source import Reference, Source, mark_of, parse_source

Manifest = dict[str, Any]


PLACE = Place("isthmus", ("blue", "red"))


def source(namespace: str = "ci", name: str = "cd", uid: str = "uid-1", **spec: Any) -> Source:
    metadata = {"name": name, "uid": uid, "generation": 3} | ({"namespace": namespace} if namespace else {})
    return parse_source({"metadata": metadata, "spec": spec or {"serviceAccountName": "robot"}})


def cluster_source(**spec: Any) -> Source:
    return source("", **(spec or {"serviceAccount": {"name": "robot", "namespace": "guests"}}))


def stored(objects: dict[Reference, Manifest]) -> dict[Reference, Manifest]:
    """The objects as an API server has them."""
    found = copy.deepcopy(objects)
    for number, manifest in enumerate(found.values()):
        manifest["metadata"] |= {"uid": f"stored-{number}", "resourceVersion": "7"}
    return found


def wanted(of: Source, *, has_credential: bool) -> dict[Reference, Manifest]:
    return wanted_in(of, PLACE, has_credential=has_credential)


def plan(of: Source, observed: dict[Reference, Manifest], *, has_credential: bool = True) -> Plan:
    marks = [mark_of(manifest, reference.kind) for reference, manifest in observed.items()]
    objects = wanted(of, has_credential=has_credential)
    return decide(of, objects, observed, [mark for mark in marks if mark.source == of.key])


def test_a_source_is_let_into_its_namespace_and_may_see_the_summary() -> None:
    objects = wanted(source(serviceAccountName="robot", userName="ann"), has_credential=True)
    assert [str(reference) for reference in objects] == [
        "ServiceAccount ci/robot",
        "RoleBinding ci/admiralty-source-cd",
        "ClusterRoleBinding admiralty-source-ci-cd-cluster-summary-viewer",
        "Secret ci/admiralty-source-cd-kubeconfig",
        "Role isthmus/isthmus-source-ci-cd",
        "RoleBinding isthmus/isthmus-source-ci-cd",
        "Secret isthmus/isthmus-source-ci-cd",
    ]
    role = objects[Reference("RoleBinding", "ci", "admiralty-source-cd")]
    assert role["roleRef"]["name"] == "admiralty-source"
    assert role["subjects"] == [
        {"kind": "ServiceAccount", "name": "robot", "namespace": "ci"},
        {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ann"},
    ]
    assert role["metadata"]["ownerReferences"][0]["kind"] == "Source"
    viewer = objects[Reference("ClusterRoleBinding", "", "admiralty-source-ci-cd-cluster-summary-viewer")]
    assert "ownerReferences" not in viewer["metadata"]  # a namespaced owner of it would be no owner
    assert viewer["metadata"]["annotations"] == {names.SOURCE_OF: "ci/cd"}


def test_t3_a_cluster_source_is_let_into_the_namespaces_it_covers_and_owns_all() -> None:
    objects = wanted(cluster_source(), has_credential=True)
    assert [str(reference) for reference in objects] == [
        "ServiceAccount guests/robot",
        "ClusterRoleBinding admiralty-cluster-source-cd",
        "ClusterRoleBinding admiralty-cluster-source-cd-cluster-summary-viewer",
        "RoleBinding blue/admiralty-cluster-source-cd",
        "RoleBinding red/admiralty-cluster-source-cd",
        "Secret guests/admiralty-cluster-source-cd-kubeconfig",
        "Role isthmus/isthmus-cluster-source-cd",
        "RoleBinding isthmus/isthmus-cluster-source-cd",
        "Secret isthmus/isthmus-cluster-source-cd",
    ]
    roles = [manifest["roleRef"]["name"] for manifest in objects.values() if "roleRef" in manifest]
    assert roles == [
        *("isthmus-cluster-source", "admiralty-cluster-summary-viewer"),
        *("admiralty-source", "admiralty-source", "isthmus-cluster-source-cd"),
    ]
    for manifest in objects.values():
        assert [owner["kind"] for owner in manifest["metadata"]["ownerReferences"]] == ["ClusterSource"]
        assert manifest["metadata"]["annotations"] == {names.SOURCE_OF: "/cd"}


@pytest.mark.parametrize("one", [source(), cluster_source(), source(userName="ann"), cluster_source(userName="ann")])
def test_once_all_is_there_nothing_is_written(one: Source) -> None:
    has_credential = one.account is not None
    objects = wanted(one, has_credential=has_credential)
    first = plan(one, {}, has_credential=has_credential)
    assert first.actions == tuple(Create(reference, manifest) for reference, manifest in objects.items())
    assert plan(one, stored(objects), has_credential=has_credential) == Plan()


@given(lost=st.sets(st.integers(0, 6)), strange=st.sets(st.integers(0, 6)))
def test_whatever_was_lost_or_changed_is_put_right_and_then_left(lost: set[int], strange: set[int]) -> None:
    one = source(serviceAccountName="robot", userName="ann")
    observed = stored(wanted(one, has_credential=True))
    for number, (reference, manifest) in enumerate(list(observed.items())):
        if number in lost:
            del observed[reference]
        elif number in strange and "subjects" in manifest:
            manifest["subjects"] = []
    for action in plan(one, observed).actions:
        match action:
            case Create(reference, manifest):
                observed[reference] = stored({reference: manifest})[reference]
            case Change(reference, patch):
                observed[reference]["subjects"] = patch["subjects"]
            case Delete():
                raise AssertionError("nothing was superfluous")
    assert plan(one, observed) == Plan()


def test_a_wrong_role_cannot_be_changed_so_the_binding_is_made_anew() -> None:
    one = source()
    observed = stored(wanted(one, has_credential=True))
    reference = Reference("RoleBinding", "ci", "admiralty-source-cd")
    observed[reference]["roleRef"] = {"kind": "ClusterRole", "name": "cluster-admin"}
    deletion, creation = plan(one, observed).actions
    assert deletion == Delete(reference, observed[reference]["metadata"]["uid"])
    assert isinstance(creation, Create)


def test_what_others_made_is_left_alone_and_an_account_of_theirs_is_used() -> None:
    one = source()
    observed = stored(wanted(one, has_credential=True))
    for manifest in observed.values():
        manifest["metadata"] = {"name": manifest["metadata"]["name"], "uid": "theirs"}
    found = plan(one, observed)
    assert found.actions == ()
    taken = ["RoleBinding", "ClusterRoleBinding", "Secret", "Role", "RoleBinding", "Secret"]
    assert [reference.kind for reference in found.taken] == taken
    assert not issues_for(one, observed, is_enabled=True)


def test_what_an_admiralty_before_us_made_is_ours() -> None:
    one = source()
    observed = stored(wanted(one, has_credential=False))
    for manifest in observed.values():
        owner = {"kind": "Source", "name": "cd", "uid": "uid-1", "controller": True}
        manifest["metadata"] = {"name": manifest["metadata"]["name"], "uid": "u", "ownerReferences": [owner]}
    found = plan(one, observed, has_credential=False)
    assert found.taken == ()
    assert [type(action) for action in found.actions] == [Change] * 3
    viewer = found.actions[2]
    assert isinstance(viewer, Change)
    assert viewer.patch["metadata"]["ownerReferences"] == []  # it pointed to an owner that cannot be


def test_a_source_that_was_made_again_takes_over_what_is_left() -> None:
    observed = stored(wanted(source(uid="old"), has_credential=True))
    changes = plan(source(uid="new"), observed).actions
    owners = [action.patch["metadata"]["ownerReferences"][0]["uid"] for action in changes if isinstance(action, Change)]
    assert owners == ["new"] * 3  # all that can be owned


def test_what_is_not_wanted_any_more_goes_rights_first() -> None:
    observed = stored(wanted(source(serviceAccountName="robot", userName="ann"), has_credential=True))
    actions = plan(source(userName="ann"), observed, has_credential=False).actions
    deleted = [str(action.reference) for action in actions if isinstance(action, Delete)]
    assert deleted == [
        "RoleBinding isthmus/isthmus-source-ci-cd",
        "Role isthmus/isthmus-source-ci-cd",
        "Secret ci/admiralty-source-cd-kubeconfig",
        "Secret isthmus/isthmus-source-ci-cd",
        "ServiceAccount ci/robot",
    ]
    marks = [mark_of(manifest, reference.kind) for reference, manifest in observed.items()]
    kinds = [mark.reference.kind for mark in leftovers(marks)]
    assert kinds[:4] == ["ClusterRoleBinding", "RoleBinding", "RoleBinding", "Role"]


def test_credentials_are_issued_for_accounts_of_ours_only() -> None:
    assert issues_for(source(), {}, is_enabled=True)
    assert issues_for(source(), stored(wanted(source(), has_credential=False)), is_enabled=True)
    assert not issues_for(source(), {}, is_enabled=False)
    assert not issues_for(source(userName="ann"), {}, is_enabled=True)


def test_t3_a_holder_reads_its_own_credential_and_no_other() -> None:
    objects = wanted(source(serviceAccountName="robot", userName="ann"), has_credential=True)
    (rule,) = objects[Reference("Role", "isthmus", "isthmus-source-ci-cd")]["rules"]
    assert rule == {
        "apiGroups": [""],
        "resources": ["secrets"],
        "resourceNames": ["isthmus-source-ci-cd"],
        "verbs": ["get"],
    }
    reader = objects[Reference("RoleBinding", "isthmus", "isthmus-source-ci-cd")]
    assert reader["subjects"] == [{"kind": "ServiceAccount", "name": "robot", "namespace": "ci"}]
    for manifest in objects.values():  # an owner in another namespace would have it collected as garbage
        elsewhere = manifest["metadata"].get("namespace") != "ci"
        assert ("ownerReferences" in manifest["metadata"]) is not elsewhere


def test_t3_credentials_of_all_namespaces_have_names_of_their_own() -> None:
    keys = [("a", "b-c"), ("a-b", "c"), ("", "a-b-c"), ("cluster", "a"), ("", "a"), ("a", "a")]
    assert len({names.source_credential_name(*key) for key in keys}) == len(keys)


def test_t3_the_old_credential_is_taken_out_of_the_namespace_and_its_tokens_stay_good() -> None:
    one = source()
    observed = stored(wanted(one, has_credential=True))
    observed[one.anchor]["data"] = {"config": "e30="}
    (change,) = plan(one, observed).actions
    assert change == Change(one.anchor, {"data": None, "metadata": {"uid": observed[one.anchor]["metadata"]["uid"]}})


def test_t3_what_is_known_to_be_right_need_not_be_read_again() -> None:
    one = cluster_source()
    objects = wanted(one, has_credential=True)
    blue, red = (Reference("RoleBinding", name, "admiralty-cluster-source-cd") for name in ("blue", "red"))
    found = stored(objects)
    found[red]["subjects"] = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "stranger"}]
    known = settled(objects, [mark_of(manifest, reference.kind) for reference, manifest in found.items()])
    assert blue in known
    assert red not in known
    assert {reference.kind for reference in known} == {"RoleBinding"}, "the few are always read live"


def test_t3_a_namespace_that_went_out_of_reach_takes_its_binding_along() -> None:
    one = cluster_source()
    observed = stored(wanted_in(one, Place("isthmus", ("blue", "kube-system", "red")), has_credential=True))
    (action,) = plan(one, observed).actions
    assert isinstance(action, Delete)
    assert action.reference.namespace == "kube-system"


@pytest.mark.parametrize(
    ("namespace", "expected"),
    [("ci", True), ("default", True), ("kube-system", False), ("kube-public", False), ("isthmus", False)],
)
def test_t3_the_cluster_s_own_namespaces_are_not_for_sources(namespace: str, expected: bool) -> None:
    assert is_for_sources(namespace, "isthmus") is expected


def in_force() -> tuple[dict[str, Manifest | None], dict[str, Manifest | None]]:
    policies: dict[str, Manifest | None] = {}
    bindings: dict[str, Manifest | None] = {}
    for name in names.SOURCE_POLICIES:
        policies[name] = {"spec": {"failurePolicy": "Fail"}}
        bindings[name] = {"spec": {"policyName": name, "validationActions": ["Deny", "Audit"]}}
    return policies, bindings


@pytest.mark.parametrize("name", names.SOURCE_POLICIES)
@pytest.mark.parametrize(
    ("what", "spoilt", "said"),
    [
        ("policies", None, "is not there"),
        ("policies", {"spec": {"failurePolicy": "Ignore"}}, "spec.failurePolicy Ignore"),
        ("bindings", None, "is not there"),
        ("bindings", {"spec": {"policyName": "another", "validationActions": ["Deny"]}}, "spec.policyName another"),
        ("bindings", {"spec": {"validationActions": ["Warn"]}}, "no Deny"),
        (
            "bindings",
            {"spec": {"validationActions": ["Deny"], "matchResources": {"namespaceSelector": {"matchLabels": {}}}}},
            "spec.matchResources",
        ),
    ],
)
def test_t3_policies_count_only_where_they_deny_everywhere(
    name: str, what: str, spoilt: Manifest | None, said: str
) -> None:
    policies, bindings = in_force()
    assert unguarded(policies, bindings) == ()
    if spoilt and what == "bindings":
        spoilt = {"spec": {"policyName": name} | spoilt["spec"]}
    (policies if what == "policies" else bindings)[name] = spoilt
    (complaint,) = unguarded(policies, bindings)
    assert name in complaint
    assert said in complaint
