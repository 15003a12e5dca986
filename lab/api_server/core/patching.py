"""PATCH: one function per media type that turns the current state into the wanted one.

Server-side apply is create-or-merge: the applied manifest is merged into the object as a strategic merge patch (for
custom resources as a merge patch). Field ownership is not kept, so apply never conflicts and never removes.
"""

from typing import Any

from lab.api_server.core.decoding import check_unknown, normalized, read_body
from lab.api_server.core.json_patch import PatchError, json_patch, merge_patch
from lab.api_server.core.manifest import Manifest
from lab.api_server.core.routes import Call
from lab.api_server.core.status import ApiStatus, bad_request, unsupported_media_type
from lab.api_server.core.strategic_patch import strategic_merge
from lab.api_server.core.writing import Transform

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


def patch_type(call: Call) -> str:
    """Return the media type of a patch; 415 where the kind does not take it."""
    media = call.request.header("content-type").split(";")[0].strip()
    accepted = [JSON_PATCH, MERGE_PATCH, APPLY_PATCH]
    if not call.kind.is_custom:
        accepted.insert(2, STRATEGIC_PATCH)
    if media not in accepted:
        raise unsupported_media_type()
    return media


def transform_of(call: Call) -> Transform:
    """Return the function that applies the request's patch."""
    media, patch = patch_type(call), read_body(call.request)
    if media != JSON_PATCH and not isinstance(patch, dict):
        raise bad_request("a patch must be an object")

    def apply(current: Manifest) -> Manifest:
        shown = current if call.kind.from_storage is None else call.kind.from_storage(current)
        patched = _patched(call, media, shown, patch)
        check_unknown(call, patched)
        return normalized(call.kind, patched, call.namespace)

    return apply


def _patched(call: Call, media: str, current: Manifest, patch: Any) -> Manifest:
    try:
        if media == JSON_PATCH:
            return json_patch(current, patch)
        if media == MERGE_PATCH or call.kind.is_custom:
            merged: Manifest = merge_patch(current, patch)
        else:
            merged = strategic_merge(current, patch)
    except PatchError as error:
        if media == JSON_PATCH:
            raise ApiStatus(
                422, "Invalid", "the server rejected our request due to an error in our request", {}
            ) from error
        raise bad_request(str(error)) from error
    return merged


def applied_new(call: Call) -> Manifest:
    """Return the object that server-side apply creates where there is none."""
    manifest = read_body(call.request)
    if not isinstance(manifest, dict):
        raise bad_request("an applied configuration must be an object")
    manifest = dict(manifest)
    manifest.setdefault("metadata", {}).setdefault("name", call.name)
    return normalized(call.kind, manifest, call.namespace)
