"""ObjectMeta: what the server fills in, what a client may change, and the names it accepts.

Messages are those of apimachinery's `validation` package.
"""

import re
from collections.abc import Callable
from datetime import datetime

from lab.api_server.core.manifest import Manifest
from lab.api_server.core.status import FieldError, forbidden_field, required, wrong

KNOWN = (
    *("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation"),
    *("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"),
    *("labels", "annotations", "ownerReferences", "finalizers", "managedFields"),
)
LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
NAME = r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})
ANNOTATIONS_BYTES_MAX = 256 * 1024

NameRule = Callable[[str], list[str]]


def _example(what: str, example: str, pattern: str) -> str:
    return f"{what} (e.g. '{example}', regex used for validation is '{pattern}')"


def subdomain(name: str) -> list[str]:
    """Check a DNS-1123 subdomain, the name rule of most kinds."""
    errors = [] if len(name) <= 253 else ["must be no more than 253 characters"]
    if not re.fullmatch(SUBDOMAIN, name):
        what = (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
            "and must start and end with an alphanumeric character"
        )
        errors.append(_example(what, "example.com", SUBDOMAIN))
    return errors


def label(name: str) -> list[str]:
    """Check a DNS-1123 label, the rule for namespaces and container names."""
    errors = [] if len(name) <= 63 else ["must be no more than 63 characters"]
    if not re.fullmatch(LABEL, name):
        what = (
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
            "and must start and end with an alphanumeric character"
        )
        errors.append(_example(what, "my-name',  or '123-abc", LABEL))
    return errors


def path_segment(name: str) -> list[str]:
    """Check a name that only has to fit into a URL, the rule of RBAC kinds."""
    if name in {".", ".."}:
        return [f"may not be '{name}'"]
    return [f"may not contain '{bad}'" for bad in ("/", "%") if bad in name]


def qualified_name(key: str) -> list[str]:
    """Check a label or annotation key."""
    prefix, slash, name = key.rpartition("/")
    if slash and not prefix:
        return ["prefix part must be non-empty"]
    errors = [f"prefix part {message}" for message in (subdomain(prefix) if prefix else [])]
    if not name:
        errors.append("name part must be non-empty")
    elif len(name) > 63:
        errors.append("name part must be no more than 63 characters")
    if not re.fullmatch(QUALIFIED, name):
        what = (
            "name part must consist of alphanumeric characters, '-', '_' or '.', "
            "and must start and end with an alphanumeric character"
        )
        errors.append(_example(what, "MyName',  or 'my.name',  or '123-abc", QUALIFIED))
    return errors


def label_value(value: str) -> list[str]:
    """Check the value of a label."""
    errors = [] if len(value) <= 63 else ["must be no more than 63 characters"]
    if not re.fullmatch(NAME, value):
        what = (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
            "and must start and end with an alphanumeric character"
        )
        errors.append(_example(what, "MyValue',  or 'my_value',  or '12345", NAME))
    return errors


def clean(manifest: Manifest) -> Manifest:
    """Return the object with only known metadata members, none of them empty."""
    metadata = manifest.get("metadata") or {}
    kept = {key: metadata[key] for key in KNOWN if metadata.get(key) not in (None, "", {}, [])}
    return manifest | {"metadata": kept}


def validate(manifest: Manifest, rule: NameRule, *, is_generated: bool = False) -> list[FieldError]:
    """Check the metadata of a new object."""
    metadata = manifest["metadata"]
    name = metadata.get("name", "")
    errors: list[FieldError] = []
    if not name:
        errors.append(required("metadata.name", "name or generateName is required"))
    elif not is_generated:
        errors += [wrong("metadata.name", name, message) for message in rule(name)]
    return errors + labels_and_annotations(metadata) + owners(metadata) + finalizers(metadata)


