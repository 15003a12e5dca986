"""The protocol's errors: a code from the distribution specification, and the HTTP status it travels with.

    ProtocolError            any answer with an `errors` body
      Unauthorized           401, with the challenge that tells the client where to get which token

Everything a client can do wrong ends as one of these; anything else that is raised is a bug of the registry and a 500.
"""

import json
from collections.abc import Mapping

STATUS = {
    "BLOB_UNKNOWN": 404,
    "BLOB_UPLOAD_INVALID": 416,
    "BLOB_UPLOAD_UNKNOWN": 404,
    "DENIED": 403,
    "DIGEST_INVALID": 400,
    "MANIFEST_BLOB_UNKNOWN": 404,
    "MANIFEST_INVALID": 400,
    "MANIFEST_UNKNOWN": 404,
    "NAME_INVALID": 400,
    "NAME_UNKNOWN": 404,
    "PAGINATION_NUMBER_INVALID": 400,
    "SIZE_INVALID": 413,
    "TAG_INVALID": 400,
    "TOOMANYREQUESTS": 429,
    "UNAUTHORIZED": 401,
    "UNSUPPORTED": 405,
}


class ProtocolError(Exception):
    """One error answer: code, what is wrong and how to mend it, and headers the client needs to go on."""

    def __init__(self, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = STATUS[code]
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """The JSON document that the specification puts around every error."""
        return json.dumps({"errors": [{"code": self.code, "message": str(self), "detail": None}]}).encode()


class Unauthorized(ProtocolError):
    """Credentials are missing, wrong or not enough; `challenge` is the value of Www-Authenticate."""

    def __init__(self, message: str, challenge: str) -> None:
        super().__init__("UNAUTHORIZED", message, headers={"Www-Authenticate": challenge})
