"""Reads back what admission kept of the pod as submitted: the shell's part, because it parses what users wrote."""

from collections.abc import Callable
from typing import Any

import orjson
import re2
import yaml

from federation import names
from federation.model.pod import Asking

Manifest = dict[str, Any]


class BadAnnotation(Exception):
    """An annotation that cannot be used; the message names it and says why."""


def parse_constraints(annotations: dict[str, str]) -> Manifest | None:
    """Return the PodSpec fragment for the proxy's own scheduling, or None where there is none. Raises BadAnnotation."""
    text = annotations.get(names.PROXY_CONSTRAINTS)
    if text is None:
        return None
    try:
        fragment = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadAnnotation(f"metadata.annotations[{names.PROXY_CONSTRAINTS}] is not YAML: {error}") from error
    if fragment is None:
        return {}
    if not isinstance(fragment, dict):
        raise BadAnnotation(f"metadata.annotations[{names.PROXY_CONSTRAINTS}] must be a part of a PodSpec (a mapping)")
    shapes = {"nodeSelector": dict, "tolerations": list, "affinity": dict, "topologySpreadConstraints": list}
    for key, value in fragment.items():
        if key not in shapes:
            raise BadAnnotation(
                f"metadata.annotations[{names.PROXY_CONSTRAINTS}]: field {key!r} has no meaning there; "
                f"allowed are {', '.join(shapes)}"
            )
        if value is not None and not isinstance(value, shapes[key]):
            raise BadAnnotation(
                f"metadata.annotations[{names.PROXY_CONSTRAINTS}].{key} must be a {shapes[key].__name__}"
            )
    return fragment


def parse_kept_labels(annotations: dict[str, str]) -> Callable[[str], bool]:
    """Return which labels (`key=value`) keep their key on the delegate. Raises BadAnnotation."""
    text = annotations.get(names.NO_PREFIX_LABEL_REGEXP)
    if not text:
        return lambda _: False
    try:
        pattern = re2.compile(text)
    except re2.error as error:
        raise BadAnnotation(
            f"metadata.annotations[{names.NO_PREFIX_LABEL_REGEXP}] is not an RE2 expression: {error}"
        ) from error
    return lambda label: pattern.search(label) is not None


def parse_asking(annotations: dict[str, str]) -> Asking | None:
    """Return how the user wants targets to be asked, or None where that is left to us. Raises BadAnnotation."""
    text = annotations.get(names.ASK)
    if text is None:
        return None
    if text not in tuple(Asking):
        raise BadAnnotation(f"metadata.annotations[{names.ASK}] is {text!r}; write one of {', '.join(Asking)}")
    return Asking(text)


def parse_submitted(annotations: dict[str, str]) -> Manifest:
    """Return the pod as submitted. JSON as we write it, or YAML as Admiralty does. Raises BadAnnotation."""
    text = annotations[names.SOURCE_POD_MANIFEST]
    try:
        pod = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            pod = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise BadAnnotation(f"metadata.annotations[{names.SOURCE_POD_MANIFEST}]: {error}") from error
    if not isinstance(pod, dict) or not isinstance(pod.get("spec"), dict) or "metadata" not in pod:
        raise BadAnnotation(f"metadata.annotations[{names.SOURCE_POD_MANIFEST}] is not a Pod")
    pod["metadata"].setdefault("annotations", {})
    return pod