def labels_and_annotations(metadata: Manifest, prefix: str = "metadata") -> list[FieldError]:
    """Check the two maps."""
    errors: list[FieldError] = []
    for key, value in (metadata.get("labels") or {}).items():
        field = f"{prefix}.labels"
        errors += [wrong(field, key, message) for message in qualified_name(key)]
        errors += [wrong(field, value, message) for message in label_value(str(value))]
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        errors += [wrong(f"{prefix}.annotations", key, message) for message in qualified_name(key.lower())]
    if sum(len(key) + len(str(value)) for key, value in annotations.items()) > ANNOTATIONS_BYTES_MAX:
        message = f"Too long: may not be more than {ANNOTATIONS_BYTES_MAX} bytes"
        errors.append(FieldError(f"{prefix}.annotations", message, "FieldValueTooLong"))
    return errors


def owners(metadata: Manifest) -> list[FieldError]:
    """Check ownerReferences: complete, and one controller at most."""
    errors: list[FieldError] = []
    controllers = []
    for index, owner in enumerate(metadata.get("ownerReferences") or []):
        field = f"metadata.ownerReferences[{index}]"
        errors += [
            wrong(f"{field}.{member}", "", f"{_dashed(member)} must not be empty")
            for member in ("apiVersion", "kind", "name", "uid")
            if not owner.get(member)
        ]
        if owner.get("controller"):
            controllers.append(owner)
    if len(controllers) > 1:
        first, second = (f"{one.get('kind')}/{one.get('name')}" for one in controllers[:2])
        detail = (
            f'Only one reference can have Controller set to true. Found "true" in references for {first} and {second}'
        )
        errors.append(wrong("metadata.ownerReferences", "", detail))
    return errors


def _dashed(member: str) -> str:
    return "version" if member == "apiVersion" else member


def finalizers(metadata: Manifest) -> list[FieldError]:
    """Check that finalizers are qualified names."""
    errors: list[FieldError] = []
    for name in metadata.get("finalizers") or []:
        errors += [wrong("metadata.finalizers", name, message) for message in qualified_name(name)]
        if "/" not in name and name not in STANDARD_FINALIZERS:
            errors.append(
                wrong(
                    "metadata.finalizers", name, "name is neither a standard finalizer name nor is it fully qualified"
                )
            )
    return errors


def carry_over(new: Manifest, old: Manifest) -> None:
    """Give an update the members that clients do not own; `new` is changed in place."""
    metadata, before = new["metadata"], old["metadata"]
    for member in ("uid", "creationTimestamp", "namespace", "generateName"):
        if member in before:
            metadata.setdefault(member, before[member])
    created = metadata.get("creationTimestamp")
    if created is None or _is_same_moment(created, before.get("creationTimestamp")):
        metadata["creationTimestamp"] = before.get("creationTimestamp")
    metadata.pop("generation", None)
    for member in ("generation", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if member in before:
            metadata[member] = before[member]
        else:
            metadata.pop(member, None)


def _is_same_moment(one: object, other: object) -> bool:
    """Whether two texts are one time: clients write `+00:00` for `Z`."""
    try:
        return datetime.fromisoformat(str(one)) == datetime.fromisoformat(str(other))
    except (TypeError, ValueError):
        return False


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """Check what an update may not do to metadata."""
    metadata, before = new["metadata"], old["metadata"]
    errors = [
        wrong(f"metadata.{member}", metadata.get(member), "field is immutable")
        for member in ("uid", "creationTimestamp")
        if metadata.get(member) != before.get(member)
    ]
    if "deletionTimestamp" in before:
        added = [one for one in metadata.get("finalizers") or [] if one not in (before.get("finalizers") or [])]
        if added:
            shown = ", ".join(f'"{one}"' for one in added)
            detail = "no new finalizers can be added if the object is being deleted"
            detail += f", found new finalizers []string{{{shown}}}"
            errors.append(forbidden_field("metadata.finalizers", detail))
    return errors + labels_and_annotations(metadata) + owners(metadata) + finalizers(metadata)
