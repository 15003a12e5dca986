"""Manifest lists: entries for platforms, collected locally and pushed as one index.

An entry remembers where its image is ("source": a registry reference by digest, or "" for local storage), and that is
looked at again only when the list is pushed to a repository that does not have the image yet.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from lab.buildah import references, transfer
from lab.buildah.errors import BuildahError
from lab.buildah.images import DOCKER_LIST, DOCKER_MANIFEST, INDEXES, OCI_INDEX, platform_of
from lab.buildah.references import Platform, Reference
from lab.buildah.registry import Registry
from lab.buildah.storage import Record, Storage, among

Reach = Callable[[Reference], Registry]  # how to get at a reference's registry, with the command's credentials
_OURS = "source"


def create(storage: Storage, name: str, created: str, *, is_amending: bool) -> Record:
    """Make an empty list, or find it if it may exist; raises BuildahError if the name is taken."""
    full = str(references.parse(name))
    existing = storage.look_up(full)
    if existing is not None:
        if existing.is_list and is_amending:
            return existing
        raise BuildahError(f'image name "{full}" is already in use (--amend continues a list)')
    record = Record(hashlib.sha256(full.encode()).hexdigest(), [full], created, entries=[])
    storage.add(record)
    return record


def add(storage: Storage, name: str, image: str, reach: Reach, wanted: Platform, *, is_all: bool) -> list[str]:
    """Add an image, or with `is_all` every image of an index; returns the digests added."""
    local = (
        None if image.startswith(references.TRANSPORT) else storage.look_up(image.removeprefix("containers-storage:"))
    )
    found = _local_entries(storage, local) if local else _remote_entries(image, reach, wanted, is_all)
    with storage.changing() as records:
        entries = _entries(records, name)
        for entry in found:
            entries[:] = [one for one in entries if one["digest"] != entry["digest"]] + [entry]
    return [entry["digest"] for entry in found]


def annotate(storage: Storage, name: str, image: str, platform: dict[str, Any], annotations: dict[str, str]) -> str:
    """Change an entry's platform fields and annotations; returns its digest."""
    digest = _digest_of(storage, image)
    with storage.changing() as records:
        for entry in _entries(records, name):
            if entry["digest"] == digest or entry[_OURS] == image.removeprefix(references.TRANSPORT):
                entry["platform"].update(platform)
                if annotations:
                    entry["annotations"] = {**entry.get("annotations", {}), **annotations}
                return str(entry["digest"])
    raise BuildahError(f"{image}: not in the list {name}")


def remove(storage: Storage, name: str, digest: str) -> None:
    """Take an entry out."""
    with storage.changing() as records:
        entries = _entries(records, name)
        if all(entry["digest"] != digest for entry in entries):
            raise BuildahError(f"{digest}: not in the list {name}")
        entries[:] = [entry for entry in entries if entry["digest"] != digest]


def index(record: Record, format_: str = "") -> tuple[bytes, str]:
    """The index document and its media type: `oci`, `v2s2`, or as the images are if not said."""
    entries = [{key: value for key, value in one.items() if key != _OURS} for one in record.entries or []]
    are_docker = bool(entries) and all(entry["mediaType"] == DOCKER_MANIFEST for entry in entries)
    media_type = DOCKER_LIST if format_ == "v2s2" or (not format_ and are_docker) else OCI_INDEX
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    return json.dumps(document, indent=4).encode(), media_type


def push(storage: Storage, record: Record, target: Reference, reach: Reach, format_: str) -> str:
    """Push the images that the target's repository lacks, then the index; returns the index's digest."""
    destination = reach(target)
    for entry in record.entries or []:
        if not transfer.has(destination, target.repository, "manifests", entry["digest"]):
            if entry[_OURS]:
                source = references.parse(entry[_OURS])
                transfer.pull(storage, reach(source), source, Platform())
            transfer.push_image(storage, destination, entry["digest"], entry["mediaType"], target.at(entry["digest"]))
    body, media_type = index(record, format_)
    transfer.push_manifest(destination, body, media_type, target)
    return transfer.digest_of(body)


def find(storage: Storage, name: str) -> Record:
    """A list by name; raises BuildahError if there is none or it is an image."""
    record = storage.find(name)
    if not record.is_list:
        raise BuildahError(f"{name} is an image, not a manifest list")
    return record


def _entries(records: list[Record], name: str) -> list[dict[str, Any]]:
    record = among(records, name)
    if record is None or record.entries is None:
        raise BuildahError(f"{name}: no such manifest list (buildah manifest create)")
    return record.entries


def _local_entries(storage: Storage, record: Record) -> list[dict[str, Any]]:
    if record.entries is not None:
        return [dict(entry) for entry in record.entries]
    config = storage.document(storage.document(record.manifest)["config"]["digest"])
    size = storage.blob(record.manifest).stat().st_size
    return [_entry(record.media_type, record.manifest, size, platform_of(config), "")]


def _remote_entries(image: str, reach: Reach, wanted: Platform, is_all: bool) -> list[dict[str, Any]]:
    reference = transfer.parse_remote(image)
    registry = reach(reference)
    body, media_type = transfer.fetch_manifest(registry, reference)
    if media_type in INDEXES:
        entries = json.loads(body)["manifests"] if is_all else [transfer.choose(json.loads(body), wanted, image)]
        return [{**entry, _OURS: str(reference.at(entry["digest"]))} for entry in entries]
    digest = transfer.digest_of(body)
    config = registry.call("GET", f"{reference.repository}/blobs/{json.loads(body)['config']['digest']}")
    platform = platform_of(json.loads(config.body))
    return [_entry(media_type, digest, len(body), platform, str(reference.at(digest)))]


def _entry(media_type: str, digest: str, size: int, platform: Platform, source: str) -> dict[str, Any]:
    described = {"mediaType": media_type, "size": size, "digest": digest, "platform": platform.as_index_entry()}
    return described | {_OURS: source}


def _digest_of(storage: Storage, image: str) -> str:
    if image.startswith("sha256:"):
        return image
    record = None if image.startswith(references.TRANSPORT) else storage.look_up(image)
    return record.manifest if record else references.parse(image).digest
