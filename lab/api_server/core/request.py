"""What comes in and what goes out, without a socket.

A `Request` is an HTTP request whose connection was already authenticated as far as TLS can (client certificate). The
answer is a `Response`, a `Watch`, or a `Relay`: the instruction to pass a stream through to a node's kubelet, which
only the shell can do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.api_server.core.manifest import Manifest, encode
from lab.api_server.core.watch import Watch

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class User:
    """The authenticated caller."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Query values keep order and repetition (`command=a&command=b`); header names are lower case."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    certificate: User | None = None  # from a client certificate that the CA vouches for

    def parameter(self, name: str) -> str:
        """Return the first value of a query parameter, or "" where it is absent."""
        return next((value for key, value in self.query if key == name), "")

    def parameters(self, name: str) -> list[str]:
        """Return all values of a query parameter."""
        return [value for key, value in self.query if key == name]

    def header(self, name: str) -> str:
        """Return a header by its lower-case name, or ""."""
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Relay:
    """Pass this request on to a kubelet: `https://host:port path?query`, upgraded to a WebSocket where it asks so."""

    host: str
    port: int
    path: str
    query: tuple[tuple[str, str], ...]
    is_upgrade: bool
    protocols: tuple[str, ...] = ()


Answer = Response | Watch | Relay


def answer(manifest: Manifest, status: int = 200) -> Response:
    """Return an object as JSON."""
    return Response(status, encode(manifest))


def text(content: str, status: int = 200) -> Response:
    """Return plain text, as health checks and unknown paths do."""
    return Response(status, content.encode(), "text/plain; charset=utf-8")
