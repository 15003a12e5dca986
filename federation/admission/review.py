"""One AdmissionReview: the pod as received in, a JSON patch (or a denial that names the field) out.

Works on the JSON as received; fields it does not know pass through. Denials are for what the user can mend; a pod
that is not elected is never touched or refused.
"""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from federation import names
from federation.decisions.admission import admit, cleaned, restore
from federation.decisions.patches import json_patch
from federation.submitted import BadAnnotation, parse_asking, parse_constraints, parse_kept_labels, parse_submitted

Manifest = dict[str, Any]


def review(request: Manifest, finalizers_for: Callable[[str], Sequence[str]]) -> Manifest:
    """Return the `response` of an AdmissionReview for its `request`.

    `finalizers_for(namespace)` returns the finalizers of the targets that serve a namespace.
    """
    response: Manifest = {"uid": request["uid"], "allowed": True}
    pod = request.get("object") or {}
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    if request.get("operation") != "CREATE" or names.ELECT not in annotations:
        return response
    namespace = request.get("namespace") or ""
    try:
        proxy = proxy_of(pod, list(finalizers_for(namespace)))
    except BadAnnotation as error:
        return response | {"allowed": False, "status": {"code": 400, "reason": "BadRequest", "message": str(error)}}
    patch = json_patch(pod, proxy)
    if patch:
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(orjson.dumps(patch)).decode()}
    return response


def proxy_of(pod: Manifest, finalizers: Sequence[str]) -> Manifest:
    """Return the proxy of an elected pod, also of one that already is a proxy (the webhook may be called again)."""
    annotations = pod["metadata"]["annotations"]
    constraints = parse_constraints(annotations)
    parse_kept_labels(annotations)
    parse_asking(annotations)
    if names.SOURCE_POD_MANIFEST in annotations:
        source = cleaned(restore(pod, parse_submitted(annotations), constraints))
    else:
        source = cleaned(pod)
    return admit(source, saved=orjson.dumps(source).decode(), finalizers=finalizers, constraints=constraints)
