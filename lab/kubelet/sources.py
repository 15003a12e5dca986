"""What a pod takes from the cluster around it: ConfigMaps, Secrets, tokens, and facts about itself.

Pure: which objects a pod refers to, and what a reference gives once they are there. What is missing and not optional
raises `Missing`, with the words upstream uses.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lab.kubelet import quantities
from lab.kubelet.records import Manifest, container
from lab.kubelet.status import ADDRESS


class Missing(Exception):
    """Something that the pod needs is not there (yet)."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The objects a pod refers to, by name (None: not there), its tokens by `token_key`, its node's allocatable."""

    config_maps: Mapping[str, Manifest | None] = field(default_factory=dict)
    secrets: Mapping[str, Manifest | None] = field(default_factory=dict)
    tokens: Mapping[tuple[str, int], str] = field(default_factory=dict)
    allocatable: Mapping[str, str] = field(default_factory=dict)

    def keys(self, kind: str, name: str) -> dict[str, bytes] | None:
        """All keys of a ConfigMap (`kind` "configmap") or Secret ("secret"); None if it is not there."""
        objects = self.config_maps if kind == "configmap" else self.secrets
        manifest = objects.get(name)
        if manifest is None:
            return None
        if kind == "secret":
            return {key: base64.b64decode(value) for key, value in (manifest.get("data") or {}).items()}
        text = {key: value.encode() for key, value in (manifest.get("data") or {}).items()}
        return text | {key: base64.b64decode(value) for key, value in (manifest.get("binaryData") or {}).items()}


@dataclass(frozen=True, slots=True)
class Needs:
    """Names of the ConfigMaps and Secrets, and (audience, seconds) of the tokens, that something refers to."""

    config_maps: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()
    tokens: frozenset[tuple[str, int]] = frozenset()


def needs_of_volumes(pod: Manifest) -> Needs:
    """What the pod's volumes refer to."""
    config_maps, secrets, tokens = set(), set(), set()
    for volume in pod["spec"].get("volumes", ()):
        if "configMap" in volume:
            config_maps.add(volume["configMap"]["name"])
        if "secret" in volume:
            secrets.add(volume["secret"]["secretName"])
        for source in volume.get("projected", {}).get("sources") or ():
            if "configMap" in source:
                config_maps.add(source["configMap"]["name"])
            if "secret" in source:
                secrets.add(source["secret"]["name"])
            if "serviceAccountToken" in source:
                tokens.add(token_key(source["serviceAccountToken"]))
    return Needs(frozenset(config_maps), frozenset(secrets), frozenset(tokens))


def needs_of_environment(manifest: Manifest) -> Needs:
    """What one container's environment refers to."""
    config_maps, secrets = set(), set()
    for source in manifest.get("envFrom", ()):
        if "configMapRef" in source:
            config_maps.add(source["configMapRef"]["name"])
        if "secretRef" in source:
            secrets.add(source["secretRef"]["name"])
    for variable in manifest.get("env", ()):
        reference = variable.get("valueFrom") or {}
        if "configMapKeyRef" in reference:
            config_maps.add(reference["configMapKeyRef"]["name"])
        if "secretKeyRef" in reference:
            secrets.add(reference["secretKeyRef"]["name"])
    return Needs(frozenset(config_maps), frozenset(secrets))


def token_key(source: Manifest) -> tuple[str, int]:
    """How tokens are told apart: audience ("" is the API server's own) and lifetime in seconds."""
    return source.get("audience") or "", source.get("expirationSeconds") or 3600


def field_value(pod: Manifest, path: str) -> str:
    """What a `fieldRef` gives. Raises Missing for a field that cannot be referred to."""
    metadata, spec = pod["metadata"], pod["spec"]
    for prefix in ("metadata.labels", "metadata.annotations"):
        values: dict[str, str] = metadata.get(prefix.removeprefix("metadata.")) or {}
        if path == prefix:
            return "\n".join(_quoted_lines(values))
        if path.startswith(f"{prefix}['") and path.endswith("']"):
            return values.get(path[len(prefix) + 2 : -2], "")
    known = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        **dict.fromkeys(("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"), ADDRESS),
    }
    if path not in known:
        raise Missing(f"unsupported fieldPath: {path}")
    return str(known[path])


def resource_value(pod: Manifest, reference: Manifest, default_container: str, allocatable: Mapping[str, str]) -> str:
    """What a `resourceFieldRef` gives, in units of its divisor; a limit that is not set is what the node has."""
    name = reference.get("containerName") or default_container
    manifest = container(pod, name)
    if manifest is None:
        raise Missing(f"container {name} not found")
    kind, _, resource = reference["resource"].partition(".")
    resources = manifest.get("resources") or {}
    quantity = (resources.get(kind) or {}).get(resource)
    if quantity is None:
        quantity = allocatable.get(resource, "0") if kind == "limits" else "0"
    divisor = reference.get("divisor") or "1"
    return str(quantities.whole(quantity, "1" if divisor == "0" else divisor))


def _quoted_lines(values: Mapping[str, str]) -> Iterator[str]:
    for key in sorted(values):
        escaped = values[key].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        yield f'{key}="{escaped}"'
