"""PodChaperon: the object in a target that owns exactly one candidate or delegate pod.

Three parties write to it: its source, its target, and whoever else may in either. So only what it cannot do without
(who it is, that labels and annotations are texts) makes it unreadable; whatever else does not fit is as good as absent
(rule T1). A chaperon that hid itself by a bad annotation would be taken for one that is gone.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from federation import names
from federation.model.kept import keep, keep_manifest, opened, opened_manifest
from federation.model.pod import has_started
from federation.model.pod_shapes import TOLD_STATUS
from federation.model.reading import STORED, fitting, reads, whole
from federation.model.shape import Fields, is_object_name
from federation.model.times import parse_time

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chaperon:
    """A chaperon.

    `is_candidate` says whether its pod goes to the candidate scheduler, so that nothing but our extender binds it;
    `pod_uid` is the pod that may be bound, `replaceable` the one that another may take the place of (rule S7).
    `refusal` is why the target's scheduler has no node for it, empty where it did not refuse, `refused_at` since when;
    `has_started` says whether a container of its pod ever ran, `has_ended` whether the pod's phase is terminal.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    parent_namespace: str
    parent_name: str
    parent_uid: str
    parent_cluster_name: str
    is_marked_reserved: bool
    is_allowed: bool
    is_terminating: bool
    is_held_up: bool  # terminating, kept by a finalizer that is not the garbage collector's, which so leaves its pod
    waits_to_be_allowed: bool
    asked_after_ungate: bool
    pod_missing_since: datetime | None
    remade_count: int
    remade_at: datetime | None
    restart_policy: str
    is_candidate: bool
    pod_uid: str
    replaceable: str
    refusal: str
    refused_at: datetime | None
    has_started: bool = field(compare=False)  # no news by itself: a refusal goes, or the pod is missing, as well
    has_ended: bool = field(compare=False)
    status_text: bytes = field(repr=False)
    manifest_text: bytes = field(default=b"", compare=False, repr=False)

    @property
    def status(self) -> Manifest:
        """Its pod's status, as far as it has been told."""
        return opened(self.status_text) if self.status_text else {}

    @property
    def manifest(self) -> Manifest | None:
        """The whole object, where it is kept; read-only."""
        return opened_manifest(self.manifest_text) if self.manifest_text else None

    @property
    def is_reserved(self) -> bool:
        """Whether a node is held for it right now."""
        return self.is_marked_reserved and not self.is_terminating

    @property
    def parent_key(self) -> str:
        """`namespace/name` of the proxy pod."""
        return f"{self.parent_namespace}/{self.parent_name}"


_FOREGROUND = "foregroundDeletion"  # with it the garbage collector ends the pod first
_REMADE_MAX = 1_000_000  # no pod is made again so often: back-off is a minute by then


def _word(spec: object, key: str) -> str:
    word = spec.get(key) if isinstance(spec, dict) else None
    return word if isinstance(word, str) else ""


def _name(text: str | None) -> str:
    return text if text and is_object_name(text) else ""


def _refused(status: Manifest) -> Manifest:
    """Return the condition by which the target's scheduler says that it has no node, or {}."""
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return dict(condition)
    return {}


def _refusal(refused: Manifest) -> str:
    message = str(refused.get("message") or refused.get("reason") or "")
    return message.partition(" preemption: ")[0]  # what follows repeats it for preemption


@reads(names.CHAPERON_KIND, Fields({"metadata": STORED}, ("metadata",)))
def parse_chaperon(manifest: Manifest) -> Chaperon:
    """Return the thin chaperon, without its pod spec (the source's view). Raises Unreadable."""
    metadata = manifest["metadata"]
    annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    status = fitting(manifest.get("status") or {}, TOLD_STATUS) or {}
    count, _, moment = annotations.get(names.REMADE, "").partition(" ")
    return Chaperon(
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        parent_namespace=_name(annotations.get(names.PARENT_NAMESPACE)),
        parent_name=_name(annotations.get(names.PARENT_NAME)),
        parent_uid=labels.get(names.PARENT_UID, ""),
        parent_cluster_name=labels.get(names.PARENT_CLUSTER_NAME, ""),
        is_marked_reserved=names.IS_RESERVED in annotations,
        is_allowed=names.IS_ALLOWED in annotations,
        is_terminating=bool(metadata.get("deletionTimestamp")),
        is_held_up="deletionTimestamp" in metadata and _FOREGROUND not in (metadata.get("finalizers") or []),
        waits_to_be_allowed=names.WAITS_TO_BE_ALLOWED in annotations,
        asked_after_ungate=names.ASKED_AFTER_UNGATE in annotations,
        pod_missing_since=parse_time(annotations.get(names.POD_MISSING_SINCE)),
        remade_count=min(whole(count), _REMADE_MAX),
        remade_at=parse_time(moment),
        restart_policy=_word(manifest.get("spec"), "restartPolicy") or "Always",
        is_candidate=_word(manifest.get("spec"), "schedulerName") == names.CANDIDATE_SCHEDULER,
        pod_uid=annotations.get(names.POD_UID, ""),
        replaceable=annotations.get(names.REPLACEABLE, ""),
        refusal=_refusal(_refused(status)),
        refused_at=parse_time(_refused(status).get("lastTransitionTime")),
        has_started=has_started(status),
        has_ended=status.get("phase") in ("Succeeded", "Failed"),
        status_text=keep(status) if status else b"",
    )


def parse_whole_chaperon(manifest: Manifest) -> Chaperon:
    """Return the chaperon (the target's view), with its manifest until a pod was made of it. Raises Unreadable."""
    thin = parse_chaperon(manifest)
    return thin if thin.status_text else replace(thin, manifest_text=keep_manifest(manifest))
