"""T1: the webhook answers whatever it is sent by a review or a 4xx with a reason, never by a 500."""

import base64
import copy
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given

from federation import names
from federation.admission.review import answer
from federation.admission.server import PATH, application
from federation.model.reading import Unreadable
from tests.decisions.pods import submitted
from tests.fuzz import goods
from tests.fuzz.hostile import deep, hostile_settings, spoilt


def asked(pod: Any) -> dict[str, Any]:
    request = {"uid": "r", "operation": "CREATE", "namespace": "ci", "object": pod}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def finalizers(_: str) -> list[str]:
    return ["multicluster.admiralty.io/ci-arm"]


def denial(pod: Any) -> str:
    """The message by which a pod is refused."""
    response = answer(asked(pod), finalizers)["response"]
    assert response["allowed"] is False
    assert response["status"]["code"] == 400
    return str(response["status"]["message"])


ELECTED = goods.SUBMITTED
AGAIN = copy.deepcopy(goods.WAITING_PROXY)


@hostile_settings
@given(spoilt(asked(ELECTED), asked(AGAIN)))
def test_t1_whatever_comes_in_a_review_goes_out(body: Any) -> None:
    try:
        found = answer(body, finalizers)
    except Unreadable as error:
        refusal = str(error)
    else:
        orjson.dumps(found)
        assert isinstance(found["response"]["allowed"], bool)
        return
    assert refusal.startswith("AdmissionReview")


@pytest_asyncio.fixture
async def webhook() -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(application(finalizers, lambda: True))) as client:
        yield client


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b'{"request": 7}',
        b'{"request": {}}',
        b'{"request": {"uid": "r", "object": []}}',
        b'{"request": {"uid": {}}}',
        b"[" * 100_000,
        b'{"apiVersion": ' + b"[" * 900 + b"]" * 900 + b', "request": {"uid": "r"}}',
        b'{"a":' * 900 + b"1" + b"}" * 900,
        orjson.dumps(asked(ELECTED | {"spec": ELECTED["spec"] | {"x": deep(200, is_list=True)}})),
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_t1_what_is_no_review_is_answered_by_400_and_why(webhook: TestClient[Any, Any], body: bytes) -> None:
    response = await webhook.post(PATH, data=body)
    assert response.status == 400
    assert (await response.json())["error"].startswith("not an AdmissionReview: ")


CONSTRAINTS, SAVED, REGEXP = (
    f"metadata.annotations[{key}]"
    for key in (names.PROXY_CONSTRAINTS, names.SOURCE_POD_MANIFEST, names.NO_PREFIX_LABEL_REGEXP)
)


@pytest.mark.parametrize(
    ("annotations", "says"),
    [
        (
            {names.PROXY_CONSTRAINTS: "a: &a [*a]"},
            f"{CONSTRAINTS}: anchors and aliases",
        ),
        ({names.PROXY_CONSTRAINTS: "x" * 70_000}, f"{CONSTRAINTS} is longer than"),
        (
            {names.PROXY_CONSTRAINTS: "tolerations: [7]"},
            f"{CONSTRAINTS}: tolerations[0]",
        ),
        ({names.SOURCE_POD_MANIFEST: "a: &a [*a]"}, f"{SAVED}: anchors"),
        (
            {names.NO_PREFIX_LABEL_REGEXP: "a{1000}{1000}"},
            f"{REGEXP} is not",
        ),
        (
            {"note": "n" * 140_000},
            f"{SAVED}, which keeps the pod as submitted",
        ),
    ],
)
def test_t1_an_annotation_that_cannot_be_used_is_refused_by_name(annotations: dict[str, str], says: str) -> None:
    pod = submitted()
    pod["metadata"]["annotations"] |= annotations
    message = denial(pod)
    assert message.startswith(says)
    assert len(message) < 500


def test_t2_a_name_that_is_a_path_is_refused_by_field() -> None:
    pod = submitted(volumes=[{"name": "v", "secret": {"secretName": "../../kube-system/secrets/key"}}])
    assert denial(pod) == "spec.volumes[0].secret.secretName must be a valid object name (a DNS-1123 subdomain)"


def test_a_pod_that_is_not_elected_is_never_refused() -> None:
    pod = submitted(volumes=[{"name": "v", "secret": {"secretName": "../x"}}], containers="none")
    del pod["metadata"]["annotations"][names.ELECT]
    assert answer(asked(pod), finalizers)["response"] == {"uid": "r", "allowed": True}


def test_a_good_pod_is_admitted() -> None:
    response = answer(asked(ELECTED), finalizers)["response"]
    assert response["allowed"] is True
    assert orjson.loads(base64.b64decode(response["patch"]))
