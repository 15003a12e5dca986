"""Services and Ingresses that follow pods: the source's original, and its copy in a target.

Both keep their whole manifest: what is copied goes through whole, and a copy is compared with what it should be.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from federation import names
from federation.model.reading import STORED, reads
from federation.model.shape import Fields, Flag, Items, Text, Whole, Words

Manifest = dict[str, Any]


_SERVICE = Fields({"name": Text()})
_BACKEND = Fields({"service": _SERVICE})
_PATHS = Items(Fields({"backend": _BACKEND}))
# A Service's spec and an Ingress' have no field in common.
_SPEC = Fields(
    {
        "selector": Words(),
        "type": Text(),
        "clusterIP": Text(),
        "externalTrafficPolicy": Text(),
        "ports": Items(Fields({"port": Whole(), "nodePort": Whole(), "protocol": Text(), "name": Text()}, ("port",))),
        "publishNotReadyAddresses": Flag(),
        "defaultBackend": _BACKEND,
        "rules": Items(Fields({"http": Fields({"paths": _PATHS}), "host": Text()})),
    }
)
_SHAPE = Fields({"metadata": STORED, "spec": _SPEC}, ("metadata", "spec"))


@dataclass(frozen=True, slots=True)
class Original:
    """A Service or Ingress of the source; `finalizers` stand for targets, `other_finalizers` for anything else."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    is_terminating: bool
    finalizers: tuple[str, ...]
    other_finalizers: tuple[str, ...]
    manifest: Manifest = field(repr=False)

    @property
    def annotations(self) -> Mapping[str, str]:
        """metadata.annotations."""
        return self.manifest["metadata"].get("annotations") or {}

    @property
    def labels(self) -> Mapping[str, str]:
        """metadata.labels."""
        return self.manifest["metadata"].get("labels") or {}

    @property
    def is_marked(self) -> bool:
        """Whether it carries traces of being followed."""
        return bool(self.finalizers) or names.HAS_FINALIZER in self.labels


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy in a target, or another object of that name: `parent_cluster_name` tells whose it is."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    parent_uid: str
    parent_cluster_name: str
    is_terminating: bool
    manifest: Manifest = field(repr=False)


def _lean(manifest: Manifest) -> Manifest:
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    return {**manifest, "metadata": metadata}


@reads("original", _SHAPE)
def parse_original(manifest: Manifest) -> Original | None:
    """Return the original, or None for what is itself a copy from another cluster. Raises Unreadable."""
    metadata = manifest["metadata"]
    if names.IS_DELEGATE in (metadata.get("annotations") or {}):
        return None
    finalizers = metadata.get("finalizers") or []
    return Original(
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        is_terminating=bool(metadata.get("deletionTimestamp")),
        finalizers=tuple(name for name in finalizers if name.startswith(names.PREFIX)),
        other_finalizers=tuple(name for name in finalizers if not name.startswith(names.PREFIX)),
        manifest=_lean(manifest),
    )


@reads("copy", _SHAPE)
def parse_copy(manifest: Manifest) -> Copy:
    """Return the copy. Raises Unreadable."""
    metadata = manifest["metadata"]
    labels = metadata.get("labels") or {}
    return Copy(
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        parent_uid=labels.get(names.PARENT_UID, ""),
        parent_cluster_name=labels.get(names.PARENT_CLUSTER_NAME, ""),
        is_terminating=bool(metadata.get("deletionTimestamp")),
        manifest=_lean(manifest),
    )
