"""A small extender that holds binds until a test lets them go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from federation.kube.api import Api
from federation.kube.resources import PODS


@dataclass
class Extender:
    """What was asked, and what is answered: `answers` holds one future per bind, by pod name."""

    api: Api
    url: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers: dict[str, "asyncio.Future[str]"] = field(default_factory=dict)
    allowed: set[str] | None = None
    is_gone: set[str] = field(default_factory=set)

    def binds(self, name: str) -> int:
        """Return how often a bind of this pod was asked for."""
        return sum(1 for verb, body in self.calls if verb == "bind" and body["PodName"] == name)

    def let_go(self, name: str, error: str = "") -> None:
        """Answer the bind that is held for a pod: bind it, or refuse."""
        self.answers.pop(name).set_result(error)

    async def bind(self, request: web.Request) -> web.Response:
        """Hold until told."""
        body = await request.json()
        name, namespace = body["PodName"], body["PodNamespace"]
        answer = self.answers[name] = asyncio.get_running_loop().create_future()
        self.calls.append(("bind", body))
        try:
            error = await answer
        except asyncio.CancelledError:
            self.is_gone.add(name)
            raise
        if error == "500":
            return web.Response(status=500)
        if not error:
            target = {"kind": "Node", "name": body["Node"]}
            metadata = {"name": name, "uid": body["PodUID"]}
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
            await self.api.create(PODS, binding, namespace, name=name, subresource="binding")
        return web.json_response({"Error": error})

    async def filter(self, request: web.Request) -> web.Response:
        """Let the allowed nodes through."""
        body = await request.json()
        self.calls.append(("filter", body))
        names = [one["metadata"]["name"] for one in (body["Nodes"] or {}).get("items", [])] or body["NodeNames"]
        kept = [name for name in names if self.allowed is None or name in self.allowed]
        failed = {name: "not allowed here" for name in names if name not in kept}
        return web.json_response({"NodeNames": kept, "FailedAndUnresolvableNodes": failed})


@asynccontextmanager
async def extender(api: Api) -> AsyncIterator[Extender]:
    """Serve on a free port."""
    one = Extender(api)
    application = web.Application()
    application.add_routes([web.post("/v1/bind", one.bind), web.post("/v1/filter", one.filter)])
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/"
    yield one
    await runner.cleanup()
