"""Who sends slowly, or shows no certificate, does not hold up the webhook."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp.test_utils import TestClient, TestServer

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
