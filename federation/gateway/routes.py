"""From a kubelet's URL to what it asks for, and to the URL of the target's API server. Pure.

The API server calls kubelets with query names of their own (`input=1`, `port=`), and takes others from its clients
(`stdin=true`, `ports=`). Only names listed here pass: a query cannot smuggle an option to the target.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode

from federation.gateway.errors import Refusal

Subresource = Literal["log", "exec", "attach", "portforward"]

_STREAMS: dict[str, tuple[Subresource, int, frozenset[str]]] = {
    # first path segment: (subresource in the target, number of segments after it, methods)
    "containerLogs": ("log", 3, frozenset({"GET"})),
    "exec": ("exec", 3, frozenset({"GET", "POST"})),
    "attach": ("attach", 3, frozenset({"GET", "POST"})),
    "portForward": ("portforward", 2, frozenset({"GET", "POST"})),
}
_LOG_OPTIONS = frozenset(
    {"follow", "previous", "timestamps", "tailLines", "limitBytes", "sinceSeconds", "sinceTime", "stream"}
)
_STREAM_FLAGS = {"input": "stdin", "output": "stdout", "error": "stderr", "tty": "tty"}
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class NodeRequest:
    """A question about the node itself."""

    page: Literal["healthz", "pods"]


@dataclass(frozen=True, slots=True)
class PodStream:
    """A stream of one pod. `query` is already in the target's words."""

    subresource: Subresource
    namespace: str
    pod: str
    query: tuple[tuple[str, str], ...]

    @property
    def is_upgrade(self) -> bool:
        """Whether the connection has to change protocol (SPDY or WebSocket)."""
        return self.subresource != "log"

    def target(self, base_path: str, namespace: str, name: str) -> str:
        """Return the request target for the delegate `namespace/name` at the target's API server."""
        path = f"{base_path}/api/v1/namespaces/{quote(namespace)}/pods/{quote(name)}/{self.subresource}"
        return f"{path}?{urlencode(self.query)}" if self.query else path


def parse(method: str, target: str) -> NodeRequest | PodStream:
    """Return what a request line asks for; raises Refusal (400, 404, 405)."""
    path, _, query = target.partition("?")  # not urlsplit: it takes `//exec/...` for a host name
    segments = [unquote(segment) for segment in path.split("/")[1:]] or [""]
    if path in {"/healthz", "/pods", "/pods/"}:
        if method not in {"GET", "HEAD"}:
            raise _bad_method(method, path)
        return NodeRequest("healthz" if segments[0] == "healthz" else "pods")
    if segments[0] not in _STREAMS:
        raise Refusal(404, "NotFound", f"a virtual node does not serve {path}")
    subresource, count, methods = _STREAMS[segments[0]]
    if method not in methods:
        raise _bad_method(method, path)
    names = segments[1:]
    if len(names) != count or not all(_NAME.fullmatch(name) for name in names):
        wanted = "/namespace/pod/container" if count == 3 else "/namespace/pod"
        raise Refusal(404, "NotFound", f"the path must be /{segments[0]}{wanted}")
    container = names[2] if count == 3 else ""
    return PodStream(subresource, names[0], names[1], _translate(subresource, container, query))


def _translate(subresource: Subresource, container: str, query: str) -> tuple[tuple[str, str], ...]:
    asked = parse_qsl(query, keep_blank_values=True)
    translated = [("container", container)] if container else []
    match subresource:
        case "log":
            translated += [(name, value) for name, value in asked if name in _LOG_OPTIONS]
        case "exec" | "attach":
            translated += [
                (_STREAM_FLAGS[name], "true")
                for name, value in asked
                if name in _STREAM_FLAGS and value in {"1", "true"}
            ]
            if subresource == "exec":
                translated += [("command", value) for name, value in asked if name == "command"]
        case "portforward":
            translated += [("ports", port) for name, value in asked if name == "port" for port in value.split(",")]
    return tuple(translated)


def _bad_method(method: str, path: str) -> Refusal:
    return Refusal(405, "MethodNotAllowed", f"{method} is not served at {path}")
