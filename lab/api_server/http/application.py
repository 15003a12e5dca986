"""The aiohttp application: HTTP requests in, answers of the core out.

Responses are written as they are; watches are written in batches as their lines come; relays are handed to
`kubelet_relay`. Nothing here knows what a request means.
"""

import asyncio
import hashlib

from aiohttp import web
from loguru import logger

from lab.api_server.core.manifest import encode
from lab.api_server.core.request import JSON, Relay, Request, Response, User
from lab.api_server.core.server import ApiServer
from lab.api_server.core.status import ApiStatus, internal_error
from lab.api_server.core.watch import Watch
from lab.api_server.http.kubelet_relay import KubeletRelay


class Application:
    """Serves one ApiServer."""

    def __init__(self, server: ApiServer, relay: KubeletRelay) -> None:
        self._server, self._relay = server, relay
        self._watches: set[Watch] = set()

    def build(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(client_max_size=self._server.settings.body_bytes_max)
        application.router.add_route("*", "/{path:.*}", self._serve)
        application.on_shutdown.append(self._shut_down)
        return application

    async def _shut_down(self, _: web.Application) -> None:
        """End every stream, so that a shutdown does not wait for clients."""
        for watch in tuple(self._watches):
            watch.close()
        await self._relay.close()

    async def _serve(self, incoming: web.Request) -> web.StreamResponse:
        request = Request(
            method=incoming.method,
            path=incoming.path,
            query=tuple(incoming.query.items()),
            headers={name.lower(): ",".join(incoming.headers.getall(name)) for name in incoming.headers},
            body=await incoming.read() if incoming.can_read_body else b"",
            certificate=_certificate_user(incoming),
        )
        try:
            answer = await self._server.handle(request)
        except Exception:  # noqa: BLE001 - a bug of ours must not take the connection with it
            logger.exception("request failed", method=request.method, path=request.path)
            return _plain(_error(internal_error("the lab's API server failed; see its log")))
        if isinstance(answer, Response):
            return _plain(answer)
        if isinstance(answer, Watch):
            return await self._stream(incoming, answer)
        return await self._relayed(incoming, answer)

    async def _stream(self, incoming: web.Request, watch: Watch) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": JSON, "Cache-Control": "no-cache, private"})
        response.enable_chunked_encoding()
        self._watches.add(watch)
        try:
            await response.prepare(incoming)
            async for lines in watch.lines():
                await response.write(lines)
            await response.write_eof()
        except (ConnectionError, asyncio.CancelledError):
            if not incoming.transport or not incoming.transport.is_closing():
                raise
        finally:
            watch.close()
            self._watches.discard(watch)
        return response

    async def _relayed(self, incoming: web.Request, relay: Relay) -> web.StreamResponse:
        try:
            return await self._relay.carry(incoming, relay)
        except ApiStatus as status:
            return _plain(_error(status))


def _plain(answer: Response) -> web.Response:
    headers = {"Content-Type": answer.content_type, "Cache-Control": "no-cache, private", **answer.headers}
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def _error(status: ApiStatus) -> Response:
    return Response(status.code, encode(status.body()))


def _certificate_user(incoming: web.Request) -> User | None:
    """Return the user of a client certificate that the TLS layer has verified: CN is the name, O are the groups."""
    if incoming.transport is None:
        return None
    certificate = incoming.transport.get_extra_info("peercert")
    if not certificate:
        return None
    pairs = [pair for part in certificate.get("subject", ()) for pair in part]
    name = next((value for key, value in pairs if key == "commonName"), "")
    groups = tuple(value for key, value in pairs if key == "organizationName")
    encryption = incoming.transport.get_extra_info("ssl_object")
    digest = hashlib.sha256(encryption.getpeercert(binary_form=True)).hexdigest()
    extra = {"authentication.kubernetes.io/credential-id": (f"X509SHA256={digest}",)}
    return User(name, groups, extra=extra) if name else None
