"""apply: client side with pruned keys, server side with owners and conflicts, diff, edit, replace."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.kubectl.command import Kubectl

ADVICE = """
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts
"""


def deployment(**container: Any) -> str:
    """Return a Deployment `d` with one container `c`."""
    replicas = container.pop("replicas", None)
    labels = container.pop("labels", None)
    spec: dict[str, Any] = {
        "selector": {"matchLabels": {"app": "d"}},
        "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", **container}]}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    metadata = {"name": "d", **({"labels": labels} if labels else {})}
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})


def config_map(**data: str) -> str:
    """Return a ConfigMap `c`."""
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})


async def owners(kubectl: Kubectl, what: str) -> dict[tuple[str, str, str], Any]:
    """Return managedFields by manager, operation and subresource."""
    shown = json.loads(await kubectl("get", *what.split("/"), "-o", "json", "--show-managed-fields"))
    return {
        (one["manager"], one["operation"], one.get("subresource", "")): one["fieldsV1"]
        for one in shown["metadata"]["managedFields"]
    }


async def apply(kubectl: Kubectl, text: str, manager: str = "kubectl", *flags: str) -> str:
    """Apply server side."""
    return await kubectl("apply", "--server-side", f"--field-manager={manager}", *flags, "-f", "-", text=text)


async def test_client_side_apply_removes_keys_that_were_applied_before_and_no_others(kubectl: Kubectl) -> None:
    first = deployment(image="b:1", labels={"a": "b", "gone": "later"}, env=[{"name": "A", "value": "1"}])
    assert await kubectl("apply", "-f", "-", text=first) == "deployment.apps/d created\n"
    assert await kubectl("apply", "-f", "-", text=first) == "deployment.apps/d unchanged\n"
    await kubectl("label", "deploy", "d", "kept=yes")
    await kubectl("set", "env", "deploy/d", "B=2")
    second = deployment(image="b:2", labels={"a": "c"}, env=[])
    assert await kubectl("apply", "-f", "-", text=second) == "deployment.apps/d configured\n"
    path = "{.metadata.labels} {.spec.template.spec.containers[0].image} {.spec.template.spec.containers[0].env}"
    shown = await kubectl("get", "deploy", "d", "-o", f"jsonpath={path}")
    assert shown == '{"a":"c","kept":"yes"} b:2 [{"name":"B","value":"2"}]'


async def test_client_side_apply_warns_of_what_was_created_otherwise(kubectl: Kubectl) -> None:
    await kubectl("create", "configmap", "c", "--from-literal=a=b")
    warned = await kubectl("apply", "-f", "-", text=config_map(a="c"))
    assert warned == (
        "Warning: resource configmaps/c is missing the kubectl.kubernetes.io/last-applied-configuration annotation "
        "which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by "
        "either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.\n"
        "configmap/c configured\n"
    )
    await kubectl("apply", "set-last-applied", "-f", "-", text=config_map(a="d"))
    shown = await kubectl("apply", "view-last-applied", "configmap", "c", "-o", "json")
    assert json.loads(shown)["data"] == {"a": "d"}


async def test_apply_owns_exactly_what_it_applied(kubectl: Kubectl) -> None:
    text = deployment(image="b:1", replicas=0, ports=[{"containerPort": 80}], env=[{"name": "A", "value": "1"}])
    assert await apply(kubectl, text) == "deployment.apps/d serverside-applied\n"
    container: dict[str, Any] = {
        ".": {},
        "f:name": {},
        "f:image": {},
        "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
        "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
    }
    template = {
        "f:metadata": {"f:labels": {"f:app": {}}},
        "f:spec": {"f:containers": {'k:{"name":"c"}': container}},
    }
    assert await owners(kubectl, "deploy/d") == {
        ("kubectl", "Apply", ""): {"f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": template}}
    }


async def test_a_conflict_names_every_manager_and_field(kubectl: Kubectl) -> None:
    await apply(kubectl, deployment(image="b:1", replicas=0, env=[{"name": "A", "value": "1"}]))
    await kubectl("label", "deploy", "d", "a=b", "--field-manager=labeller")
    wanted = deployment(image="b:2", replicas=1, env=[{"name": "A", "value": "2"}], labels={"a": "c"})
    refused = await kubectl.fails("apply", "--server-side", "--field-manager=other", "-f", "-", text=wanted)
    assert refused == (
        "error: Apply failed with 4 conflicts: "
        'conflicts with "kubectl":\n'
        "- .spec.replicas\n"
        '- .spec.template.spec.containers[name="c"].image\n'
        '- .spec.template.spec.containers[name="c"].env[name="A"].value\n'
        'conflicts with "labeller" using apps/v1:\n'
        "- .metadata.labels.a" + ADVICE
    )
    alone = deployment(image="b:1", replicas=0, labels={"a": "c"})
    refused = await kubectl.fails("apply", "--server-side", "--field-manager=other", "-f", "-", text=alone)
    reason = 'conflict with "labeller" using apps/v1: .metadata.labels.a'
    assert refused == f"error: Apply failed with 1 conflict: {reason}{ADVICE}"
    assert await kubectl("get", "deploy", "d", "-o", "jsonpath={.spec.replicas}") == "0"


async def test_force_takes_fields_and_shared_fields_survive_one_owner(kubectl: Kubectl) -> None:
    await apply(kubectl, config_map(a="1", b="1", c="1"))
    await apply(kubectl, config_map(a="1", b="2"), "other", "--force-conflicts")
    held = await owners(kubectl, "configmap/c")
    assert held[("kubectl", "Apply", "")] == {"f:data": {"f:a": {}, "f:c": {}}}
    assert held[("other", "Apply", "")] == {"f:data": {"f:a": {}, "f:b": {}}}
    await apply(kubectl, config_map())
    assert await kubectl("get", "configmap", "c", "-o", "jsonpath={.data}") == '{"a":"1","b":"2"}'
    await apply(kubectl, config_map(), "other")
    assert await kubectl("get", "configmap", "c", "-o", "jsonpath={.data}") == ""


async def test_apply_removes_items_of_keyed_lists(kubectl: Kubectl) -> None:
    both = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    await apply(kubectl, deployment(image="b:1", replicas=0, env=both))
    await kubectl("set", "env", "deploy/d", "C=3")
    await apply(kubectl, deployment(image="b:1", replicas=0, env=both[1:]))
    path = "jsonpath={.spec.template.spec.containers[0].env[*].name}"
    assert await kubectl("get", "deploy", "d", "-o", path) == "B C"


async def test_other_writes_are_on_record_too(kubectl: Kubectl) -> None:
    await kubectl("create", "configmap", "c", "--from-literal=a=b")
    await kubectl("label", "configmap", "c", "l=m")
    await kubectl("patch", "configmap", "c", "-p", '{"data":{"a":"c","d":"e"}}')
    assert await owners(kubectl, "configmap/c") == {
        ("kubectl-label", "Update", ""): {"f:metadata": {"f:labels": {".": {}, "f:l": {}}}},
        ("kubectl-patch", "Update", ""): {"f:data": {"f:a": {}, "f:d": {}}},
        ("kubectl-create", "Update", ""): {"f:data": {}},
    }


async def test_scaling_is_the_scale_subresources_and_status_the_status_ones(kubectl: Kubectl) -> None:
    await apply(kubectl, deployment(image="b:1", replicas=0))
    await kubectl("scale", "deploy", "d", "--replicas=2")
    await kubectl("patch", "deploy", "d", "--subresource=status", "-p", '{"status":{"replicas":1}}')
    held = await owners(kubectl, "deploy/d")
    assert held[("kubectl", "Update", "scale")] == {"f:spec": {"f:replicas": {}}}
    assert held[("kubectl-patch", "Update", "status")] == {"f:status": {"f:replicas": {}}}
    refused = await kubectl.fails("apply", "--server-side", "-f", "-", text=deployment(image="b:1", replicas=0))
    conflict = 'conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas'
    assert refused == f"error: Apply failed with 1 conflict: {conflict}{ADVICE}"


async def test_going_over_from_client_side_to_server_side(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", text=config_map(a="1", b="1"))
    assert await apply(kubectl, config_map(a="2")) == "configmap/c serverside-applied\n"
    assert await kubectl("get", "configmap", "c", "-o", "jsonpath={.data}") == '{"a":"2"}'
    held = await owners(kubectl, "configmap/c")
    assert held[("kubectl", "Apply", "")] == {"f:data": {"f:a": {}}}
    assert not [manager for manager, _, _ in held if manager == "kubectl-client-side-apply"]
    again = await kubectl("apply", "-f", "-", text=config_map(a="2"))
    assert again.splitlines()[-1] == "configmap/c configured"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"nope":1}',
            "Error from server: failed to create typed patch object ({namespace}/c; /v1, Kind=ConfigMap): "
            ".nope: field not declared in schema\n",
        ),
    ],
)
async def test_server_side_apply_refuses_what_is_in_no_schema(kubectl: Kubectl, text: str, message: str) -> None:
    refused = await kubectl.fails("apply", "--server-side", "-f", "-", text=text)
    assert refused == message.format(namespace=kubectl.namespace)


async def test_diff_shows_what_apply_would_change(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", text=config_map(a="1"))
    assert await kubectl("diff", "-f", "-", text=config_map(a="1")) == ""
    for flags in ((), ("--server-side",)):
        shown = await kubectl.fails("diff", *flags, "-f", "-", text=config_map(a="2"))
        assert '-  a: "1"\n' in shown
        assert '+  a: "2"\n' in shown
    assert await kubectl("get", "configmap", "c", "-o", "jsonpath={.data}") == '{"a":"1"}'


async def test_edit_with_an_editor_that_is_a_script(kubectl: Kubectl, tmp_path: Path) -> None:
    await kubectl("create", "configmap", "c", "--from-literal=a=before")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/before/after/ "$1"\n')
    editor.chmod(0o755)
    assert await kubectl("edit", "configmap", "c", KUBE_EDITOR=str(editor)) == "configmap/c edited\n"
    assert await kubectl("get", "configmap", "c", "-o", "jsonpath={.data.a}") == "after"
    unchanged = await kubectl("edit", "configmap", "c", KUBE_EDITOR=str(editor))
    assert unchanged == "Edit cancelled, no changes made.\n"


async def test_replace(kubectl: Kubectl) -> None:
    missing = await kubectl.fails("replace", "-f", "-", text=config_map(a="1"))
    assert missing == 'Error from server (NotFound): error when replacing "STDIN": configmaps "c" not found\n'
    await kubectl("create", "-f", "-", text=config_map(a="1"))
    assert await kubectl("replace", "-f", "-", text=config_map(b="2")) == "configmap/c replaced\n"
    assert await kubectl("get", "configmap", "c", "-o", "jsonpath={.data}") == '{"b":"2"}'
    stale = json.loads(config_map(a="3"))
    stale["metadata"]["resourceVersion"] = "1"
    refused = await kubectl.fails("replace", "-f", "-", text=json.dumps(stale))
    assert refused == (
        'Error from server (Conflict): error when replacing "STDIN": Operation cannot be fulfilled on configmaps "c": '
        "the object has been modified; please apply your changes to the latest version and try again\n"
    )
    before = await kubectl("get", "configmap", "c", "-o", "jsonpath={.metadata.uid}")
    forced = await kubectl("replace", "--force", "-f", "-", text=config_map(a="4"))
    assert forced == f'configmap "c" deleted from {kubectl.namespace} namespace\nconfigmap/c replaced\n'
    assert await kubectl("get", "configmap", "c", "-o", "jsonpath={.metadata.uid}") != before
