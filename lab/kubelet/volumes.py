"""What is in a pod's volumes, and which of their directories a container gets where.

Pure: `payload` gives the files of a volume made of API objects; `mounts` the places of one container. Directories on
disk are `volume_files`' part.
"""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lab.kubelet.environment import expand
from lab.kubelet.records import Manifest
from lab.kubelet.sources import Missing, Sources, field_value, resource_value, token_key

DEFAULT_MODE = 0o644
_WRITTEN = ("configMap", "secret", "downwardAPI", "projected")
SUPPORTED = (*_WRITTEN, "emptyDir", "hostPath")


@dataclass(frozen=True, slots=True)
class File:
    """A file of a volume."""

    content: bytes
    mode: int = DEFAULT_MODE


@dataclass(frozen=True, slots=True)
class Mount:
    """One volume, or a part of it, at one place of a container."""

    volume: str
    part: str  # relative to the volume, "" for all of it
    target: str
    read_only: bool


def kind(volume: Manifest) -> str:
    """The volume's type. Raises Missing for one that the lab does not have."""
    for name in SUPPORTED:
        if name in volume:
            return name
    types = ", ".join(key for key in volume if key != "name") or "emptyDir"
    raise Missing(f"volume {volume['name']!r}: the lab has no {types} volumes, only {', '.join(SUPPORTED)}")


def is_written(volume: Manifest) -> bool:
    """Whether the volume is made of files that the kubelet writes."""
    return kind(volume) in _WRITTEN


def payload(pod: Manifest, volume: Manifest, sources: Sources) -> dict[str, File]:
    """The files of a volume, by path within it. Raises Missing."""
    type_ = kind(volume)
    source = volume[type_]
    mode = source.get("defaultMode") or DEFAULT_MODE
    if type_ != "projected":
        return dict(_files(pod, type_, source, mode, sources))
    files: dict[str, File] = {}
    for projection in source.get("sources") or ():
        for part, content in projection.items():
            files |= _files(pod, part, content, mode, sources)
    return files


def mounts(manifest: Manifest, environment: Mapping[str, str]) -> list[Mount]:
    """The container's volume mounts, outer directories before inner ones. Raises Missing for a path that leads out."""
    found = []
    for entry in manifest.get("volumeMounts", ()):
        part = entry.get("subPath") or expand(entry.get("subPathExpr") or "", environment)
        part = posixpath.normpath(part) if part else ""
        if part.startswith(("/", "..")):
            raise Missing(f"volume mount {entry['name']!r}: subPath {part!r} must stay within the volume")
        target = posixpath.normpath(posixpath.join("/", entry["mountPath"]))
        found.append(Mount(entry["name"], "" if part == "." else part, target, bool(entry.get("readOnly"))))
    return sorted(found, key=lambda mount: mount.target.count("/"))


def _files(pod: Manifest, type_: str, source: Manifest, mode: int, sources: Sources) -> Iterator[tuple[str, File]]:
    match type_:
        case "configMap" | "secret":
            yield from _keys(pod, type_, source, mode, sources)
        case "downwardAPI":
            for item in source.get("items") or ():
                yield item["path"], File(_fact(pod, item, sources).encode(), item.get("mode") or mode)
        case "serviceAccountToken":
            token = sources.tokens.get(token_key(source))
            if token is None:
                raise Missing("the service account's token has not been issued")
            yield source["path"], File(token.encode(), mode)
        case other:
            raise Missing(f"the lab has no {other} in projected volumes")


def _keys(pod: Manifest, type_: str, source: Manifest, mode: int, sources: Sources) -> Iterator[tuple[str, File]]:
    name = source.get("secretName") or source["name"]
    is_optional = bool(source.get("optional"))
    values = sources.keys(type_.lower(), name)
    if values is None:
        if is_optional:
            return
        raise Missing(f'{type_.lower()} "{name}" not found')
    items = source.get("items")
    if not items:
        yield from ((key, File(value, mode)) for key, value in values.items())
        return
    for item in items:
        if item["key"] in values:
            yield item["path"], File(values[item["key"]], item.get("mode") or mode)
        elif not is_optional:
            raise Missing(f"references non-existent {type_.lower()} key: {item['key']}")


def _fact(pod: Manifest, item: Manifest, sources: Sources) -> str:
    if "fieldRef" in item:
        return field_value(pod, item["fieldRef"]["fieldPath"])
    return resource_value(pod, item["resourceFieldRef"], "", sources.allocatable)
