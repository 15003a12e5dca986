"""How bytes reach an API server, and how many of them come back.

`Transport` is a seam with two real implementations: sockets (here) and memory (the simulation, which runs an embedded
API server in the same process on virtual time). Sockets are aiohttp's; where and as whom comes from `access`.
The server may be a stranger's (rules T1, T7): no redirect is followed, no cookie kept, nothing decompressed (half a
megabyte of gzip is a gigabyte of memory), no answer read beyond its bound, and what may not be dialled is not.
`trust_env` is off: with it aiohttp looks up netrc and proxies on every request, at three to five times the cost.
"""

import asyncio
import asyncio.sslproto
import json
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from aiohttp.abc import AbstractCookieJar
from yarl import URL

from federation.kube.access import Access
from federation.kube.errors import BadAnswer, Silent, TooLarge, Unreachable
from federation.kube.limits import Limits

_READ_BYTES = 256 * 1024  # how far aiohttp reads ahead of us
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
    """Carries requests to one API server; `body` is what JSON says, or bytes as they are."""

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
    def __init__(self, response: aiohttp.ClientResponse, limits: Limits, silence_seconds_max: float) -> None:
        self._response = response
        self._limits = limits
        self._silence_seconds_max = silence_seconds_max

    @property
    def status(self) -> int:
        return self._response.status

    async def read(self) -> bytes:
        try:
            async with asyncio.timeout(self._silence_seconds_max):
                return await _bounded(self._response, self._limits)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"answer broke off: {_told(error)}") from None

    async def lines(self) -> AsyncIterator[bytes]:
        loop, bound = asyncio.get_running_loop(), self._limits.line_bytes_max
        rest, begun = bytearray(), loop.time()  # `rest` is extended, never copied for one more byte
        try:
            async for chunk in self._response.content.iter_any():
                *whole, last = chunk.split(b"\n")
                for number, line in enumerate(whole):
                    yield bytes(rest) + line if number == 0 else line
                if whole:
                    rest.clear()
                if not rest:
                    begun = loop.time()
                rest += last
                if len(rest) > bound:
                    raise TooLarge(f"a line of more than {bound} bytes")
                if rest and loop.time() - begun > self._silence_seconds_max:
                    raise BadAnswer(f"a line that is not complete after {self._silence_seconds_max:.0f} s")
        except aiohttp.SocketTimeoutError:
            raise Silent(f"stream broke off: nothing came for {self._silence_seconds_max:.0f} s") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"stream broke off: {_told(error)}") from None
        if rest:
            yield bytes(rest)


def _told(error: Exception) -> str:
    """Return what may be said of an error: aiohttp's own `repr` holds our token, its text what the server sent."""
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return f"{type(error).__name__}: it does not speak HTTP as it should"
    return f"{type(error).__name__}: {str(error)[:300]}".removesuffix(": ")


async def _bounded(answer: aiohttp.ClientResponse, limits: Limits) -> bytes:
    """Return the whole body of an answer; raises TooLarge where it is more than we take."""
    is_success = 200 <= answer.status < 300
    bound = limits.body_bytes_max if is_success else limits.failure_bytes_max
    content = bytearray()
    if (answer.content_length or 0) <= bound:
        async for chunk in answer.content.iter_any():
            content += chunk
            if len(content) > bound:
                break
        else:
            return bytes(content)
    answer.close()
    if not is_success:
        return b""  # a failure is one all the same; nothing of this is quoted
    raise TooLarge(f"an answer of more than {bound} bytes")


class SocketTransport:
    """HTTPS to a real address."""

    def __init__(self, access: Access, limits: Limits) -> None:
        self._access = access
        self._limits = limits
        self._lazily: aiohttp.ClientSession | None = None  # belongs to the loop of the first request

    @property
    def host(self) -> str:
        """The server's URL, without a trailing slash."""
        return self._access.host

    @property
    def access(self) -> Access:
        """Where the server is, and as whom we come."""
        return self._access

    @property
    def tls(self) -> ssl.SSLContext:
        """The context that verifies the server and holds our client certificate, where there is one."""
        return self._access.tls

    def _session(self) -> aiohttp.ClientSession:
        if self._lazily is None:
            connector = aiohttp.TCPConnector(
                limit=self._limits.connections_max, ssl=self._access.tls, socket_factory=self._socket
            )
            jar: AbstractCookieJar = aiohttp.DummyCookieJar()
            self._lazily = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=jar,
                trust_env=False,
                auto_decompress=False,
                read_bufsize=_READ_BYTES,
                headers={"User-Agent": "isthmus", "Accept": "application/json", "Accept-Encoding": "identity"},
            )
        return self._lazily

    def _socket(self, address: tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]) -> socket.socket:
        """Make the socket for an address that is about to be dialled: after all names are resolved."""
        family, kind, protocol, _, where = address
        self._access.guard.check(str(where[0]))
        return socket.socket(family, kind, protocol)

    async def _open(
        self, method: str, path: str, headers: dict[str, str], body: object, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        access = self._access
        try:
            if authorization := await access.authorization():
                headers = {**headers, "Authorization": authorization}
            if body is not None:
                headers = {"Content-Type": "application/json", **headers}
            answer = await self._session().request(
                method,
                URL(access.host + path, encoded=True),  # as it is: nothing is folded or unquoted on the way (rule T2)
                headers=headers,
                data=None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode(),
                timeout=timeout,
                allow_redirects=False,
                server_hostname=access.server_name or None,
                proxy=access.proxy or None,
            )
        except (aiohttp.ClientError, TimeoutError, ssl.SSLError, OSError, ValueError) as error:
            raise Unreachable(f"{method} {self.host}: {_told(error)}") from None
        encoding = answer.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            answer.close()
            raise BadAnswer(f"{method} {self.host}: an answer in an encoding that was not asked for")
        return answer

    async def send(
        self, method: str, path: str, headers: dict[str, str], body: object, timeout_seconds: float
    ) -> Response:
        """See Transport."""
        answer = await self._open(method, path, headers, body, aiohttp.ClientTimeout(total=timeout_seconds))
        try:
            return Response(answer.status, answer.headers, await _bounded(answer, self._limits))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"{method} {self.host}: answer broke off: {_told(error)}") from None
        finally:
            answer.close()  # a whole one has given its connection back already

    @asynccontextmanager
    async def stream(
        self, path: str, headers: dict[str, str], silence_seconds_max: float
    ) -> AsyncIterator[StreamResponse]:
        """See Transport."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence_seconds_max)
        try:
            async with asyncio.timeout(silence_seconds_max):  # heads without end (1xx) are no answer
                answer = await self._open("GET", path, headers, None, timeout)
        except TimeoutError:
            raise Unreachable(f"GET {self.host}: no answer within {silence_seconds_max:.0f} s") from None
        try:
            yield _SocketStream(answer, self._limits, silence_seconds_max)
        finally:
            answer.close()

    def use_token(self, token: str) -> bool:
        """Show this bearer token from the next request on, if it can be one; what is open stays open."""
        return self._access.use_token(token)

    async def close(self) -> None:
        """Close the pool; gives TLS connections one turn of the loop to say goodbye."""
        if self._lazily is not None:
            await self._lazily.close()
            self._lazily = None
        await asyncio.sleep(0)
