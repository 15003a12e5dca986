"""From a request body to a manifest of the expected kind."""

from typing import Any

import orjson
import yaml

from lab.api_server.core import protobuf
from lab.api_server.core.manifest import Manifest, without_nulls
from lab.api_server.core.metadata import clean
from lab.api_server.core.request import Request
from lab.api_server.core.routes import Call
from lab.api_server.core.status import bad_request, unsupported_media_type
from lab.api_server.kinds.model import Kind
from lab.api_server.kinds.schema import prune
from lab.api_server.kinds.strict import WrongType, examine

PROTOBUF = "application/vnd.kubernetes.protobuf"
NAMESPACE_MISMATCH = "the namespace of the provided object does not match the namespace sent on the request"


def read_body(request: Request) -> Any:
    """Parse JSON or YAML, whichever the request says it is."""
    media = request.header("content-type").split(";")[0].strip() or "application/json"
    if media in {"application/json", "application/merge-patch+json", "application/json-patch+json"}:
        return _json(request.body)
    if media == PROTOBUF:
        return protobuf.read(request.body)
    if media in {"application/yaml", "application/apply-patch+yaml"}:
        try:
            return yaml.safe_load(request.body)
        except yaml.YAMLError as error:
            raise bad_request(f"error converting YAML to JSON: {error}") from error
    if media == "application/strategic-merge-patch+json":
        return _json(request.body)
    supported = "application/json, application/yaml"
    raise unsupported_media_type(
        f"the body of the request was in an unknown format - accepted media types include: {supported}"
    )


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(
            f"the object provided is unrecognized: couldn't get version/kind; json parse error: {error}"
        ) from error


def read_manifest(request: Request, kind: str, api_version: str) -> Manifest:
    """Parse a body that must be an object of `kind`; kind and apiVersion may be left out."""
    manifest = read_body(request)
    if not isinstance(manifest, dict):
        raise bad_request(f"the object provided is unrecognized (must be of type {kind})")
    given_kind, given_version = manifest.get("kind") or kind, manifest.get("apiVersion") or api_version
    if given_kind != kind:
        raise bad_request(
            f'{given_kind} in version "{given_version.rsplit("/", 1)[-1]}" cannot be handled as a {kind}: '
            f"converting ({given_kind}) to ({kind}): unknown conversion"
        )
    if given_version != api_version:
        raise bad_request(
            f"the API version in the data ({given_version}) does not match the expected API version ({api_version})"
        )
    return manifest


def normalized(kind: Kind, manifest: Manifest, namespace: str) -> Manifest:
    """Return the manifest in storage form: kind first, known metadata, namespace filled in, no nulls, defaults."""
    if kind.to_storage is not None:
        manifest = kind.to_storage(manifest)
    if kind.strategy.drops_nulls:
        status = manifest.get("status")
        manifest = without_nulls(manifest)
        if status is not None:
            manifest["status"] = status  # null timestamps in conditions are shown as upstream shows them
    manifest = clean(manifest)
    metadata = manifest["metadata"]
    if kind.namespaced:
        if metadata.setdefault("namespace", namespace) != namespace:
            raise bad_request(NAMESPACE_MISMATCH)
    else:
        metadata.pop("namespace", None)
    api_version = "v1" if kind.to_storage is not None and kind.storage == "events" else manifest.get("apiVersion")
    head: Manifest = {"kind": kind.kind, "apiVersion": api_version or kind.api_version}
    manifest = head | {key: value for key, value in manifest.items() if key not in head}
    kind.strategy.default(manifest)
    return manifest


def check_unknown(call: Call, manifest: Manifest) -> dict[str, str]:
    """Refuse values of a wrong type; refuse, warn about or pass unknown fields, as `fieldValidation` says."""
    kind, mode = call.kind, call.request.parameter("fieldValidation") or "Warn"
    head = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
    if call.verb == "patch":
        head = ""
    try:
        found = unknown_fields(kind, manifest)
    except WrongType as error:
        if call.verb == "patch":
            raise  # patches tell of it in words of their own
        raise bad_request(f"{head}{error}") from error
    unknown = [f'unknown field "{path}"' for path in found]
    if unknown and mode == "Strict":
        raise bad_request(f"{head}strict decoding error: {', '.join(unknown)}")
    return {} if mode == "Ignore" else warnings(unknown)


def unknown_fields(kind: Kind, manifest: Manifest) -> list[str]:
    """Return the fields that a kind does not have; those of built-in kinds are dropped, as decoding does."""
    if kind.is_custom:
        return prune(orjson.loads(orjson.dumps(manifest)), kind.schema)
    found = examine(manifest, kind.schema)
    if found:
        prune(manifest, kind.schema)
    return found


def warnings(texts: list[str]) -> dict[str, str]:
    """Return the header that shows warnings to a person."""
    shown = [text.replace("\\", "\\\\").replace('"', '\\"') for text in texts]
    return {"Warning": ", ".join(f'299 - "{text}"' for text in shown)} if texts else {}
