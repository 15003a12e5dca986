"""Strategies of the smaller built-in kinds: namespaces, nodes, services, secrets, RBAC, webhooks and their like."""

import base64
from typing import Any

from lab.api_server.core.manifest import Manifest, at
from lab.api_server.core.metadata import label, path_segment
from lab.api_server.core.status import FieldError, required, unsupported, wrong
from lab.api_server.kinds import services
from lab.api_server.kinds.model import Strategy, keep_status, keep_status_only, spec_changed

RBAC = "rbac.authorization.k8s.io"


def _default_namespace(manifest: Manifest) -> None:
    metadata = manifest.setdefault("metadata", {})
    if metadata.get("name"):
        metadata["labels"] = (metadata.get("labels") or {}) | {"kubernetes.io/metadata.name": metadata["name"]}


def _new_namespace(manifest: Manifest) -> None:
    """Give a new namespace the finalizer that the namespace controller takes away when it is empty."""
    _default_namespace(manifest)
    manifest["spec"] = {"finalizers": ["kubernetes"]}
    manifest["status"] = {"phase": "Active"}


def _keep_namespace(new: Manifest, old: Manifest) -> None:
    keep_status(new, old)
    new["spec"] = old["spec"]


def _default_node(manifest: Manifest) -> None:
    manifest.setdefault("spec", {})
    status = manifest.setdefault("status", {})
    if "capacity" in status:
        status.setdefault("allocatable", dict(status["capacity"]))


def _default_secret(manifest: Manifest) -> None:
    manifest["type"] = manifest.get("type") or "Opaque"
    plain = manifest.pop("stringData", None)
    if plain:
        encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}
        manifest["data"] = (manifest.get("data") or {}) | encoded


def _validate_secret(manifest: Manifest) -> list[FieldError]:
    needed = {"kubernetes.io/tls": ("tls.crt", "tls.key"), "kubernetes.io/dockerconfigjson": (".dockerconfigjson",)}
    data = manifest.get("data") or {}
    return [required(f"data[{key}]") for key in needed.get(manifest["type"], ()) if key not in data]


def _immutable_secret(new: Manifest, old: Manifest) -> list[FieldError]:
    return [] if new["type"] == old["type"] else [wrong("type", new["type"], "field is immutable")]


def _default_binding(manifest: Manifest) -> None:
    reference = manifest.setdefault("roleRef", {})
    reference["apiGroup"] = reference.get("apiGroup") or RBAC
    for subject in manifest.get("subjects") or []:
        if subject.get("kind") in {"User", "Group"}:
            subject["apiGroup"] = subject.get("apiGroup") or RBAC


def _validate_binding(manifest: Manifest) -> list[FieldError]:
    reference = manifest["roleRef"]
    errors: list[FieldError] = []
    if reference.get("kind") not in {"Role", "ClusterRole"}:
        errors.append(unsupported("roleRef.kind", reference.get("kind", ""), ("ClusterRole", "Role")))
    if not reference.get("name"):
        errors.append(required("roleRef.name"))
    for index, subject in enumerate(manifest.get("subjects") or []):
        if subject.get("kind") == "ServiceAccount" and not subject.get("namespace"):
            errors.append(required(f"subjects[{index}].namespace"))
    return errors


def _immutable_role(new: Manifest, old: Manifest) -> list[FieldError]:
    if new["roleRef"] == old["roleRef"]:
        return []
    members = (("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name"))
    shown = ",".join(f'"{name}":"{new["roleRef"].get(member, "")}"' for name, member in members)
    return [wrong("roleRef", "{" + shown + "}", "field is immutable")]


def _default_webhooks(manifest: Manifest) -> None:
    mutating = manifest.get("kind") == "MutatingWebhookConfiguration"
    for webhook in manifest.get("webhooks") or []:
        webhook.setdefault("failurePolicy", "Fail")
        webhook.setdefault("matchPolicy", "Equivalent")
        webhook.setdefault("namespaceSelector", {})
        webhook.setdefault("objectSelector", {})
        webhook.setdefault("timeoutSeconds", 10)
        if mutating:
            webhook.setdefault("reinvocationPolicy", "Never")
        for rule in webhook.get("rules") or []:
            rule.setdefault("scope", "*")
        service = at(webhook, "clientConfig", "service")
        if service:
            service.setdefault("port", 443)


