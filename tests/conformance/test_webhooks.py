"""Mutating webhooks: who is asked, what they may change, what happens when they fail."""

import base64
import secrets
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp import web

from tests.conformance.conftest import HttpClient, Server
from tests.lab.api_server.client import Refused, pod

CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


@dataclass
class Hook:
    """A webhook server whose answer the test sets."""

    url: str
    ca: str
    reviews: list[dict[str, Any]] = field(default_factory=list)
    patch: list[dict[str, Any]] = field(default_factory=list)
    denial: dict[str, Any] | None = None
    status: int = 200

    async def serve(self, request: web.Request) -> web.Response:
        """Answer one review."""
        review = orjson.loads(await request.read())["request"]
        self.reviews.append(review)
        response: dict[str, Any] = {"uid": review["uid"], "allowed": self.denial is None}
        if self.denial is not None:
            response["status"] = self.denial
        elif self.patch:
            response |= {"patchType": "JSONPatch", "patch": base64.b64encode(orjson.dumps(self.patch)).decode()}
        answer = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}
        return web.json_response(answer, status=self.status)


@pytest.fixture
async def hook(server: Server) -> AsyncIterator[Hook]:
    files = server.site.identities.server(f"webhook-{secrets.token_hex(4)}")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    hook = Hook("", base64.b64encode(server.site.identities.authority_pem).decode())
    application = web.Application()
    application.router.add_post("/mutate", hook.serve)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    hook.url = f"https://127.0.0.1:{runner.addresses[0][1]}/mutate"
    yield hook
    await runner.cleanup()


@pytest.fixture
async def configured(client: HttpClient, hook: Hook, home: str) -> AsyncIterator[dict[str, Any]]:
    """A configuration for pods of the test's namespace; the test may change it."""
    name = home.rsplit("/", 1)[1]
    webhook = {
        "name": "pods.ex.io",
        "clientConfig": {"url": hook.url, "caBundle": hook.ca},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
        "objectSelector": {"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
    }
    made = await client.create(CONFIGURATIONS, {"metadata": {"name": name}, "webhooks": [webhook]})
    assert made["webhooks"][0]["failurePolicy"] == "Fail"
    for attempt in range(100):  # the real one takes a moment to notice
        await client.create(f"{home}/pods", pod(f"probe-{attempt}"), dryRun="All")
        if hook.reviews:
            break
    hook.reviews.clear()
    yield made
    await client.delete(f"{CONFIGURATIONS}/{name}")


@pytest.mark.usefixtures("configured")
async def test_a_webhook_sees_the_pod_with_defaults_and_changes_it(client: HttpClient, hook: Hook, home: str) -> None:
    hook.patch = [
        {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}},
        {"op": "add", "path": "/spec/schedulingGates", "value": [{"name": "ex.io/g"}]},
        {"op": "replace", "path": "/spec/tolerations", "value": [{"operator": "Exists"}]},
        {"op": "add", "path": "/spec/initContainers", "value": [{"name": "i", "image": "b"}]},
    ]
    made = await client.create(f"{home}/pods", pod())
    [review] = hook.reviews
    assert review["object"]["spec"]["tolerations"][0]["tolerationSeconds"] == 300
    assert review["object"]["spec"]["serviceAccountName"] == "default"
    assert (review["operation"], review["name"], review["namespace"]) == ("CREATE", "p", home.rsplit("/", 1)[1])
    assert review["kind"] == {"group": "", "version": "v1", "kind": "Pod"}
    assert review["resource"] == {"group": "", "version": "v1", "resource": "pods"}
    assert review["dryRun"] is False
    assert review["oldObject"] is None
    assert "uid" not in review["object"]["metadata"]
    assert made["metadata"]["labels"] == {"a": "b"}
    assert made["spec"]["tolerations"] == [{"operator": "Exists"}]
    assert made["spec"]["initContainers"][0]["imagePullPolicy"] == "Always"
    assert made["spec"]["initContainers"][0]["volumeMounts"][0]["name"] == made["spec"]["volumes"][0]["name"]
    assert made["status"]["conditions"][0]["reason"] == "SchedulingGated"


@pytest.mark.usefixtures("configured")
async def test_selectors_keep_a_webhook_out(client: HttpClient, hook: Hook, home: str) -> None:
    skipped = pod("q")
    skipped["metadata"]["labels"] = {"skip": ""}
    await client.create(f"{home}/pods", skipped)
    await client.create(f"{home}/configmaps", {"metadata": {"name": "a"}})
    assert hook.reviews == []


@pytest.mark.usefixtures("configured")
async def test_a_denial(client: HttpClient, hook: Hook, home: str) -> None:
    hook.denial = {"message": "no room", "code": 403}
    with pytest.raises(Refused) as refused:
        await client.create(f"{home}/pods", pod())
    assert refused.value.message == 'admission webhook "pods.ex.io" denied the request: no room'
    assert refused.value.code == 403
    hook.denial = {}
    with pytest.raises(Refused) as refused:
        await client.create(f"{home}/pods", pod())
    assert refused.value.message == 'admission webhook "pods.ex.io" denied the request without explanation'
    assert refused.value.code == 400


async def test_an_unreachable_webhook(client: HttpClient, hook: Hook, home: str, configured: dict[str, Any]) -> None:
    name = configured["metadata"]["name"]
    hook.status = 500
    with pytest.raises(Refused) as refused:
        await client.create(f"{home}/pods", pod())
    assert (refused.value.code, refused.value.reason) == (500, "InternalError")
    assert refused.value.message.startswith('Internal error occurred: failed calling webhook "pods.ex.io": ')
    await client.patch(
        f"{CONFIGURATIONS}/{name}", [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}], "json"
    )
    for _ in range(100):
        try:
            await client.create(f"{home}/pods", pod(f"probe-{secrets.token_hex(4)}"))
            break
        except Refused:
            continue
    else:
        raise AssertionError("failurePolicy Ignore was not noticed")
    assert hook.reviews
