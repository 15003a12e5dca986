"""A client without a network: requests go straight into the core, on a clock that the test moves."""

from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson

from lab.api_server.core.request import Request, Response, User
from lab.api_server.core.server import ApiServer
from lab.api_server.core.settings import Settings
from lab.api_server.core.watch import Watch

ADMIN = User("admin", ("system:masters",))
PODS = "/api/v1/namespaces/default/pods"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
MEDIA = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class Refused(Exception):
    """An answer of 400 or more."""

    def __init__(self, status: dict[str, Any]) -> None:
        super().__init__(status.get("message"))
        self.status = status
        self.code = status.get("code")
        self.reason = status.get("reason", "")
        self.message = status.get("message", "")


class Requests(ABC):
    """The verbs, over one method that sends."""

    @abstractmethod
    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Send a request; return the parsed body. Raises Refused."""

    async def get(self, path: str, **query: str) -> Any:
        """GET."""
        return await self.send("GET", path, query=query)

    async def create(self, path: str, body: dict[str, Any], **query: str) -> Any:
        """POST."""
        return await self.send("POST", path, body, query=query)

    async def replace(self, path: str, body: dict[str, Any], **query: str) -> Any:
        """PUT."""
        return await self.send("PUT", path, body, query=query)

    async def patch(self, path: str, body: Any, kind: str = "merge", **query: str) -> Any:
        """PATCH."""
        return await self.send("PATCH", path, body, query=query, headers={"content-type": MEDIA[kind]})

    async def delete(self, path: str, body: dict[str, Any] | None = None, **query: str) -> Any:
        """DELETE."""
        return await self.send("DELETE", path, body, query=query)


class Client(Requests):
    """Talks to a fresh API server in memory."""

    def __init__(self, **options: Any) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        settings = options.pop("settings", None) or Settings()
        self.server = ApiServer(lambda: self.now, random=Random(1), settings=settings, **options)
        self.user: User | None = ADMIN

    def pass_time(self, seconds: float) -> None:
        """Move the clock."""
        self.now += timedelta(seconds=seconds)

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Send a request; return the parsed body, or the Watch."""
        request = Request(
            method=method,
            path=path,
            query=tuple((query or {}).items()),
            headers={"content-type": "application/json", **(headers or {})},
            body=b"" if body is None else orjson.dumps(body),
            certificate=self.user,
        )
        answer = await self.server.handle(request)
        if not isinstance(answer, Response):
            return answer
        parsed = orjson.loads(answer.body) if answer.body[:1] in b"{[" else answer.body.decode()
        if answer.status >= 400:
            raise Refused(parsed if isinstance(parsed, dict) else {"message": parsed, "code": answer.status})
        return parsed

    async def watch(self, path: str, **query: str) -> Watch:
        """Start a watch."""
        watch = await self.send("GET", path, query={"watch": "true", **query})
        assert isinstance(watch, Watch)
        return watch


def events(watch: Watch) -> list[tuple[str, dict[str, Any]]]:
    """Return what the watch has to tell so far."""
    lines = [orjson.loads(line) for line in watch.drain().splitlines()]
    return [(line["type"], line["object"]) for line in lines]


def told(watch: Watch) -> list[tuple[str, str]]:
    """Return event types and names."""
    return [(kind, manifest["metadata"].get("name", "")) for kind, manifest in events(watch)]


async def with_account(client: Client) -> Client:
    """Make the service account that pods need."""
    await client.create("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    return client


def pod(name: str = "p", **spec: Any) -> dict[str, Any]:
    """Return a small pod."""
    containers = [{"name": "c", "image": "busybox:1"}]
    return {"metadata": {"name": name}, "spec": {"containers": containers, **spec}}
