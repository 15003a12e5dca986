"""Manifests: which media types are known, what each refers to, and whether a client can read one. Pure.

The registry keeps a manifest byte for byte (its digest is its name) and reads it only to refuse what could never be
pulled: a body that is not what Content-Type says, or that refers to content which is not there.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lab.registry import names
from lab.registry.errors import ProtocolError
from lab.registry.names import Digest

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = {OCI_INDEX, DOCKER_LIST}
IMAGES = {OCI_MANIFEST, DOCKER_MANIFEST}
# Layers that are fetched from elsewhere (Windows base layers) and so need not be in the repository.
_FOREIGN = ("application/vnd.docker.image.rootfs.foreign.", "application/vnd.oci.image.layer.nondistributable.")


@dataclass(frozen=True, slots=True)
class References:
    """What must be in the repository for a manifest to be pulled; `subject` need not be."""

    blobs: tuple[Digest, ...] = ()
    manifests: tuple[Digest, ...] = ()
    subject: Digest | None = None


def references(body: bytes, media_type: str) -> References:
    """Read and check one manifest; raises MANIFEST_INVALID or DIGEST_INVALID."""
    if media_type not in INDEXES | IMAGES:
        raise ProtocolError("MANIFEST_INVALID", f"Content-Type {media_type!r} is not a manifest type served here")
    manifest = document(body)
    if manifest.get("schemaVersion") != 2:
        raise ProtocolError("MANIFEST_INVALID", "schemaVersion must be 2")
    if manifest.get("mediaType", media_type) != media_type:
        raise ProtocolError("MANIFEST_INVALID", f"mediaType {manifest['mediaType']!r} is not Content-Type {media_type}")
    subject = _digest(manifest["subject"], "subject") if manifest.get("subject") else None
    if media_type in INDEXES:
        children = tuple(_digest(child, "manifests[]") for child in _list(manifest, "manifests"))
        return References(manifests=children, subject=subject)
    layers = [layer for layer in _list(manifest, "layers") if not _is_foreign(layer)]
    blobs = (_digest(manifest.get("config"), "config"), *(_digest(layer, "layers[]") for layer in layers))
    return References(blobs=blobs, subject=subject)


def document(body: bytes) -> dict[str, Any]:
    """The JSON object; raises MANIFEST_INVALID."""
    try:
        manifest = json.loads(body)
    except ValueError as error:
        raise ProtocolError("MANIFEST_INVALID", f"manifest is not JSON: {error}") from error
    if not isinstance(manifest, dict):
        raise ProtocolError("MANIFEST_INVALID", "manifest is not a JSON object")
    return manifest


def is_acceptable(media_type: str, accept: Iterable[str]) -> bool:
    """Whether Accept headers (RFC 9110; quality is ignored but for 0) allow the type. None given means any."""
    wanted = [part.strip() for header in accept for part in header.split(",") if part.strip()]
    if not wanted:
        return True
    for one in wanted:
        kind, *parameters = (piece.strip() for piece in one.split(";"))
        if kind in (media_type, "*/*", "application/*") and "q=0" not in parameters:
            return True
    return False


def descriptor(body: bytes, media_type: str, digest: Digest) -> dict[str, Any]:
    """How a referrers list describes one manifest (distribution specification, Listing Referrers)."""
    manifest = document(body)
    config = manifest.get("config") or {}
    kind = manifest.get("artifactType") or config.get("mediaType")
    described = {"mediaType": media_type, "size": len(body), "digest": str(digest), "artifactType": kind}
    return {key: value for key, value in described.items() if value is not None} | (
        {"annotations": manifest["annotations"]} if manifest.get("annotations") else {}
    )


def _list(manifest: dict[str, Any], field: str) -> list[Any]:
    value = manifest.get(field)
    if not isinstance(value, list):
        raise ProtocolError("MANIFEST_INVALID", f"{field} must be a list")
    return value


def _digest(described: Any, field: str) -> Digest:
    if not isinstance(described, dict) or not isinstance(described.get("digest"), str):
        raise ProtocolError("MANIFEST_INVALID", f"{field}.digest is missing")
    return names.digest(described["digest"])


def _is_foreign(layer: Any) -> bool:
    return isinstance(layer, dict) and str(layer.get("mediaType")).startswith(_FOREIGN)