def _validate_webhooks(manifest: Manifest) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, webhook in enumerate(manifest.get("webhooks") or []):
        field = f"webhooks[{index}]"
        if len(str(webhook.get("name", "")).split(".")) < 3:
            detail = "should be a domain with at least three segments separated by dots"
            errors.append(wrong(f"{field}.name", webhook.get("name", ""), detail))
        if not webhook.get("sideEffects"):
            errors.append(required(f"{field}.sideEffects", "must specify one of None, NoneOnDryRun"))
        elif webhook["sideEffects"] not in {"None", "NoneOnDryRun"}:
            errors.append(unsupported(f"{field}.sideEffects", webhook["sideEffects"], ("None", "NoneOnDryRun")))
        if not webhook.get("admissionReviewVersions"):
            detail = "must specify one of v1, v1beta1"
            errors.append(required(f"{field}.admissionReviewVersions", detail))
        errors += _validate_client(webhook.get("clientConfig") or {}, f"{field}.clientConfig")
    return errors


def _validate_client(client: Manifest, field: str) -> list[FieldError]:
    url: Any = client.get("url")
    if (url is None) is (client.get("service") is None):
        return [required(field, "exactly one of url or service is required")]
    if url is not None and not str(url).startswith("https://"):
        return [
            wrong(f"{field}.url", url, "'https' is the only allowed URL scheme; desired format: https://host[/path]")
        ]
    return []


def _whole_changed(new: Manifest, old: Manifest) -> bool:
    return any(new.get(key) != old.get(key) for key in (new.keys() | old.keys()) - {"metadata"})


def _default_priority_class(manifest: Manifest) -> None:
    manifest.setdefault("preemptionPolicy", "PreemptLowerPriority")
    manifest.setdefault("value", 0)


def _default_claim(manifest: Manifest) -> None:
    spec = manifest.setdefault("spec", {})
    spec.setdefault("volumeMode", "Filesystem")
    manifest.setdefault("status", {}).setdefault("phase", "Pending")


def _default_volume(manifest: Manifest) -> None:
    spec = manifest.setdefault("spec", {})
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    manifest.setdefault("status", {}).setdefault("phase", "Pending")


def _default_storage_class(manifest: Manifest) -> None:
    manifest.setdefault("reclaimPolicy", "Delete")
    manifest.setdefault("volumeBindingMode", "Immediate")


def _clear_status(manifest: Manifest) -> None:
    manifest["status"] = {}


ROLE = Strategy(name_rule=path_segment)
BINDING = Strategy(
    default=_default_binding, validate=_validate_binding, validate_update=_immutable_role, name_rule=path_segment
)
WEBHOOKS = Strategy(default=_default_webhooks, validate=_validate_webhooks, changes_generation=_whole_changed)
STRATEGIES = {
    "namespaces": Strategy(
        default=_default_namespace, prepare_create=_new_namespace, prepare_update=_keep_namespace, name_rule=label
    ),
    "nodes": Strategy(default=_default_node, prepare_update=keep_status),
    "services": services.STRATEGY,
    "secrets": Strategy(default=_default_secret, validate=_validate_secret, validate_update=_immutable_secret),
    "serviceaccounts": Strategy(returns_deleted=True),
    f"roles.{RBAC}": ROLE,
    f"clusterroles.{RBAC}": ROLE,
    f"rolebindings.{RBAC}": BINDING,
    f"clusterrolebindings.{RBAC}": BINDING,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": WEBHOOKS,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": WEBHOOKS,
    "priorityclasses.scheduling.k8s.io": Strategy(default=_default_priority_class),
    "persistentvolumeclaims": Strategy(default=_default_claim, prepare_update=keep_status, returns_deleted=True),
    "persistentvolumes": Strategy(default=_default_volume, prepare_update=keep_status, returns_deleted=True),
    "storageclasses.storage.k8s.io": Strategy(default=_default_storage_class, returns_deleted=True),
    "leases.coordination.k8s.io": Strategy(create_on_update=True),
    "endpoints": Strategy(create_on_update=True),
    "events": Strategy(create_on_update=True),
    "endpointslices.discovery.k8s.io": Strategy(changes_generation=_whole_changed),
    "resourcequotas": Strategy(prepare_create=_clear_status, prepare_update=keep_status, returns_deleted=True),
    "poddisruptionbudgets.policy": Strategy(
        prepare_update=keep_status, changes_generation=spec_changed, unconditional_update=False
    ),
    "ingresses.networking.k8s.io": Strategy(prepare_update=keep_status, changes_generation=spec_changed),
    "certificatesigningrequests.certificates.k8s.io": Strategy(
        prepare_create=_clear_status, prepare_update=keep_status, prepare_status=keep_status_only
    ),
    "resourceclaims.resource.k8s.io": Strategy(prepare_update=keep_status),
    "volumeattachments.storage.k8s.io": Strategy(prepare_update=keep_status),
}
