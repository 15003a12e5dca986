"""exec, attach and logs through an API server, and who may call a node directly."""

import asyncio
import base64
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest

from federation.kube.resources import NODES, PODS
from lab.identities import API_SERVER_USER, Identities
from tests.lab.kubelet.site import NODE, Cluster, Manifest, pod

COUNT = "trap 'exit 0' TERM; i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done"


@dataclass(frozen=True)
class Server:
    """An address and how to reach it."""

    url: str
    context: ssl.SSLContext


async def node_of(site: Cluster) -> Server:
    """The node's own port, reached as the API server does."""
    client = site.identities.api_server_client
    context = trusting(site)
    context.load_cert_chain(client.certificate, client.key)
    node = await site.api.get(NODES, NODE)
    port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    return Server(f"https://127.0.0.1:{port}", context)


async def api_server(site: Cluster) -> Server:
    """The API server, reached as the administrator."""
    content = json.loads(site.kubeconfig.read_text(encoding="utf-8"))
    context = showing(trusting(site), content, site.root.parent / "administrator.pem")
    return Server(content["clusters"][0]["cluster"]["server"], context)


def trusting(site: Cluster) -> ssl.SSLContext:
    """TLS that believes the cluster's authority and shows nothing."""
    return ssl.create_default_context(cafile=str(site.identities.authority.certificate))


def showing(context: ssl.SSLContext, kubeconfig: Manifest, file: Path) -> ssl.SSLContext:
    """The same with the client certificate of a kubeconfig."""
    keys = kubeconfig["users"][0]["user"]
    file.write_bytes(b"".join(base64.b64decode(keys[f"client-{part}-data"]) for part in ("certificate", "key")))
    context.load_cert_chain(file)
    return context


def as_user(site: Cluster, user: str, authority: Identities) -> ssl.SSLContext:
    """TLS with a certificate for `user`, signed by `authority`."""
    file = site.root.parent / f"{user}.kubeconfig"
    authority.kubeconfig(file, "https://127.0.0.1", user)
    return showing(trusting(site), json.loads(file.read_text(encoding="utf-8")), file.with_suffix(".pem"))


async def get(url: str, context: ssl.SSLContext) -> int:
    """The status that a GET is answered with."""
    async with aiohttp.ClientSession() as session, session.get(url, ssl=context) as response:
        return response.status


async def test_only_the_api_server_may_call_a_node(site: Cluster, place: str) -> None:
    node = await node_of(site)
    assert await get(f"{node.url}/pods", node.context) == 200
    assert await get(f"{node.url}/healthz", trusting(site)) == 401
    assert await get(f"{node.url}/pods", as_user(site, "mallory", site.identities)) == 403
    other = Identities("other", site.root.parent / f"other-{place}")
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await get(f"{node.url}/pods", as_user(site, API_SERVER_USER, other))


async def test_exec_speaks_v5_and_v4(site: Cluster, place: str) -> None:
    await site.run(pod("shell", "sleep", "600"), place)
    await site.until_phase("shell", place, "Running")
    node = await node_of(site)
    for protocol in ("v5.channel.k8s.io", "v4.channel.k8s.io"):
        script = "read line; echo got $line; echo problem >&2; exit 3"
        query = urlencode([("command", "sh"), ("command", "-c"), ("command", script), *FLAGS])
        frames = await talk(node, f"/exec/{place}/shell/main?{query}", protocol, b"\x00hello\n")
        assert b"".join(frame[1:] for frame in frames if frame[0] == 1) == b"got hello\n"
        assert b"".join(frame[1:] for frame in frames if frame[0] == 2) == b"problem\n"
        status = json.loads(frames[-1][1:])
        assert status["reason"] == "NonZeroExitCode"
        assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


async def test_stdin_ends_by_the_close_frame(site: Cluster, place: str) -> None:
    await site.run(pod("shell", "sleep", "600"), place)
    await site.until_phase("shell", place, "Running")
    node = await node_of(site)
    query = urlencode([("command", "wc"), ("command", "-c"), *FLAGS])
    path = f"/exec/{place}/shell/main?{query}"
    frames = await talk(node, path, "v5.channel.k8s.io", b"\x00" + b"x" * 100_000, b"\xff\x00")
    assert b"".join(frame[1:] for frame in frames if frame[0] == 1).strip() == b"100000"
    assert json.loads(frames[-1][1:])["status"] == "Success"


async def test_exec_through_the_api_server(site: Cluster, place: str) -> None:
    """The whole way, with the client's own protocol passed on by the API server."""
    await site.run(pod("shell", "sleep", "600"), place)
    await site.until_phase("shell", place, "Running")
    query = urlencode([("command", "cat"), ("stdin", "true"), ("stdout", "true"), ("stderr", "true")])
    administrator = await api_server(site)
    frames = await talk(
        administrator,
        f"{PODS.path(place, 'shell', 'exec')}?{query}",
        "v5.channel.k8s.io",
        b"\x00through\n",
        b"\xff\x00",
    )
    assert b"".join(frame[1:] for frame in frames if frame[0] == 1) == b"through\n"
    assert json.loads(frames[-1][1:])["status"] == "Success"


