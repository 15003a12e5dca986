"""Who sends slowly or shows no certificate holds up nobody; what policies would not see is judged first."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from federation import names
from federation.admission.server import PATH, application

REVIEW = {"kind": "AdmissionReview", "request": {"uid": "u", "operation": "DELETE"}}


async def test_T1_a_body_that_does_not_come_is_given_up() -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    app = application(lambda _: [], lambda: True, body_seconds_max=0.2)
    async with TestClient(TestServer(app)) as client:
        answer = await client.post(PATH, data=slowly())
        assert answer.status == 408
        assert (await client.post(PATH, json=REVIEW)).status == 200


async def test_T1_where_a_certificate_is_wanted_nobody_without_is_answered() -> None:
    app = application(lambda _: [], lambda: True, needs_certificate=True)
    async with TestClient(TestServer(app)) as client:
        assert (await client.post(PATH, json=REVIEW)).status == 403
        assert (await client.get("/readyz")).status == 200, "a kubelet has none"


def _submitted(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "p", "annotations": {names.ELECT: "", "note": "1"}, "ownerReferences": [{"uid": "o"}]}
    pod = {"metadata": metadata, "spec": {"containers": [{"name": "c"}], **spec}}
    return {"kind": "AdmissionReview", "request": {"uid": "u", "operation": "CREATE", "namespace": "n", "object": pod}}


async def test_T8_what_admission_takes_off_is_judged_as_submitted() -> None:
    seen: list[tuple[str, dict[str, Any]]] = []

    async def judge(namespace: str, pod: dict[str, Any]) -> str:
        seen.append((namespace, pod))
        return "no host networking here"

    async with TestClient(TestServer(application(lambda _: [], lambda: True, judge=judge))) as client:
        answer = await (await client.post(PATH, json=_submitted(hostNetwork=True))).json()
        assert answer["response"]["allowed"] is False
        assert "no host networking here" in answer["response"]["status"]["message"]
        ((namespace, pod),) = seen
        assert (namespace, pod["spec"]["hostNetwork"]) == ("n", True)
        assert pod["metadata"] == {"name": "p", "annotations": {"note": "1"}}, "a pod that nobody elected or owns"
        assert (await (await client.post(PATH, json=_submitted())).json())["response"]["allowed"] is True
        assert len(seen) == 1, "what policies see anyway costs no request"
