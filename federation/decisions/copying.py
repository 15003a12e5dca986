"""What to do about one Service or Ingress that may follow its pods: the same for both kinds, and for every target.

    followed                a copy in every reachable target, each with a finalizer on the original that was there first
    not followed, or going  no copy anywhere; a finalizer goes once its target confirmed that
    gone                    no copy anywhere

Every action is safe to repeat and safe to lose: the next look sees what became of it. The original is written first and
alone (`Mark`), so that no copy is made that a crash could make us forget, and none of one that is half rewritten.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from federation import names
from federation.model.copied import Copy, Original

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CopyView:
    """One target as this object sees it.

    `trouble` says why nothing there can be believed or written now; empty in the good case. A target that `is_leaving`
    gets nothing new and gives back what it has. `copy` is what is known to be there of ours under the object's name.
    """

    name: str
    finalizer: str
    trouble: str = ""
    is_leaving: bool = False
    copy: Copy | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """Patch the original, with uid and resourceVersion."""

    patch: Manifest


@dataclass(frozen=True, slots=True)
class Put:
    """Bring the copy in a target to what it should be."""

    finalizer: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete a copy, with uid and resourceVersion; of an original that is gone only after a live NotFound of it."""

    finalizer: str
    copy: Copy


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove finalizers: each after its target confirmed, live, that there is no copy, or has gone itself."""

    finalizers: tuple[str, ...]


Action = Mark | Put | Remove | Forget


def decide(
    original: Original | None, *, is_followed: bool, change: Manifest, views: tuple[CopyView, ...]
) -> tuple[Action, ...]:
    """Return what to write for one object (None: it is gone).

    `change` is the patch that makes annotations and spec of the original what they should be; empty where they are.
    """
    if original is None:
        return tuple(_removals(views))
    known = {view.finalizer for view in views}
    if original.is_terminating or not is_followed:
        if change and not original.is_terminating:
            return (Mark(change),)
        return (*_removals(views), *_forgetting(original, views, known))
    ready = [view for view in views if not view.trouble and not view.is_leaving]
    leaving = tuple(view for view in views if view.is_leaving)
    if patch := _marked(original, change, tuple(view.finalizer for view in ready)):
        return (Mark(patch),)
    puts = [Put(view.finalizer) for view in ready]
    return (*puts, *_removals(leaving), *_forgetting(original, leaving, known))


def _marked(original: Original, change: Manifest, finalizers: tuple[str, ...]) -> Manifest:
    """Return the patch that puts the targets on record as well."""
    missing = [name for name in finalizers if name not in original.finalizers]
    metadata: Manifest = dict(change.get("metadata") or {})
    if missing:
        metadata["finalizers"] = [*original.other_finalizers, *original.finalizers, *missing]
    if names.HAS_FINALIZER not in original.labels and (missing or original.finalizers):
        metadata["labels"] = {names.HAS_FINALIZER: "true"}
    return {**change, "metadata": metadata} if metadata else change


def _removals(views: tuple[CopyView, ...]) -> list[Remove]:
    return [
        Remove(view.finalizer, view.copy)
        for view in views
        if view.copy is not None and not view.trouble and not view.copy.is_terminating
    ]


def _forgetting(original: Original, clearing: tuple[CopyView, ...], known: set[str]) -> list[Forget]:
    """Forget the targets among `clearing` that show no copy, and those that nothing is `known` of any more."""
    done = {view.finalizer for view in clearing if view.copy is None and not view.trouble}
    found = tuple(name for name in original.finalizers if name in done or name not in known)
    return [Forget(found)] if found else []


def forgotten(original: Original, finalizers: tuple[str, ...]) -> Manifest:
    """Return the patch that removes these finalizers, and with the last of them the label that says there are some."""
    left = [name for name in original.finalizers if name not in finalizers]
    metadata: Manifest = {"finalizers": [*original.other_finalizers, *left]}
    if not left and names.HAS_FINALIZER in original.labels:
        metadata["labels"] = {names.HAS_FINALIZER: None}
    return {"metadata": metadata}


def copied_metadata(
    original: Original, cluster_name: str, existing: Copy | None, is_let_out: Callable[[str], bool]
) -> Manifest:
    """Return what a copy's metadata should be.

    Annotations are orders to a target's load balancers, DNS and ingress controllers: besides the contract's own those
    travel that `is_let_out` (rule T5). Labels that Kubernetes' own controllers of Services obey stay behind.

    Labels and annotations that are new or changed follow; those that are on the copy already stay, because the target's
    own controllers (of load balancers, say) write there too.
    """
    annotations = {key: value for key, value in original.annotations.items() if _is_copied(key, is_let_out)}
    ours = {
        names.IS_DELEGATE: "",
        names.PARENT_NAMESPACE: original.namespace,
        names.PARENT_NAME: original.name,
    }
    labels = {key: value for key, value in original.labels.items() if not key.startswith(_LABELS_THAT_STAY)}
    parent = {names.PARENT_UID: original.uid, names.PARENT_CLUSTER_NAME: cluster_name}
    known: Mapping[str, Any] = existing.manifest["metadata"] if existing else {}
    return {
        **known,
        "name": original.name,
        "namespace": original.namespace,
        "labels": {**(known.get("labels") or {}), **labels, **parent},
        "annotations": {**(known.get("annotations") or {}), **annotations, **ours},
    }


_OF_THE_CONTRACT = (names.GLOBAL, names.ORIGINAL_SELECTOR, names.CILIUM_GLOBAL)
_LABELS_THAT_STAY = (names.PREFIX, names.OURS, "service.kubernetes.io/", "endpointslice.kubernetes.io/")


def _is_copied(key: str, is_let_out: Callable[[str], bool]) -> bool:
    if key.startswith((names.PREFIX, names.OURS)):
        return key in _OF_THE_CONTRACT
    return key in _OF_THE_CONTRACT or is_let_out(key)


def nothing(_: str) -> bool:
    """Whether an annotation travels where no setting says so: none but the contract's own."""
    return False
