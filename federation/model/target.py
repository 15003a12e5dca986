"""Target and ClusterTarget: in a source, how to reach a target and whom it serves."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from federation import names
from federation.model.times import parse_time


@dataclass(frozen=True, slots=True)
class Target:
    """A Target, or with an empty `namespace` a ClusterTarget.

    A Target serves pods of its own namespace, a ClusterTarget those of all. `secret_*` are empty where `is_self`.
    Of two targets with equal shares of room left the one with more `weight` is asked first. Two are equal where their
    connections would be: status and marks change while a connection lasts. `is_held` says whether it carries our
    finalizer, `deleted_at` since when it is being deleted, `held_secret` which Secret we keep for it,
    `loss_accepted_at` until when a person has accepted what it lost (rule S4).
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


def parse_target(manifest: dict[str, Any]) -> Target:
    """Return the target, of either kind."""
    metadata, spec = manifest["metadata"], manifest.get("spec") or {}
    secret = spec.get("kubeconfigSecret") or {}
    namespace = metadata.get("namespace", "")
    annotations = metadata.get("annotations") or {}
    return Target(
        namespace=namespace,
        name=metadata["name"],
        uid=metadata["uid"],
        is_self=bool(spec.get("self")),
        secret_namespace=namespace or secret.get("namespace", ""),
        secret_name=secret.get("name", ""),
        secret_key=secret.get("key") or "config",
        context=secret.get("context") or "",
        excluded_labels_regexp=spec.get("excludedLabelsRegexp") or "",
        weight=spec.get("weight") or 1,
        generation=metadata.get("generation") or 0,
        status=manifest.get("status") or {},
        is_held=names.TARGET_FINALIZER in (metadata.get("finalizers") or []),
        deleted_at=parse_time(metadata.get("deletionTimestamp")),
        held_secret=annotations.get(names.HELD_SECRET, ""),
        loss_accepted_at=parse_time(annotations.get(names.ACCEPT_LOSS)),
    )
