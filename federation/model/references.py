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


def required(spec: Mapping[str, Any]) -> frozenset[Reference]:
    """Return the references without which no container of the pod may start.

    Optional everywhere it is named is optional; so are image pull secrets, without which a kubelet tries all the same.
    """
    pull_secrets = {"imagePullSecrets": None}
    return frozenset(references({**_without_optional(spec), **pull_secrets}))


def _without_optional(value: Any) -> Any:
    """Return a spec without everything that calls itself optional."""
    if isinstance(value, Mapping):
        return {key: _without_optional(inner) for key, inner in value.items() if not _is_optional(inner)}
    if isinstance(value, list):
        return [_without_optional(inner) for inner in value]
    return value


def _is_optional(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("optional") is True


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
        yield from _of_drivers(volume)


def _of_drivers(volume: Mapping[str, Any]) -> Iterator[Reference]:
    """Yield the Secrets by which volumes are mounted (csi, iscsi, rbd, flexVolume, azureFile, ...)."""
    if name := (volume.get("azureFile") or {}).get("secretName"):
        yield Reference("Secret", name)
    for source in volume.values():
        if isinstance(source, Mapping):
            yield from (
                Reference("Secret", source[key]["name"])
                for key in ("secretRef", "nodePublishSecretRef")
                if (source.get(key) or {}).get("name")
            )
