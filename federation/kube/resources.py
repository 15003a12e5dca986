"""Where each kind lives in the API: group, version, plural, namespaced or not.

A name becomes part of a URL only where it is a name (rule T2): whoever wrote it, `../x` never reaches a server.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote

from federation.kube.errors import BadName

_NAME_LENGTH_MAX = 253
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")  # DNS-1123 subdomain
_RBAC_GROUP = "rbac.authorization.k8s.io"
_RBAC_NAME = re.compile(r"[^/%\x00-\x1f\x7f]+")  # path.IsValidPathSegmentName: `system:node` is one


def is_name(name: str) -> bool:
    """Whether `name` may name an object of any kind but RBAC's (a DNS-1123 subdomain)."""
    return len(name) <= _NAME_LENGTH_MAX and _NAME.fullmatch(name) is not None


def _checked(what: str, name: str, *, is_rbac: bool = False) -> str:
    """Return `name` as a segment of a path, or raise BadName."""
    is_good = is_name(name)
    if is_rbac and not is_good:
        is_good = len(name) <= _NAME_LENGTH_MAX and name not in (".", "..") and bool(_RBAC_NAME.fullmatch(name))
    if not is_good:
        raise BadName(f"{what} {name[:_NAME_LENGTH_MAX]!r} is no valid name (DNS-1123 subdomain); nothing was sent")
    return quote(name, safe="")


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object, as the API's paths name it."""

    group: str
    version: str
    plural: str
    kind: str
    is_namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def own(self, namespace: str) -> str:
        """Return `namespace` for a kind whose objects are in one, else an empty string."""
        return namespace if self.is_namespaced else ""

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the URL path of the collection, of one object, or of a subresource of one object.

        Raises BadName where namespace, name or subresource is not a valid one.
        """
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.is_namespaced and namespace:
            parts += ["namespaces", _checked("namespace", namespace)]
        parts.append(self.plural)
        if name:
            parts.append(_checked(f"the name of a {self.kind},", name, is_rbac=self.group == _RBAC_GROUP))
        if subresource:
            parts.append(_checked("subresource", subresource))
        return "/" + "/".join(parts)


PODS = Resource("", "v1", "pods", "Pod")
NODES = Resource("", "v1", "nodes", "Node", is_namespaced=False)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", is_namespaced=False)
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS = Resource("", "v1", "secrets", "Secret")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
SERVICES = Resource("", "v1", "services", "Service")
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses", "Ingress")
PERSISTENT_VOLUME_CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
EVENTS = Resource("", "v1", "events", "Event")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
JOBS = Resource("batch", "v1", "jobs", "Job")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet")
DAEMON_SETS = Resource("apps", "v1", "daemonsets", "DaemonSet")
STATEFUL_SETS = Resource("apps", "v1", "statefulsets", "StatefulSet")
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", is_namespaced=False)
CLUSTER_ROLE_BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", is_namespaced=False
)
PRIORITY_CLASSES = Resource("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", is_namespaced=False)
TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", is_namespaced=False)
SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", is_namespaced=False
)
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", is_namespaced=False
)
VALIDATING_ADMISSION_POLICIES = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", False
)
VALIDATING_ADMISSION_POLICY_BINDINGS = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", False
)
MUTATING_WEBHOOK_CONFIGURATIONS = Resource(
    "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", False
)
