"""The HTTPS calls to admission webhooks."""

import ssl

import aiohttp

from lab.api_server.admission.webhooks import WebhookFailed
from lab.api_server.http.dialling import dial_failure

CONTEXTS_MAX = 64  # distinct CA bundles kept; certificates rotate rarely


class WebhookClient:
    """Posts reviews; one TLS context per CA bundle, one session for all."""

    def __init__(self) -> None:
        self._contexts: dict[bytes, ssl.SSLContext] = {}
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close kept connections."""
        if self._session is not None:
            await self._session.close()

    async def __call__(self, url: str, ca_bundle: bytes, body: bytes, timeout_seconds: float) -> bytes:
        """Send `body`, return the body of the 200 that answers it."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        try:
            async with self._session.post(
                url, data=body, headers=headers, ssl=self._context(ca_bundle), timeout=timeout
            ) as response:
                content = await response.read()
        except TimeoutError as error:
            raise WebhookFailed(f'failed to call webhook: Post "{url}": context deadline exceeded') from error
        except (aiohttp.ClientError, ssl.SSLError) as error:
            raise WebhookFailed(f'failed to call webhook: Post "{url}": {_reason(error)}') from error
        if response.status != 200:
            raise WebhookFailed(
                "failed to call webhook: the server responded with the status code " + str(response.status)
            )
        return content

    def _context(self, ca_bundle: bytes) -> ssl.SSLContext:
        context = self._contexts.get(ca_bundle)
        if context is None:
            if len(self._contexts) >= CONTEXTS_MAX:
                self._contexts.clear()
            try:
                context = ssl.create_default_context(cadata=ca_bundle.decode() if ca_bundle else None)
            except (ssl.SSLError, UnicodeDecodeError) as error:
                raise WebhookFailed(f"unable to load root certificates: {error}") from error
            self._contexts[ca_bundle] = context
        return context


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"tls: failed to verify certificate: {error.certificate_error}"
    return dial_failure(error) if isinstance(error, aiohttp.ClientConnectorError) else str(error)
