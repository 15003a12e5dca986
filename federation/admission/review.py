"""One AdmissionReview: the pod as received in, a JSON patch (or a denial that names the field) out.

Works on the JSON as received; fields it does not know pass through. Denials are for what the user can mend; a pod
that is not elected is never touched or refused. Whatever comes in, the answer is a review, or an Unreadable that says
why it is none (rule T1).
"""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from federation import names
from federation.decisions.admission import admit, cleaned, restore, unseen_by_policies
from federation.decisions.patches import json_patch
from federation.model.reading import Unreadable, check
from federation.model.references import impossible_references
from federation.model.shape import Fields, Text
from federation.submitted import POD, BadAnnotation, parse_asking, parse_constraints, parse_kept_labels, parse_submitted

Manifest = dict[str, Any]

_WORD = Text(256)
_NAME_MAX, _GROUPS_MAX = 512, 64  # of a user, and of those that the user is in
_REQUEST = Fields({"uid": _WORD, "operation": _WORD, "namespace": _WORD, "object": Fields()}, ("uid",))
REVIEW = Fields({"apiVersion": _WORD, "kind": _WORD, "request": _REQUEST}, ("request",))
_ANNOTATIONS_MAX = 256 * 1024  # apimachinery: keys and values of all annotations of one object


def answer(body: object, finalizers_for: Callable[[str], Sequence[str]]) -> Manifest:
    """Return the AdmissionReview that answers the one received; raises Unreadable where it is none."""
    check(body, REVIEW, "AdmissionReview")
    assert isinstance(body, dict)
    response = review(body["request"], finalizers_for)
    return {"apiVersion": body.get("apiVersion"), "kind": "AdmissionReview", "response": response}


def review(request: Manifest, finalizers_for: Callable[[str], Sequence[str]]) -> Manifest:
    """Return the `response` of an AdmissionReview for its `request`.

    `finalizers_for(namespace)` returns the finalizers of the targets that serve a namespace.
    """
    response: Manifest = {"uid": request["uid"], "allowed": True}
    pod = request.get("object") or {}
    if request.get("operation") != "CREATE" or not _is_elected(pod):
        return response
    namespace = request.get("namespace") or ""
    try:
        check(pod, POD, "the pod")
        proxy = proxy_of(pod, list(finalizers_for(namespace)))
    except (BadAnnotation, Unreadable) as error:
        return response | {"allowed": False, "status": {"code": 400, "reason": "BadRequest", "message": str(error)}}
    proxy["metadata"]["annotations"][names.SUBMITTED_BY] = _submitter(request.get("userInfo"))
    patch = json_patch(pod, proxy)
    if patch:
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(orjson.dumps(patch)).decode()}
    return response


def to_judge(body: object) -> tuple[str, Manifest] | None:
    """Return namespace and pod that home's policies would not see as submitted, for them to judge (rule T8).

    None where there is nothing of the kind. Raises Unreadable for what is no AdmissionReview.
    """
    check(body, REVIEW, "AdmissionReview")
    assert isinstance(body, dict)
    request = body["request"]
    pod = request.get("object") or {}
    if request.get("operation") != "CREATE" or not _is_elected(pod):
        return None
    try:
        check(pod, POD, "the pod")
        judged = unseen_by_policies(_submitted(pod))
    except (BadAnnotation, Unreadable):
        return None  # the review says so
    return (request.get("namespace") or "", judged) if judged is not None else None


def denied(body: Manifest, code: int, message: str) -> Manifest:
    """Return the AdmissionReview that refuses the pod of this one."""
    status = {"code": code, "reason": "Forbidden", "message": message}
    response = {"uid": body["request"]["uid"], "allowed": False, "status": status}
    return {"apiVersion": body.get("apiVersion"), "kind": "AdmissionReview", "response": response}


def _submitter(user: object) -> str:
    """Return who creates the pod, as the API server says (rule T8), in bounded size."""
    found = user if isinstance(user, dict) else {}
    groups = found.get("groups")
    return orjson.dumps(
        {
            "user": str(found.get("username") or "")[:_NAME_MAX],
            "uid": str(found.get("uid") or "")[:_NAME_MAX],
            "groups": [str(group)[:_NAME_MAX] for group in (groups if isinstance(groups, list) else [])[:_GROUPS_MAX]],
        }
    ).decode()


def _is_elected(pod: Manifest) -> bool:
    metadata = pod.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return isinstance(annotations, dict) and names.ELECT in annotations


def proxy_of(pod: Manifest, finalizers: Sequence[str]) -> Manifest:
    """Return the proxy of an elected pod, also of one that already is a proxy (the webhook may be called again).

    Raises BadAnnotation for what its user can mend.
    """
    if fields := impossible_references(pod["spec"]):
        raise BadAnnotation(f"{fields[0]} must be a valid object name (a DNS-1123 subdomain)")
    annotations = pod["metadata"]["annotations"]
    constraints = parse_constraints(annotations)
    parse_kept_labels(annotations)
    parse_asking(annotations)
    source = _submitted(pod)
    proxy = admit(source, saved=orjson.dumps(source).decode(), finalizers=finalizers, constraints=constraints)
    size = sum(len(key.encode()) + len(text.encode()) for key, text in proxy["metadata"]["annotations"].items())
    if size > _ANNOTATIONS_MAX:
        raise BadAnnotation(
            f"metadata.annotations[{names.SOURCE_POD_MANIFEST}], which keeps the pod as submitted, would make the "
            f"annotations {size} bytes long; an API server takes {_ANNOTATIONS_MAX}: make the pod smaller"
        )
    return proxy


def _submitted(pod: Manifest) -> Manifest:
    """Return the pod as its user means it, also where it is a proxy already. Raises BadAnnotation."""
    annotations = pod["metadata"]["annotations"]
    if names.SOURCE_POD_MANIFEST not in annotations:
        return cleaned(pod)
    return cleaned(restore(pod, parse_submitted(annotations), parse_constraints(annotations)))
