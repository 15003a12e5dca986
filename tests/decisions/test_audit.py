"""Each finding, seeded into a sound federation; what is in motion, foreign or unread is none."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from federation import names
from federation.decisions.audit import findings, in_order, is_sound, persisting
from federation.decisions.following import waiting_message
from federation.model.audit import MarkedPod, Observed, SeenLease, SeenNode, SeenOriginal, Severity
from federation.model.left_behind import LeftBehind
from federation.model.references import Reference
from tests.decisions.federations import (
    ARM,
    MADE,
    RUNNING,
    WAITING,
    WINDOWS,
    adding,
    chaperon,
    copy,
    in_cluster,
    in_source,
    pod_of,
    proxy,
    sound,
)

Spoil = Callable[[Observed], Observed]
ALLOWED = names.IS_ALLOWED
V, L, W = Severity.VIOLATION, Severity.LEAK, Severity.WARNING


def bound(name: str = "job", **changes: object) -> Spoil:
    """The proxy `job`, changed."""
    changed = replace(proxy(name, ARM.node_name, (ARM.finalizer,)), **changes)  # type: ignore[arg-type]  # by name
    return lambda seen: in_source(seen, proxies=(changed, proxy("waiting")))


def marked(*finalizers: str) -> Spoil:
    return lambda seen: in_source(seen, marked=(MarkedPod("ci", "ordinary", "uid-ordinary", finalizers),))


def with_pods(*pods: object) -> Spoil:
    """The pods in arm."""
    return lambda seen: in_cluster(seen, "arm", pods=pods)


def arm(*chaperons: object) -> Spoil:
    """The chaperons in arm, each with its pod but no copies."""
    return lambda seen: adding(in_cluster(seen, "arm", chaperons=(), pods=(), copies=()), "arm", *chaperons)  # type: ignore[arg-type]  # chaperons


SAID = waiting_message("arm", [Reference("Secret", "key")], [])
UNALLOWED = chaperon("job", "arm", names.IS_RESERVED)
MISSING = replace(RUNNING, chaperon=replace(RUNNING.chaperon, pod_missing_since=MADE))
REMADE = replace(RUNNING, chaperon=replace(RUNNING.chaperon, remade_count=2))
ORPHAN = chaperon("gone", "windows")

SEEDED: list[tuple[str, Severity, str, Spoil]] = [
    ("two-allowed", V, "job", lambda s: adding(s, "windows", chaperon("job", "windows", ALLOWED))),
    ("allowed-elsewhere", V, "job-windows", lambda s: adding(s, "windows", chaperon("job", "windows", ALLOWED))),
    ("chaperon-elsewhere", V, "job-windows", lambda s: adding(s, "windows", chaperon("job", "windows"))),
    ("unrecorded-target", V, "job-windows", lambda s: adding(s, "windows", chaperon("job", "windows"))),
    ("allowed-unbound", V, "waiting-arm", arm(RUNNING, chaperon("waiting", "arm", ALLOWED))),
    ("bound-not-allowed", V, "job-arm", arm(UNALLOWED)),
    (
        "waits-for-configuration",
        W,
        "job-arm",
        lambda s: bound(waiting_message=SAID)(
            in_cluster(arm(UNALLOWED)(s), "arm", copies=(copy("Secret", UNALLOWED.chaperon.uid),))
        ),
    ),
    ("bound-without-chaperon", V, "job", arm(WAITING[0])),
    ("bound-without-target", L, "job", lambda s: in_source(s, targets=(WINDOWS,))),
    ("allowed-orphan", V, "gone-windows", lambda s: adding(s, "windows", chaperon("gone", "windows", ALLOWED))),
    ("orphan", L, "gone-windows", lambda s: adding(s, "windows", ORPHAN)),
    ("parent-not-elected", V, "ordinary-arm", lambda s: adding(s, "arm", chaperon("ordinary", "arm"))),
    ("outlives-proxy", L, "job-arm", bound(is_terminating=True)),
    ("several-chaperons", V, "waiting-arm-2", lambda s: adding(s, "arm", chaperon("waiting", "arm", suffix="-2"))),
    ("allowed-without-pod", V, "job-arm", with_pods(pod_of(WAITING[0]))),
    ("without-pod", W, "waiting-windows", lambda s: in_cluster(s, "windows", pods=())),
    ("without-pod", W, "job-arm", lambda s: with_pods()(arm(MISSING)(s))),
    ("without-pod", W, "job-arm", lambda s: with_pods()(arm(REMADE)(s))),
    ("reserved-without-pod", W, "waiting-arm", with_pods(pod_of(RUNNING))),
    ("name-taken", V, "job-arm", with_pods(pod_of(RUNNING, owner="another"), pod_of(WAITING[0]))),
    ("runs-unallowed", V, "waiting-arm", with_pods(pod_of(RUNNING), pod_of(WAITING[0], "arm-node"))),
    ("orphan-pod", L, "gone-windows", with_pods(pod_of(RUNNING), pod_of(WAITING[0]), pod_of(ORPHAN))),
    ("stray-candidate", L, "gone-windows", with_pods(pod_of(RUNNING), pod_of(WAITING[0]), pod_of(ORPHAN, owner=""))),
    ("copy-without-owner", L, "settings", lambda s: in_cluster(s, "arm", copies=(copy("Secret"),))),
    ("copy-without-owner", L, "settings", lambda s: in_cluster(s, "arm", copies=(copy("ConfigMap", "gone"),))),
    (
        "copied-too-early",
        V,
        "settings",
        lambda s: in_cluster(s, "arm", copies=(copy("Secret", WAITING[0].chaperon.uid),)),
    ),
    (
        "node-without-target",
        L,
        "admiralty-ci-old",
        lambda s: in_source(s, nodes=(*s.source.nodes, SeenNode("admiralty-ci-old", "n", "ci-old", False))),
    ),
    ("target-without-node", W, "windows", lambda s: in_source(s, nodes=s.source.nodes[:1], leases=())),
    (
        "lease-without-node",
        L,
        "admiralty-ci-old",
        lambda s: in_source(s, leases=(*s.source.leases, SeenLease("admiralty-ci-old", "l", "n"))),
    ),
    ("finalizer-of-unknown-target", L, "job", bound(finalizers=(ARM.finalizer, names.finalizer("ci", "old")))),
    (
        "finalizer-of-unknown-target",
        W,
        "waiting",
        lambda s: in_source(s, proxies=(s.source.proxies[0], _asked_of_old())),
    ),
    (
        "copy-without-original",
        L,
        "settings",
        lambda s: in_cluster(s, "arm", copies=(copy("Ingress", original="uid-gone"),)),
    ),
    ("unrecorded-copy", L, "settings", lambda s: in_source(s, originals=(service(WINDOWS.finalizer),))),
    (
        "finalizer-of-unknown-target",
        L,
        "web",
        lambda s: in_source(s, originals=(service(ARM.finalizer, names.finalizer("ci", "old")),)),
    ),
    ("another-cluster", V, "arm", lambda s: in_cluster(s, "arm", targets=(replace(ARM, status={"clusterID": "old"}),))),
    ("finalizer-on-ordinary-pod", L, "ordinary", marked(ARM.finalizer)),
    ("label-without-election", W, "ordinary", marked()),
    ("left-behind", L, "lost", lambda s: in_source(s, left_behind=(lost("ci/a", "ci/b", "ci/c", "ci/d"),))),
    ("left-behind", W, "lost", lambda s: in_source(s, left_behind=(lost(),))),
]


def lost(*pods: str, cluster_id: str = "lost-id") -> LeftBehind:
    return LeftBehind("ci", "lost", "ci-lost", cluster_id, "2026-11-23T12:00:00Z", len(pods), pods)


def service(*finalizers: str) -> SeenOriginal:
    return SeenOriginal("Service", "ci", "web", "uid-web", finalizers)


def _asked_of_old() -> object:
    return proxy("waiting", finalizers=(ARM.finalizer, WINDOWS.finalizer, names.finalizer("ci", "old")))


def test_a_sound_federation_has_no_findings() -> None:
    assert findings(sound()) == frozenset()


@pytest.mark.parametrize(
    ("rule", "severity", "name", "spoil"), SEEDED, ids=[f"{rule} {name}" for rule, _, name, _ in SEEDED]
)
def test_a_seeded_fault_is_found(rule: str, severity: Severity, name: str, spoil: Spoil) -> None:
    found = [one for one in findings(spoil(sound())) if one.rule == rule]
    assert [(one.severity, one.name) for one in found] == [(severity, name)]
    assert found[0].message
    assert found[0].fix


def test_each_cluster_that_was_lost_is_told_with_what_to_do() -> None:
    both = (lost("ci/a", "ci/b", "ci/c", "ci/d"), lost("ci/e", cluster_id=""))
    one, other = in_order(findings(in_source(sound(), left_behind=both)))
    assert (one.cluster, other.cluster) == ("a cluster that did not tell its id", "lost-id")
    assert "4 pods may have left something there (ci/a, ci/b, ci/c, ...)" in other.message
    assert "delete the entry ci-lost.lost-id of the ConfigMap isthmus-left-behind" in other.fix


GOING = chaperon("job", "windows", terminating=True)
GOING_ALLOWED = chaperon("job", "arm", ALLOWED, terminating=True)
THEIRS = chaperon("theirs", "windows", ALLOWED, source="away")
NO_POD_YET = chaperon("early", "windows", names.WAITS_TO_BE_ALLOWED, source="away")

NO_FAULTS: dict[str, Spoil] = {
    "going": lambda s: adding(s, "windows", GOING),
    "an ending proxy's": lambda s: arm(GOING_ALLOWED)(bound(is_terminating=True)(s)),
    "another source's": lambda s: adding(s, "windows", THEIRS),
    "not to have a pod yet": lambda s: in_cluster(s, "windows", chaperons=(*s.clusters[1].chaperons, NO_POD_YET)),
    "an ended proxy whose delegate is gone": lambda s: arm(WAITING[0])(bound(phase="Failed")(s)),
    "another source's copy, kept by hand": lambda s: in_cluster(s, "arm", copies=(copy("Secret", source="away"),)),
    "the same cluster": lambda s: in_cluster(s, "arm", targets=(replace(ARM, status={"clusterID": "arm-id"}),)),
    "a cluster that does not tell its id": lambda s: in_cluster(
        s, "arm", id="", targets=(replace(ARM, status={"clusterID": "arm-id"}),)
    ),
    "a target that could not be read": lambda s: replace(s, clusters=s.clusters[1:]),
}


@pytest.mark.parametrize("why", NO_FAULTS)
def test_what_is_in_motion_or_foreign_is_no_fault(why: str) -> None:
    assert findings(NO_FAULTS[why](sound())) == frozenset()


def test_admiraltys_chaperons_have_no_target_label() -> None:
    unlabelled = chaperon("job", "arm", ALLOWED, label="")
    seen = adding(arm()(sound()), "arm", unlabelled, chaperon("waiting", "arm", label=""))
    assert findings(seen) == frozenset()
    moved = adding(arm()(sound()), "windows", unlabelled)
    assert {one.rule for one in findings(moved)} == {"allowed-elsewhere", "bound-without-chaperon"}


def test_the_sources_name_is_learnt_from_its_proxies() -> None:
    nameless = in_source(adding(sound(), "windows", ORPHAN), own_name="")
    assert nameless.source_names == {"home", "home-id"}
    assert [one.rule for one in findings(nameless)] == ["orphan"]


def test_only_what_stays_is_told_but_two_allowed_at_once() -> None:
    clean = findings(sound())
    orphan = findings(adding(sound(), "windows", ORPHAN))
    another = findings(adding(sound(), "windows", chaperon("gone", "windows", suffix="-2")))
    two = findings(adding(sound(), "windows", chaperon("job", "windows", ALLOWED)))
    assert persisting([orphan, orphan]) == orphan
    assert persisting([orphan, clean]) == clean
    assert persisting([orphan, another]) == clean, "not the same object"
    assert [one.rule for one in persisting([two, clean])] == ["two-allowed"]


def test_the_worst_comes_first_and_warnings_are_sound() -> None:
    seen = adding(in_cluster(marked()(sound()), "windows", pods=()), "windows", ORPHAN)
    found = in_order(findings(adding(seen, "windows", chaperon("job", "windows", ALLOWED))))
    assert [one.severity for one in found] == sorted((one.severity for one in found), key=list(Severity).index)
    assert not is_sound(found)
    assert is_sound([one for one in found if one.severity is W])
    assert is_sound([])
