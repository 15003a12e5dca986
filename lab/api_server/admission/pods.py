"""What upstream's built-in plugins do to pods, and the taint they put on new nodes."""

from random import Random

from lab.api_server.admission.plugins import Attributes, Cluster, Plugin
from lab.api_server.core.manifest import Manifest
from lab.api_server.core.names import suffix
from lab.api_server.core.status import forbidden

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
TOKEN_SECONDS = 3607  # upstream's odd number, by which a token shows that it was asked for by the server
NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
EVICTION_SECONDS = 300
MIRROR = "kubernetes.io/config.mirror"


def service_account(random: Random) -> Plugin:
    """Return the ServiceAccount plugin: the account must exist, and its token is mounted."""

    def admit(attributes: Attributes, cluster: Cluster) -> None:
        if not attributes.is_for("pods", "CREATE") or MIRROR in (attributes.new["metadata"].get("annotations") or {}):
            return
        spec = attributes.new["spec"]
        name = spec.get("serviceAccountName") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = cluster.find("serviceaccounts", attributes.namespace, name)
        if account is None:
            why = f'error looking up service account {attributes.namespace}/{name}: serviceaccount "{name}" not found'
            raise forbidden("", "pods", attributes.name or attributes.new["metadata"].get("name", ""), why)
        if account.get("imagePullSecrets") and not spec.get("imagePullSecrets"):
            spec["imagePullSecrets"] = account["imagePullSecrets"]
        mounts = spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True))
        if mounts:
            _mount_token(spec, random)

    return admit


def _mount_token(spec: Manifest, random: Random) -> None:
    volumes = spec.get("volumes") or []
    existing = next((one["name"] for one in volumes if str(one.get("name", "")).startswith("kube-api-access-")), None)
    name = existing or f"kube-api-access-{suffix(random)}"
    needed = existing is not None
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        mounts = container.get("volumeMounts") or []
        if any(mount.get("mountPath") == TOKEN_PATH for mount in mounts):
            continue
        container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": TOKEN_PATH}]
        needed = True
    if needed and existing is None:
        spec["volumes"] = [*volumes, _token_volume(name)]


def _token_volume(name: str) -> Manifest:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 420}}


def priority(attributes: Attributes, cluster: Cluster) -> None:
    """Resolve the priority class of a new pod."""
    if not attributes.is_for("pods", "CREATE"):
        return
    spec = attributes.new["spec"]
    name, value, policy = spec.get("priorityClassName"), 0, "PreemptLowerPriority"
    if name:
        found = cluster.find("priorityclasses.scheduling.k8s.io", "", name)
        if found is None:
            raise forbidden(
                "", "pods", attributes.new["metadata"].get("name", ""), f"no PriorityClass with name {name} was found"
            )
        value, policy = found["value"], found.get("preemptionPolicy", policy)
    else:
        for version in cluster.all("priorityclasses.scheduling.k8s.io"):
            if version.manifest.get("globalDefault"):
                spec["priorityClassName"] = version.key[1]
                value, policy = version.manifest["value"], version.manifest.get("preemptionPolicy", policy)
    spec["priority"] = value
    spec.setdefault("preemptionPolicy", policy)


def default_tolerations(attributes: Attributes, _cluster: Cluster) -> None:
    """Let a pod stay 300 s on a node that is not ready or unreachable, unless it says otherwise itself."""
    if not attributes.is_for("pods", "CREATE", "UPDATE"):
        return
    spec = attributes.new["spec"]
    tolerations = spec.get("tolerations") or []
    added = [
        _toleration(key) for key in (NOT_READY, UNREACHABLE) if not any(_tolerates(one, key) for one in tolerations)
    ]
    if added:
        spec["tolerations"] = [*tolerations, *added]


def _tolerates(toleration: Manifest, key: str) -> bool:
    return toleration.get("key") in (key, None, "") and toleration.get("effect") in ("NoExecute", None, "")


def _toleration(key: str) -> Manifest:
    return {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": EVICTION_SECONDS}


def taint_new_nodes(attributes: Attributes, _cluster: Cluster) -> None:
    """Keep pods off a node until the node-lifecycle controller has seen that it is ready."""
    if not attributes.is_for("nodes", "CREATE"):
        return
    spec = attributes.new.setdefault("spec", {})
    taints = spec.get("taints") or []
    if not any(one.get("key") == NOT_READY and one.get("effect") == "NoSchedule" for one in taints):
        spec["taints"] = [*taints, {"key": NOT_READY, "effect": "NoSchedule"}]
