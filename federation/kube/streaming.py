"""A raw connection to an API server, for streams that change protocol (exec, attach, port-forward) or run long.

Nothing is sent on it yet. The credentials come as headers to add to the one request it is for; they belong to this
client's identity and must not be shown to anybody.
"""

import asyncio
import socket
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from federation.kube.api import Api
from federation.kube.dialling import Guard
from federation.kube.errors import Unreachable
from federation.kube.transport import SocketTransport

_BUFFER_BYTES = 256 * 1024  # per direction; asyncio stops reading from the socket at twice this


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection: bytes, the path prefix of the server's URL, its Host header, and our credentials."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    base_path: str
    host: str
    headers: dict[str, str] = field(repr=False)


async def open_connection(api: Api, *, timeout_seconds: float = 10.0) -> Connection:
    """Open a connection of its own to the server of `api`, HTTP/1.1 only. Raises Unreachable."""
    transport = api.transport
    if not isinstance(transport, SocketTransport):
        raise Unreachable("this cluster has no address to open a stream to")
    url = urlsplit(transport.host)
    assert url.hostname, "checked when the kubeconfig was read"
    is_tls = url.scheme == "https"
    port = url.port or (443 if is_tls else 80)
    access = transport.access
    try:
        async with asyncio.timeout(timeout_seconds):
            authorization = await access.authorization()
            reader, writer = await asyncio.open_connection(
                await _address(access.guard, url.hostname, port),
                port,
                ssl=transport.tls if is_tls else None,
                server_hostname=(access.server_name or url.hostname) if is_tls else None,
                limit=_BUFFER_BYTES,
            )
    except (OSError, ssl.SSLError, TimeoutError) as error:
        raise Unreachable(f"cannot connect to {transport.host}: {error!r}") from error
    headers = {"Authorization": authorization} if authorization else {}
    return Connection(reader, writer, url.path.rstrip("/"), url.netloc, headers)


async def _address(guard: Guard, host: str, port: int) -> str:
    """Return where to dial a host: its name, or the address that was found fit to be dialled (rule T7)."""
    if guard.is_free:
        return host
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    address = str(found[0][4][0])
    guard.check(address)
    return address
