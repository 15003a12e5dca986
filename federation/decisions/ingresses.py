"""Ingresses that follow the Services they lead to: what marks one at home, and what its copies are.

TLS Secrets do not follow: a key that lets a target pass for a host is given away by hand, or not at all.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from federation import names
from federation.decisions.copying import copied_metadata, nothing
from federation.model.copied import Copy, Original

Manifest = dict[str, Any]

_DEFAULTED = ("ingressClassName",)  # by the target's admission, from its default class


def backends(ingress: Mapping[str, Any]) -> set[str]:
    """Return the names of the Services that an Ingress leads to."""
    return set(_backends(ingress["spec"]))


def _backends(spec: Mapping[str, Any]) -> Iterator[str]:
    paths = [path for rule in spec.get("rules") or [] for path in (rule.get("http") or {}).get("paths") or []]
    for backend in (spec.get("defaultBackend"), *(path.get("backend") for path in paths)):
        if name := ((backend or {}).get("service") or {}).get("name"):
            yield name


def marking(ingress: Original) -> Manifest:
    """Return the patch that makes the original a followed one; empty where it is."""
    if ingress.annotations.get(names.GLOBAL) == "true":
        return {}
    return {"metadata": {"annotations": {names.GLOBAL: "true"}}}


def unmarking(ingress: Original) -> Manifest:
    """Return the patch that takes our mark off; empty where there is none of ours."""
    if not ingress.is_marked or names.GLOBAL not in ingress.annotations:
        return {}
    return {"metadata": {"annotations": {names.GLOBAL: None}}}


def copy_of(
    ingress: Original, cluster_name: str, existing: Copy | None, is_let_out: Callable[[str], bool] = nothing
) -> Manifest | None:
    """Return the copy as it should be in a target, or None where it is so already."""
    metadata = copied_metadata(ingress, cluster_name, existing, is_let_out)
    spec = dict(ingress.manifest["spec"])
    if existing is None:
        return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}
    known = existing.manifest["spec"]
    spec |= {key: known[key] for key in _DEFAULTED if key in known and key not in spec}
    if spec == known and metadata == existing.manifest["metadata"]:
        return None
    return {**existing.manifest, "metadata": metadata, "spec": spec}
