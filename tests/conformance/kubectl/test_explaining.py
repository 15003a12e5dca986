"""explain, api-resources and api-versions: the fields and types of kinds. Descriptions are not compared."""

import re

import pytest

from tests.conformance.kubectl.command import Kubectl, plain

FIELD = re.compile(r"^( *)([\w$-]+)\t(<[^>]+>)( -required-)?$")
NOT_SERVED = {
    *("componentstatuses", "horizontalpodautoscalers", "clustertrustbundles", "podcertificaterequests", "flowschemas"),
    *("prioritylevelconfigurations", "ipaddresses", "servicecidrs", "devicetaintrules", "volumeattributesclasses"),
    *("storageversionmigrations", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"),
    *("validatingadmissionpolicies", "validatingadmissionpolicybindings"),
}


def fields(text: str) -> list[str]:
    """Return the fields that explain lists, with types."""
    found = (FIELD.match(line) for line in text.splitlines())
    return [f"{one[2]} {one[3]}{' required' if one[4] else ''}" for one in found if one]


EXPLAINED = {
    "deployment.spec.strategy": ["rollingUpdate <RollingUpdateDeployment>", "type <string>"],
    "pod.spec.containers.resources": [
        "claims <[]ResourceClaim>",
        "limits <map[string]Quantity>",
        "requests <map[string]Quantity>",
    ],
    "pod.spec.containers.livenessProbe.exec": ["command <[]string>"],
    "deployment.spec.strategy.rollingUpdate": ["maxSurge <IntOrString>", "maxUnavailable <IntOrString>"],
    "configmap": [
        "apiVersion <string>",
        "binaryData <map[string]string>",
        "data <map[string]string>",
        "immutable <boolean>",
        "kind <string>",
        "metadata <ObjectMeta>",
    ],
    "role.rules": [
        "apiGroups <[]string>",
        "nonResourceURLs <[]string>",
        "resourceNames <[]string>",
        "resources <[]string>",
        "verbs <[]string> required",
    ],
    "service.spec.ports": [
        "appProtocol <string>",
        "name <string>",
        "nodePort <integer>",
        "port <integer> required",
        "protocol <string>",
        "targetPort <IntOrString>",
    ],
}


@pytest.mark.parametrize("path", EXPLAINED)
async def test_fields_and_types(kubectl: Kubectl, path: str) -> None:
    assert fields(await kubectl("explain", path)) == EXPLAINED[path]


async def test_what_is_explained_is_named(kubectl: Kubectl) -> None:
    shown = plain(await kubectl("explain", "deployment.spec.replicas"))
    assert shown.startswith("GROUP: apps\nKIND: Deployment\nVERSION: v1\n\nFIELD: replicas <integer>\n")
    everything = fields(await kubectl("explain", "job", "--recursive"))
    assert "podFailurePolicy <PodFailurePolicy>" in everything
    assert len(everything) > 700


async def test_what_cannot_be_explained(kubectl: Kubectl) -> None:
    missing = plain(await kubectl.fails("explain", "pod.spec.nope"))
    assert missing == 'KIND: Pod\nVERSION: v1\n\nerror: field "nope" does not exist\n'
    assert await kubectl.fails("explain", "nosuch") == 'the server doesn\'t have a resource type "nosuch"\n'


async def test_api_resources(kubectl: Kubectl) -> None:
    listed = (await kubectl("api-resources", "--no-headers")).splitlines()
    listed = [line for line in listed if ".ex.io/" not in line]  # what other tests define
    rows = [plain(line) for line in listed if line.split()[0] not in NOT_SERVED]
    for row in (
        "pods po v1 true Pod",
        "nodes no v1 false Node",
        "deployments deploy apps/v1 true Deployment",
        "customresourcedefinitions crd,crds apiextensions.k8s.io/v1 false CustomResourceDefinition",
        "subjectaccessreviews authorization.k8s.io/v1 false SubjectAccessReview",
        "events ev events.k8s.io/v1 true Event",
        "leases coordination.k8s.io/v1 true Lease",
    ):
        assert row in rows
    assert len(rows) == 56
    verbs = await kubectl("api-resources", "--verbs=list,watch", "--namespaced=false", "--api-group=", "-o", "name")
    assert [one for one in verbs.split() if one not in NOT_SERVED] == ["namespaces", "nodes", "persistentvolumes"]
    assert "replicationcontrollers" in (await kubectl("api-resources", "--categories=all", "-o", "name")).split()


async def test_api_versions(kubectl: Kubectl) -> None:
    versions = (await kubectl("api-versions")).split()
    assert {"v1", "apps/v1", "batch/v1", "rbac.authorization.k8s.io/v1", "policy/v1"} <= set(versions)
