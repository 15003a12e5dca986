"""Images: the config and manifest documents of the OCI and Docker formats, and an image in the making.

A draft is what an instruction changes: config, layers so far, files since. `commit` turns it into stored documents.
`created` is SOURCE_DATE_EPOCH or 1970, never the clock, so that equal input gives an equal digest.
"""

import copy
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from lab.buildah.errors import BuildahError
from lab.buildah.references import Platform
from lab.buildah.storage import Record, Storage
from lab.buildah.tree import Layer, Tree, diff_id, read_layers

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
INDEXES = (OCI_INDEX, DOCKER_LIST)
_CONFIG = {
    "oci": "application/vnd.oci.image.config.v1+json",
    "docker": "application/vnd.docker.container.image.v1+json",
}
_LAYER = {
    "oci": "application/vnd.oci.image.layer.v1.tar+gzip",
    "docker": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
_MANIFEST = {"oci": OCI_MANIFEST, "docker": DOCKER_MANIFEST}
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # what buildah gives FROM scratch
MADE_BY = {"io.buildah.version": "isthmus lab stand-in"}  # buildah's label, so that nobody takes it for buildah's work


@dataclass(slots=True)
class Draft:
    """An image in the making. `config` is the inner `config` object; `files` are not in a layer yet."""

    platform: Platform
    config: dict[str, Any] = field(default_factory=lambda: {"Env": [_PATH]})
    layers: list[Layer] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    author: str = ""
    files: Tree = field(default_factory=dict)

    def tree(self, storage: Storage) -> Tree:
        """Everything in it, by path."""
        return self.base(storage) | self.files

    def base(self, storage: Storage) -> Tree:
        """What its layers hold."""
        return read_layers(storage.blob(layer.digest) for layer in self.layers)

    @property
    def environment(self) -> dict[str, str]:
        """ENV so far."""
        return dict(_pair(one) for one in self.config.get("Env") or [])

    def set_environment(self, name: str, value: str) -> None:
        """Set one variable, keeping its place if it has one."""
        names = self.environment | {name: value}
        self.config["Env"] = [f"{key}={one}" for key, one in names.items()]

    def freeze(self, storage: Storage) -> None:
        """Put the files into a layer."""
        if self.files or not self.layers:
            self.layers.append(storage.keep_layer(self.files))
            self.files = {}

    def to_json(self) -> dict[str, Any]:
        """For a working container on disk; only frozen drafts are kept."""
        assert not self.files
        return asdict(self)


def draft_from_json(document: dict[str, Any]) -> Draft:
    """The reverse of `Draft.to_json`."""
    platform, layers = Platform(**document["platform"]), [Layer(**one) for one in document["layers"]]
    return Draft(**(document | {"platform": platform, "layers": layers}))


def draft_of(storage: Storage, record: Record) -> Draft:
    """A draft that continues a stored image."""
    if record.is_list:
        raise BuildahError(f"{record.names[0]} is a manifest list, not an image")
    manifest = storage.document(record.manifest)
    config = storage.document(manifest["config"]["digest"])
    layers = [
        Layer(layer["digest"], layer["size"], diff)
        for layer, diff in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True)
    ]
    inner = copy.deepcopy(config.get("config") or {})
    return Draft(platform_of(config), inner, layers, list(config.get("history") or []), config.get("author", ""))


def commit(storage: Storage, draft: Draft, names: list[str], format_: str, created: str) -> Record:
    """Store config and manifest, and give them the names."""
    draft.freeze(storage)
    draft.config["Labels"] = {**(draft.config.get("Labels") or {}), **MADE_BY}
    draft.history.append({"created": created, "created_by": "isthmus lab's stand-in for buildah"})
    config = storage.keep(_json(_config_document(draft, created)))
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST[format_],
        "config": {"mediaType": _CONFIG[format_], "digest": config, "size": storage.blob(config).stat().st_size},
        "layers": [
            {"mediaType": _LAYER[format_], "digest": layer.digest, "size": layer.size} for layer in draft.layers
        ],
    }
    identity = config.removeprefix("sha256:")
    record = Record(identity, names, created, storage.keep(_json(manifest)), _MANIFEST[format_])
    storage.add(record)
    return record


def platform_of(config: dict[str, Any]) -> Platform:
    """The platform a config document names."""
    return Platform(
        config.get("os", "linux"),
        config.get("architecture", ""),
        config.get("variant", ""),
        config.get("os.version", ""),
    )


def is_consistent(storage: Storage, manifest: dict[str, Any]) -> bool:
    """Whether every layer holds what the config says it holds."""
    config = storage.document(manifest["config"]["digest"])
    found = [diff_id(storage.blob(layer["digest"])) for layer in manifest["layers"]]
    return bool(found == config["rootfs"]["diff_ids"])


def _config_document(draft: Draft, created: str) -> dict[str, Any]:
    document = {
        "created": created,
        "author": draft.author,
        "architecture": draft.platform.architecture,
        "variant": draft.platform.variant,
        "os": draft.platform.os,
        "os.version": draft.platform.os_version,
    }
    rootfs = {"type": "layers", "diff_ids": [layer.diff_id for layer in draft.layers]}
    inner = {key: value for key, value in sorted(draft.config.items()) if value}
    return {key: value for key, value in document.items() if value} | {
        "config": inner,
        "rootfs": rootfs,
        "history": _history(draft),
    }


def _history(draft: Draft) -> list[dict[str, Any]]:
    """History with as many non-empty entries as layers, as the specification wants; ours is the last."""
    entries = [dict(one) for one in draft.history]
    filled = [one for one in entries if not one.get("empty_layer")]
    missing = len(draft.layers) - len(filled)
    if missing < 0:
        entries[-1]["empty_layer"] = True
    return [*({"created_by": "unknown"} for _ in range(missing)), *entries]


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