async def test_a_command_that_is_not_there(site: Cluster, place: str) -> None:
    await site.run(pod("shell", "sleep", "600"), place)
    await site.until_phase("shell", place, "Running")
    query = urlencode([("command", "no-such-program"), *FLAGS])
    frames = await talk(await node_of(site), f"/exec/{place}/shell/main?{query}", "v5.channel.k8s.io")
    status = json.loads(frames[-1][1:])
    assert status["reason"] == "InternalError"
    assert "executable file not found" in status["message"]


async def test_exec_with_a_terminal(site: Cluster, place: str) -> None:
    await site.run(pod("shell", "sleep", "600"), place)
    await site.until_phase("shell", place, "Running")
    node = await node_of(site)
    query = urlencode([("command", "sh"), ("input", "1"), ("output", "1"), ("tty", "1")])
    resize = b'\x04{"Width": 101, "Height": 37}'
    frames = await talk(
        node, f"/exec/{place}/shell/main?{query}", "v5.channel.k8s.io", resize, b"\x00stty size; tty; exit\n"
    )
    shown = b"".join(frame[1:] for frame in frames if frame[0] == 1).decode()
    assert "37 101" in shown
    assert "/dev/pts/" in shown


async def test_attach_joins_a_running_container(site: Cluster, place: str) -> None:
    await site.run(pod("talker", "sh", "-c", "read x; echo heard $x; sleep 0.2", container={"stdin": True}), place)
    await site.until_phase("talker", place, "Running")
    node = await node_of(site)
    frames = await talk(node, f"/attach/{place}/talker/main?{urlencode(FLAGS)}", "v5.channel.k8s.io", b"\x00you\n")
    assert b"".join(frame[1:] for frame in frames if frame[0] == 1) == b"heard you\n"
    await site.until_phase("talker", place, "Succeeded")
    assert await site.logs("talker", place) == "heard you\n"


async def test_logs_are_followed_and_cut(site: Cluster, place: str) -> None:
    await site.run(pod("counter", "sh", "-c", COUNT), place)
    await site.until_phase("counter", place, "Running")
    path = PODS.path(place, "counter", "log")
    seen = []
    async with asyncio.timeout(10), site.api.stream(path, [("follow", "true")]) as response:
        async for line in response.lines():
            seen.append(int(line))
            if len(seen) == 20:
                break
    assert seen == list(range(20))
    assert len((await site.logs("counter", place, tailLines="3")).splitlines()) == 3
    assert len(await site.logs("counter", place, limitBytes="5")) == 5
    stamped = (await site.logs("counter", place, tailLines="1", timestamps="true")).split()
    assert stamped[0].endswith("Z")
    recent = await site.logs("counter", place, sinceTime=stamped[0][:19] + "Z")
    assert len(recent.splitlines()) <= 25


async def test_probes_decide_readiness_and_life(site: Cluster, place: str) -> None:
    readiness = {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1}
    liveness = {"exec": {"command": ["test", "!", "-e", "/tmp/dead"]}, "periodSeconds": 1, "failureThreshold": 1}
    script = "echo run; trap 'exit 0' TERM; while :; do sleep 0.1; done"
    container = {"readinessProbe": readiness, "livenessProbe": liveness}
    await site.run(pod("probed", "sh", "-c", script, container=container, restartPolicy="Always"), place)
    found = await site.until_phase("probed", place, "Running")
    assert not found["status"]["containerStatuses"][0]["ready"]
    assert await execute(site, place, "probed", "touch", "/tmp/ready") == "Success"
    await site.until("probed", place, lambda pod: bool(pod and pod["status"]["containerStatuses"][0]["ready"]))
    assert await execute(site, place, "probed", "touch", "/tmp/dead") == "Success"
    await site.until(
        "probed", place, lambda pod: bool(pod and pod["status"]["containerStatuses"][0]["restartCount"] == 1)
    )


async def execute(site: Cluster, place: str, name: str, *command: str) -> str:
    """Run a command in the pod's container; returns the Status' status."""
    query = urlencode([("command", word) for word in command] + [("output", "1")])
    frames = await talk(await node_of(site), f"/exec/{place}/{name}/main?{query}", "v5.channel.k8s.io")
    return str(json.loads(frames[-1][1:])["status"])


FLAGS = [("input", "1"), ("output", "1"), ("error", "1")]


async def talk(server: Server, path: str, protocol: str, *messages: bytes) -> list[bytes]:
    """Send the messages, return all that comes back."""
    async with (
        asyncio.timeout(10),
        aiohttp.ClientSession() as session,
        session.ws_connect(server.url + path, protocols=[protocol], ssl=server.context) as socket,
    ):
        assert socket.protocol == protocol
        for message in messages:
            await socket.send_bytes(message)
        return [frame.data async for frame in socket]
