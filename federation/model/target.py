"""Target and ClusterTarget: in a source, how to reach a target and whom it serves.

A Target that cannot be used stays one: were it taken for gone, so would be what runs behind it. It says what is wrong
with it (`flaw`), and nobody connects to it or touches the Secret that it names.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from federation import names
from federation.model.pod_shapes import conditions
from federation.model.reading import METADATA, fitting, reads
from federation.model.shape import Fields, Flag, Text, Whole, is_object_name
from federation.model.times import parse_time

_WEIGHT_MAX = 100  # deploy/crds
_WORD_MAX = 1024
_REGEXP_MAX = 4096  # deploy/crds
_SECRET = Fields({key: Text(_WORD_MAX) for key in ("name", "namespace", "key", "context")})
_SPEC = Fields(
    {
        "self": Flag(),
        "kubeconfigSecret": _SECRET,
        "weight": Whole(1, _WEIGHT_MAX),
        "excludedLabelsRegexp": Text(_REGEXP_MAX),
    }
)
_STATUS = Fields({"conditions": conditions(), "clusterID": Text(_WORD_MAX), "virtualNodeName": Text(_WORD_MAX)})


@dataclass(frozen=True, slots=True)
class Target:
    """A Target, or with an empty `namespace` a ClusterTarget.

    A Target serves pods of its own namespace, a ClusterTarget those of all. `secret_*` are empty where `is_self`.
    Of two targets with equal shares of room left the one with more `weight` is asked first. Two are equal where their
    connections would be: status and marks change while a connection lasts. `is_held` says whether it carries our
    finalizer, `deleted_at` since when it is being deleted, `held_secret` which Secret we keep for it,
    `loss_accepted_at` until when a person has accepted what it lost (rule S4). `flaw` says why it cannot be used, and
    what to mend; empty where it can.
    """

    namespace: str
    name: str
    uid: str
    is_self: bool
    secret_namespace: str
    secret_name: str
    secret_key: str
    context: str
    excluded_labels_regexp: str
    flaw: str = ""
    weight: int = field(default=1, compare=False)  # no reason to connect anew
    generation: int = field(default=0, compare=False)
    status: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    is_held: bool = field(default=False, compare=False)
    deleted_at: datetime | None = field(default=None, compare=False)
    held_secret: str = field(default="", compare=False)
    loss_accepted_at: datetime | None = field(default=None, compare=False)

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name)."""
        return self.namespace, self.name

    @property
    def kind(self) -> str:
        """`Target` or `ClusterTarget`."""
        return "Target" if self.namespace else "ClusterTarget"

    @property
    def is_going(self) -> bool:
        """Whether it is being deleted."""
        return self.deleted_at is not None

    @property
    def cluster_id(self) -> str:
        """The id of the cluster that it was connected to first, by our record in its status; empty for none yet."""
        return str(self.status.get("clusterID") or "")

    @property
    def secret_finalizer(self) -> str:
        """The finalizer that stands for it on its kubeconfig Secret."""
        return names.secret_finalizer(self.namespace, self.name)

    def condition(self, kind: str) -> dict[str, Any]:
        """Return a condition of its status, or {}."""
        return next((dict(c) for c in self.status.get("conditions") or [] if c["type"] == kind), {})

    @property
    def node_name(self) -> str:
        """The name of its virtual node."""
        return names.virtual_node_name(self.namespace, self.name)

    @property
    def label(self) -> str:
        """What marks its chaperons in the target cluster, where other Targets' may be beside them."""
        return names.target_key(self.namespace, self.name)

    @property
    def finalizer(self) -> str:
        """The finalizer that stands for it on proxy pods."""
        return names.finalizer(self.namespace, self.name)

    def serves(self, namespace: str) -> bool:
        """Whether pods of a namespace may go there."""
        return self.namespace in ("", namespace)


def _flaw(spec: object, namespace: str) -> str:
    """Return what of a spec makes it useless; empty for nothing."""
    if not isinstance(spec, dict):
        return "spec must be an object"
    if fitting(spec, _SPEC) is not spec:
        return "spec: a field is of the wrong type or out of bounds; see the CustomResourceDefinition"
    secret = spec.get("kubeconfigSecret") or {}
    if spec.get("self"):
        return ""
    wanted = {"name": secret.get("name")} | ({} if namespace else {"namespace": secret.get("namespace")})
    for key, value in wanted.items():
        if not is_object_name(value):
            return f"spec.kubeconfigSecret.{key} must be a valid object name (a DNS-1123 subdomain)"
    return ""


def _held(text: str, namespace: str) -> str:
    """Return `<namespace>/<name>` of a Secret that may be ours to keep: a Target's is in its own namespace."""
    there, _, name = text.partition("/")
    is_possible = is_object_name(there) and is_object_name(name) and namespace in ("", there)
    return text if is_possible else ""


@reads("Target", Fields({"metadata": METADATA}, ("metadata",)))
def parse_target(manifest: dict[str, Any]) -> Target:
    """Return the target, of either kind. Raises Unreadable where it does not say who it is."""
    metadata = manifest["metadata"]
    namespace = metadata.get("namespace") or ""
    flaw = _flaw(manifest.get("spec") or {}, namespace)
    spec = {} if flaw else manifest.get("spec") or {}
    secret = spec.get("kubeconfigSecret") or {}
    annotations = metadata.get("annotations") or {}
    return Target(
        namespace=namespace,
        name=metadata["name"],
        uid=metadata["uid"],
        is_self=bool(spec.get("self")),
        secret_namespace=namespace or secret.get("namespace") or "",
        secret_name=secret.get("name") or "",
        secret_key=secret.get("key") or "config",
        context=secret.get("context") or "",
        excluded_labels_regexp=spec.get("excludedLabelsRegexp") or "",
        flaw=flaw,
        weight=spec.get("weight") or 1,
        generation=metadata.get("generation") or 0,
        status=fitting(manifest.get("status") or {}, _STATUS) or {},
        is_held=names.TARGET_FINALIZER in (metadata.get("finalizers") or []),
        deleted_at=parse_time(metadata.get("deletionTimestamp")),
        held_secret=_held(annotations.get(names.HELD_SECRET, ""), namespace),
        loss_accepted_at=parse_time(annotations.get(names.ACCEPT_LOSS)),
    )
