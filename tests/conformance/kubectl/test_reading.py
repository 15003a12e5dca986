"""get: tables, -o wide and the other formats, selectors, watch, pages, and what is said when there is nothing."""

import asyncio
import json

import pytest

from tests.conformance.kubectl.command import Kubectl, plain

POD = """
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {a: b, tier: front}}
spec: {containers: [{name: c, image: "i:1"}, {name: d, image: "i:2"}]}
"""


@pytest.fixture
async def pod(kubectl: Kubectl) -> Kubectl:
    """kubectl in a namespace with one pod, which nobody schedules."""
    await kubectl("create", "-f", "-", text=POD)
    return kubectl


async def test_tables(pod: Kubectl) -> None:
    assert await pod.table("get", "pods") == "NAME READY STATUS RESTARTS AGE\np 0/2 Pending 0 AGE\n"
    assert await pod.table("get", "pods", "-o", "wide") == (
        "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES\n"
        "p 0/2 Pending 0 AGE <none> <none> <none> <none>\n"
    )
    assert await pod.table("get", "po", "p", "--no-headers") == "p 0/2 Pending 0 AGE\n"
    assert await pod.table("get", "pods", "--show-labels", "-L", "tier") == (
        "NAME READY STATUS RESTARTS AGE TIER LABELS\np 0/2 Pending 0 AGE front a=b,tier=front\n"
    )
    assert await pod.table("get", "pod,cm", "--show-kind") == (
        "NAME READY STATUS RESTARTS AGE\npod/p 0/2 Pending 0 AGE\n"
    )


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("name", "pod/p\n"),
        ("jsonpath={range .spec.containers[*]}{.name}={.image};{end}", "c=i:1;d=i:2;"),
        ("jsonpath={.nothing.here}", ""),
        ("jsonpath={.spec.containers[?(@.name=='d')].image}", "i:2"),
        ("go-template={{.metadata.name}} {{len .spec.containers}}", "p 2"),
        ("custom-columns=N:.metadata.name,I:.spec.containers[*].image,X:.spec.nope", "N I X\np i:1,i:2 <none>\n"),
    ],
)
async def test_formats(pod: Kubectl, output: str, expected: str) -> None:
    assert plain(await pod("get", "pod", "p", "-o", output)) == expected


async def test_yaml_and_json_hide_managed_fields(pod: Kubectl) -> None:
    for output in ("yaml", "json"):
        assert "managedFields" not in await pod("get", "pod", "p", "-o", output)
        assert "managedFields" in await pod("get", "pod", "p", "-o", output, "--show-managed-fields")


async def test_sorting_and_pages(kubectl: Kubectl) -> None:
    for name, value in (("a", "3"), ("b", "1"), ("c", "2")):
        await kubectl("create", "configmap", name, f"--from-literal=k={value}")
    sorted_ = await kubectl("get", "configmaps", "-o", "name", "--sort-by=.data.k", "--chunk-size=1")
    assert sorted_ == "configmap/b\nconfigmap/c\nconfigmap/a\n"
    first = json.loads(await kubectl("get", "--raw", f"/api/v1/namespaces/{kubectl.namespace}/configmaps?limit=2"))
    assert [one["metadata"]["name"] for one in first["items"]] == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 1


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("a=b", "a ab"),
        ("a==b,c", "ab"),
        ("a!=b", "c none"),
        ("a in (b, x),!c", "a"),
        ("a notin (b)", "c none"),
        ("c", "ab c"),
        ("size>5", "c"),
    ],
)
async def test_label_selectors(kubectl: Kubectl, selector: str, names: str) -> None:
    for name, labels in (
        ("a", "{a: b}"),
        ("ab", '{a: b, c: d, size: "5"}'),
        ("c", '{c: d, size: "6"}'),
        ("none", "{}"),
    ):
        text = f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, labels: {labels}}}}}"
        await kubectl("create", "-f", "-", text=text)
    assert await kubectl("get", "cm", "-l", selector, "-o", "jsonpath={.items[*].metadata.name}") == names


@pytest.mark.parametrize(
    ("selector", "why"),
    [
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a notin (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        (
            "a>b",
            'unable to parse requirement: values[0]: Invalid value: "b": '
            "for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        (
            "a=-b",
            'unable to parse requirement: values[0][a]: Invalid value: "-b": a valid label must be an empty string or '
            "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
            "character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
            "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ),
    ],
)
async def test_selectors_that_are_none(kubectl: Kubectl, selector: str, why: str) -> None:
    head = 'Error from server (BadRequest): Unable to find "/v1, Resource=pods" that match label selector'
    assert await kubectl.fails("get", "pods", "-l", selector) == f'{head} "{selector}", field selector "": {why}\n'


async def test_field_selectors(pod: Kubectl) -> None:
    assert await pod("get", "pods", "--field-selector=status.phase=Pending,spec.nodeName=", "-o", "name") == "pod/p\n"
    none = await pod("get", "pods", "--field-selector=status.phase!=Pending")
    assert none == f"No resources found in {pod.namespace} namespace.\n"
    refused = await pod.fails("get", "pods", "--field-selector=spec.foo=x")
    assert refused.endswith('field selector "spec.foo=x": field label not supported: spec.foo\n')
    refused = await pod.fails("get", "cm", "--field-selector=data=x")
    assert 'field selector "data=x": "data" is not a known field selector: only' in refused


async def test_what_is_not_there(kubectl: Kubectl) -> None:
    assert await kubectl("get", "pods") == f"No resources found in {kubectl.namespace} namespace.\n"
    assert await kubectl.fails("get", "pod", "p") == 'Error from server (NotFound): pods "p" not found\n'
    assert await kubectl.fails("get", "nosuch") == 'error: the server doesn\'t have a resource type "nosuch"\n'
    assert await kubectl("get", "pod", "p", "--ignore-not-found") == ""
    raw = await kubectl.fails("get", "--raw", f"/api/v1/namespaces/{kubectl.namespace}/configmaps/c")
    assert raw == 'Error from server (NotFound): configmaps "c" not found\n'
    raw = await kubectl.fails("get", "--raw", "/apis/rbac.authorization.k8s.io/v1/roles/r")
    assert raw == "Error from server (NotFound): the server could not find the requested resource\n"


async def test_watch_prints_a_line_per_change(kubectl: Kubectl) -> None:
    await kubectl("create", "configmap", "a", "--from-literal=k=v")
    for flags, expected in ((("-w",), "a a b"), (("--watch-only",), "a b")):
        watching = asyncio.create_task(
            kubectl.ended("get", "cm", *flags, "--request-timeout=4s", "-o", "jsonpath={.metadata.name} ")
        )
        await asyncio.sleep(1.5)  # kubectl does not say when its watch has begun
        await kubectl("annotate", "configmap", "a", f"x={flags[0]}", "--overwrite")
        await kubectl("create", "configmap", "b")
        _, shown = await watching
        assert shown.split("error")[0].split()[: len(expected.split())] == expected.split()
        await kubectl("delete", "configmap", "b")


async def test_warnings_of_deprecated_kinds(kubectl: Kubectl) -> None:
    warned = await kubectl("get", "endpoints")
    warning = "Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\n"
    assert warned == f"{warning}No resources found in {kubectl.namespace} namespace.\n"


async def test_health_and_version(kubectl: Kubectl) -> None:
    assert await kubectl("get", "--raw", "/readyz") == "ok"
    assert (await kubectl("get", "--raw", "/livez?verbose")).splitlines()[-1] == "livez check passed"
    version = json.loads(await kubectl("version", "-o", "json"))["serverVersion"]
    assert (version["major"], version["minor"]) == ("1", "37")
