"""The door: every request below /v2/ names the rights it needs and is answered 401 until it brings them.

Delete counts as push: GitLab's tokens of the lab carry pull and push only. Fixed users (tests) come by Basic and may do
everything. A valid token that lacks a right gets the challenge again and not a 403, because that is how a client learns
to ask for a wider scope.
"""

import base64
import binascii
import hmac
import time
from collections.abc import Callable

from aiohttp import web

from lab.registry import names
from lab.registry.errors import Unauthorized
from lab.registry.settings import Settings
from lab.registry.tokens import Right, TokenRefused, Verifier, challenge, public_key

_READING = {"GET", "HEAD"}
CATALOG = Right("registry", "catalog", "*")


class Door:
    """Decides who may do what; built once from the settings."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._users = {name: password.get_secret_value() for name, password in settings.users.items()}
        self._token = settings.token
        self._clock = clock
        self._verifier: Verifier | None = None
        if token := settings.token:
            key = public_key(token.public_key.read_bytes())
            self._verifier = Verifier(key, token.issuer, token.service, token.leeway_seconds)

    def granted(self, request: web.Request) -> frozenset[Right] | None:
        """Rights the request brings; None means all of them (a fixed user). Raises Unauthorized."""
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic" and self._is_user(credentials):
            return None
        if scheme.lower() != "bearer" or self._verifier is None:
            raise Unauthorized("authentication required", self._challenge(request))
        try:
            return self._verifier.rights(credentials.strip(), self._clock())
        except TokenRefused as error:
            raise Unauthorized(f"token refused: {error}", self._challenge(request)) from error

    def admit(self, request: web.Request) -> None:
        """Return if the request may go on; raises Unauthorized with the challenge."""
        granted, wanted = self.granted(request), needed(request)
        if granted is not None and not granted.issuperset(wanted):
            raise Unauthorized("the token does not cover this request", self._challenge(request))

    def may_pull(self, request: web.Request, repository: str) -> bool:
        """Whether the request's credentials cover pulling from another repository too (cross-repository mount)."""
        granted = self.granted(request)
        return granted is None or Right("repository", repository, "pull") in granted

    def _challenge(self, request: web.Request) -> str:
        if self._token is None:
            return 'Basic realm="isthmus lab registry"'
        return challenge(self._token.realm, self._token.service, _useful(request))

    def _is_user(self, credentials: str) -> bool:
        try:
            name, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return name in self._users and hmac.compare_digest(self._users[name].encode(), password.encode())


def needed(request: web.Request) -> tuple[Right, ...]:
    """The rights a request needs, from its method and route alone; raises NAME_INVALID."""
    name = request.match_info.get("name")
    if name is None:
        return (CATALOG,) if request.path.endswith("/_catalog") else ()
    pull, push = (Right("repository", names.repository(name), action) for action in ("pull", "push"))
    return (pull,) if request.method in _READING else (pull, push)


def _useful(request: web.Request) -> tuple[Right, ...]:
    """What to ask for in a challenge: also the source of a mount, without which the mount becomes an upload."""
    source = request.query.get("from")
    mount = (Right("repository", names.repository(source), "pull"),) if source and "mount" in request.query else ()
    return needed(request) + mount
