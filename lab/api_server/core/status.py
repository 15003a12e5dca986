"""Failures, worded exactly as apimachinery's `errors` package words them, because clients and tests read them.

One exception class carries every failure to the edge, where it becomes a `Status` object; the constructors below are
the only places that know the wording. Anything else that escapes a request is a bug and becomes a 500.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.api_server.core.manifest import Manifest

REASON_NAMES = {
    "Required value": "FieldValueRequired",
    "Invalid value": "FieldValueInvalid",
    "Unsupported value": "FieldValueNotSupported",
    "Forbidden": "FieldValueForbidden",
    "Duplicate value": "FieldValueDuplicate",
    "Not found": "FieldValueNotFound",
    "Too long": "FieldValueTooLong",
    "Too many": "FieldValueTooMany",
    "Type invalid": "FieldValueTypeInvalid",
}


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: `field: message`, as field.Error prints it."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"


class ApiStatus(Exception):
    """A request that ends in a Status object with `code`."""

    def __init__(self, code: int, reason: str, message: str, details: Manifest | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details

    def body(self) -> Manifest:
        """Return the Status object."""
        status: Manifest = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        status["message"] = self.message
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


def quoted(value: Any) -> str:
    """Return a value as Go's %q or %v print it in field errors."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def required(field: str, detail: str = "") -> FieldError:
    """Return the error of a field that must be set."""
    return FieldError(field, "Required value" + (f": {detail}" if detail else ""), "FieldValueRequired")


def wrong(field: str, value: Any, detail: str) -> FieldError:
    """Return the error of a field whose value is not acceptable."""
    shown = value if isinstance(value, str) and value.startswith("{") else quoted(value)
    return FieldError(field, f"Invalid value: {shown}: {detail}")


def forbidden_field(field: str, detail: str) -> FieldError:
    """Return the error of a field that may not be set or changed like this."""
    return FieldError(field, f"Forbidden: {detail}", "FieldValueForbidden")


def unsupported(field: str, value: Any, allowed: Sequence[str]) -> FieldError:
    """Return the error of a value that is not one of an enumeration."""
    listed = ", ".join(quoted(one) for one in allowed)
    return FieldError(
        field, f"Unsupported value: {quoted(value)}: supported values: {listed}", "FieldValueNotSupported"
    )


def duplicate(field: str, value: Any) -> FieldError:
    """Return the error of a list entry that was there before."""
    return FieldError(field, f"Duplicate value: {quoted(value)}", "FieldValueDuplicate")


def details_of(name: str, group: str, kind: str) -> Manifest:
    """Return StatusDetails with only the members that are set."""
    return {key: value for key, value in (("name", name), ("group", group), ("kind", kind)) if value}


def qualified(group: str, plural: str) -> str:
    """Return `pods` or `deployments.apps`: a GroupResource as upstream prints it."""
    return f"{plural}.{group}" if group else plural


def not_found(group: str, plural: str, name: str) -> ApiStatus:
    """404 of an object that does not exist."""
    message = f'{qualified(group, plural)} "{name}" not found'
    return ApiStatus(404, "NotFound", message, details_of(name, group, plural))


def no_such_resource() -> ApiStatus:
    """404 of a path that no resource serves."""
    return ApiStatus(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> ApiStatus:
    """405 of a path that exists, for other methods."""
    message = "the server does not allow this method on the requested resource"
    return ApiStatus(405, "MethodNotAllowed", message, {})


def already_exists(group: str, plural: str, name: str) -> ApiStatus:
    """409 of a create whose name is taken."""
    message = f'{qualified(group, plural)} "{name}" already exists'
    return ApiStatus(409, "AlreadyExists", message, details_of(name, group, plural))


def conflict(group: str, plural: str, name: str, why: str) -> ApiStatus:
    """409 of a write that lost against another one."""
    message = f'Operation cannot be fulfilled on {qualified(group, plural)} "{name}": {why}'
    return ApiStatus(409, "Conflict", message, details_of(name, group, plural))


STALE = "the object has been modified; please apply your changes to the latest version and try again"


def forbidden(group: str, plural: str, name: str, why: str) -> ApiStatus:
    """403 of an admission plugin or authorizer."""
    named = f' "{name}"' if name else ""
    message = f"{qualified(group, plural)}{named} is forbidden: {why}"
    return ApiStatus(403, "Forbidden", message, details_of(name, group, plural))


def invalid(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> ApiStatus:
    """422 that names every wrong field."""
    texts = list(dict.fromkeys(f"{error.field}: {error.message}" for error in errors))
    joined = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    shown = f"{kind}.{group}" if group else kind
    causes = [{"reason": error.reason, "message": error.message, "field": error.field} for error in errors]
    details = details_of(name, group, kind) | {"causes": causes}
    return ApiStatus(422, "Invalid", f'{shown} "{name}" is invalid: {joined}', details)


def bad_request(message: str) -> ApiStatus:
    """400 with a free message."""
    return ApiStatus(400, "BadRequest", message)


def not_acceptable(message: str) -> ApiStatus:
    """406: the object cannot be shown in the form that was asked for."""
    return ApiStatus(406, "NotAcceptable", message)


def unauthorized() -> ApiStatus:
    """401: credentials were shown and are not good."""
    return ApiStatus(401, "Unauthorized", "Unauthorized")


def internal_error(message: str) -> ApiStatus:
    """500 of something the server itself needs, such as a webhook that cannot be reached."""
    details = {"causes": [{"message": message}]}
    return ApiStatus(500, "InternalError", f"Internal error occurred: {message}", details)


def expired(message: str) -> ApiStatus:
    """410: the revision asked for is no longer known; list again."""
    return ApiStatus(410, "Expired", message)


def too_old(asked: int, oldest: int) -> ApiStatus:
    """410 of a watch that starts before the event log."""
    return expired(f"too old resource version: {asked} ({oldest})")


def too_large(asked: int, current: int) -> ApiStatus:
    """504 of a revision that does not exist yet."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return ApiStatus(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})


def unsupported_media_type(message: str = "415: Unsupported Media Type") -> ApiStatus:
    """415 of a body in a format the resource does not take."""
    return ApiStatus(415, "UnsupportedMediaType", message, {})
