"""What a server's answer is taken for: bounded in depth and number, of the shape that an API server gives (rule T1).

A target's answers are a stranger's. Whatever they are, reading them ends in a value or in BadAnswer, which says what
was wrong; nothing of a body is quoted unless it is a Kubernetes Status, and of that only so much.
"""

import re
from typing import Any

import orjson

from federation.kube.errors import BadAnswer, StatusError, from_status
from federation.kube.limits import Limits

Manifest = dict[str, Any]

_MESSAGE_LENGTH_MAX = 4096
_WORD_LENGTH_MAX = 253
_CAUSES_MAX = 20
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def parsed(body: bytes, limits: Limits) -> Manifest:
    """Return the JSON object in `body`; raises BadAnswer where it is none, too deep or of too many parts."""
    if body.count(b"{") + body.count(b"[") > limits.parts_max:
        raise BadAnswer(f"an answer of more than {limits.parts_max} objects and lists ({len(body)} bytes)")
    try:
        value = orjson.loads(body)  # gives up by itself beyond a depth of 1024
    except orjson.JSONDecodeError:
        raise BadAnswer(f"an answer that is no JSON ({len(body)} bytes)") from None
    if is_deeper(body, limits.depth_max):
        raise BadAnswer(f"an answer that is nested more than {limits.depth_max} deep ({len(body)} bytes)")
    if not isinstance(value, dict):
        raise BadAnswer(f"an answer that is no JSON object ({len(body)} bytes)")
    return value


def is_deeper(body: bytes, depth: int) -> bool:
    """Whether JSON is nested more than `depth` deep; brackets within strings are counted only where they pair.

    Each round takes the innermost pairs away, at the speed of C: a usual page takes a dozen short rounds. Only where
    something is left are the strings cut out, which costs more, and the rounds begin again.
    """
    return _is_left(body.translate(None, _NOT_BRACKETS), depth) and _is_left(
        _STRINGS.sub(b"", body).translate(None, _NOT_BRACKETS), depth
    )


def _is_left(brackets: bytes, rounds: int) -> bool:
    for _ in range(rounds):
        rest = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if len(rest) == len(brackets):
            break
        brackets = rest
    return bool(brackets)


def failure(code: int, body: bytes, limits: Limits) -> StatusError:
    """Return the error that an answer other than 2xx is; raises BadAnswer for a redirect, which is never followed."""
    if 300 <= code < 400:
        raise BadAnswer(f"{code}: it redirects to another address, which is not followed")
    try:
        status = parsed(body, limits)
    except BadAnswer:
        status = {}
    if status.get("kind") != "Status":
        return from_status(code, {"message": f"an answer that is no Status ({len(body)} bytes)"})
    return from_status(code, _cut(status))


def as_failure(status: Manifest) -> StatusError:
    """Return the error that a Status within a watch is."""
    code = status.get("code")
    return from_status(code if isinstance(code, int) else 500, _cut(status))


def _cut(status: Manifest) -> Manifest:
    """Return of a Status what is used, as text of bounded length."""
    cut: Manifest = {
        "reason": _short(status.get("reason"), _WORD_LENGTH_MAX),
        "message": _short(status.get("message"), _MESSAGE_LENGTH_MAX),
    }
    details = status.get("details")
    if isinstance(details, dict):
        cut["details"] = {
            name: _short(details.get(name), _WORD_LENGTH_MAX) for name in ("name", "group", "kind", "uid")
        }
        causes = details.get("causes")
        cut["details"]["causes"] = [
            {name: _short(cause.get(name), _WORD_LENGTH_MAX) for name in ("reason", "message", "field")}
            for cause in (causes[:_CAUSES_MAX] if isinstance(causes, list) else ())
            if isinstance(cause, dict)
        ]
    return cut


def _short(value: object, length: int) -> str:
    """Return a text that is one line wherever it is shown: a log of text must not have lines of a stranger's making."""
    text = value[:length] if isinstance(value, str) else ""
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def wrong_in(manifest: object) -> str:
    """Return what is wrong with an object's metadata, or an empty string: what everybody reads without looking."""
    if not isinstance(manifest, dict):
        return "it is no mapping"
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict):
        return "metadata is no mapping"
    for name in ("name", "namespace", "uid", "resourceVersion", "deletionTimestamp", "creationTimestamp"):
        value = metadata.get(name)
        if value is not None and not (isinstance(value, str) and len(value) <= _WORD_LENGTH_MAX):
            return f"metadata.{name} is no text of at most {_WORD_LENGTH_MAX} characters"
    for name in ("labels", "annotations"):
        values = metadata.get(name)
        if values is not None and not (isinstance(values, dict) and all(isinstance(v, str) for v in values.values())):
            return f"metadata.{name} is no mapping of texts"
    for name, kind in (("finalizers", str), ("ownerReferences", dict)):
        entries = metadata.get(name)
        if entries is not None and not (isinstance(entries, list) and all(isinstance(e, kind) for e in entries)):
            return f"metadata.{name} is no list of {'texts' if kind is str else 'mappings'}"
    return ""


def the_object(body: bytes, limits: Limits, name: str = "", namespace: str = "") -> Manifest:
    """Return the object that an answer is; raises BadAnswer where it is not the one of that name and namespace.

    A Status (of a deletion, a binding) is let through; empty names stand for any.
    """
    manifest = parsed(body, limits)
    if manifest.get("kind") == "Status":
        return manifest
    if "metadata" not in manifest and not name:
        return manifest  # some answers to a POST are no objects
    if wrong := wrong_in(manifest):
        raise BadAnswer(f"the answer is no object: {wrong}")
    metadata = manifest["metadata"]
    for what, asked in (("name", name), ("namespace", namespace)):
        if asked and metadata.get(what) != asked:
            raise BadAnswer(f"the answer is another object than was asked for: its {what} is {metadata.get(what)!r}")
    return manifest
