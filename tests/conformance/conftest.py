"""An API server of either engine, alone, and a client that speaks to it as any client would."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import yaml

from lab.engines.control_plane import Site, start_api_server
from lab.engines.engine import load_engine
from lab.identities import Identities
from lab.plan import EngineName
from lab.processes import ProcessTable
from tests.lab.api_server.client import Refused, Requests
from tests.lab.api_server.connection import tls_of

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Server:
    """A running API server."""

    engine: EngineName
    site: Site
    url: str

    def kubeconfig(self, user: str, *groups: str) -> Path:
        """Return a kubeconfig with a client certificate for `user`."""
        path = self.site.directory / f"{user.replace(':', '-')}.json"
        return self.site.identities.kubeconfig(path, self.url, user, groups)


class HttpClient(Requests):
    """Talks to an API server as the user of a kubeconfig, or with a token."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str = "") -> None:
        self.session, self.url, self._token = session, url, token

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Send a request; return the parsed body."""
        sent = {"Content-Type": "application/json", "Accept": "application/json"}
        sent |= {name.title(): value for name, value in (headers or {}).items()}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else orjson.dumps(body)
        async with self.session.request(method, self.url + path, data=data, params=query, headers=sent) as response:
            content = await response.read()
            parsed = orjson.loads(content) if content[:1] == b"{" else content.decode()
            if response.status >= 400:
                raise Refused(parsed if isinstance(parsed, dict) else {"message": parsed, "code": response.status})
            return parsed

    async def watched(self, path: str, **query: str) -> list[tuple[str, Manifest]]:
        """Watch for a while; return event types and objects."""
        params = {"watch": "true", "timeoutSeconds": "1", **query}
        async with self.session.get(self.url + path, params=params) as response:
            lines = [orjson.loads(line) for line in (await response.read()).splitlines()]
        return [(line["type"], line["object"]) for line in lines]


@pytest.fixture(scope="session")
async def server(engine: EngineName, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """An API server without controllers: only what it does itself is asked for here."""
    directory = tmp_path_factory.mktemp(f"api-{engine}")
    processes = ProcessTable(directory / "processes", directory / "logs", f"conformance-{secrets.token_hex(8)}")
    identities = Identities("conformance", directory / "pki")
    site = Site("conformance", directory, directory / "admin.json", load_engine(engine), identities, processes)
    try:
        yield Server(engine, site, await start_api_server(site))
    finally:
        await processes.stop(processes.all(), grace_seconds=0)


@pytest.fixture(scope="session")
async def client(server: Server) -> AsyncIterator[HttpClient]:
    """The administrator's client."""
    context = tls_of(yaml.safe_load(server.site.admin_kubeconfig.read_text()))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        yield HttpClient(session, server.url)


@pytest.fixture
async def home(client: HttpClient) -> str:
    """A namespace of the test's own, as a path; pods can be made in it."""
    name = f"test-{secrets.token_hex(4)}"
    await client.create("/api/v1/namespaces", {"metadata": {"name": name}})
    path = f"/api/v1/namespaces/{name}"
    await client.create(f"{path}/serviceaccounts", {"metadata": {"name": "default"}})
    return path
