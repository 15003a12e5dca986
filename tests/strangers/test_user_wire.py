"""Anybody on home's network speaks to the webhook, without a certificate and without manners."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import orjson
import pytest

from federation import names
from federation.kube.resources import MUTATING_WEBHOOK_CONFIGURATIONS
from tests.protocol.federation import Federation, pod
from tests.strangers.siege import Witness, assert_good_pods_run

SLOW = 100
DEEP = b"[" * 100_000


@pytest.fixture
async def webhook(federation: Federation) -> str:
    """Its URL."""
    found = await federation.home.get(MUTATING_WEBHOOK_CONFIGURATIONS, "isthmus")
    return str(found["webhooks"][0]["clientConfig"]["url"])


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False), trust_env=False) as made:
        yield made
    await asyncio.sleep(0.05)  # TLS connections end with the loop's next turns


def review(**fields: object) -> bytes:
    request = {"uid": "u", "operation": "CREATE", "namespace": "n", "resource": {"group": "", "resource": "pods"}}
    body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request | fields}
    return orjson.dumps(body)


def elected(**fields: object) -> dict[str, object]:
    return pod("x", name="p", annotations={names.ELECT: ""}) | fields


SHAPES = (
    b"",
    b"5",
    b"null",
    b"{}",
    b"\xff\xfe",
    DEEP,
    b'{"request":' * 2000,
    b'{"request":null}',
    b'{"request":{"object":7}}',
    review(object=None),
    review(object=[]),
    review(object={"metadata": 5, "spec": 5}),
    review(object=elected(spec=None)),
    review(object=elected(spec={"containers": "c"})),
    review(object=elected(spec={"containers": [{"name": ["c"]}], "volumes": [5, {"name": 5}], "tolerations": [None]})),
    review(object=elected(metadata={"annotations": {names.ELECT: "", names.SOURCE_POD_MANIFEST: "&a [*a]"}})),
    review(object=elected(metadata={"annotations": {names.ELECT: 5}, "labels": [], "finalizers": {"a": 1}})),
    review(
        object=elected(metadata={"annotations": {names.ELECT: "", names.PROXY_CONSTRAINTS: "nodeSelector: {a: {}}"}})
    ),
    review(object=elected(), uid={"a": 1}, namespace=["n"], operation=5),
)


async def test_the_webhook_survives_any_body(
    federation: Federation, webhook: str, session: aiohttp.ClientSession
) -> None:
    witness = Witness.of(federation)
    for body in SHAPES:
        async with session.post(webhook, data=body, headers={"Content-Type": "application/json"}) as answer:
            assert answer.status < 500, (body[:200], await answer.text())
    await assert_good_pods_run(federation)
    witness.assert_lives()


async def test_slow_bodies_hold_nobody_up(federation: Federation, webhook: str) -> None:
    """Each promises a body and sends a byte of it now and then."""
    url = urlsplit(webhook)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    lines = [
        f"POST {url.path} HTTP/1.1",
        f"Host: {url.netloc}",
        "Content-Type: application/json",
        "Content-Length: 9999",
    ]
    head = "\r\n".join([*lines, "", ""])
    writers = []
    try:
        for _ in range(SLOW):
            _, writer = await asyncio.open_connection(url.hostname, url.port, ssl=context)
            writer.write(head.encode() + b"{")
            await writer.drain()
            writers.append(writer)
        await assert_good_pods_run(federation)
    finally:
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
