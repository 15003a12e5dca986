"""Blob uploads: sessions that take bytes in order, hash them as they come, and become a blob if the digest is right.

A session survives a broken connection: what arrived stays, `offset` says how much, and the client goes on from there.
Bytes go straight to a file, so memory per upload is one network chunk. Sessions are few, bounded and expire when idle;
they live in memory and end with the process, after which clients start again (404 BLOB_UPLOAD_UNKNOWN).
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lab.registry.errors import ProtocolError
from lab.registry.names import Digest
from lab.registry.settings import Limits
from lab.registry.store import Store

if TYPE_CHECKING:
    from hashlib import _Hash


@dataclass(slots=True)
class Upload:
    """One session. `turn` lets one request at a time append."""

    identity: str
    repository: str
    path: Path
    touched: float
    offset: int = 0
    sha256: "_Hash" = field(default_factory=hashlib.sha256)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def received(self) -> str:
        """The Range header: inclusive, and by convention `0-0` while there is nothing."""
        return f"0-{max(0, self.offset - 1)}"


class Uploads:
    """All open sessions of one registry."""

    def __init__(self, store: Store, limits: Limits, clock: Callable[[], float]) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self._open: dict[str, Upload] = {}

    def start(self, repository: str) -> Upload:
        """Open a session; raises TOOMANYREQUESTS when too many are open."""
        self._expire()
        if len(self._open) >= self._limits.uploads_max:
            raise ProtocolError("TOOMANYREQUESTS", f"{len(self._open)} uploads are open (limits.uploads_max)")
        identity = secrets.token_hex(16)
        upload = Upload(identity, repository, self._store.incoming / identity, self._clock())
        upload.path.touch()
        self._open[identity] = upload
        return upload

    def get(self, repository: str, identity: str) -> Upload:
        """The session of that name in that repository; raises BLOB_UPLOAD_UNKNOWN."""
        upload = self._open.get(identity)
        if upload is None or upload.repository != repository:
            raise ProtocolError("BLOB_UPLOAD_UNKNOWN", "no such upload: it ended or expired; start it again")
        return upload

    async def append(self, upload: Upload, chunks: AsyncIterator[bytes], start: int | None = None) -> None:
        """Add bytes at the end.

        `start` is where the client believes the end is (Content-Range), None where it did not say. A wrong one raises
        BLOB_UPLOAD_INVALID (416) with the true Range. Too much raises SIZE_INVALID and ends the session.
        """
        async with upload.turn:
            if start is not None and start != upload.offset:
                raise ProtocolError(
                    "BLOB_UPLOAD_INVALID",
                    f"chunk starts at {start}, but {upload.offset} bytes are here",
                    headers={"Range": upload.received},
                )
            with upload.path.open("ab") as file:
                async for chunk in chunks:
                    self._take(upload, chunk)
                    file.write(chunk)

    def finish(self, upload: Upload, digest: Digest) -> None:
        """Turn the session into a blob; raises DIGEST_INVALID and ends the session if the content is another."""
        if upload.sha256.hexdigest() != digest.hexadecimal:
            self.cancel(upload)
            raise ProtocolError("DIGEST_INVALID", f"content is sha256:{upload.sha256.hexdigest()}, not {digest}")
        self._store.add_blob(upload.repository, digest, upload.path)
        del self._open[upload.identity]

    def cancel(self, upload: Upload) -> None:
        """Forget a session and its bytes."""
        self._open.pop(upload.identity, None)
        with suppress(FileNotFoundError):
            upload.path.unlink()

    def _take(self, upload: Upload, chunk: bytes) -> None:
        if upload.offset + len(chunk) > self._limits.blob_bytes_max:
            self.cancel(upload)
            raise ProtocolError("SIZE_INVALID", f"larger than {self._limits.blob_bytes_max} bytes (blob_bytes_max)")
        upload.sha256.update(chunk)
        upload.offset += len(chunk)
        upload.touched = self._clock()

    def _expire(self) -> None:
        oldest = self._clock() - self._limits.upload_idle_seconds
        for upload in [upload for upload in self._open.values() if upload.touched < oldest]:
            if not upload.turn.locked():
                self.cancel(upload)
