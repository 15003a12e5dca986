"""The HTTPS endpoint of one virtual node: accept, authenticate, authorise, serve.

One port and one certificate per virtual node, because the API server dials an address without naming the node (no
SNI), and may check that the certificate is the node's (KEP-4872). Nobody is anonymous here: whoever may open this
port without a right could run commands in every federated pod.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import orjson
from loguru import logger

from federation.gateway.authentication import Authenticator
from federation.gateway.authorization import Authorizer
from federation.gateway.errors import Refusal
from federation.gateway.exchange import Exchange
from federation.gateway.limits import GatewayLimits
from federation.gateway.node import ServedNode
from federation.gateway.routes import NodeRequest, PodStream, parse
from federation.gateway.streams import forward
from federation.kube.errors import ApiError

_BUFFER_BYTES = 256 * 1024


class _AtMost:
    """Counts who is inside; refuses more than `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside = 0

    def __enter__(self) -> None:
        if self._inside >= self._most:
            raise Refusal(429, "TooManyRequests", "too many connections to this virtual node")
        self._inside += 1

    def __exit__(self, *_: object) -> None:
        self._inside -= 1


class Endpoint:
    """Serves one virtual node; see `serve`."""

    def __init__(
        self, node: ServedNode, authenticator: Authenticator, authorizer: Authorizer, limits: GatewayLimits
    ) -> None:
        self._node = node
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._limits = limits
        self._strangers: dict[asyncio.Task[None], None] = {}  # have sent no request yet; the oldest first
        self._asking = _AtMost(limits.strangers_max)  # have sent one, and are being looked up
        self._callers = _AtMost(limits.connections_max)  # may
        self._streams = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        exchange = Exchange(reader, writer, self._limits)
        try:
            if await self._is_asked(exchange):
                await self._serve(exchange)
        except Refusal as refusal:
            with suppress(OSError, ssl.SSLError):
                await exchange.refuse(refusal)
        except (OSError, ssl.SSLError, TimeoutError) as error:
            logger.debug("connection to a virtual node broke off", node=self._node.name, error=repr(error))
        except Exception as error:  # noqa: BLE001  # one connection's defect must not end the others
            logger.opt(exception=error).error("gateway failed on a defect of ours", node=self._node.name)
        finally:
            writer.close()
            with suppress(OSError, ssl.SSLError, TimeoutError):
                async with asyncio.timeout(self._limits.goodbye_seconds_max):
                    await writer.wait_closed()

    async def _is_asked(self, exchange: Exchange) -> bool:
        """Wait for a request. Who only connects is a stranger, and makes room for the next one where there are many.

        So strangers never keep a caller out, who sends a request as soon as the connection stands.
        """
        task = asyncio.current_task()
        assert task is not None, "asyncio's servers handle each connection in a task"
        self._strangers[task] = None
        if len(self._strangers) > self._limits.strangers_max:
            next(iter(self._strangers)).cancel()
        try:
            return await exchange.read_head()
        finally:
            del self._strangers[task]

    async def _serve(self, exchange: Exchange) -> None:
        with self._asking:
            certificate = exchange.writer.get_extra_info("peercert")
            caller = await self._authenticator.authenticate(certificate, exchange.header("authorization"))
            request = parse(exchange.method, exchange.target)
            await self._authorizer.require(caller, self._node.name, request)
        with self._callers:
            await self._answer(exchange, request)

    async def _answer(self, exchange: Exchange, request: NodeRequest | PodStream) -> None:
        match request:
            case NodeRequest("healthz"):
                await exchange.answer(200, b"ok", "text/plain; charset=utf-8")
            case NodeRequest():
                await exchange.answer(200, await self._pods(), "application/json")
            case PodStream():
                await self._stream(exchange, request)

    async def _pods(self) -> bytes:
        try:
            pods = await self._node.pods()
        except ApiError as error:
            raise Refusal(503, "ServiceUnavailable", "the node's pods could not be read") from error
        return orjson.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods})

    async def _stream(self, exchange: Exchange, stream: PodStream) -> None:
        if self._streams >= self._limits.streams_max:
            raise Refusal(
                429, "TooManyRequests", f'virtual node "{self._node.name}" already has {self._streams} streams'
            )
        self._streams += 1
        try:
            await forward(exchange, stream, self._node, self._limits)
        finally:
            self._streams -= 1


def server_context(client_ca_pem: str) -> ssl.SSLContext:
    """Return a TLS context that takes client certificates of `client_ca_pem`, and callers without one (tokens).

    A certificate of another CA ends the handshake. The server's own certificate is loaded by the caller, with
    `load_cert_chain`, again whenever it is renewed.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=client_ca_pem)
    context.set_alpn_protocols(["http/1.1"])  # HTTP/2 has no upgrade to splice
    return context


@asynccontextmanager
async def serve(
    node: ServedNode,
    *,
    address: str,
    port: int,
    tls: ssl.SSLContext,
    authenticator: Authenticator,
    authorizer: Authorizer,
    limits: GatewayLimits | None = None,
) -> AsyncIterator[int]:
    """Serve `node` at `address` until the context ends; yields the port (of the kernel's choice where `port` is 0).

    Leaving ends all streams.
    """
    limits = limits or GatewayLimits()
    endpoint = Endpoint(node, authenticator, authorizer, limits)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(endpoint.handle(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(
        accept,
        address,
        port,
        ssl=tls,
        limit=_BUFFER_BYTES,
        ssl_handshake_timeout=limits.handshake_seconds_max,
        ssl_shutdown_timeout=limits.goodbye_seconds_max,
    )
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
