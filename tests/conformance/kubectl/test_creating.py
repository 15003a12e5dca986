"""create and its error messages, strict decoding, dry runs."""

import pytest

from tests.conformance.kubectl.command import Kubectl

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
DEPLOYMENT = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n"
WHEN = 'error when creating "STDIN": '

MADE = [
    (("configmap", "x", "--from-literal=a=b"), "configmap/x"),
    (("secret", "generic", "x", "--from-literal=a=b"), "secret/x"),
    (("deployment", "x", "--image=b", "--replicas=0"), "deployment.apps/x"),
    (("job", "x", "--image=b", "--", "echo", "hi"), "job.batch/x"),
    (("cronjob", "x", "--image=b", "--schedule=1 2 3 4 *"), "cronjob.batch/x"),
    (("role", "x", "--verb=get", "--resource=pods,deployments"), "role.rbac.authorization.k8s.io/x"),
    (("rolebinding", "x", "--role=r", "--user=u"), "rolebinding.rbac.authorization.k8s.io/x"),
    (("quota", "x", "--hard=pods=100"), "resourcequota/x"),
    (("poddisruptionbudget", "x", "--selector=a=b", "--min-available=1"), "poddisruptionbudget.policy/x"),
    (("service", "clusterip", "x", "--tcp=80:80"), "service/x"),
    (("service", "nodeport", "y", "--tcp=80"), "service/y"),
    (("service", "loadbalancer", "z", "--tcp=80"), "service/z"),
    (("service", "externalname", "e", "--external-name=x.y"), "service/e"),
    (("ingress", "x", "--rule=a.b/c=s:80"), "ingress.networking.k8s.io/x"),
    (("serviceaccount", "x"), "serviceaccount/x"),
]


@pytest.mark.parametrize(("arguments", "made"), MADE, ids=[made for _, made in MADE])
async def test_what_can_be_made_by_one_command(kubectl: Kubectl, arguments: tuple[str, ...], made: str) -> None:
    assert await kubectl("create", *arguments) == f"{made} created\n"
    again = await kubectl.fails("create", *arguments)
    assert "already exists" in again
    assert await kubectl("get", made, "-o", "name") == f"{made}\n"


