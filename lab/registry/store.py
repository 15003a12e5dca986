"""What the registry keeps: content by digest, and per repository the names that make it reachable.

    blobs/sha256/<2 hex>/<64 hex>                    content, shared by all repositories
    repositories/<name>/_blobs/<64 hex>              this repository may serve that blob (empty file)
    repositories/<name>/_manifests/<64 hex>          this repository has that manifest (its media type)
    repositories/<name>/_tags/<tag>                  the digest it points to

A name's components never start with an underscore, so the three folders cannot collide with a repository below. Every
file appears whole, by rename within one file system, and content before the name that points to it: a crash leaves at
most an unreachable blob. Nothing is synced to the disk platter and unreachable content is never collected: the lab's
data lives as long as the lab. Small files are read and written in the event loop; blobs are streamed elsewhere.
"""

import hashlib
import os
import secrets
from pathlib import Path

from lab.registry.errors import ProtocolError
from lab.registry.names import Digest


class Store:
    """The folder on disk. Names and digests given to it have been parsed by `names`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.incoming = root / "incoming"
        self.incoming.mkdir(parents=True, exist_ok=True)
        for stale in self.incoming.iterdir():  # sessions live in memory: what a former process left is unreachable
            stale.unlink()

    def content(self, digest: Digest) -> Path:
        """Where content of this digest is, or would be."""
        return self._root / "blobs" / "sha256" / digest.hexadecimal[:2] / digest.hexadecimal

    # Blobs

    def blob(self, repository: str, digest: Digest) -> Path:
        """The file of a blob of this repository; raises BLOB_UNKNOWN."""
        if not self.has_blob(repository, digest):
            raise ProtocolError("BLOB_UNKNOWN", f"{repository} has no blob {digest}")
        return self.content(digest)

    def has_blob(self, repository: str, digest: Digest) -> bool:
        """Whether the repository itself may serve the blob; that another has it does not count."""
        return self._link(repository, "_blobs", digest.hexadecimal).exists()

    def add_blob(self, repository: str, digest: Digest, file: Path) -> None:
        """Move a verified file in and link it. The same content twice is one file."""
        target = self.content(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
        self.link_blob(repository, digest)

    def link_blob(self, repository: str, digest: Digest) -> None:
        """Make content that is already here part of the repository too."""
        self._write(self._link(repository, "_blobs", digest.hexadecimal), b"")

    def remove_blob(self, repository: str, digest: Digest) -> None:
        """Unlink; raises BLOB_UNKNOWN."""
        self.blob(repository, digest)
        self._link(repository, "_blobs", digest.hexadecimal).unlink()

    # Manifests

    def add_manifest(self, repository: str, body: bytes, media_type: str, tag: str | None) -> Digest:
        """Keep a checked manifest exactly as it came, and let the tag point to it."""
        digest = Digest(hashlib.sha256(body).hexdigest())
        self._write(self.content(digest), body)
        self._write(self._link(repository, "_manifests", digest.hexadecimal), media_type.encode())
        if tag is not None:
            self._write(self._link(repository, "_tags", tag), str(digest).encode())
        return digest

    def resolve(self, repository: str, reference: Digest | str) -> Digest:
        """The digest a reference stands for now; raises MANIFEST_UNKNOWN."""
        if isinstance(reference, Digest):
            return reference
        try:
            return Digest(self._link(repository, "_tags", reference).read_text().removeprefix("sha256:"))
        except FileNotFoundError:
            raise ProtocolError("MANIFEST_UNKNOWN", f"{repository} has no tag {reference}") from None

    def has_manifest(self, repository: str, digest: Digest) -> bool:
        """Whether the repository has this manifest."""
        return self._link(repository, "_manifests", digest.hexadecimal).exists()

    def manifest(self, repository: str, digest: Digest) -> tuple[bytes, str]:
        """Body and media type; raises MANIFEST_UNKNOWN."""
        if not self.has_manifest(repository, digest):
            raise ProtocolError("MANIFEST_UNKNOWN", f"{repository} has no manifest {digest}")
        media_type = self._link(repository, "_manifests", digest.hexadecimal).read_text()
        return self.content(digest).read_bytes(), media_type

    def manifests(self, repository: str) -> list[Digest]:
        """All manifests of a repository, in the order of their digests."""
        return [Digest(name) for name in _file_names(self._link(repository, "_manifests", ""))]

    def remove_manifest(self, repository: str, reference: Digest | str) -> None:
        """Remove a tag, or a manifest and every tag that points to it; raises MANIFEST_UNKNOWN."""
        digest = self.resolve(repository, reference)
        if isinstance(reference, str):
            self._link(repository, "_tags", reference).unlink()
            return
        self.manifest(repository, digest)
        for tag in self.tags(repository):
            if self.resolve(repository, tag) == digest:
                self._link(repository, "_tags", tag).unlink()
        self._link(repository, "_manifests", digest.hexadecimal).unlink()

    # Lists

    def tags(self, repository: str) -> list[str]:
        """Tags in lexical order; raises NAME_UNKNOWN if nothing was ever pushed to the repository."""
        if not self._link(repository, "_manifests", "").is_dir():
            raise ProtocolError("NAME_UNKNOWN", f"there is no repository {repository}")
        return _file_names(self._link(repository, "_tags", ""))

    def repositories(self) -> list[str]:
        """Repositories that hold a manifest, in lexical order."""
        root = self._root / "repositories"
        found = [
            Path(folder).relative_to(root).as_posix()
            for folder, below, _ in os.walk(root)
            if "_manifests" in below and any(os.scandir(Path(folder, "_manifests")))
        ]
        return sorted(found)

    def _link(self, repository: str, kind: str, name: str) -> Path:
        return self._root / "repositories" / repository / kind / name

    def _write(self, path: Path, body: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = self.incoming / f"{secrets.token_hex(16)}.new"
        new.write_bytes(body)
        new.replace(path)


def _file_names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder)) if folder.is_dir() else []
