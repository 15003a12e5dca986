"""What can go wrong on the wire, as one tree. Exceptions of the libraries underneath never leave this room.

ApiError                    anything a request can fail with
|-- BadName                 a name that cannot be part of a URL: nothing was sent
|-- Unreachable             no answer: connection refused, reset, timed out, TLS failed
|   |-- Silent              a stream on which nothing came for so long that it may be dead
|   |-- BadAnswer           an answer that no API server gives: too deep, of a wrong shape, a redirect
|       |-- TooLarge        more bytes than we take at once: who can, asks for less
|-- StatusError             the server answered, with a Status
    |-- BadRequest          400
    |-- Unauthorized        401
    |-- Forbidden           403
    |-- NotFound            404
    |-- Conflict            409, resourceVersion or uid differs, or the state forbids it
    |   |-- AlreadyExists   409 with reason AlreadyExists
    |-- Gone                410, resourceVersion too old: list again
    |-- Invalid             422
    |-- TooManyRequests     429
    |-- ServerError         5xx
BadKubeconfig               a kubeconfig that cannot be used, and why
"""

import re
from typing import Any

# What kube-apiserver says before any admission was asked (responsewriters.ForbiddenStatusError). Until its caches of
# roles are filled, which can be after it says that it is ready, it says so of everybody.
_BY_AUTHORIZER = re.compile(r'is forbidden: User "[^"]*" cannot [a-z*]+ (resource|path) "')
_NOT_READY = "not yet ready to handle request"  # admission, before its own caches are filled


class ApiError(Exception):
    """A request failed."""


class BadName(ApiError):
    """A name that cannot be part of a URL; the message says which, and nothing was sent."""


class Unreachable(ApiError):
    """The server gave no answer."""


class Silent(Unreachable):
    """Nothing came on a stream for so long that it may be dead; or nothing has happened."""


class BadAnswer(Unreachable):
    """The server gave an answer that no API server gives; the message says what is wrong with it."""


class TooLarge(BadAnswer):
    """The answer has more bytes than we take at once."""


class StatusError(ApiError):
    """The server answered with a failure.

    `code` is the HTTP status, `reason` Kubernetes' own word for it, `message` the sentence for people and `details`
    the Status' details (name, kind, causes, retryAfterSeconds).
    """

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or {}


class BadRequest(StatusError):
    """400."""


class Unauthorized(StatusError):
    """401: the credential is not accepted."""


class Forbidden(StatusError):
    """403: the credential is accepted, the act is not allowed."""


class NotFound(StatusError):
    """404."""

    def is_about(self, name: str) -> bool:
        """Whether the server says that the object `name` is missing, and not its namespace or its whole kind."""
        return self.details.get("name") == name


class Conflict(StatusError):
    """409: a precondition failed or the object's state forbids it."""


class AlreadyExists(Conflict):
    """409 with reason AlreadyExists."""


class Gone(StatusError):
    """410: the resourceVersion is too old."""


class Invalid(StatusError):
    """422: validation failed."""


class TooManyRequests(StatusError):
    """429."""


class ServerError(StatusError):
    """5xx."""


class BadKubeconfig(Exception):
    """A kubeconfig that cannot be used; the message says which field and why."""


_BY_CODE: dict[int, type[StatusError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def from_status(code: int, status: dict[str, Any]) -> StatusError:
    """Return the error for an HTTP status and the Status object (or an empty dict) that came with it."""
    reason = str(status.get("reason") or "")
    message = str(status.get("message") or "no message")
    kind = _BY_CODE.get(code, ServerError if code >= 500 else StatusError)
    if reason == "AlreadyExists":
        kind = AlreadyExists
    if reason == "Expired":
        kind = Gone
    return kind(code, reason, message, status.get("details"))


def is_passing(error: ApiError) -> bool:
    """Whether an error says nothing of the object that was sent: to be tried again, and never booked as a refusal.

    So are no answer, 401, 429, any 5xx, and of 403 what the authorizer says and what admission says while it starts: a
    server that is just starting answers all of them. A right that is really missing looks the same for as long as it is
    missing, so whoever has somewhere else to go should not wait here for ever. A quota, a policy, Pod Security and a
    namespace that is going speak of the object: those are refusals, and so are 404 and 422.
    """
    match error:
        case Unreachable() | Unauthorized() | TooManyRequests() | ServerError():
            return True
        case Forbidden():
            return _BY_AUTHORIZER.search(error.message) is not None or error.message.endswith(_NOT_READY)
        case _:
            return False
