"""Who reads what strangers write, the good manifests to spoil for it, and who uses what it returns.

A use is called with whatever a reader returned; it may return what we would send, which must then be JSON.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from federation import submitted
from federation.decisions import (
    audit,
    candidate,
    capacity,
    copying,
    eligibility,
    feedback,
    ingresses,
    mirroring,
    placement,
    services,
    source_status,
    target_status,
    trust,
    virtual_node,
)
from federation.decisions import source as source_decisions
from federation.decisions.admission import admit, restore, untied_spec
from federation.decisions.asking import Odds, shape, wanted_asking
from federation.decisions.believed import believed_status
from federation.decisions.intents import TargetView
from federation.model import audit_parsing, chaperon, copied, left_behind, pod, scheduling, source, summary, target
from federation.model import virtual_node as nodes
from federation.model.audit import SeenChaperon, SeenPod
from federation.model.reading import Unreadable
from federation.model.references import impossible_references, required
from federation.submitted import BadAnnotation
from tests.decisions import federations
from tests.fuzz import goods

NOW = datetime(2026, 11, 28, 12, 0, 5, tzinfo=UTC)
STAMP = "2026-11-28T12:00:05Z"
Use = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Reader:
    """`read` may raise `refusal` and nothing else."""

    read: Callable[[Any], Any]
    good: tuple[Any, ...]
    use: Use = lambda _: None
    refusal: type[Exception] = Unreadable


PROXIES = [pod.parse_proxy(good) for good in (goods.WAITING_PROXY, goods.BOUND_PROXY, goods.ENDING_PROXY)]
CHAPERONS = [
    chaperon.parse_whole_chaperon(good) for good in (goods.CHAPERON, goods.NEW_CHAPERON, goods.ALLOWED_CHAPERON)
]
PODS = [pod.parse_target_pod(good) for good in (goods.TARGET_POD, goods.REJECTED_POD)]
NODE = scheduling.parse_scheduling_node(goods.VIRTUAL_NODE)
TARGET = target.parse_target(goods.TARGET)
SOURCE = source.parse_source(goods.SOURCE)
SUMMARY = summary.parse_summary(goods.SUMMARY)
VIRTUAL = nodes.parse_virtual_node(goods.VIRTUAL_NODE)
ORIGINAL, COPY = copied.parse_original(goods.SERVICE), copied.parse_copy(goods.COPY)


def _view(name: str, found: chaperon.Chaperon | None) -> TargetView:
    return TargetView(name, name, f"f-{name}", "", "", (found,) if found else (), Odds(room=0.5))


def use_chaperon(found: chaperon.Chaperon) -> Any:
    """Source and target decide on it, the proxy shows its status, the target makes its pod."""
    sent: list[Any] = []
    for proxy in PROXIES:
        assert proxy is not None
        views = (_view("admiralty-ci-arm", found), _view("other", None))
        placement.decide(proxy, views, NOW)
        told = believed_status(found.status, proxy.container_names, ())
        sent.append(feedback.status_patch(proxy.status, told, proxy.container_names))
    placement.decide(None, (_view("admiralty-ci-arm", found),), NOW)
    for one in (*PODS, None):
        for last in (None, PODS[0]):
            plan = mirroring.decide(found, one, last, NOW)
            sent += [action.patch for action in plan.actions if isinstance(action, mirroring.ShowStatus)]
    if found.manifest is not None:
        sent.append(candidate.pod_of(found.manifest, lambda key: "x" in key))
    return sent


def use_proxy(found: pod.ProxyPod | None) -> Any:
    """All that is decided on a proxy, and the chaperon that is made of it."""
    if found is None:
        return None
    for one in (*CHAPERONS, None):
        placement.decide(found, (_view("admiralty-ci-arm", one),), NOW)
    sent: list[Any] = [
        feedback.status_patch(found.status, goods.STATUS, found.container_names),
        feedback.waiting_patch(found.status, "m", STAMP),
        feedback.disrupted_patch(found.status, "r", "m", STAMP),
        feedback.ended_patch(found.status, "r", "m", STAMP, is_disruption=True),
        capacity.committed("n", [found], ()),
    ]
    if (spec := untied_spec(found)) is not None and found.manifest is not None:
        eligibility.obstacle(spec, NODE)
        required(spec)
        try:
            before = submitted.parse_submitted(found.manifest["metadata"]["annotations"])
        except BadAnnotation:
            return sent
        shape("ci", before["spec"])
        marks: dict[str, Any] = {"cluster_name": "home", "target": "ci-arm", "is_kept_label": lambda _: False}
        sent.append(candidate.chaperon_for(found.manifest, before, None, **marks))
    return sent


def use_target_pod(found: pod.TargetPod | None) -> Any:
    """What a chaperon tells of its pod."""
    sent: list[Any] = []
    for one in CHAPERONS:
        for plan in (mirroring.decide(one, found, None, NOW), mirroring.decide(one, None, found, NOW)):
            sent += [action.patch for action in plan.actions if isinstance(action, mirroring.ShowStatus)]
    return sent


def use_summary(found: summary.Summary | None) -> Any:
    """What a virtual node shows of a target."""
    assert VIRTUAL is not None
    health = nodes.Health(True, NOW)
    view = nodes.VirtualNodeView(TARGET, health, found, {"cpu": 1}, None, "v1.37.2")
    labels = virtual_node.wanted_labels(TARGET, found, lambda _: False)
    return [
        virtual_node.new_node(TARGET, labels),
        virtual_node.object_patch(VIRTUAL, labels, virtual_node.base_labels(TARGET)),
        virtual_node.status_patch(goods.VIRTUAL_NODE["status"], view, NOW),
    ]


def use_virtual_node(found: nodes.VirtualNode | None) -> Any:
    """The patches that bring it up to date."""
    if found is None:
        return None
    view = nodes.VirtualNodeView(TARGET, nodes.Health(False, NOW), SUMMARY, {}, nodes.KubeletAddress("a", 1), "v1")
    labels = virtual_node.wanted_labels(TARGET, SUMMARY, lambda _: False)
    return [
        virtual_node.object_patch(found, labels, virtual_node.base_labels(TARGET), is_going=True),
        virtual_node.status_patch(found.status, view, NOW),
    ]


def use_target(found: target.Target) -> Any:
    """What its status says, and what it is called elsewhere."""
    facts = target_status.TargetFacts("", "", "", "another id", trust.doubt(found, "another id", 9, 10))
    settled = target_status.TargetFacts("", "", "", goods.UID)
    labels = virtual_node.base_labels(found)
    names = [found.label, found.finalizer, found.secret_finalizer, found.node_name]
    return [target_status.status_patch(found, one, STAMP) for one in (facts, settled)] + [labels, names]


def use_source(found: source.Source) -> Any:
    """What is made for it, and what its status says."""
    place = source_decisions.Place("isthmus", ("ci",))
    made = source_decisions.wanted(found, place, has_credential=found.account is not None)
    marks = [source.mark_of(goods.MARKED, "ServiceAccount")]
    source_decisions.settled(made, marks)
    source_decisions.decide(found, made, {}, marks)
    patch = source_status.status_patch(found, source_status.BOUND, source_status.ISSUED, None, STAMP)
    source_status.turned_bad(found, patch)
    return [*made.values(), patch]


def use_original(found: copied.Original | None) -> Any:
    """What is written to it and to its copies; its shape says not whether it is a Service or an Ingress."""
    if found is None:
        return None
    views = (copying.CopyView("arm", "f-arm", copy=COPY), copying.CopyView("other", "f-other", is_leaving=True))
    change = services.rerouting(found, lambda _: False)
    for is_followed in (True, False):
        copying.decide(found, is_followed=is_followed, change=change, views=views)
    ingresses.backends(found.manifest)
    services.must_be_made_anew(found, COPY)
    return [
        change,
        services.undoing(found),
        ingresses.marking(found),
        ingresses.unmarking(found),
        copying.forgotten(found, found.finalizers),
        *(module.copy_of(found, "home", one) for module in (services, ingresses) for one in (COPY, None)),
    ]


def use_copy(found: copied.Copy) -> Any:
    """What becomes of it."""
    assert ORIGINAL is not None
    copying.decide(None, is_followed=False, change={}, views=(copying.CopyView("arm", "f-arm", copy=found),))
    services.must_be_made_anew(ORIGINAL, found)
    return [module.copy_of(ORIGINAL, "home", found) for module in (services, ingresses)]


def use_seen(field: str) -> Use:
    """An audit finds what it finds."""

    def use(found: Any) -> None:
        if found is None:
            return
        seen = federations.sound()
        if field in ("chaperons", "pods", "copies"):
            spoilt = federations.in_cluster(seen, "arm", **{field: (found,)})
        else:
            spoilt = federations.in_source(seen, **{field: (found,)})
        audit.in_order(audit.findings(spoilt))

    return use


def use_seen_chaperon(found: SeenChaperon) -> None:
    """Beside those that are there."""
    use_seen("chaperons")(found)
    audit.findings(federations.adding(federations.sound(), "windows", found))


def use_seen_pod(found: SeenPod | None) -> None:
    """Also as a pod of the chaperon that is there."""
    use_seen("pods")(found)
    if found is not None:
        use_seen("pods")(replace(found, owner_uid=federations.RUNNING.chaperon.uid))


def use_submitted(found: dict[str, Any]) -> Any:
    """The proxy is made of it, and the pod is made of the proxy."""
    proxy = admit(found, saved="", finalizers=["f"], constraints=None)
    shape("ci", found["spec"])
    wanted_asking(found["spec"], proxy["spec"])
    impossible_references(found["spec"])
    return [proxy, restore(proxy, found, None)]


def use_constraints(found: dict[str, Any] | None) -> Any:
    """The proxy is scheduled by them."""
    proxy = admit(copy.deepcopy(goods.SUBMITTED), saved="", finalizers=[], constraints=found)
    eligibility.obstacle(proxy["spec"], NODE)
    return [proxy, restore(proxy, goods.SUBMITTED, found)]


def use_cluster_node(found: summary.ClusterNode) -> Any:
    """It is summed up."""
    return capacity.summarise("id", [found], []).manifest()


def use_occupant(found: summary.Occupant | None) -> Any:
    """It takes room."""
    real = summary.parse_cluster_node(goods.NODE)
    return capacity.summarise("id", [real], [replace(found, node_name="n1")] if found else []).manifest()


READERS: dict[str, Reader] = {
    "parse_chaperon": Reader(
        chaperon.parse_chaperon, (goods.CHAPERON, goods.NEW_CHAPERON, goods.ALLOWED_CHAPERON), use_chaperon
    ),
    "parse_whole_chaperon": Reader(
        chaperon.parse_whole_chaperon, (goods.CHAPERON, goods.NEW_CHAPERON, goods.ALLOWED_CHAPERON), use_chaperon
    ),
    "parse_proxy": Reader(pod.parse_proxy, (goods.WAITING_PROXY, goods.BOUND_PROXY, goods.ENDING_PROXY), use_proxy),
    "parse_target_pod": Reader(pod.parse_target_pod, (goods.TARGET_POD, goods.REJECTED_POD), use_target_pod),
    "parse_summary": Reader(summary.parse_summary, (goods.SUMMARY,), use_summary),
    "parse_cluster_node": Reader(summary.parse_cluster_node, (goods.NODE, goods.VIRTUAL_NODE), use_cluster_node),
    "parse_occupant": Reader(summary.parse_occupant, (goods.TARGET_POD, goods.BOUND_PROXY), use_occupant),
    "parse_scheduling_node": Reader(
        scheduling.parse_scheduling_node,
        (goods.NODE, goods.VIRTUAL_NODE),
        lambda node: eligibility.obstacle(goods.SPEC, node),
    ),
    "parse_virtual_node": Reader(nodes.parse_virtual_node, (goods.VIRTUAL_NODE,), use_virtual_node),
    "parse_target": Reader(target.parse_target, (goods.TARGET,), use_target),
    "parse_source": Reader(source.parse_source, (goods.SOURCE,), use_source),
    "parse_original": Reader(copied.parse_original, (goods.SERVICE, goods.INGRESS), use_original),
    "parse_copy": Reader(copied.parse_copy, (goods.COPY,), use_copy),
    "parse_left_behind": Reader(
        left_behind.parse_left_behind, (goods.LEFT_BEHIND,), lambda found: [(one.key, one.text()) for one in found]
    ),
    "parse_seen_chaperon": Reader(
        audit_parsing.parse_seen_chaperon, (goods.CHAPERON, goods.ALLOWED_CHAPERON), use_seen_chaperon
    ),
    "parse_seen_pod": Reader(audit_parsing.parse_seen_pod, (goods.TARGET_POD,), use_seen_pod),
    "parse_seen_copy": Reader(audit_parsing.parse_seen_copy, (goods.COPY,), use_seen("copies")),
    "parse_seen_original": Reader(
        audit_parsing.parse_seen_original, (goods.SERVICE, goods.INGRESS), use_seen("originals")
    ),
    "parse_seen_proxy": Reader(
        audit_parsing.parse_seen_proxy, (goods.WAITING_PROXY, goods.BOUND_PROXY), use_seen("proxies")
    ),
    "parse_marked_pod": Reader(audit_parsing.parse_marked_pod, (goods.BOUND_PROXY,), use_seen("marked")),
    "parse_seen_node": Reader(audit_parsing.parse_seen_node, (goods.VIRTUAL_NODE,), use_seen("nodes")),
    "parse_seen_lease": Reader(audit_parsing.parse_seen_lease, (goods.LEASE,), use_seen("leases")),
    "mark_of": Reader(
        lambda manifest: source.mark_of(manifest, "Secret"),
        (goods.MARKED,),
        lambda mark: source_decisions.decide(SOURCE, {}, {}, [mark]),
    ),
}
