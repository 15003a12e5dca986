"""A node's HTTPS API: what the API server calls for `kubectl logs`, `exec` and `attach`, and a little to look at.

Each node has its own port and certificate, since the API server addresses a node by its port alone.
"""

import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web

from lab.kubelet import remote
from lab.kubelet.access import Access
from lab.kubelet.log_lines import Query, stamp
from lab.kubelet.node import NodeAgent
from lab.kubelet.pod import Pod
from lab.kubelet.records import Manifest, Waiting, container, parse_time
from lab.kubelet.runs import Run
from lab.kubelet.status import ADDRESS


@dataclass(frozen=True, slots=True)
class Identity:
    """What a node's port shows and whom it believes."""

    certificate: Path
    key: Path
    client_ca: Path

    def context(self) -> ssl.SSLContext:
        """TLS in which a client may stay anonymous (and is then refused with 401)."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.client_ca))
        context.load_cert_chain(self.certificate, self.key)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context


class NodeServer:
    """Answers for the pods of one node."""

    def __init__(self, agent: NodeAgent) -> None:
        self._agent = agent

    def application(self, access: Access) -> web.Application:
        """All routes."""
        application = web.Application(middlewares=[access.guard()])
        router = application.router
        router.add_get("/healthz", self._healthy)
        router.add_get("/pods", self._list)
        router.add_get("/stats/summary", self._summary)
        router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        for method in ("GET", "POST"):
            router.add_route(method, "/exec/{namespace}/{pod}/{container}", self._exec)
            router.add_route(method, "/attach/{namespace}/{pod}/{container}", self._attach)
        return application

    async def _healthy(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": self._agent.manifests}
        )

    async def _summary(self, _: web.Request) -> web.Response:
        references = [
            {key: pod["metadata"][key] for key in ("name", "namespace", "uid")} for pod in self._agent.manifests
        ]
        return web.json_response({"node": {}, "pods": [{"podRef": reference} for reference in references]})

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        pod, manifest = self._find(request)
        assert pod.containers is not None, "_find checks it"
        name, previous = manifest["name"], request.query.get("previous") == "true"
        log = pod.containers.log(name, previous=previous)
        if log is None:
            raise web.HTTPBadRequest(text=_no_log(pod, name, previous=previous))
        query = _query(request)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):  # the client may go at any time
            async for piece in log.read(query, follow=request.query.get("follow") == "true"):
                if piece:
                    await response.write(piece)
            await response.write_eof()
        return response

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        return await remote.execute(request, self._running(request))

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        _, manifest = self._find(request)
        return await remote.attach(request, self._running(request), closes_stdin=bool(manifest.get("stdinOnce")))

    def _running(self, request: web.Request) -> Run:
        pod, manifest = self._find(request)
        run = pod.containers.runs.get(manifest["name"]) if pod.containers is not None else None
        if run is None:
            raise web.HTTPNotFound(text=f'container not found ("{manifest["name"]}")')
        return run

    def _find(self, request: web.Request) -> tuple[Pod, Manifest]:
        at = request.match_info
        pod = self._agent.find(at["namespace"], at["pod"])
        if pod is None or pod.containers is None:
            raise web.HTTPNotFound(text=f'pod "{at["pod"]}" not found on this node')
        manifest = container(pod.manifest, at["container"])
        if manifest is None:
            raise web.HTTPNotFound(text=f"container {at['container']} not found in pod {at['pod']}")
        return pod, manifest


@asynccontextmanager
async def listening(application: web.Application, identity: Identity, port: int) -> AsyncIterator[int]:
    """Serve on the node's port until the block ends; gives the port's number."""
    # Streams are cut when the kubelet stops: their containers end with it.
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, ADDRESS, port, ssl_context=identity.context())
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _query(request: web.Request) -> Query:
    query = request.query
    try:
        tail = query.get("tailLines")
        limit = query.get("limitBytes")
        return Query(
            tail_lines=None if tail is None else int(tail),
            since=_since(query.get("sinceSeconds"), query.get("sinceTime")),
            limit_bytes=None if limit is None else int(limit),
            has_timestamps=query.get("timestamps") == "true",
        )
    except ValueError as error:
        raise web.HTTPUnprocessableEntity(text=str(error)) from error


def _since(seconds: str | None, time: str | None) -> str:
    since = parse_time(time)
    if seconds:
        since = datetime.now(UTC) - timedelta(seconds=int(seconds))
    return stamp(int(since.timestamp() * 1_000_000) * 1000) if since else ""


def _no_log(pod: Pod, name: str, *, previous: bool) -> str:
    full = f'container "{name}" in pod "{pod.manifest["metadata"]["name"]}"'
    if previous:
        return f"previous terminated {full} not found"
    assert pod.containers is not None, "the caller checks it"
    state = pod.containers.records[name].state
    if isinstance(state, Waiting):
        why = (
            "trying and failing to pull image" if state.reason in ("ErrImagePull", "ImagePullBackOff") else state.reason
        )
        return f"{full} is waiting to start: {why}"
    return f"{full} is not available"
