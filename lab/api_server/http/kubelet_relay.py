"""Streams between a client and a kubelet: logs as chunks, exec and its like as WebSocket frames, untouched.

The kubelet is dialled over TLS with the API server's client certificate. Without `--kubelet-certificate-authority` its
certificate is not verified, as with the real API server.
"""

import asyncio
import ssl

import aiohttp
from aiohttp import WSMsgType, web

from lab.api_server.core.request import Relay
from lab.api_server.core.status import ApiStatus
from lab.api_server.http.dialling import dial_failure

DIAL_SECONDS = 10.0
CHUNK_BYTES = 64 * 1024


class KubeletRelay:
    """Carries streams; one client session for all of them."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections to kubelets."""
        if self._session is not None:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=DIAL_SECONDS)
            connector = aiohttp.TCPConnector(ssl=self._context or False, limit=0)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self._session

    async def carry(self, incoming: web.Request, relay: Relay) -> web.StreamResponse:
        """Serve one relay."""
        url = f"https://{relay.host}:{relay.port}{relay.path}"
        try:
            if relay.is_upgrade:
                return await self._frames(incoming, relay, url)
            return await self._chunks(incoming, relay, url)
        except aiohttp.ClientConnectorError as error:
            shown = f'Get "{url}": {dial_failure(error)}'
            raise ApiStatus(500, "", shown) from error

    async def _chunks(self, incoming: web.Request, relay: Relay, url: str) -> web.StreamResponse:
        async with self._client().get(url, params=list(relay.query)) as upstream:
            if upstream.status != 200:
                raise _kubelet_error(upstream.status, await upstream.text())
            response = web.StreamResponse(headers={"Content-Type": "text/plain"})
            response.enable_chunked_encoding()
            await response.prepare(incoming)
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    async def _frames(self, incoming: web.Request, relay: Relay, url: str) -> web.StreamResponse:
        dialled = self._client().ws_connect(
            url, params=list(relay.query), protocols=relay.protocols, max_msg_size=0, autoping=False, autoclose=False
        )
        try:
            upstream = await dialled
        except aiohttp.WSServerHandshakeError as error:
            raise _kubelet_error(error.status, error.message) from error
        async with upstream:
            chosen = (upstream.protocol,) if upstream.protocol else ()
            client = web.WebSocketResponse(protocols=chosen, max_msg_size=0, autoping=False, autoclose=False)
            await client.prepare(incoming)
            directions = [asyncio.create_task(_copy(client, upstream)), asyncio.create_task(_copy(upstream, client))]
            try:
                await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for direction in directions:
                    direction.cancel()
                await asyncio.gather(*directions, return_exceptions=True)
                await client.close()
            return client


Socket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse


async def _copy(source: Socket, target: Socket) -> None:
    """Pass frames on until the source closes."""
    while True:
        message = await source.receive()
        match message.type:
            case WSMsgType.BINARY:
                await target.send_bytes(message.data)
            case WSMsgType.TEXT:
                await target.send_str(message.data)
            case WSMsgType.PING:
                await target.ping(message.data)
            case WSMsgType.PONG:
                await target.pong(message.data)
            case WSMsgType.CLOSE:
                await target.close(code=message.data or 1000, message=(message.extra or "").encode())
                return
            case _:
                return


def _kubelet_error(status: int, text: str) -> ApiStatus:
    """Return a kubelet's refusal as the API server reports it."""
    shown = text.strip() or f"the kubelet answered {status}"
    reasons = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}
    return ApiStatus(status, reasons.get(status, "InternalError"), shown)
