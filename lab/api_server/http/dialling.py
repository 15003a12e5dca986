"""How failures to connect are worded: as Go's net package words them, because clients show them."""

import os

import aiohttp


def dial_failure(error: aiohttp.ClientConnectorError) -> str:
    """Return `dial tcp host:port: connect: connection refused`."""
    number = error.os_error.errno
    text = os.strerror(number).lower() if number and number > 0 else str(error.os_error)
    return f"dial tcp {error.host}:{error.port}: connect: {text}"
