"""The wire to a registry: HTTPS with the distribution protocol and its token authentication.

Requests go out without a token first; a 401 says where to get which one, and tokens are kept per repository for the
life of the command. TLS trusts the system's authorities or $SSL_CERT_FILE, and what --cert-dir or
/etc/containers/certs.d/<host> add. Proxies are not used.
"""

import base64
import http.client
import json
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode, urljoin, urlsplit

from lab.buildah.errors import RegistryError, Unauthorized

_TIMEOUT_SECONDS = 60.0  # silence on one socket; a stuck registry must not hold a job for ever
_REDIRECTS_MAX = 5  # registries send blob readers to object storage, in one or two steps
_DOCUMENT_BYTES_MAX = 4 << 20
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a registry: login, extra certificate directory, whether certificates are checked."""

    login: tuple[str, str] | None = None
    cert_dir: str | None = None
    is_tls_verified: bool = True


@dataclass(slots=True)
class Answer:
    """A response whose body was read."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


@dataclass(slots=True)
class Registry:
    """One registry host."""

    host: str
    access: Access = field(default_factory=Access)
    _tokens: dict[str, str] = field(default_factory=dict)
    _contexts: dict[str, ssl.SSLContext] = field(default_factory=dict)

    def check_login(self) -> None:
        """Raise Unauthorized if the login is not accepted."""
        self._checked(self._request("GET", f"https://{self.host}/v2/", ""), "login")

    def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | IO[bytes] | None = None,
        headers: dict[str, str] | None = None,
        expected: tuple[int, ...] = (200, 201, 202, 204),
    ) -> Answer:
        """One request below /v2/ (or to a Location it gave); raises RegistryError unless the status is expected."""
        url = urljoin(f"https://{self.host}/v2/", path)
        answer = self._request(method, url, _repository(url), body, headers)
        return answer if answer.status in expected else self._checked(answer, f"{method} {url}")

    @contextmanager
    def reading(self, path: str) -> Iterator[http.client.HTTPResponse]:
        """Stream a blob; redirects are followed, without our token to other hosts."""
        url = urljoin(f"https://{self.host}/v2/", path)
        repository = _repository(url)
        for _ in range(_REDIRECTS_MAX):
            with self._open("GET", url, repository) as response:
                if response.status in (301, 302, 303, 307, 308):
                    url = urljoin(url, response.headers["Location"])
                    continue
                if response.status != 200:
                    self._checked(_answer(response), f"GET {url}")
                yield response
                return
        raise RegistryError(f"GET {url}: too many redirects")

    def _request(
        self,
        method: str,
        url: str,
        repository: str,
        body: bytes | IO[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        with self._open(method, url, repository, body, headers) as response:
            return _answer(response)

    @contextmanager
    def _open(
        self,
        method: str,
        url: str,
        repository: str,
        body: bytes | IO[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        is_ours = urlsplit(url).netloc == self.host
        token = self._tokens.get(_scope_key(method, repository)) if is_ours else None
        with self._send(method, url, body, (headers or {}) | _authorization(token)) as response:
            challenge = response.headers.get("Www-Authenticate", "")
            if response.status != 401 or not is_ours or token:
                yield response
                return
            response.read()
        token = self._tokens[_scope_key(method, repository)] = self._authorize(challenge)
        if body is not None and not isinstance(body, bytes):
            body.seek(0)
        with self._send(method, url, body, (headers or {}) | _authorization(token)) as response:
            yield response

    def _authorize(self, challenge: str) -> str:
        """The Authorization value that a challenge asks for; raises Unauthorized."""
        scheme, _, rest = challenge.partition(" ")
        basic = _basic(*self.access.login) if self.access.login else ""
        if scheme.lower() == "basic" and basic:
            return basic
        parameters = dict(_CHALLENGE.findall(rest))
        if scheme.lower() != "bearer" or "realm" not in parameters:
            raise Unauthorized(f"{self.host}: unauthorized: authentication required (buildah login)")
        query = [("service", parameters.get("service", ""))]
        query += [("scope", scope) for scope in parameters.get("scope", "").split()]
        url = f"{parameters['realm']}?{urlencode(query)}"
        with self._send("GET", url, None, {"Authorization": basic} if basic else {}) as response:
            answer = _answer(response)
        if answer.status in (401, 403):
            raise Unauthorized(f"{self.host}: invalid username/password")
        if answer.status != 200:
            raise RegistryError(f"GET {parameters['realm']}: status {answer.status}")
        document = json.loads(answer.body)
        return f"Bearer {document.get('token') or document['access_token']}"

    @contextmanager
    def _send(
        self, method: str, url: str, body: bytes | IO[bytes] | None, headers: dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        parts = urlsplit(url)
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = self._tls(parts.netloc)
            connection = http.client.HTTPSConnection(parts.netloc, timeout=_TIMEOUT_SECONDS, context=context)
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT_SECONDS)
        target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        try:
            connection.request(method, target, body=body, headers={"User-Agent": "isthmus-lab-buildah"} | headers)
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise RegistryError(f"{method} {parts.scheme}://{parts.netloc}{parts.path}: {error}") from error
        finally:
            connection.close()

    def _tls(self, host: str) -> ssl.SSLContext:
        if host in self._contexts:  # reading the system's authorities takes 10 ms
            return self._contexts[host]
        context = self._contexts[host] = ssl.create_default_context()
        if not self.access.is_tls_verified:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for folder in filter(None, (self.access.cert_dir, f"/etc/containers/certs.d/{host}")):
            for authority in Path(folder).glob("*.crt"):
                context.load_verify_locations(authority)
        return context

    def _checked(self, answer: Answer, what: str) -> Answer:
        if answer.status < 400:
            return answer
        try:
            reason = "; ".join(f"{one['code']}: {one['message']}" for one in json.loads(answer.body)["errors"])
        except (ValueError, KeyError, TypeError):
            reason = http.client.responses.get(answer.status, "")
        kind = Unauthorized if answer.status in (401, 403) else RegistryError
        raise kind(f"{what}: {answer.status} {reason}".replace("UNAUTHORIZED", "unauthorized"))


def _answer(response: http.client.HTTPResponse) -> Answer:
    body = response.read(_DOCUMENT_BYTES_MAX + 1)
    if len(body) > _DOCUMENT_BYTES_MAX:
        raise RegistryError(f"answer is larger than {_DOCUMENT_BYTES_MAX} bytes")
    return Answer(response.status, response.headers, body)


def _repository(url: str) -> str:
    return re.sub(r"/(blobs|manifests|tags|referrers)/.*", "", urlsplit(url).path).removeprefix("/v2/")


def _scope_key(method: str, repository: str) -> str:
    return f"{repository} {'pull' if method in ('GET', 'HEAD') else 'push'}"


def _authorization(value: str | None) -> dict[str, str]:
    return {"Authorization": value} if value else {}


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def document(answer: Answer) -> dict[str, Any]:
    """The JSON object in an answer; raises RegistryError."""
    try:
        parsed = json.loads(answer.body)
    except ValueError as error:
        raise RegistryError(f"answer is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise RegistryError("answer is not a JSON object")
    return parsed
