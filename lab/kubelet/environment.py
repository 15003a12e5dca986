"""A container's environment, command and arguments from its pod, with `$(NAME)` expanded. Pure."""

import re
from collections.abc import Mapping, Sequence

from lab.kubelet.catalogue import Image
from lab.kubelet.records import Manifest
from lab.kubelet.sources import Missing, Sources, field_value, resource_value

_REFERENCE = re.compile(r"\$(?:\$|\((?P<name>[^)]*)\))")
_KINDS = (("configMapRef", "configmap"), ("secretRef", "secret"))
_KEY_KINDS = (("configMapKeyRef", "configmap"), ("secretKeyRef", "secret"))


def environment(pod: Manifest, manifest: Manifest, given: Mapping[str, str], sources: Sources) -> dict[str, str]:
    """The whole environment: what the image and the lab give, then `envFrom`, then `env`. Raises Missing."""
    result = dict(given)
    for source in manifest.get("envFrom", ()):
        result |= _all_keys(source, sources)
    for variable in manifest.get("env", ()):
        value = _value(pod, manifest, variable, result, sources)
        if value is not None:
            result[variable["name"]] = value
    return result


def command(manifest: Manifest, image: Image, environment: Mapping[str, str]) -> list[str]:
    """What to execute: the pod's command and args, else the image's; a command without args drops the image's args."""
    entrypoint: Sequence[str] = manifest.get("command") or image.entrypoint
    default = () if manifest.get("command") else image.command
    arguments: Sequence[str] = manifest.get("args") or default
    whole = [*entrypoint, *arguments]
    if not whole:
        raise Missing(f"no command specified for image {manifest['image']!r}, and it has none of its own")
    return [expand(word, environment) for word in whole]


def expand(text: str, environment: Mapping[str, str]) -> str:
    """`$(NAME)` becomes its value where there is one and stays where not; `$$` is one `$`."""

    def replacement(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            return "$"
        return environment.get(name, match[0])

    return _REFERENCE.sub(replacement, text)


def _all_keys(source: Manifest, sources: Sources) -> dict[str, str]:
    for field, kind in _KINDS:
        if field in source:
            values = sources.keys(kind, source[field]["name"])
            if values is None and not source[field].get("optional"):
                raise Missing(f'{kind} "{source[field]["name"]}" not found')
            prefix = source.get("prefix") or ""
            return {prefix + key: value.decode(errors="replace") for key, value in (values or {}).items()}
    return {}


def _value(
    pod: Manifest, manifest: Manifest, variable: Manifest, so_far: Mapping[str, str], sources: Sources
) -> str | None:
    reference = variable.get("valueFrom")
    if not reference:
        return expand(variable.get("value") or "", so_far)
    if "fieldRef" in reference:
        return field_value(pod, reference["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in reference:
        return resource_value(pod, reference["resourceFieldRef"], manifest["name"], sources.allocatable)
    for field, kind in _KEY_KINDS:
        if field in reference:
            return _key(kind, reference[field], pod["metadata"]["namespace"], sources)
    raise Missing(f"variable {variable['name']}: the lab does not support valueFrom {', '.join(reference)}")


def _key(kind: str, reference: Manifest, namespace: str, sources: Sources) -> str | None:
    name, key = reference["name"], reference["key"]
    values = sources.keys(kind, name)
    if values is not None and key in values:
        return values[key].decode(errors="replace")
    if reference.get("optional"):
        return None
    if values is None:
        raise Missing(f'{kind} "{name}" not found')
    spelled = "ConfigMap" if kind == "configmap" else "Secret"
    raise Missing(f"couldn't find key {key} in {spelled} {namespace}/{name}")
