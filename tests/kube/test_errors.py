"""Which errors say something of the object that was sent, and which only that the server is not in shape."""

import pytest

from federation.kube.errors import ApiError, BadAnswer, BadName, Unreachable, from_status, is_passing

PASSING = [
    (401, "Unauthorized", "Unauthorized"),
    (429, "TooManyRequests", "too many requests, please try again later"),
    (500, "InternalError", "Internal error occurred: failed calling webhook"),
    (503, "ServiceUnavailable", "the request has been made before all known HTTP paths have been installed"),
    (504, "Timeout", "request did not complete within the allotted timeout"),
    (
        403,
        "Forbidden",
        'podchaperons.multicluster.admiralty.io is forbidden: User "system:serviceaccount:isthmus:a" cannot create '
        'resource "podchaperons" in API group "multicluster.admiralty.io" in the namespace "research"',
    ),
    (
        403,
        "Forbidden",
        'nodes "n" is forbidden: User "x" cannot get resource "nodes" in API group "" at the cluster scope: '
        'RBAC: clusterrole.rbac.authorization.k8s.io "view" not found',
    ),
    (403, "Forbidden", 'pods "a" is forbidden: not yet ready to handle request'),
]
REFUSALS = [
    (403, "Forbidden", 'pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1'),
    (403, "Forbidden", 'pods "a" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'),
    (403, "Forbidden", "pods \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"),
    (403, "Forbidden", 'pods "a" is forbidden: unable to create new content in namespace n: it is being terminated'),
    (403, "Forbidden", 'pods "a" is forbidden: error looking up service account n/s: serviceaccount "s" not found'),
    (404, "NotFound", 'namespaces "n" not found'),
    (409, "Conflict", "the object has been modified"),
    (422, "Invalid", 'Pod "a" is invalid'),
    (400, "BadRequest", "strict decoding error"),
]


@pytest.mark.parametrize(("code", "reason", "message"), PASSING)
def test_what_a_starting_server_says_is_no_refusal(code: int, reason: str, message: str) -> None:
    assert is_passing(from_status(code, {"reason": reason, "message": message}))


@pytest.mark.parametrize(("code", "reason", "message"), REFUSALS)
def test_what_speaks_of_the_object_is_a_refusal(code: int, reason: str, message: str) -> None:
    assert not is_passing(from_status(code, {"reason": reason, "message": message}))


@pytest.mark.parametrize(
    ("error", "passes"), [(Unreachable("no"), True), (BadAnswer("what?"), True), (BadName("../x"), False)]
)
def test_no_answer_is_no_refusal_and_a_bad_name_does_not_pass(error: ApiError, passes: bool) -> None:
    assert is_passing(error) is passes
