"""Every annotation, label, finalizer, taint and object-name rule of the wire contract, once.

Keys under `multicluster.admiralty.io/` and the name rules are Admiralty's, so that manifests written for it, and an
Admiralty cluster at the other end, keep working. Keys under `isthmus.dev/` are ours.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import lru_cache

GROUP = "multicluster.admiralty.io"
VERSION = "v1alpha1"
PREFIX = GROUP + "/"
OURS = "isthmus.dev/"

# Labels and annotations that users write.
NAMESPACE_LABEL = "multicluster-scheduler"
NAMESPACE_LABEL_VALUE = "enabled"
ELECT = PREFIX + "elect"
NO_RESERVATION = PREFIX + "no-reservation"
PROXY_CONSTRAINTS = PREFIX + "proxy-pod-scheduling-constraints"
USE_CONSTRAINTS_FROM_SPEC = PREFIX + "use-constraints-from-spec-for-proxy-pod-scheduling"
NO_PREFIX_LABEL_REGEXP = PREFIX + "no-prefix-label-regexp"
ASK = OURS + "ask"  # how targets are asked; one of the values of model.pod.Asking
# All others under our two prefixes are admission's and the agent's alone (rule T8).
WRITTEN_BY_USERS = frozenset(
    {ELECT, NO_RESERVATION, PROXY_CONSTRAINTS, USE_CONSTRAINTS_FROM_SPEC, NO_PREFIX_LABEL_REGEXP, ASK}
)

# On proxy pods.
SOURCE_POD_MANIFEST = PREFIX + "sourcepod-manifest"
HAS_FINALIZER = PREFIX + "has-finalizer"
CANDIDATES_GATE = PREFIX + "candidates"
UNGATED_AT = OURS + "ungated-at"  # RFC 3339, when our gate was removed
ASKING = OURS + "asking"  # how targets are asked, as admission found: the user's wish, or what the spec needs
SPREAD = OURS + "spread"  # topology keys as submitted: "<label of virtual nodes>=<submitted key>,..."
SUBMITTED_BY = OURS + "submitted-by"  # JSON: user, uid, groups of who created the pod, as admission was told (rule T8)
RESERVED_CONDITION = PREFIX + "Reserved"  # why a proxy waits, cluster by cluster
RESERVATIONS = OURS + "reservations"  # "<virtual node>=<chaperon uid>,...": no other chaperon may be allowed (S7)

# On chaperons, and copied to candidate pods.
PARENT_NAME = PREFIX + "parent-name"
PARENT_NAMESPACE = PREFIX + "parent-namespace"
PARENT_UID = PREFIX + "parent-uid"
PARENT_CLUSTER_NAME = PREFIX + "parent-cluster-name"
IS_RESERVED = PREFIX + "is-reserved"
IS_ALLOWED = PREFIX + "is-allowed"
POD_MISSING_SINCE = PREFIX + "pod-missing-since"
WAITS_TO_BE_ALLOWED = OURS + "waits-to-be-allowed"  # no pod before is-allowed; Admiralty's chaperons lack it
ASKED_AFTER_UNGATE = OURS + "asked-after-ungate"  # its reservation may be bound by the agent itself (rule M1)
TARGET = OURS + "target"  # label: the source's target that it was made for; several may lead to one cluster
NODE_NAME = OURS + "node-name"  # the node held for it, beside is-reserved
REMADE = OURS + "remade"  # "<count> <RFC 3339>": how often the candidate was made again, and when last
# The two records of rule S7, written in the target alone.
POD_UID = OURS + "pod-uid"  # the pod that its reservation, and so being allowed, is for; beside is-reserved
REPLACEABLE = OURS + "replaceable"  # uid of a pod that surely never ran, or may run again: another may take its place

MOVED = OURS + "moved"  # "<key under our prefix>=<own key> ...": annotations that travel by another key (rule T5)

# In a target: what a Source stands for. The roles' names are part of the contract with Admiralty.
SOURCE_ROLE = "admiralty-source"
CLUSTER_SOURCE_ROLE = "isthmus-cluster-source"  # what a ClusterSource may follow in all namespaces at once
SOURCE_POLICIES = ("isthmus-source-podchaperons", "isthmus-source-copies")  # and their bindings (rule T3)
SUMMARY_VIEWER_ROLE = "admiralty-cluster-summary-viewer"
SOURCE = OURS + "source"  # label of everything made for a Source, one value per Source
SOURCE_OF = OURS + "source-of"  # annotation beside it: `<namespace>/<name>`, which a label cannot hold
ISSUED_AT = OURS + "issued-at"  # RFC 3339, on a credential's Secret
EXPIRES_AT = OURS + "expires-at"
ISSUED_FOR = OURS + "issued-for"  # what it was issued for and what was written: anything else is issued anew
SHARED = OURS + "shared"  # label, "true": its owner lets pods of sources read this ConfigMap or Secret (rule T6)
RENEWAL = OURS + "renewal"  # extension in a kubeconfig: the Secret of that cluster which holds the next one
# On Targets, ClusterTargets and their kubeconfig Secrets (rules S4, M7).
TARGET_FINALIZER = OURS + "target"  # a Target goes after all that it stands for is gone
HELD_SECRET = OURS + "held-secret"  # annotation: "<namespace>/<name>" of the Secret that carries our finalizer for it
ACCEPT_LOSS = OURS + "accept-loss"  # annotation, RFC 3339: what the target has lost until then is lost

# On Services and Ingresses that follow their pods, and on their copies in targets.
GLOBAL = PREFIX + "global"
IS_DELEGATE = PREFIX + "is-delegate"  # a copy: the source that its own cluster may be leaves it alone
ORIGINAL_SELECTOR = PREFIX + "original-selector"  # `k=v,k2=v2`, what a Service selected before it was rerouted
CILIUM_GLOBAL = "io.cilium/global-service"

# Schedulers.
CANDIDATE_SCHEDULER = "admiralty-candidate"

# Virtual nodes.
PROVIDER_KEY = "virtual-kubelet.io/provider"
PROVIDER = "admiralty"
TARGET_NAMESPACE = PREFIX + "target-namespace"
TARGET_NAME = PREFIX + "target-name"
CLUSTER_TARGET_NAME = PREFIX + "cluster-target-name"
HOSTNAME = "kubernetes.io/hostname"
SPREAD_PREFIX = "spread.isthmus.dev/"  # topology labels that only virtual nodes carry (rule C2)
SPREAD_LABEL = re.compile(re.escape(SPREAD_PREFIX) + r"[0-9a-f]{16}")

TARGET_GOING = OURS + "target-going"  # taint: its Target is being deleted

SUMMARY_NAME = "singleton"
CHAPERON_KIND = "PodChaperon"
API_VERSION = f"{GROUP}/{VERSION}"

_SHORT = 63  # a label value, a finalizer's name part
_LONG = 253  # an object's name
_HASH_LENGTH = 10
_NAMES_KEPT = 4096  # names of targets are asked for at every look at every pod; far fewer targets than this exist


def join_parts(limit: int, parts: Sequence[str], *, constant: Sequence[int] = (), optional: Sequence[int] = ()) -> str:
    """Join parts by `-`; where that could be ambiguous or too long, cut and append 10 hex digits of their SHA-256.

    Ambiguous: a non-constant part contains `-` beside another non-constant part, or an empty part is met where more
    than one may be empty. `constant` and `optional` are indices into `parts`. The result is at most `limit` long.
    """
    joined = "-".join(part for part in parts if part)
    variables = [part for index, part in enumerate(parts) if index not in constant]
    is_ambiguous = len(variables) > 1 and any("-" in part for part in variables)
    is_ambiguous |= len(optional) > 1 and any(not part for part in parts)
    if not is_ambiguous and len(joined) <= limit:
        return joined
    digest = hashlib.sha256("/".join(parts).encode()).hexdigest()[:_HASH_LENGTH]
    return joined[: limit - _HASH_LENGTH - 1].rstrip("-") + "-" + digest


@lru_cache(maxsize=_NAMES_KEPT)
def virtual_node_name(target_namespace: str, target_name: str) -> str:
    """Return the Node's name for a Target (or, with an empty namespace, a ClusterTarget)."""
    return join_parts(_LONG, ["admiralty", target_namespace, target_name], constant=[0], optional=[1])


