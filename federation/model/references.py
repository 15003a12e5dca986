"""Which ConfigMaps and Secrets a pod refers to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["ConfigMap", "Secret"]


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A ConfigMap or Secret by name; an optional one may be absent."""

    kind: Kind
    name: str


# Every namespace has its own; the target's pod gets the target's.
_OF_EVERY_NAMESPACE = Reference("ConfigMap", "kube-root-ca.crt")


def references(spec: Mapping[str, Any]) -> tuple[Reference, ...]:
    """Return what a pod spec refers to in volumes, environments and image pull secrets, sorted."""
    found = set(_in_volumes(spec))
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        for source in container.get("envFrom") or []:
            found |= set(_named(source, "configMapRef", "secretRef"))
        for variable in container.get("env") or []:
            found |= set(_named(variable.get("valueFrom") or {}, "configMapKeyRef", "secretKeyRef"))
    found |= {Reference("Secret", secret["name"]) for secret in spec.get("imagePullSecrets") or [] if "name" in secret}
    return tuple(sorted(found - {_OF_EVERY_NAMESPACE}))


def _named(source: Mapping[str, Any], config_map: str, secret: str) -> Iterator[Reference]:
    if name := (source.get(config_map) or {}).get("name"):
        yield Reference("ConfigMap", name)
    if name := (source.get(secret) or {}).get("name"):
        yield Reference("Secret", name)


def _in_volumes(spec: Mapping[str, Any]) -> Iterator[Reference]:
    for volume in spec.get("volumes") or []:
        if name := (volume.get("configMap") or {}).get("name"):
            yield Reference("ConfigMap", name)
        if name := (volume.get("secret") or {}).get("secretName"):
            yield Reference("Secret", name)
        for source in (volume.get("projected") or {}).get("sources") or []:
            yield from _named(source, "configMap", "secret")
