"""A kubelet's URLs become the target API server's, and nothing else passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.gateway.errors import Refusal
from federation.gateway.routes import NodeRequest, PodStream, parse


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        (
            "GET",
            "/containerLogs/ns/p/c?follow=true&tailLines=5&limitBytes=10&timestamps=true&previous=false",
            "/api/v1/namespaces/ns/pods/d/log?container=c&follow=true&tailLines=5&limitBytes=10&timestamps=true&previous=false",
        ),
        (
            "POST",
            "/exec/ns/p/c?command=sh&command=-c&command=echo+%26%3D&input=1&output=1&tty=1",
            "/api/v1/namespaces/ns/pods/d/exec?container=c&stdin=true&stdout=true&tty=true"
            "&command=sh&command=-c&command=echo+%26%3D",
        ),
        (
            "GET",
            "/exec/ns/p/c?command=ls&error=1",
            "/api/v1/namespaces/ns/pods/d/exec?container=c&stderr=true&command=ls",
        ),
        ("POST", "/attach/ns/p/c?input=1&command=no", "/api/v1/namespaces/ns/pods/d/attach?container=c&stdin=true"),
        ("POST", "/portForward/ns/p?port=80,443", "/api/v1/namespaces/ns/pods/d/portforward?ports=80&ports=443"),
        ("POST", "/portForward/ns/p", "/api/v1/namespaces/ns/pods/d/portforward"),
        (
            "GET",
            "/containerLogs/ns/p/c?insecureSkipTLSVerifyBackend=true&x=y",
            "/api/v1/namespaces/ns/pods/d/log?container=c",
        ),
    ],
)
def test_streams_are_rewritten_for_the_target(method: str, target: str, expected: str) -> None:
    request = parse(method, target)
    assert isinstance(request, PodStream)
    assert (request.namespace, request.pod) == ("ns", "p")
    assert request.target("", "ns", "d") == expected
    assert request.target("/clusters/x", "ns", "d") == "/clusters/x" + expected


@pytest.mark.parametrize("page", ["healthz", "pods"])
def test_pages_of_the_node(page: str) -> None:
    assert parse("GET", f"/{page}") == NodeRequest(page)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("GET", "/", 404),
        ("OPTIONS", "*", 404),
        ("GET", "//exec/ns/p/c", 404),
        ("GET", "https://[/exec/ns/p/c", 404),
        ("GET", "/run/ns/p/c", 404),
        ("GET", "/stats/summary", 404),
        ("GET", "/metrics", 404),
        ("GET", "/exec", 404),
        ("GET", "/exec/ns/p", 404),
        ("GET", "/exec/ns/p/c/d", 404),
        ("GET", "/containerLogs/ns/../secrets", 404),
        ("GET", "/containerLogs/ns/p%2F..%2Fx/c", 404),
        ("GET", "/containerLogs/ns//c", 404),
        ("GET", "/containerLogs/ns/p%0d%0aX/c", 404),
        ("POST", "/containerLogs/ns/p/c", 405),
        ("DELETE", "/exec/ns/p/c", 405),
        ("POST", "/healthz", 405),
    ],
)
def test_all_else_is_refused(method: str, target: str, code: int) -> None:
    with pytest.raises(Refusal) as refused:
        parse(method, target)
    assert refused.value.code == code
    assert refused.value.status()["code"] == code


@given(st.text(max_size=80))
def test_no_path_leaves_the_namespace_it_names(path: str) -> None:
    try:
        request = parse("GET", "/containerLogs/" + path)
    except Refusal:
        return
    assert isinstance(request, PodStream)
    target = request.target("", request.namespace, request.pod)
    before = target.partition("?")[0]
    assert before == f"/api/v1/namespaces/{request.namespace}/pods/{request.pod}/log"
    assert before.count("/") == 7
