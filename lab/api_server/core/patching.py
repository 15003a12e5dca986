"""PATCH: one function per media type that turns the current state into the wanted one.

Server-side apply is one more of them; what it may change is `ownership`'s to say.
"""

from datetime import datetime
from typing import Any

import orjson

from lab.api_server.core.decoding import check_unknown, normalized, read_body
from lab.api_server.core.json_patch import PatchError, json_patch, merge_patch
from lab.api_server.core.last_applied import remember
from lab.api_server.core.manifest import Manifest, is_true, timestamp
from lab.api_server.core.ownership import APPLY, Owner, apply_configuration
from lab.api_server.core.routes import Call
from lab.api_server.core.status import (
    ApiStatus,
    FieldError,
    bad_request,
    invalid,
    quoted,
    required,
    unsupported_media_type,
)
from lab.api_server.core.strategic_patch import strategic_merge
from lab.api_server.core.typed import NotDeclared
from lab.api_server.core.writing import Transform
from lab.api_server.kinds.strict import WrongType, examine, go_value

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


def transform_of(call: Call, now: datetime, headers: dict[str, str] | None = None) -> Transform:
    """Return the function that applies the request's patch; warnings go into `headers`."""
    media, patch = patch_type(call), read_body(call.request)
    _check_shape(media, patch)
    if media == APPLY_PATCH:
        return lambda current: _applied(call, current, patch, now)

    def change(current: Manifest) -> Manifest:
        shown = current if call.kind.from_storage is None else call.kind.from_storage(current)
        patched = _patched(call, media, shown, patch)
        patched = {**patched, "kind": shown["kind"], "apiVersion": shown["apiVersion"]}
        try:
            warned = check_unknown(call, patched)
        except WrongType as error:
            raise _not_fitting(media, patch, patched, error) from error
        if headers is not None:
            headers.update(warned)
        return normalized(call.kind, patched, call.namespace)

    return change


def _check_shape(media: str, patch: Any) -> None:
    """Refuse a patch that is no patch, in Go's words."""
    wanted: type = list if media == JSON_PATCH else dict
    if isinstance(patch, wanted):
        return
    shown = "array" if isinstance(patch, list) else "object" if isinstance(patch, dict) else "string"
    target = "[]handlers.jsonPatchOp" if media == JSON_PATCH else "map[string]interface {}"
    prefix = "" if media == STRATEGIC_PATCH else "error decoding patch: "
    raise bad_request(f"{prefix}json: cannot unmarshal {shown} into Go value of type {target}")


def _not_fitting(media: str, patch: Any, patched: Manifest, error: WrongType) -> ApiStatus:
    """Return the refusal of a patch whose result does not fit the kind; it shows the patch or the result."""
    shown = go_value(patch) if media == STRATEGIC_PATCH else orjson.dumps(patched).decode()
    detail = error.converted if media == STRATEGIC_PATCH else str(error)
    return invalid("", "", "", [FieldError("patch", f"Invalid value: {quoted(shown)}: {detail}")])


def _applied(call: Call, current: Manifest, config: Manifest, now: datetime) -> Manifest:
    """Return what server-side apply makes of the current object, {} where there is none."""
    manager = call.request.parameter("fieldManager")
    if not manager:
        error = required("fieldManager", "is required for apply patch")
        raise invalid("meta.k8s.io", "PatchOptions", "", [error])
    if (config.get("metadata") or {}).get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    config = {"apiVersion": call.kind.api_version, "kind": call.kind.kind, **config}
    config["metadata"] = {**(config.get("metadata") or {})}
    config["metadata"].setdefault("name", call.name)
    if call.kind.namespaced:
        config["metadata"].setdefault("namespace", call.namespace)
    subresource = call.subresource.name if call.subresource else ""
    owner = Owner(manager, APPLY, call.kind.api_version, subresource)
    try:
        if not call.kind.is_custom:
            examine(config, call.kind.schema)
        applied = apply_configuration(
            call.kind, owner, current, config, timestamp(now), force=is_true(call.request.parameter("force"))
        )
    except (NotDeclared, WrongType) as error:
        raise _untyped(call, config, str(error)) from error
    if manager == "kubectl":
        remember(current, applied, config)
    return normalized(call.kind, applied, call.namespace)


def _untyped(call: Call, config: Manifest, why: str) -> ApiStatus:
    place = "/".join(filter(None, (call.namespace, config["metadata"]["name"])))
    shown = f"{place}; {call.kind.group}/{call.kind.version}, Kind={call.kind.kind}"
    return ApiStatus(500, "", f"failed to create typed patch object ({shown}): {why}")


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
