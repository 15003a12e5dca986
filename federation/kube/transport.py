"""How bytes reach an API server: the one place that touches the `kubernetes` package's client.

`Transport` is a seam with two real implementations: sockets (here) and memory (the simulation, which runs an embedded
API server in the same process on virtual time). The package supplies configuration, credentials, TLS and the
connection pool; its generated models are not used, because they lose fields they do not know.
`trust_env` is off: with it aiohttp looks up netrc and proxies on every request, at three to five times the cost.
"""

import asyncio
import asyncio.sslproto
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.exceptions import ApiException

from federation.kube.errors import Unreachable
from federation.kube.limits import Limits

_LINE_BYTES_MAX = 16 * 1024 * 1024  # one watch event; etcd's own limit for an object is 1.5 MiB
_TLS_BUFFER_BYTES = 64 * 1024  # four TLS records


def use_small_tls_buffers() -> None:
    """Have every TLS connection of this process read into 64 KiB.

    asyncio's 256 KiB are most of the 0.3 MB that a connection takes, and an agent at work has a hundred.
    """
    asyncio.sslproto.SSLProtocol.max_size = _TLS_BUFFER_BYTES


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class StreamResponse(Protocol):
    """An answer whose body is still coming."""

    @property
    def status(self) -> int:
        """HTTP status."""

    def lines(self) -> AsyncIterator[bytes]:
        """Yield the body line by line; raises Unreachable where it breaks off or stays silent too long."""

    async def read(self) -> bytes:
        """Return the rest of the body."""


class Transport(Protocol):
    """Carries requests to one API server."""

    async def send(
        self, method: str, path: str, headers: dict[str, str], body: object, timeout_seconds: float
    ) -> Response:
        """Send one request, return the whole answer whatever its status; raises Unreachable."""

    def stream(
        self, path: str, headers: dict[str, str], silence_seconds_max: float
    ) -> AbstractAsyncContextManager[StreamResponse]:
        """Open a GET whose answer is read piece by piece; raises Unreachable."""

    async def close(self) -> None:
        """Close all connections."""


class _SocketStream:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status

    async def read(self) -> bytes:
        try:
            return await self._response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"answer broke off: {error!r}") from error

    async def lines(self) -> AsyncIterator[bytes]:
        content = self._response.content
        rest = b""
        try:
            async for chunk in content.iter_any():
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    yield line
                if len(rest) > _LINE_BYTES_MAX:
                    raise Unreachable(f"a line of more than {_LINE_BYTES_MAX} bytes")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"stream broke off: {error!r}") from error
        if rest:
            yield rest


class SocketTransport:
    """HTTPS to a real address, by `kubernetes.aio`'s client."""

    def __init__(self, configuration: Configuration, limits: Limits) -> None:
        configuration.client_session_kwargs = {"trust_env": False}
        configuration.connection_pool_maxsize = limits.connections_max
        self._client = ApiClient(configuration)
        self._client.user_agent = "isthmus"

    @property
    def host(self) -> str:
        """The server's URL, without a trailing slash."""
        return str(self._client.configuration.host)

    @property
    def tls(self) -> ssl.SSLContext:
        """The context that verifies the server and holds our client certificate, where there is one."""
        context = self._client.rest_client.ssl_context
        assert isinstance(context, ssl.SSLContext)
        return context

    @property
    def server_name(self) -> str:
        """The name to expect in the server's certificate where it is not the host, else an empty string."""
        return str(self._client.configuration.tls_server_name or "")

    async def authorization(self) -> str:
        """Return the Authorization header's value, or an empty string; refreshed tokens included."""
        settings: dict[str, Any] = await self._client.configuration.auth_settings()
        return str(settings.get("BearerToken", {}).get("value") or "")

    async def _open(
        self, method: str, path: str, headers: dict[str, str], body: object, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        try:
            request = await self._client.param_serialize(
                method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            answer = (await self._client.call_api(*request, _request_timeout=timeout)).response
        except (aiohttp.ClientError, TimeoutError, ssl.SSLError, OSError, ApiException) as error:
            raise Unreachable(f"{method} {self.host}: {error!r}") from error
        assert isinstance(answer, aiohttp.ClientResponse)
        return answer

    async def send(
        self, method: str, path: str, headers: dict[str, str], body: object, timeout_seconds: float
    ) -> Response:
        """See Transport."""
        answer = await self._open(method, path, headers, body, aiohttp.ClientTimeout(total=timeout_seconds))
        try:
            content = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"{method} {self.host}: answer broke off: {error!r}") from error
        return Response(answer.status, answer.headers, content)

    @asynccontextmanager
    async def stream(
        self, path: str, headers: dict[str, str], silence_seconds_max: float
    ) -> AsyncIterator[StreamResponse]:
        """See Transport."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence_seconds_max)
        answer = await self._open("GET", path, headers, None, timeout)
        try:
            yield _SocketStream(answer)
        finally:
            answer.close()

    def use_token(self, token: str) -> None:
        """Show this bearer token from the next request on; what is open stays open."""
        self._client.configuration.api_key["BearerToken"] = f"Bearer {token}"

    async def close(self) -> None:
        """Close the pool; gives TLS connections one turn of the loop to say goodbye."""
        await self._client.close()
        await asyncio.sleep(0)
