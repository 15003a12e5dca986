"""Reads back what admission kept of the pod as submitted: the shell's part, because it parses what users wrote."""

from collections.abc import Callable
from typing import Any

import re2

from federation import foreign_yaml, names
from federation.model.pod import Asking
from federation.model.pod_shapes import CONSTRAINTS, POD_SPEC
from federation.model.reading import METADATA, Unreadable, check
from federation.model.shape import Fields

Manifest = dict[str, Any]

# A pod that is being created may have no name yet.
POD = Fields({"metadata": Fields(METADATA.known), "spec": POD_SPEC}, ("metadata", "spec"))
_REGEXP_MAX = 4096  # characters; a label and its value have 380
_SHOWN_MAX = 100  # characters of a user's value in a message
_CONSTRAINTS_MAX = 64 * 1024

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False  # they are in the exception, and standard error is our log
_OPTIONS.max_mem = 1 << 20  # bytes for one compiled expression; RE2's default is eight times as many


class BadAnnotation(Exception):
    """An annotation, or a field, of a user's that cannot be used; the message names it and says why."""


def _named(annotation: str) -> str:
    return f"metadata.annotations[{annotation}]"


def parse_constraints(annotations: dict[str, str]) -> Manifest | None:
    """Return the PodSpec fragment for the proxy's own scheduling, or None where there is none. Raises BadAnnotation."""
    text, where = annotations.get(names.PROXY_CONSTRAINTS), _named(names.PROXY_CONSTRAINTS)
    if text is None:
        return None
    try:
        fragment = foreign_yaml.load(text, where, _CONSTRAINTS_MAX)
        if fragment is None:
            return {}
        check(fragment, Fields(CONSTRAINTS), where)
    except Unreadable as error:
        raise BadAnnotation(str(error)) from error
    for key in fragment:
        if key not in CONSTRAINTS:
            raise BadAnnotation(
                f"{where}: field {key[:_SHOWN_MAX]!r} has no meaning there; allowed are {', '.join(CONSTRAINTS)}"
            )
    return dict(fragment)


def parse_kept_labels(annotations: dict[str, str]) -> Callable[[str], bool]:
    """Return which labels (`key=value`) keep their key on the delegate. Raises BadAnnotation."""
    text, where = annotations.get(names.NO_PREFIX_LABEL_REGEXP), _named(names.NO_PREFIX_LABEL_REGEXP)
    if not text:
        return lambda _: False
    if len(text) > _REGEXP_MAX:
        raise BadAnnotation(f"{where} is longer than {_REGEXP_MAX} characters")
    try:
        pattern = re2.compile(text, _OPTIONS)
    except re2.error as error:
        raise BadAnnotation(f"{where} is not an RE2 expression: {str(error)[:_SHOWN_MAX]}") from error
    return lambda label: pattern.search(label) is not None


def parse_asking(annotations: dict[str, str]) -> Asking | None:
    """Return how the user wants targets to be asked, or None where that is left to us. Raises BadAnnotation."""
    text = annotations.get(names.ASK)
    if text is None:
        return None
    if text not in tuple(Asking):
        raise BadAnnotation(f"{_named(names.ASK)} is {text[:_SHOWN_MAX]!r}; write one of {', '.join(Asking)}")
    return Asking(text)


def parse_submitted(annotations: dict[str, str]) -> Manifest:
    """Return the pod as submitted. JSON as we write it, or YAML as Admiralty does. Raises BadAnnotation."""
    where = _named(names.SOURCE_POD_MANIFEST)
    try:
        pod = foreign_yaml.load(annotations.get(names.SOURCE_POD_MANIFEST, ""), where)
        check(pod, POD, where)
    except Unreadable as error:
        raise BadAnnotation(f"{error}; it is not a Pod") from error
    if pod["metadata"].get("annotations") is None:
        pod["metadata"]["annotations"] = {}
    return dict(pod)
