"""Local storage: blobs by digest, images and manifest lists by name, working containers. Safe for concurrent commands.

    blobs/<hex>            layers, configs and manifests as they go to a registry
    images.json            the records: what has which names
    containers/<name>.json a working container between commands

The folder is $ISTHMUS_BUILDAH_ROOT, or else ~/.local/share/isthmus-buildah. Changes to names hold a file lock; files
appear whole, by rename.
"""

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lab.buildah import references
from lab.buildah.errors import BuildahError
from lab.buildah.tree import Layer, Tree, write_layer


@dataclass(slots=True)
class Record:
    """One image or one manifest list. `identity` is 64 hex: of an image's config, of a list's first content."""

    identity: str
    names: list[str]
    created: str
    manifest: str = ""  # an image's manifest digest
    media_type: str = ""
    entries: list[dict[str, Any]] | None = field(default=None)  # of a list: index entries, each with our "source"

    @property
    def is_list(self) -> bool:
        return self.entries is not None


class Storage:
    """The folder of one user, or of one CI job."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._blobs = root / "blobs"
        self.containers = root / "containers"
        for folder in (self._blobs, self.containers):
            folder.mkdir(parents=True, exist_ok=True)

    # Blobs

    def blob(self, digest: str) -> Path:
        """Where content of this digest is, or would be."""
        return self._blobs / digest.removeprefix("sha256:")

    def keep(self, content: bytes) -> str:
        """Store bytes; returns their digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        with self.incoming() as file:
            file.write_bytes(content)
            file.replace(self.blob(digest))
        return digest

    def keep_layer(self, tree: Tree) -> Layer:
        """Write a tree as a layer."""
        with self.incoming() as file:
            layer = write_layer(tree, file)
            file.replace(self.blob(layer.digest))
        return layer

    def document(self, digest: str) -> dict[str, Any]:
        """A stored config or manifest."""
        document = json.loads(self.blob(digest).read_bytes())
        assert isinstance(document, dict)
        return document

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """A file of our own in the same file system, gone afterwards if it was not renamed."""
        descriptor, name = tempfile.mkstemp(dir=self._blobs, prefix=".incoming-")
        os.close(descriptor)
        path = Path(name)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    # Names

    def records(self) -> list[Record]:
        """All images and lists, oldest first."""
        try:
            return [Record(**one) for one in json.loads((self._root / "images.json").read_bytes())]
        except FileNotFoundError:
            return []

    @contextmanager
    def changing(self) -> Iterator[list[Record]]:
        """The records, to be changed in place while no other command may; written back on a clean end."""
        with (self._root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            records = self.records()
            yield records
            with self.incoming() as file:
                file.write_text(json.dumps([asdict(one) for one in records], indent=1))
                file.replace(self._root / "images.json")

    def add(self, record: Record) -> None:
        """Add an image, or more names to one that is there. A name moves from whatever had it."""
        with self.changing() as records:
            for other in records:
                other.names = [name for name in other.names if name not in record.names]
            same = next((other for other in records if other.identity == record.identity), None)
            if same is None:
                records.append(record)
                return
            same.names += record.names
            same.manifest, same.media_type = record.manifest, record.media_type

    def remove(self, text: str) -> str:
        """Remove a name, or by id the whole record; a record goes with its last name. Returns what is gone.

        Blobs stay: the folder belongs to one job and goes with it.
        """
        with self.changing() as records:
            record = among(records, text)
            if record is None:
                raise BuildahError(f"{text}: image not known")
            name = str(references.parse(text)) if not record.identity.startswith(text) else ""
            record.names = [one for one in record.names if name and one != name]
            if not record.names:
                records.remove(record)
            return name or record.identity

    def find(self, text: str) -> Record:
        """By name, or by at least 8 digits of the id; raises BuildahError."""
        found = self.look_up(text)
        if found is None:
            raise BuildahError(f"{text}: image not known")
        return found

    def look_up(self, text: str) -> Record | None:
        """The same, None where there is none."""
        return among(self.records(), text)


def among(records: list[Record], text: str) -> Record | None:
    """The record a name or id means, or None."""
    identity = text.removeprefix("sha256:")
    if len(identity) >= 8:
        for record in records:
            if record.identity.startswith(identity):
                return record
    name = str(references.parse(text))
    return next((record for record in records if name in record.names), None)


def default_root() -> Path:
    """Where images are kept if no --root is given."""
    if root := os.environ.get("ISTHMUS_BUILDAH_ROOT"):
        return Path(root)
    return Path.home() / ".local" / "share" / "isthmus-buildah"
