"""HTTP to GitLab: one request, one connection, with the real client's headers and retries.

Statuses that mean "later" are tried five times with growing pauses, or after what the server asks for; everything
else is for the caller. A status of -1 means no answer came.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from lab.runner import VERSION

ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.1
PAUSE_SECONDS_MAX = 60.0
TIMEOUT_SECONDS = 120.0  # GitLab holds a job request for at most a minute
_LATER = frozenset({408, 429, 500, 502, 503, 504})
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

ARCHITECTURE = _ARCHITECTURES.get(platform.machine(), platform.machine())
USER_AGENT = f"gitlab-runner {VERSION} (lab; python{platform.python_version()}; linux/{ARCHITECTURE})"
Body = bytes | Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""

    def header(self, name: str) -> str:
        """A header's value whatever its case, empty if absent."""
        return self.headers.get(name.lower(), "")

    def json(self) -> dict[str, object]:
        """The body as an object; an empty one when it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


class Network:
    """Calls below `<url>/api/v4/`."""

    def __init__(self, url: str, ca_file: str = "") -> None:
        self._address = urlsplit(url)
        self._ca_file = ca_file

    def call(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> Reply:
        """A JSON request with retries."""
        data = json.dumps(body).encode()
        return self.send(
            method, path, data, {"Content-Type": "application/json", "Accept": "application/json", **headers}
        )

    def send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """The same for any body."""
        pause = FIRST_PAUSE_SECONDS
        reply = self.send_once(method, path, body, headers)
        for _ in range(ATTEMPTS - 1):
            if reply.status not in _LATER and reply.status < 512:
                break
            asked = reply.header("Retry-After")
            time.sleep(min(float(asked) if asked.isdecimal() else pause, PAUSE_SECONDS_MAX))
            pause *= 2
            reply = self.send_once(method, path, body, headers)
        return reply

    def send_once(self, method: str, path: str, body: Body, headers: Mapping[str, str]) -> Reply:
        """One try; a body that comes in pieces is sent chunked."""
        connection = self._connect()
        sent = {"User-Agent": USER_AGENT, "X-Request-Id": secrets.token_hex(16), **headers}
        try:
            target = f"{self._address.path.rstrip('/')}/api/v4/{path}"
            connection.request(method, target, body=body, headers=sent, encode_chunked=not isinstance(body, bytes))
            response = connection.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, received, response.read())
        except (OSError, HTTPException) as error:
            return Reply(-1, error=str(error) or type(error).__name__)
        finally:
            connection.close()

    def _connect(self) -> HTTPConnection:
        host, port = self._address.hostname or "", self._address.port
        if self._address.scheme != "https":
            return HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        import ssl  # noqa: PLC0415 - costs start-up time that plain HTTP need not pay

        context = ssl.create_default_context(cafile=self._ca_file or os.environ.get("SSL_CERT_FILE"))
        return HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)
