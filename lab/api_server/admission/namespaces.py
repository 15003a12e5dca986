"""NamespaceLifecycle: nothing is made in a namespace that is missing or going; the system's own cannot be deleted."""

from lab.api_server.admission.plugins import Attributes, Cluster
from lab.api_server.core.status import FieldError, forbidden, not_found

IMMORTAL = frozenset({"default", "kube-system", "kube-public"})


def namespace_lifecycle(attributes: Attributes, cluster: Cluster) -> None:
    """Check the namespace of a write."""
    kind = attributes.kind
    if kind.shelf == "namespaces":
        if attributes.operation == "DELETE" and attributes.name in IMMORTAL:
            raise forbidden("", "namespaces", attributes.name, "this namespace may not be deleted")
        return
    if not kind.namespaced or attributes.operation == "DELETE":
        return
    namespace = cluster.find("namespaces", "", attributes.namespace)
    if namespace is None:
        raise not_found("", "namespaces", attributes.namespace)
    if attributes.operation == "CREATE" and "deletionTimestamp" in namespace["metadata"]:
        why = f"unable to create new content in namespace {attributes.namespace} because it is being terminated"
        status = forbidden(kind.group, kind.plural, attributes.name, why)
        cause = FieldError("metadata.namespace", f"namespace {attributes.namespace} is being terminated")
        assert status.details is not None
        status.details["causes"] = [{"reason": "NamespaceTerminating", "message": cause.message, "field": cause.field}]
        raise status
