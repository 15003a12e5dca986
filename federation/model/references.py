"""Which ConfigMaps and Secrets a pod refers to, by names that may be a part of a URL (rule T2).

A user writes these names, and an API server does not look at them: `../kube-system/secrets/x` is as good as any to it.
A name that no object can have refers to nothing here; admission refuses it, naming the field.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from federation.model.shape import is_object_name

Kind = Literal["ConfigMap", "Secret"]
_Found = tuple[str, Kind, Any]  # where, of what kind, by which name

_VOLUME: tuple[tuple[str, str, Kind], ...] = (
    ("configMap", "name", "ConfigMap"),
    ("secret", "secretName", "Secret"),
    ("azureFile", "secretName", "Secret"),
)
_PROJECTED: tuple[tuple[str, str, Kind], ...] = (("configMap", "name", "ConfigMap"), ("secret", "name", "Secret"))
_ENV_FROM: tuple[tuple[str, str, Kind], ...] = (("configMapRef", "name", "ConfigMap"), ("secretRef", "name", "Secret"))
_ENV: tuple[tuple[str, str, Kind], ...] = (("configMapKeyRef", "name", "ConfigMap"), ("secretKeyRef", "name", "Secret"))
_PULL: tuple[tuple[str, str, Kind], ...] = (("", "name", "Secret"),)


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A ConfigMap or Secret by name; an optional one may be absent."""

    kind: Kind
    name: str


# Every namespace has its own; the target's pod gets the target's.
_OF_EVERY_NAMESPACE = Reference("ConfigMap", "kube-root-ca.crt")


def references(spec: Mapping[str, Any]) -> tuple[Reference, ...]:
    """Return what a pod spec refers to in volumes, environments and image pull secrets, sorted."""
    found = {Reference(kind, name) for _, kind, name in _all(spec) if is_object_name(name)}
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


def impossible_references(spec: Mapping[str, Any]) -> list[str]:
    """Return the fields of a pod spec (`spec.volumes[0].secret.secretName`) that name what no object is called."""
    return [where for where, _, name in _all(spec) if not is_object_name(name)]


def _all(spec: Mapping[str, Any]) -> Iterator[_Found]:
    for index, volume in enumerate(spec.get("volumes") or []):
        where = f"spec.volumes[{index}]"
        yield from _named(volume, where, _VOLUME)
        for number, source in enumerate((volume.get("projected") or {}).get("sources") or []):
            yield from _named(source, f"{where}.projected.sources[{number}]", _PROJECTED)
        yield from _of_drivers(volume, where)
    for kind in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(kind) or []):
            yield from _in_environment(container, f"spec.{kind}[{index}]")
    for index, secret in enumerate(spec.get("imagePullSecrets") or []):
        yield from _named({"": secret}, f"spec.imagePullSecrets[{index}]", _PULL)


def _of_drivers(volume: Mapping[str, Any], where: str) -> Iterator[_Found]:
    """Yield the Secrets by which volumes are mounted (csi, iscsi, rbd, flexVolume, azureFile, ...)."""
    for field, source in volume.items():
        if isinstance(source, Mapping):
            for key in ("secretRef", "nodePublishSecretRef"):
                if isinstance(secret := source.get(key), Mapping):
                    yield from _named({key: secret}, f"{where}.{field}", ((key, "name", "Secret"),))


def _in_environment(container: Mapping[str, Any], where: str) -> Iterator[_Found]:
    for index, source in enumerate(container.get("envFrom") or []):
        yield from _named(source, f"{where}.envFrom[{index}]", _ENV_FROM)
    for index, variable in enumerate(container.get("env") or []):
        if source := variable.get("valueFrom"):
            yield from _named(source, f"{where}.env[{index}].valueFrom", _ENV)


def _named(parent: Mapping[str, Any], where: str, fields: tuple[tuple[str, str, Kind], ...]) -> Iterator[_Found]:
    for field, key, kind in fields:
        if name := (parent.get(field) or {}).get(key):
            yield ".".join(filter(None, (where, field, key))), kind, name
