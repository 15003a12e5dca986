"""Moving images between local storage and registries: blobs first, then the manifest that names them.

What a registry has already is not sent again. Content is checked against its digest on the way in, whoever sent it.
"""

import hashlib
import json
from typing import Any
from urllib.parse import quote

from lab.buildah import references
from lab.buildah.errors import BuildahError, RegistryError, Unauthorized
from lab.buildah.images import DOCKER_LIST, DOCKER_MANIFEST, INDEXES, OCI_INDEX, OCI_MANIFEST, is_consistent
from lab.buildah.references import Platform, Reference
from lab.buildah.registry import Registry, document
from lab.buildah.storage import Record, Storage

_CHUNK_BYTES = 1 << 20
_ACCEPT = ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST))


def fetch_manifest(registry: Registry, reference: Reference) -> tuple[bytes, str]:
    """The bytes and media type that a reference stands for; raises RegistryError."""
    path = f"{reference.repository}/manifests/{reference.version}"
    answer = registry.call("GET", path, headers={"Accept": _ACCEPT})
    media_type = document(answer).get("mediaType") or answer.headers.get_content_type()
    if reference.digest and reference.digest != digest_of(answer.body):
        raise RegistryError(f"{reference}: the registry sent a manifest of another digest")
    return answer.body, str(media_type)


def choose(index: dict[str, Any], wanted: Platform, name: str) -> dict[str, Any]:
    """The first entry of an index for a platform; raises BuildahError that lists what there is."""
    for entry in index["manifests"]:
        if wanted.accepts(entry.get("platform") or {}):
            assert isinstance(entry, dict)
            return entry
    there = [_platform_text(entry.get("platform") or {}) for entry in index["manifests"]]
    raise BuildahError(f"{name}: no image for {wanted} in the index, which has {', '.join(there) or 'none'}")


def pull(storage: Storage, registry: Registry, reference: Reference, wanted: Platform) -> Record:
    """Bring an image, for an index the one of the platform wanted, into local storage under its name."""
    body, media_type = fetch_manifest(registry, reference)
    name = str(reference)
    if media_type in INDEXES:
        entry = choose(json.loads(body), wanted, name)
        body, media_type = fetch_manifest(registry, reference.at(entry["digest"]))
    manifest = json.loads(body)
    for described in (manifest["config"], *manifest["layers"]):
        _pull_blob(storage, registry, reference.repository, described["digest"])
    if not is_consistent(storage, manifest):
        raise RegistryError(f"{name}: a layer is not what the image's config says")
    digest = storage.keep(body)
    config = storage.document(manifest["config"]["digest"])
    identity = manifest["config"]["digest"].removeprefix("sha256:")
    record = Record(identity, [name], config.get("created", ""), digest, media_type)
    storage.add(record)
    return record


def push_image(storage: Storage, registry: Registry, manifest_digest: str, media_type: str, target: Reference) -> None:
    """Send a stored image's blobs and manifest to a repository."""
    manifest = storage.document(manifest_digest)
    for described in (*manifest["layers"], manifest["config"]):
        _push_blob(storage, registry, target.repository, described["digest"])
    push_manifest(registry, storage.blob(manifest_digest).read_bytes(), media_type, target)


def push_manifest(registry: Registry, body: bytes, media_type: str, target: Reference) -> None:
    """Send a manifest or an index whose parts are there."""
    path = f"{target.repository}/manifests/{target.version}"
    registry.call("PUT", path, body=body, headers={"Content-Type": media_type})


def has(registry: Registry, repository: str, kind: str, digest: str) -> bool:
    """Whether a repository has a blob (`blobs`) or manifest (`manifests`). No right to look counts as no."""
    try:
        path, headers = f"{repository}/{kind}/{digest}", {"Accept": _ACCEPT}
        return registry.call("HEAD", path, headers=headers, expected=(200, 404)).status == 200
    except Unauthorized:
        return False


def digest_of(content: bytes) -> str:
    """`sha256:<hex>` of bytes at hand."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def local_name(reference: Reference) -> Reference:
    """The reference itself, if it names a registry; raises BuildahError otherwise."""
    if reference.is_local:
        raise BuildahError(
            f"{reference.repository}: not found, and it names no registry (the stand-in uses no public one)"
        )
    return reference


def parse_remote(text: str) -> Reference:
    """A reference that must name a registry."""
    return local_name(references.parse(text))


def _pull_blob(storage: Storage, registry: Registry, repository: str, digest: str) -> None:
    if storage.blob(digest).exists():
        return
    found = hashlib.sha256()
    with storage.incoming() as path:
        with registry.reading(f"{repository}/blobs/{digest}") as response, path.open("wb") as file:
            while chunk := response.read(_CHUNK_BYTES):
                found.update(chunk)
                file.write(chunk)
        if f"sha256:{found.hexdigest()}" != digest:
            raise RegistryError(f"{repository}: the registry sent a blob that is not {digest}")
        path.replace(storage.blob(digest))


def _push_blob(storage: Storage, registry: Registry, repository: str, digest: str) -> None:
    if has(registry, repository, "blobs", digest):
        return
    location = registry.call("POST", f"{repository}/blobs/uploads/", body=b"").headers["Location"]
    target = f"{location}{'&' if '?' in location else '?'}digest={quote(digest)}"
    blob = storage.blob(digest)
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.stat().st_size)}
    with blob.open("rb") as file:
        registry.call("PUT", target, body=file, headers=headers)


def _platform_text(described: dict[str, str]) -> str:
    return "/".join(filter(None, (described.get(key) for key in ("os", "architecture", "variant", "os.version"))))
