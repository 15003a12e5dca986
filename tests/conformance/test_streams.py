"""log, exec and attach: the way from a client through the API server to a node's kubelet, and back."""

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from lab.identities import API_SERVER_USER
from tests.conformance.conftest import HttpClient, Server
from tests.lab.api_server.client import Refused, pod

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")


@dataclass
class Kubelet:
    """A kubelet that keeps what it was asked and echoes what it is sent."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    callers: list[str] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, request: web.Request) -> None:
        """Remember a request and who made it."""
        self.asked.append(request.path_qs)
        assert request.transport is not None
        subject = request.transport.get_extra_info("peercert")["subject"]
        self.callers += [value for part in subject for key, value in part if key == "commonName"]

    async def logs(self, request: web.Request) -> web.StreamResponse:
        """Write a line, and a second one when the test says so."""
        self.note(request)
        if "missing" in request.path:
            raise web.HTTPNotFound(text="no such container")
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first\n")
        if request.query.get("follow"):
            await self.go_on.wait()
            await response.write(b"second\n")
        await response.write_eof()
        return response

    async def streams(self, request: web.Request) -> web.WebSocketResponse:
        """Echo stdin as stdout, then say how the command ended."""
        self.note(request)
        socket = web.WebSocketResponse(protocols=PROTOCOLS)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.BINARY and message.data[:1] == b"\0":
                await socket.send_bytes(b"\x01" + message.data[1:])
            elif message.type is WSMsgType.BINARY and message.data[:1] == b"\xff":
                await socket.send_bytes(b'\x03{"metadata":{},"status":"Success"}')
                break
        await socket.close()
        return socket


@pytest.fixture
async def kubelet(server: Server, client: HttpClient, home: str) -> AsyncIterator[Kubelet]:
    """A node of its own, with pod `p` on it."""
    name = home.rsplit("/", 1)[1]
    kubelet = Kubelet()
    files = server.site.identities.server(f"kubelet-{secrets.token_hex(4)}")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=_authority(server))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(files.certificate, files.key)
    application = web.Application()
    application.router.add_get("/containerLogs/{tail:.*}", kubelet.logs)
    application.router.add_get("/{kind:exec|attach}/{tail:.*}", kubelet.streams)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    kubelet.port = runner.addresses[0][1]
    await client.create("/api/v1/nodes", {"metadata": {"name": name}})
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet.port}},
        "declaredFeatures": ["ExtendWebSocketsToKubelet"],
    }
    await client.patch(f"/api/v1/nodes/{name}/status", {"status": status}, "strategic")
    await client.create(f"{home}/pods", pod(nodeName=name))
    yield kubelet
    await runner.cleanup()
    await client.delete(f"{home}/pods/p", {"gracePeriodSeconds": 0})
    await client.delete(f"/api/v1/nodes/{name}")


def _authority(server: Server) -> Path:
    return server.site.identities.authority.certificate


async def test_logs(client: HttpClient, kubelet: Kubelet, home: str) -> None:
    assert await client.get(f"{home}/pods/p/log", tailLines="5", timestamps="true") == "first\n"
    path, _, query = kubelet.asked[0].partition("?")
    assert path == f"/containerLogs/{home.rsplit('/', 1)[1]}/p/c"
    assert set(query.split("&")) == {"tailLines=5", "timestamps=true"}
    assert kubelet.callers == [API_SERVER_USER]


async def test_followed_logs_come_as_they_are_written(client: HttpClient, kubelet: Kubelet, home: str) -> None:
    async with client.session.get(f"{client.url}{home}/pods/p/log", params={"follow": "true"}) as response:
        assert await asyncio.wait_for(response.content.readline(), 5) == b"first\n"
        kubelet.go_on.set()
        assert await asyncio.wait_for(response.content.read(), 5) == b"second\n"


@pytest.mark.parametrize("kind", ["exec", "attach"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_frames_pass_untouched(client: HttpClient, kubelet: Kubelet, home: str, kind: str, protocol: str) -> None:
    query = [("stdin", "true"), ("stdout", "true"), ("container", "c"), ("command", "cat"), ("command", "-u")]
    url = f"{client.url}{home}/pods/p/{kind}"
    async with client.session.ws_connect(
        url, params=query[: None if kind == "exec" else 3], protocols=[protocol]
    ) as socket:
        assert socket.protocol == protocol
        await socket.send_bytes(b"\0hello")
        frames = [one async for one in _binary(socket, until=b"\x01hello")]
        assert b"\x01hello" in frames
        await socket.send_bytes(b"\xff\0")
        assert b'\x03{"metadata":{},"status":"Success"}' in [one async for one in _binary(socket)]
    path, _, asked = kubelet.asked[0].partition("?")
    assert path == f"/{kind}/{home.rsplit('/', 1)[1]}/p/c"
    wanted = {"input=1", "output=1"} | ({"command=cat", "command=-u"} if kind == "exec" else set())
    assert set(asked.split("&")) == wanted


async def _binary(socket: aiohttp.ClientWebSocketResponse, until: bytes = b"") -> AsyncIterator[bytes]:
    async with asyncio.timeout(30):
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                yield message.data
                if message.data == until:
                    return


async def test_an_unreachable_kubelet(client: HttpClient, kubelet: Kubelet, home: str) -> None:
    name = home.rsplit("/", 1)[1]
    status = {"daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}}
    await client.patch(f"/api/v1/nodes/{name}/status", {"status": status}, "strategic")
    with pytest.raises(Refused) as refused:
        await client.get(f"{home}/pods/p/log")
    assert refused.value.code == 500
    assert refused.value.message == (
        f'Get "https://127.0.0.1:1/containerLogs/{name}/p/c": dial tcp 127.0.0.1:1: connect: connection refused'
    )