@lru_cache(maxsize=_NAMES_KEPT)
def target_key(target_namespace: str, target_name: str) -> str:
    """Return a target's (with an empty namespace: a ClusterTarget's) name as one label value."""
    return join_parts(_SHORT, [target_namespace, target_name], optional=[0])


def source_names(namespace: str, name: str) -> tuple[str, str, str]:
    """Return the names of a Source's (with an empty namespace: a ClusterSource's) two bindings and its anchor.

    The first binding gives `admiralty-source`; the second, always cluster-wide, the summary. The names are Admiralty's.
    The anchor is an empty Secret beside the service account, without which no token of it is good.
    """
    if not namespace:
        first = "admiralty-cluster-source"
        viewer = join_parts(_LONG, [first, name, "cluster-summary-viewer"], constant=[0, 2])
    else:
        first = "admiralty-source"
        viewer = join_parts(_LONG, [first, namespace, name, "cluster-summary-viewer"], constant=[0, 3])
    secret = join_parts(_LONG, [first, name, "kubeconfig"], constant=[0, 2])
    return join_parts(_LONG, [first, name], constant=[0]), viewer, secret


def source_credential_name(namespace: str, name: str) -> str:
    """Return the name of a Source's (with an empty namespace: a ClusterSource's) credential in the agent's namespace.

    The Secret, and the Role and RoleBinding by which its holder fetches the next one, all have it.
    """
    if not namespace:
        return join_parts(_LONG, ["isthmus-cluster-source", name], constant=[0])
    return join_parts(_LONG, ["isthmus-source", namespace, name], constant=[0])


def source_label(namespace: str, name: str) -> str:
    """Return a Source's (with an empty namespace: a ClusterSource's) name as one label value."""
    return join_parts(_SHORT, [namespace, name], optional=[0])


def finalizer(target_namespace: str, target_name: str) -> str:
    """Return the finalizer that stands for a target."""
    return PREFIX + target_key(target_namespace, target_name)


def secret_finalizer(target_namespace: str, target_name: str) -> str:
    """Return the finalizer that keeps a kubeconfig Secret for a target; several targets may share the Secret."""
    return "target." + OURS + target_key(target_namespace, target_name)


def chaperon_name(pod_name: str, pod_uid: str, target: str) -> str:
    """Return the one name a proxy pod's chaperon has in a target (given by its key): a retry cannot make a second.

    The target is part of it because two Targets may lead to the same cluster.
    """
    digest = hashlib.sha256(f"{pod_uid}/{target}".encode()).hexdigest()[:16]
    return f"{pod_name[: _SHORT - 17].rstrip('-.')}-{digest}"


def delegate_labels(labels: dict[str, str], is_kept: Callable[[str], bool]) -> dict[str, str]:
    """Return the labels of a delegate: keys moved under our prefix, but for those whose `key=value` is_kept.

    Prefixed, they are not taken for the target's own pods by its Services and controllers.
    """
    return {
        key if is_kept(f"{key}={value}") else PREFIX + key.rpartition("/")[2]: value for key, value in labels.items()
    }
