"""The audit and the judge of the two-phase machine agree, along whatever way the machine takes.

What a sound federation passes through never looks like two allowed, and once settled shows nothing at all. What the
mutants do, the audit sees in the very state in which the judge does.
"""

from dataclasses import replace

from hypothesis import find, given, settings
from hypothesis import strategies as st

from federation import names
from federation.decisions.audit import findings, is_sound
from federation.decisions.intents import Ask, Plan, TargetView
from federation.model.audit import Observed, SeenChaperon, SeenCluster, SeenNode, SeenPod, SeenSource
from federation.model.pod import ProxyPod
from federation.model.target import Target, parse_target
from tests.decisions.pods import UID
from tests.decisions.pods import chaperon as make_chaperon
from tests.machines.test_two_phase import (
    TARGETS,
    Decide,
    Held,
    Seen,
    Steps,
    World,
    allows_before_the_binding,
    real,
    spares_the_losers,
    steps,
    thorough,
)


def cluster_target(name: str) -> Target:
    return parse_target({"metadata": {"name": name, "uid": f"target-{name}"}, "spec": {"self": True}})


def observed(world: Seen) -> Observed:
    """The world as an audit sees it, all at one moment; every chaperon has its pod."""
    targets = tuple(cluster_target(name) for name in TARGETS)
    proxy = world.proxy()
    if proxy is not None and proxy.node_name:
        proxy = replace(proxy, node_name=cluster_target(proxy.node_name).node_name)
    source = SeenSource(
        id="home-id",
        own_name="home",
        proxies=() if proxy is None else (proxy,),
        pod_uids=frozenset() if proxy is None else frozenset({proxy.uid}),
        targets=targets,
        nodes=tuple(SeenNode(target.node_name, target.name, target.label, False) for target in targets),
    )
    return Observed(source, tuple(_cluster(target, world.chaperons[target.name]) for target in targets))


def _cluster(target: Target, held: Held | None) -> SeenCluster:
    if held is None:
        return SeenCluster(target.name, target.name, (target,))
    made = make_chaperon(reserved=held.reserved, allowed=held.allowed, terminating=held.terminating)
    made = replace(made, uid=f"{UID}-{target.name}", parent_cluster_name="home")
    pod = SeenPod(made.namespace, made.name, f"pod-{target.name}", made.uid, "", True, held.terminating)
    return SeenCluster(target.name, target.name, (target,), (SeenChaperon(made, target.label),), (pod,))


def walk(taken: Steps, decide: Decide, *, is_checked: bool = True) -> tuple[World, list[str]]:
    """Take the steps; returns the world and where the audit and the judge did not agree."""
    world, disagreements = World(decide, is_checked=is_checked), []
    for kind, which, name in taken:
        before = len(world.breaches)
        world.step(kind, which, name)
        found = findings(observed(world.now))
        rules = {finding.rule for finding in found}
        if len(world.breaches) > before and is_sound(list(found)):
            disagreements.append(f"the judge alone: {world.breaches[before:]}")
        if "two-allowed" in rules and len(world.breaches) == before:
            disagreements.append(f"the audit alone: {rules}")
    return world, disagreements


def asks_and_allows_all(seen: ProxyPod | None, targets: tuple[TargetView, ...]) -> Plan:
    """A mutant that asks every target at once, and allows whatever is reserved."""
    plan = allows_before_the_binding(seen, targets)
    asks = tuple(Ask(target.node_name) for target in targets if seen and not seen.node_name and not target.chaperons)
    return replace(plan, actions=asks + plan.actions)


@thorough
@given(steps)
def test_a_sound_federation_is_found_sound(taken: Steps) -> None:
    world, disagreements = walk(taken, real)
    assert disagreements == []
    world.settle()
    assert findings(observed(world.now)) == frozenset()


@thorough
@given(steps)
def test_what_the_judge_sees_the_audit_sees(taken: Steps) -> None:
    assert walk(taken, asks_and_allows_all, is_checked=False)[1] == []


def test_two_allowed_is_found_in_a_federation_that_allows_early() -> None:
    def is_found(taken: Steps) -> bool:
        world, _ = walk(taken, asks_and_allows_all, is_checked=False)
        return "two-allowed" in {finding.rule for finding in findings(observed(world.now))}

    find(steps, is_found, settings=settings(max_examples=5000, deadline=None, database=None))


def test_losers_that_are_spared_are_found() -> None:
    def is_found(taken: Steps) -> bool:
        world, _ = walk(taken, spares_the_losers)
        world.settle()
        return "chaperon-elsewhere" in {finding.rule for finding in findings(observed(world.now))}

    find(steps, is_found, settings=settings(max_examples=5000, deadline=None, database=None))


@given(st.sampled_from(["reserved", "allowed"]), st.sampled_from(TARGETS))
def test_a_chaperon_of_a_proxy_that_is_gone_is_found(mark: str, name: str) -> None:
    world = Seen(is_there=False, chaperons=dict.fromkeys(TARGETS) | {name: Held(**{mark: True})})
    (found,) = findings(observed(world))
    assert (found.rule, found.cluster) == ("allowed-orphan" if mark == "allowed" else "orphan", name)
    assert found.kind == names.CHAPERON_KIND