REFUSED = {
    "no such kind": (
        "apiVersion: v1\nkind: Nonsense\nmetadata: {name: q}\n",
        'error: resource mapping not found for name: "q" namespace: "" from "STDIN": '
        'no matches for kind "Nonsense" in version "v1"\nensure CRDs are installed first\n',
    ),
    "unknown fields": (
        f"{POD}spec: {{foo: 1, containers: [{{name: c, image: b, imagee: x}}]}}",
        f'Error from server (BadRequest): {WHEN}Pod in version "v1" cannot be handled as a Pod: strict decoding error: '
        'unknown field "spec.containers[0].imagee", unknown field "spec.foo"\n',
    ),
    "text for a number": (
        f"{DEPLOYMENT}spec: {{replicas: three}}",
        f'Error from server (BadRequest): {WHEN}Deployment in version "v1" cannot be handled as a Deployment: '
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32\n",
    ),
    "text for a list": (
        f"{DEPLOYMENT}spec: {{template: {{spec: {{containers: x}}}}}}",
        f'Error from server (BadRequest): {WHEN}Deployment in version "v1" cannot be handled as a Deployment: '
        "json: cannot unmarshal string into Go struct field PodSpec.spec.template.spec.containers of type "
        "[]v1.Container\n",
    ),
    "a number for a label": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: q}\ndata: {a: 1}\n",
        f'Error from server (BadRequest): {WHEN}ConfigMap in version "v1" cannot be handled as a ConfigMap: '
        "json: cannot unmarshal number into Go struct field ConfigMap.data of type string\n",
    ),
    "no quantity": (
        f"{POD}spec: {{containers: [{{name: c, image: b, resources: {{limits: {{cpu: lots}}}}}}]}}",
        f'Error from server (BadRequest): {WHEN}Pod in version "v1" cannot be handled as a Pod: quantities must match '
        "the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'\n",
    ),
    "selector and labels": (
        f"{DEPLOYMENT}spec: {{selector: {{matchLabels: {{a: b}}}}, template: {{metadata: {{labels: {{a: c}}}}, "
        "spec: {containers: [{name: c, image: b}]}}}",
        'The Deployment "d" is invalid: spec.template.metadata.labels: Invalid value: {"a":"c"}: '
        "`selector` does not match template `labels`\n",
    ),
    "a deployment with nothing in it": (
        f"{DEPLOYMENT}spec: {{template: {{spec: {{restartPolicy: Never}}}}}}",
        'The Deployment "d" is invalid: \n* spec.selector: Required value\n'
        "* spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`\n"
        "* spec.template.spec.containers: Required value\n"
        '* spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"\n',
    ),
    "a job that never ends": (
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {template: {spec: {containers: [{name: c, "
        "image: b}]}}}",
        'The Job "j" is invalid: spec.template.spec.restartPolicy: Required value: '
        'valid values: "OnFailure", "Never"\n',
    ),
    "a service of no type": (
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: Nope, ports: []}",
        'The Service "s" is invalid: \n* spec.ports: Required value\n* spec.type: Unsupported value: "Nope": '
        'supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"\n',
    ),
    "a schedule of one word": (
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c}\nspec: {schedule: nope, jobTemplate: {spec: "
        "{template: {spec: {restartPolicy: Never, containers: [{name: c, image: b}]}}}}}",
        'The CronJob "c" is invalid: spec.schedule: Invalid value: "nope": expected exactly 5 fields, found 1: '
        "[nope]\n",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_refused_and_how(kubectl: Kubectl, case: str) -> None:
    text, message = REFUSED[case]
    assert await kubectl.fails("create", "-f", "-", text=text) == message


async def test_unknown_fields_warned_of_or_ignored_are_dropped(kubectl: Kubectl) -> None:
    text = f"{POD}spec: {{foo: 1, containers: [{{name: c, image: b, imagee: x}}]}}"
    assert await kubectl("create", "--validate=warn", "-f", "-", text=text) == (
        'Warning: unknown field "spec.containers[0].imagee"\nWarning: unknown field "spec.foo"\npod/p created\n'
    )
    ignored = text.replace("name: p", "name: q")
    assert await kubectl("create", "--validate=ignore", "-f", "-", text=ignored) == "pod/q created\n"
    for name in ("p", "q"):
        shown = await kubectl("get", "pod", name, "-o", "jsonpath={.spec.foo}{.spec.containers[0].imagee}")
        assert shown == ""


async def test_names(kubectl: Kubectl) -> None:
    refused = await kubectl.fails("create", "namespace", "NoGood")
    assert refused == (
        'The Namespace "NoGood" is invalid: metadata.name: Invalid value: "NoGood": a lowercase RFC 1123 label must '
        "consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character "
        "(e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')\n"
    )
    assert await kubectl.fails("create", "namespace", kubectl.namespace) == (
        f'Error from server (AlreadyExists): namespaces "{kubectl.namespace}" already exists\n'
    )
    missing = await kubectl.anywhere().fails("create", "configmap", "c", "-n", "nosuch")
    assert missing == 'error: failed to create configmap: namespaces "nosuch" not found\n'


async def test_a_dry_run_changes_nothing(kubectl: Kubectl) -> None:
    dry, text = "--dry-run=server", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: z}\n"
    assert await kubectl("create", "cm", "c", dry) == "configmap/c created (server dry run)\n"
    assert await kubectl("create", "cm", "c", "--dry-run=client") == "configmap/c created (dry run)\n"
    applied = await kubectl("apply", "--server-side", dry, "-f", "-", text=text)
    assert applied == "configmap/c serverside-applied (server dry run)\n"
    await kubectl.fails("get", "cm", "c")
    await kubectl("create", "cm", "c", "--from-literal=a=b")
    assert "already exists" in await kubectl.fails("create", "cm", "c", dry)
    assert await kubectl("label", "cm", "c", "a=b", dry) == "configmap/c labeled (server dry run)\n"
    assert await kubectl("patch", "cm", "c", "-p", '{"data":{"a":"c"}}', dry, "-o", "jsonpath={.data.a}") == "c"
    assert await kubectl("replace", dry, "-f", "-", text=text) == "configmap/c replaced (server dry run)\n"
    deleted = await kubectl("delete", "cm", "c", dry)
    assert deleted == f'configmap "c" deleted from {kubectl.namespace} namespace (server dry run)\n'
    assert await kubectl("get", "cm", "c", "-o", "jsonpath={.data.a}{.metadata.labels}") == "b"


async def test_a_dry_run_shows_defaults(kubectl: Kubectl) -> None:
    shown = await kubectl(
        *("run", "r", "--image=b", "--dry-run=server", "-o"),
        "jsonpath={.spec.restartPolicy} {.spec.containers[0].imagePullPolicy} {.status.qosClass}",
    )
    assert shown == "Always Always BestEffort"
