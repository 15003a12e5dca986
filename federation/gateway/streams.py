"""Carries one pod stream to the target's API server and back.

The request line is rewritten, the target's credentials added, and of the caller's headers only those that negotiate
the new protocol go along: never its Authorization, and no token hidden in a WebSocket subprotocol. After the target's
101 the bytes are spliced untouched, so SPDY and WebSocket pass alike, whatever their version. Nothing the target says
about our own credentials reaches the caller as if it were about theirs: its 401 and 403 become 502.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress

import h11
import orjson

from federation.gateway.errors import NoDelegate, Refusal
from federation.gateway.exchange import Exchange
from federation.gateway.limits import GatewayLimits
from federation.gateway.node import ServedNode
from federation.gateway.routes import PodStream
from federation.gateway.splice import splice
from federation.kube.errors import Unreachable
from federation.kube.streaming import Connection, open_connection

_NEGOTIATION = ("upgrade", "x-stream-protocol-version", "sec-websocket-")
_HEADS_MAX = 20  # of one answer: hints (1xx) come before it, and who sends nothing else would keep us busy for ever
_TOKEN_PROTOCOL = "base64url.bearer.authorization.k8s.io."  # noqa: S105  # the prefix under which browsers send tokens


async def forward(exchange: Exchange, stream: PodStream, node: ServedNode, limits: GatewayLimits) -> None:
    """Answer `exchange` with the stream of the delegate. Raises Refusal as long as no answer has begun."""
    if stream.is_upgrade and not exchange.wants_upgrade:
        raise Refusal(400, "BadRequest", f"{stream.subresource} needs a connection upgrade (WebSocket or SPDY)")
    try:
        delegate = await node.find(stream.namespace, stream.pod)
    except NoDelegate as error:
        raise Refusal(404, "NotFound", f'cluster "{node.cluster}": {error}') from error
    try:
        connection = await open_connection(delegate.api, timeout_seconds=limits.connect_seconds_max)
    except Unreachable as error:
        raise Refusal(502, "BadGateway", f'cluster "{node.cluster}" is unreachable: {error}') from error
    target = stream.target(connection.base_path, delegate.namespace, delegate.name)
    upstream = _Upstream(connection, node.cluster, limits)
    try:
        if stream.is_upgrade:
            await _switch(exchange, upstream, target, limits)
        else:
            await _copy(exchange, upstream, target)
    finally:
        await upstream.close()


async def _switch(exchange: Exchange, upstream: "_Upstream", target: str, limits: GatewayLimits) -> None:
    negotiation = exchange.headers(_NEGOTIATION)
    headers = [("Connection", "Upgrade"), *((name, _without_tokens(name, value)) for name, value in negotiation)]
    head = await upstream.request(exchange.method, target, headers)
    if not isinstance(head, h11.InformationalResponse):
        raise await upstream.refusal(head)
    answer = [(name.decode(), value.decode("latin-1")) for name, value in head.headers]
    kept = [(name, value) for name, value in answer if name.startswith(_NEGOTIATION)]
    await exchange.switch([("Connection", "Upgrade"), *kept])
    caller = (exchange.reader, exchange.writer, exchange.early_bytes())
    await splice(caller, upstream.rest(), limits.idle_seconds_max, limits.chunk_bytes)


async def _copy(exchange: Exchange, upstream: "_Upstream", target: str) -> None:
    head = await upstream.request(exchange.method, target, [("Connection", "close")])
    if not isinstance(head, h11.Response) or head.status_code != 200:
        raise await upstream.refusal(head)
    headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
    await exchange.begin(200, headers.get("content-type", "text/plain"))
    copying = asyncio.create_task(_copy_body(exchange, upstream))
    leaving = asyncio.create_task(_until_gone(exchange.reader))  # a caller that stops following says so by leaving
    try:
        await asyncio.wait({copying, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        copying.cancel()
        leaving.cancel()
        await asyncio.gather(copying, leaving, return_exceptions=True)


async def _copy_body(exchange: Exchange, upstream: "_Upstream") -> None:
    while (data := await upstream.data()) is not None:
        await exchange.send(data)
    await exchange.end()  # only after a whole body: a log that broke off must not look complete


async def _until_gone(reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await reader.read(1024):
            pass


def _without_tokens(name: str, value: str) -> str:
    if name != "sec-websocket-protocol":
        return value
    offered = (protocol.strip() for protocol in value.split(","))
    return ", ".join(protocol for protocol in offered if not protocol.startswith(_TOKEN_PROTOCOL))


class _Upstream:
    """Our request to the target's API server, on a connection of its own."""

    def __init__(self, connection: Connection, cluster: str, limits: GatewayLimits) -> None:
        self._connection = connection
        self._cluster = cluster
        self._limits = limits
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=limits.head_bytes_max)

    async def request(
        self, method: str, target: str, headers: list[tuple[str, str]]
    ) -> h11.InformationalResponse | h11.Response:
        """Send a request without a body and return the head of the answer (101, or a final one)."""
        ours = {"Host": self._connection.host, "User-Agent": "isthmus-gateway", "Accept": "*/*"}
        ours |= self._connection.headers | ({"Content-Length": "0"} if method == "POST" else {})
        request = h11.Request(method=method, target=target, headers=[*ours.items(), *headers])
        try:
            async with asyncio.timeout(self._limits.answer_seconds_max):
                self._connection.writer.write(self._http.send(request) + self._http.send(h11.EndOfMessage()))
                await self._connection.writer.drain()
                for _ in range(_HEADS_MAX):
                    event = await self._next()
                    if isinstance(event, h11.Response):
                        return event
                    if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                        return event
        except TimeoutError as error:
            raise self._broken("did not answer in time") from error
        raise self._broken(f"gives {_HEADS_MAX} hints and no answer")

    async def data(self) -> bytes | None:
        """Return the next piece of the body, or None at its end."""
        async with asyncio.timeout(self._limits.idle_seconds_max):
            event = await self._next()
        return bytes(event.data) if isinstance(event, h11.Data) else None

    async def _next(self) -> h11.Event:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._connection.reader.read(self._limits.chunk_bytes))
        except (OSError, ssl.SSLError, h11.RemoteProtocolError) as error:
            raise self._broken(f"broke off: {error!r}") from error
        if not isinstance(event, h11.Event):
            raise self._broken("ended early")
        return event

    def rest(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
        """Return the connection after a 101, with what already came in the new protocol."""
        return self._connection.reader, self._connection.writer, self._http.trailing_data[0]

    async def refusal(self, head: h11.InformationalResponse | h11.Response) -> Refusal:
        """Return the target's error answer as ours, with the cluster's name in the message."""
        body = b""
        with suppress(Refusal, TimeoutError):
            async with asyncio.timeout(self._limits.answer_seconds_max):
                while len(body) < self._limits.error_bytes_max and (data := await self.data()) is not None:
                    body += data
        message, reason = _words(body)
        code = head.status_code
        if code in {401, 403} or not 400 <= code < 600:
            code, reason, message = 502, "BadGateway", f"refuses its source: {head.status_code} {message}"
        return Refusal(code, reason, f'cluster "{self._cluster}": {message}')

    def _broken(self, why: str) -> Refusal:
        return Refusal(502, "BadGateway", f'cluster "{self._cluster}" {why}')

    async def close(self) -> None:
        """Close the connection, without waiting for a peer that does not answer."""
        self._connection.writer.close()
        with suppress(OSError, ssl.SSLError, TimeoutError):
            async with asyncio.timeout(self._limits.goodbye_seconds_max):
                await self._connection.writer.wait_closed()


def _words(body: bytes) -> tuple[str, str]:
    """Return message and reason of an error body: a Status, or plain text."""
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    if isinstance(status, Mapping):
        return str(status.get("message") or "no message"), str(status.get("reason") or "")
    return body.decode(errors="replace").strip()[:2000] or "no message", ""
