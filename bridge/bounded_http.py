"""HTTP whose answers end: a body is read to a bound, and not beyond (rule T1)."""

from typing import Any

import requests
from requests.adapters import HTTPAdapter

BYTES_MAX = 32 * 1024 * 1024  # a page of 100 jobs is some hundred KB; decompressed, as it is kept
_PIECE = 64 * 1024


class TooLarge(requests.RequestException):
    """An answer that is longer than we read."""


class BoundedAdapter(HTTPAdapter):
    """Reads an answer's body itself, piece by piece, however it is compressed."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        super().__init__()
        self._bytes_max = bytes_max

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request and read its answer; raises TooLarge."""
        response = super().send(request, *args, **kwargs | {"stream": True})
        content = bytearray()
        for piece in response.iter_content(_PIECE):
            content += piece
            if len(content) > self._bytes_max:
                response.close()
                raise TooLarge(f"an answer of more than {self._bytes_max} bytes")
        response._content = bytes(content)  # where requests keeps what it has read
        return response
