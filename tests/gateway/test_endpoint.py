"""The gateway's endpoint, judged by a real API server's idea of who may do what, and by bytes on a real TLS socket."""

import asyncio
import json
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from federation.gateway.certificates import self_signed
from federation.kube.resources import CLUSTER_ROLES
from lab.identities import KeyFiles
from lab.pki import Authority
from lab.plan import EngineName
from tests.gateway.conftest import LIMITS, NODE, Gateway, Kubectl, certificate_of
from tests.gateway.upstream import TOKEN, Upstream

LOGS = "/containerLogs/default/proxy/main"
SPDY = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n"


async def dial(gateway: Gateway, pair: KeyFiles | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    if pair:
        context.load_cert_chain(pair.certificate, pair.key)
    return await asyncio.open_connection("127.0.0.1", gateway.port, ssl=context)


async def ask(
    gateway: Gateway, target: str, *, pair: KeyFiles | None = None, headers: str = "", method: str = "GET"
) -> tuple[int, str]:
    """Send one request; return the status, and the body or, of a Status, its message."""
    reader, writer = await dial(gateway, pair)
    writer.write(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 15)
    writer.close()
    if not answer:
        raise ConnectionError("the connection was ended without an answer")
    head, _, body = answer.decode().partition("\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["message"] if '"kind":"Status"' in body else body


@pytest.mark.parametrize("target", [LOGS, "/exec/default/proxy/main?command=id", "/pods", "/healthz", "/nowhere"])
@pytest.mark.parametrize("headers", ["", "Authorization: Bearer made-up\r\n", "Authorization: Basic YTpi\r\n"])
async def test_nobody_is_anonymous(gateway: Gateway, upstream: Upstream, target: str, headers: str) -> None:
    code, body = await ask(gateway, target, headers=headers)
    assert (code, body) == (401, "Unauthorized")
    assert not upstream.heads


async def test_a_certificate_of_another_authority_ends_the_handshake(
    gateway: Gateway, stranger: Authority, tmp_path: Path
) -> None:
    pair = KeyFiles(*stranger.client("admin", ["system:masters"]).write(tmp_path, "admin"))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await ask(gateway, LOGS, pair=pair)


async def test_a_serving_certificate_is_nobodys_identity(gateway: Gateway) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await ask(gateway, LOGS, pair=gateway.source.plane.site.identities.server("some-server"))


async def test_the_right_authority_without_rights_is_forbidden(
    gateway: Gateway, upstream: Upstream, tmp_path: Path
) -> None:
    pair = certificate_of(gateway.source.kubeconfig("mallory"), tmp_path)
    for target in (LOGS, "/exec/default/proxy/main?command=id", "/pods", "/healthz"):
        code, body = await ask(gateway, target, pair=pair, headers=SPDY if "exec" in target else "")
        assert code == 403
        assert body.startswith('user "mallory" cannot')
    assert not upstream.heads


async def test_rights_on_the_node_are_enough_for_certificate_and_token(gateway: Gateway, tmp_path: Path) -> None:
    source = gateway.source
    await source.grant("system:kubelet-api-admin", user="monitor")
    await source.grant("system:kubelet-api-admin", account="monitor")
    pair = certificate_of(source.kubeconfig("monitor"), tmp_path)
    bearer = f"Authorization: Bearer {await source.token('monitor')}\r\n"
    for who in ({"pair": pair}, {"headers": bearer}):
        assert await ask(gateway, "/healthz", **who) == (200, "ok")
        code, body = await ask(gateway, "/pods", **who)
        assert (code, json.loads(body)["items"]) == (200, [{"metadata": {"name": "proxy"}}])
    bearer = f"Authorization: Bearer {await source.token('somebody')}\r\n"
    assert (await ask(gateway, "/healthz", headers=bearer))[0] == 403


async def test_reading_rights_do_not_run_commands(gateway: Gateway, tmp_path: Path) -> None:
    """Monitoring often has `get` on nodes/proxy; asked for by WebSocket GET, exec is still not for it."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "node-reader"},
        "rules": [{"apiGroups": [""], "resources": ["nodes/proxy"], "verbs": ["get"]}],
    }
    await gateway.source.admin.create(CLUSTER_ROLES, role)
    await gateway.source.grant("node-reader", user="reader")
    pair = certificate_of(gateway.source.kubeconfig("reader"), tmp_path)
    assert (await ask(gateway, LOGS, pair=pair))[0] == 200
    websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    assert (await ask(gateway, "/exec/default/proxy/main?command=id", pair=pair, headers=websocket))[0] == 403


async def test_a_log_arrives_line_by_line_with_the_targets_credentials(gateway: Gateway, upstream: Upstream) -> None:
    upstream.log_lines, upstream.log_pause_seconds = 3, 0.3
    reader, writer = await dial(gateway, gateway.api_server)
    writer.write(
        f"GET {LOGS}?follow=true HTTP/1.1\r\nHost: x\r\nX-Remote-User: root\r\nImpersonate-User: root\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"200" in head
    assert TOKEN.encode() not in head
    times = []
    for number in range(3):
        await reader.readuntil(f"line {number}\n".encode())
        times.append(asyncio.get_running_loop().time())
    assert times[2] - times[0] > 0.4, "the lines came together, not as they were written"
    await reader.readuntil(b"0\r\n\r\n")
    writer.close()
    seen = upstream.heads[0]
    assert seen.startswith(
        "GET /clusters/far/api/v1/namespaces/default/pods/delegate/log?container=main&follow=true HTTP/1.1"
    )
    assert f"bearer {TOKEN}".lower() in seen.lower()
    assert "root" not in seen


async def test_a_follower_that_leaves_ends_the_stream_in_the_target(gateway: Gateway, upstream: Upstream) -> None:
    upstream.log_lines = 100_000
    reader, writer = await dial(gateway, gateway.api_server)
    writer.write(f"GET {LOGS}?follow=true HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await reader.readuntil(b"line 1\n")
    writer.close()
    await asyncio.wait_for(upstream.ended.wait(), 5)


@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_bytes_pass_untouched_both_ways_after_the_switch(gateway: Gateway, upstream: Upstream, size: int) -> None:
    reader, writer = await dial(gateway, gateway.api_server)
    stolen = (
        "Authorization: Bearer callers-own\r\nSec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.eA, v4\r\n"
    )
    writer.write(
        f"POST /exec/default/proxy/main?command=sh&input=1 HTTP/1.1\r\nHost: x\r\n{SPDY}{stolen}\r\nearly;".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert b"x-stream-protocol-version: v4.channel.k8s.io" in head.lower()
    payload = b"some bytes" * (size // 10)

    async def send() -> None:
        writer.write(payload + b"bye")
        await writer.drain()

    sending = asyncio.create_task(send())
    answer = await asyncio.wait_for(reader.read(-1), 20)
    await sending
    writer.close()
    assert answer == b"greetings;" + (b"early;" + payload + b"bye").upper()
    seen = upstream.heads[0]
    assert seen.startswith(
        "POST /clusters/far/api/v1/namespaces/default/pods/delegate/exec?container=main&stdin=true&command=sh "
    )
    assert "callers-own" not in seen
    assert "base64url" not in seen
    assert "Upgrade: SPDY/3.1".lower() in seen.lower()


async def test_what_the_target_refuses_names_the_cluster_and_no_credential(
    gateway: Gateway, upstream: Upstream
) -> None:
    pair = gateway.api_server
    upstream.refusal = (404, b'{"kind":"Status","reason":"NotFound","message":"pods \\"delegate\\" not found"}')
    code, body = await ask(gateway, LOGS, pair=pair)
    assert (code, body) == (404, 'cluster "far-lab": pods "delegate" not found')
    upstream.refusal = (401, b"Unauthorized")
    for target, headers in ((LOGS, ""), ("/attach/default/proxy/main", SPDY)):
        code, body = await ask(gateway, target, pair=pair, headers=headers)
        assert (code, body) == (502, 'cluster "far-lab": refuses its source: 401 Unauthorized')
        assert TOKEN not in body


async def test_pods_without_a_delegate_and_requests_without_upgrade(gateway: Gateway) -> None:
    pair = gateway.api_server
    code, body = await ask(gateway, "/containerLogs/default/other/main", pair=pair)
    assert (code, body) == (404, 'cluster "far-lab": pod "default/other" has no delegate yet')
    code, body = await ask(gateway, "/exec/default/proxy/main?command=id", pair=pair, method="POST")
    assert (code, body) == (400, "exec needs a connection upgrade (WebSocket or SPDY)")
    assert (await ask(gateway, "/run/default/proxy/main", pair=pair))[0] == 404


async def test_an_unreachable_target_is_a_bad_gateway(gateway: Gateway, upstream: Upstream) -> None:
    upstream.refusal = (200, b"")  # says 200 to an upgrade: not what was asked for
    code, body = await ask(gateway, "/portForward/default/proxy", pair=gateway.api_server, headers=SPDY)
    assert code == 502
    assert "far-lab" in body


async def test_heads_have_a_size_and_a_time_and_no_body(gateway: Gateway) -> None:
    pair = gateway.api_server
    code, _ = await ask(gateway, LOGS + "?" + "a" * LIMITS.head_bytes_max, pair=pair)
    assert code == 431
    code, _ = await ask(gateway, LOGS, pair=pair, headers="Content-Length: 5\r\n\r\nhello")
    assert code == 413
    reader, writer = await dial(gateway, pair)
    writer.write(b"GET /pods HTTP/1.1\r\n")
    answer = await asyncio.wait_for(reader.read(), LIMITS.head_seconds_max + 3)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408")


async def test_idle_strangers_keep_no_caller_out(gateway: Gateway) -> None:
    idle = [await dial(gateway, None) for _ in range(2 * LIMITS.strangers_max)]
    code, _ = await ask(gateway, "/healthz", pair=gateway.api_server)
    assert code == 200
    oldest, _ = idle[0]
    assert await asyncio.wait_for(oldest.read(), LIMITS.head_seconds_max / 2) == b"", "the oldest made room"
    for _, writer in idle:
        writer.close()


async def test_streams_are_counted(gateway: Gateway, upstream: Upstream) -> None:
    upstream.log_lines = 100_000
    pair = gateway.api_server
    open_streams = [await dial(gateway, pair) for _ in range(LIMITS.streams_max)]
    for reader, writer in open_streams:
        writer.write(f"GET {LOGS}?follow=true HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readuntil(b"line 0\n")
    code, body = await ask(gateway, LOGS, pair=pair)
    assert (code, body) == (429, f'virtual node "{NODE}" already has {LIMITS.streams_max} streams')
    for _, writer in open_streams:
        writer.close()


async def test_only_http_1_is_offered(gateway: Gateway) -> None:
    _, writer = await dial(gateway)
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    writer.close()


@pytest.mark.parametrize("is_signed", [False, True])
async def test_the_certificate_is_a_kubelets(gateway: Gateway, engine: EngineName, is_signed: bool) -> None:
    """Also the one that the controller manager signs, which an API server with a kubelet CA verifies."""
    if is_signed and engine is EngineName.EMBEDDED:
        return  # nobody signs there: what it serves is the other case
    certificate = self_signed(NODE, "127.0.0.1", datetime.now(UTC)).certificate_pem
    if is_signed:
        context = ssl.create_default_context(cafile=gateway.source.plane.site.identities.authority.certificate)
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port, ssl=context)
        certificate = ssl.DER_cert_to_PEM_cert(writer.get_extra_info("ssl_object").getpeercert(True)).encode()
        writer.close()
    parsed = x509.load_pem_x509_certificate(certificate)
    assert parsed.subject.rfc4514_string() == f"CN=system:node:{NODE},O=system:nodes"


async def test_kubectl_logs_and_exec_pass_through_a_real_api_server(
    proxy: str, kubectl: Kubectl, upstream: Upstream
) -> None:
    assert await kubectl("logs", proxy, "--follow", "--tail=10") == (0, "line 0\nline 1\nline 2\n", "")
    assert "tailLines=10" in upstream.heads[0]
    code, out, err = await kubectl("exec", proxy, "--", "hostname")
    assert (code, out) == (0, "hello from afar\n"), err
    code, out, err = await kubectl("exec", "-i", proxy, "--", "cat", stdin=b"over there\n")
    assert (code, out) == (0, "over there\n"), err
    assert "command=cat" in upstream.heads[-1]


async def test_kubectl_shows_why_not(proxy: str, kubectl: Kubectl, upstream: Upstream, engine: EngineName) -> None:
    upstream.refusal = (400, b'{"kind":"Status","reason":"BadRequest","message":"container is waiting to start"}')
    code, _, err = await kubectl("logs", proxy)
    assert code == 1
    assert err == 'Error from server (BadRequest): cluster "far-lab": container is waiting to start\n'
    code, _, err = await kubectl("exec", proxy, "--", "true")
    assert code == 1
    if engine is EngineName.EMBEDDED:
        return  # refused by WebSocket, kubectl asks again by SPDY, which that API server refuses itself
    assert 'cluster "far-lab": container is waiting to start' in err
