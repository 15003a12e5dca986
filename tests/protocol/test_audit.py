"""`isthmus audit` on real control planes: clean, with each fault seeded while the agents are away, and half blind."""

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from federation import names
from federation.kinds import POD_CHAPERONS
from federation.kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CONFIG_MAPS,
    LEASES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from tests.protocol.auditor import Audited, run_audit
from tests.protocol.federation import FOREVER, Federation, is_gone, is_marked, pod
from tests.protocol.seeds import Fault, Seeder
from tests.protocol.watcher import Watcher


@pytest.fixture
def lab(federation: Federation) -> list[str]:
    """The options by which the test's own namespace of the lab is audited."""
    return ["--lab", str(federation.lab.directory.root), "--namespace", federation.namespace, "--json"]


async def until_clean(lab: list[str]) -> Audited:
    """Let the agents mend what they can: an audit ends at its first clean look."""
    return await run_audit(*lab, settle_seconds=30)


async def test_a_federation_at_work_is_clean(federation: Federation, lab: list[str]) -> None:
    metadata = {"name": "settings", "namespace": federation.namespace}
    await federation.home.create(CONFIG_MAPS, {"metadata": metadata, "data": {"a": "b"}} | _kind("ConfigMap"))
    settings = {"envFrom": [{"configMapRef": {"name": "settings"}}]}
    running = [await federation.submit(only=cluster, container=settings) for cluster in federation.clusters]
    waiting = await federation.submit(nodeSelector={"hardware": "none"})
    for name in running:
        await federation.until_running(name)
    await federation.until_pod(waiting, lambda p: p and is_marked(p, names.SOURCE_POD_MANIFEST))
    found = await run_audit(*lab)
    data = found.data
    assert (data["findings"], data["unaudited"]) == ([], [])
    assert (found.code, found.errors) == (0, "")
    assert {cluster["name"] for cluster in data["clusters"]} == set(federation.clusters)
    assert data["audited"]["pods"] == 4
    assert data["audited"]["chaperons"] >= 3
    assert sum(cluster["copies"] for cluster in data["clusters"]) == 2, "the source needs no copy"
    table = await run_audit(*lab[:-1])
    assert table.code == 0
    assert "audited 3 clusters, 4 pods, " in table.output
    assert table.output.rstrip().endswith("0 violations, 0 leaks, 0 warnings")


def _kind(kind: str) -> dict[str, str]:
    return {"apiVersion": "v1", "kind": kind}


async def test_breaches_of_the_one_rule_are_found(federation: Federation, lab: list[str], watcher: Watcher) -> None:
    """Seven pods run in arm-lab, and each is spoilt in its own way while the source's agent is away."""
    seeder, home = Seeder(federation), federation.lab.source
    namesake = [f"{what}-pod" for what in ("two", "elsewhere", "unleaved", "bare", "double", "unrecorded", "ending")]
    for name in namesake:
        await federation.submit(name=name, only="arm-lab")
    unbound = await federation.submit(name="unbound-pod", only="nowhere")
    ordinary = await federation.create(pod(FOREVER, name="ordinary-pod"))
    arm = names.finalizer(federation.namespace, "arm-lab")
    for name in namesake:
        await federation.until_running(name)
        await federation.until_pod(name, lambda p: p and p["metadata"]["finalizers"] == [arm])
    live = {
        name: await federation.home.get(PODS, name, federation.namespace) for name in (*namesake, unbound, ordinary)
    }
    own = {name: await federation.chaperon_name(name, "arm-lab") for name in namesake}
    with federation.frozen("agent", home):
        faults: set[Fault] = set()
        second = await seeder.chaperon("windows-lab", live["two-pod"], is_allowed=True)
        faults |= {
            ("two-allowed", home, "two-pod"),
            ("allowed-elsewhere", "windows-lab", second),
            ("unrecorded-target", "windows-lab", second),
        }
        loser = await seeder.chaperon("windows-lab", live["elsewhere-pod"])
        faults |= {("chaperon-elsewhere", "windows-lab", loser), ("unrecorded-target", "windows-lab", loser)}
        await seeder.withdraw_leave("arm-lab", own["unleaved-pod"])
        faults |= {
            ("bound-not-allowed", "arm-lab", own["unleaved-pod"]),
            ("runs-unallowed", "arm-lab", own["unleaved-pod"]),
        }
        await federation.lab.api("arm-lab").delete(POD_CHAPERONS, own["bare-pod"], federation.namespace)
        faults |= {("bound-without-chaperon", home, "bare-pod")}
        twin = await seeder.chaperon("arm-lab", live["double-pod"], f"{own['double-pod']}-twin")
        faults |= {
            ("several-chaperons", "arm-lab", twin),
            ("bound-not-allowed", "arm-lab", twin),
        }
        await seeder.finalizers("unrecorded-pod", [])
        faults |= {("unrecorded-target", "arm-lab", own["unrecorded-pod"])}
        await federation.home.delete(PODS, "ending-pod", federation.namespace)
        faults |= {("outlives-proxy", "arm-lab", own["ending-pod"])}
        early = await seeder.chaperon("windows-lab", live[unbound], is_allowed=True)
        faults |= {("allowed-unbound", "windows-lab", early)}
        never = {"metadata": {"name": "never", "uid": "never-was"}}
        orphan = await seeder.chaperon("windows-lab", never, "orphan")
        allowed = await seeder.chaperon("windows-lab", never, "orphan-allowed", is_allowed=True)
        faults |= {
            ("orphan", "windows-lab", orphan),
            ("allowed-orphan", "windows-lab", allowed),
            ("several-chaperons", "windows-lab", allowed),
        }
        uncalled = await seeder.chaperon("windows-lab", live[ordinary])
        faults |= {("parent-not-elected", "windows-lab", uncalled)}
        await federation.chaperon("arm-lab", own["bare-pod"], is_gone)
        found = await run_audit(*lab)
    assert found.code == 1
    assert found.faults() - faults == set(), "more than was seeded"
    assert faults - found.faults() == set(), "not found"
    assert watcher.breaches, "the watcher has seen two allowed as well"
    watcher.breaches.clear()
    await _unseed(federation, twin, [uncalled, early], live["unrecorded-pod"])
    mended = await until_clean(lab)
    assert (mended.data["findings"], mended.code) == ([], 0)


async def _unseed(federation: Federation, twin: str, elsewhere: list[str], unrecorded: dict[str, Any]) -> None:
    """Undo what no agent would.

    It knows one chaperon a pod, misses no finalizer that is lost, and believes no target that a pod may not go to.
    """
    await federation.lab.api("arm-lab").delete(POD_CHAPERONS, twin, federation.namespace)
    metadata = unrecorded["metadata"]
    await Seeder(federation).finalizers(metadata["name"], metadata["finalizers"])
    for name in elsewhere:
        await federation.lab.api("windows-lab").delete(POD_CHAPERONS, name, federation.namespace)


async def test_what_a_target_owes_is_found(federation: Federation, lab: list[str]) -> None:
    """Its agent, its extender and its garbage collector are away, and pods and copies are spoilt."""
    seeder, arm = Seeder(federation), federation.lab.api("arm-lab")
    name = await federation.submit(name="bereft-pod", only="arm-lab")
    await federation.until_running(name)
    bereft = await federation.chaperon_name(name)
    asked = await federation.ask("arm-lab", "asked")
    await federation.chaperon("arm-lab", "asked", lambda c: is_marked(c, names.IS_RESERVED))
    with ExitStack() as away:
        for role in ("agent", "extender", "controllers"):
            away.enter_context(federation.frozen(role, "arm-lab"))
        away.enter_context(federation.frozen("agent", federation.lab.source))
        await arm.delete(PODS, bereft, federation.namespace, grace_period_seconds=0)
        binding = {"metadata": {"name": "asked", "namespace": federation.namespace}, **_kind("Binding")}
        target = {"target": _kind("Node") | {"name": federation.real_nodes["arm-lab"][0]}}
        await arm.create(PODS, binding | target, federation.namespace, name="asked", subresource="binding")
        await seeder.candidate("arm-lab", "stray")
        await seeder.candidate("arm-lab", "orphaned", "never-was")
        await seeder.candidate("arm-lab", "taken")
        await federation.ask("arm-lab", "taken")
        await seeder.secret("arm-lab", "left-over")
        await seeder.secret("arm-lab", "of-the-gone", "never-was")
        await seeder.secret("arm-lab", "too-early", asked["metadata"]["uid"], "asked")
        await seeder.service("arm-lab", "served-before")
        await federation.until_pod(bereft, is_gone, "arm-lab")
        found = await run_audit(*lab)
    assert found.code == 1
    assert found.faults() == {
        ("allowed-without-pod", "arm-lab", bereft),
        ("runs-unallowed", "arm-lab", "asked"),
        ("stray-candidate", "arm-lab", "stray"),
        ("stray-candidate", "arm-lab", "taken"),
        ("orphan-pod", "arm-lab", "orphaned"),
        ("name-taken", "arm-lab", "taken"),
        ("copy-without-owner", "arm-lab", "left-over"),
        ("copy-without-owner", "arm-lab", "of-the-gone"),
        ("copied-too-early", "arm-lab", "too-early"),
        ("copy-without-original", "arm-lab", "served-before"),
    }
    for stray in ("stray", "taken"):
        await arm.delete(PODS, stray, federation.namespace, grace_period_seconds=0)
    for secret in ("left-over", "too-early"):
        await arm.delete(SECRETS, secret, federation.namespace)
    await arm.delete(POD_CHAPERONS, "asked", federation.namespace)
    mended = await until_clean(lab)
    assert (mended.data["findings"], mended.code) == ([], 0)


async def test_what_is_left_in_the_source_is_found(federation: Federation, lab: list[str]) -> None:
    seeder, home = Seeder(federation), federation.lab.source
    settled = await federation.submit(name="settled-pod", only="arm-lab")
    await federation.until_running(settled)
    live = await federation.home.get(PODS, settled, federation.namespace)
    for ordinary in ("stuck-pod", "labelled-pod"):
        await federation.create(pod(FOREVER, name=ordinary))
    with federation.frozen("agent", home):
        await seeder.finalizers(settled, [*live["metadata"]["finalizers"], names.PREFIX + "no-such-target"])
        await seeder.finalizers("stuck-pod", [names.PREFIX + "no-such-target"])
        label = {"metadata": {"labels": {names.HAS_FINALIZER: "true"}}}
        await federation.home.patch(PODS, "labelled-pod", label, federation.namespace)
        node = await seeder.node_and_lease("no-such-target")
        found = await run_audit(*lab)
    assert found.code == 1
    assert found.faults() == {
        ("finalizer-of-unknown-target", home, settled),
        ("finalizer-on-ordinary-pod", home, "stuck-pod"),
        ("node-without-target", home, node),
        ("lease-without-node", home, f"{node}-lease"),
    }
    assert found.faults("warning") == {("label-without-election", home, "labelled-pod")}
    await seeder.finalizers("stuck-pod", [])
    await federation.home.delete(PODS, "labelled-pod", federation.namespace, grace_period_seconds=0)
    await federation.home.delete(LEASES, f"{node}-lease", "kube-node-lease")
    mended = await until_clean(lab)
    assert (mended.data["findings"], mended.code) == ([], 0)


async def test_a_cluster_that_does_not_answer_was_not_audited(federation: Federation, lab: list[str]) -> None:
    with federation.frozen("api-server", "windows-lab"):
        found, table = await asyncio.gather(run_audit(*lab), run_audit(*lab[:-1]))
    assert (found.code, table.code) == (2, 2)
    (unread,) = found.data["unaudited"]
    assert (unread["cluster"], unread["what"], unread["by_design"]) == ("windows-lab", "everything", False)
    assert "NOT AUDITED: windows-lab: everything" in table.output


async def test_what_is_wrong_elsewhere_is_told_although_one_cluster_is_away(
    federation: Federation, lab: list[str]
) -> None:
    await Seeder(federation).secret("arm-lab", "left-over")
    with federation.frozen("api-server", "windows-lab"):
        found = await run_audit(*lab)
    assert found.code == 1
    assert found.faults() == {("copy-without-owner", "arm-lab", "left-over")}
    assert [unread["cluster"] for unread in found.data["unaudited"]] == ["windows-lab"]
    await federation.lab.api("arm-lab").delete(SECRETS, "left-over", federation.namespace)


async def test_the_auditors_role_is_enough(federation: Federation, tmp_path: Path) -> None:
    """An auditor with the shipped role in source and targets sees all; in the source alone, it says what it cannot."""
    name = await federation.submit(only="arm-lab")
    await federation.until_running(name)
    files = {cluster: await _auditor(federation, cluster, tmp_path) for cluster in federation.clusters}
    await Seeder(federation).secret("arm-lab", "left-over")
    home, *targets = federation.clusters
    source = ["--kubeconfig", str(files[home]), "--namespace", federation.namespace, "--json"]
    whole = await run_audit(*source, *(f"--target-kubeconfig={target}={files[target]}" for target in targets))
    assert whole.faults() == {("copy-without-owner", "arm-lab", "left-over")}
    assert (whole.code, whole.data["unaudited"]) == (1, [])
    by_targets = await run_audit(*source)
    assert by_targets.code == 0, "a source may read no Secret, not even its own copies (rule T3)"
    assert {unread["cluster"] for unread in by_targets.data["unaudited"]} == set(targets)
    assert all(unread["by_design"] for unread in by_targets.data["unaudited"])
    await federation.lab.api("arm-lab").delete(SECRETS, "left-over", federation.namespace)


async def _auditor(federation: Federation, cluster: str, directory: Path) -> Path:
    """Make a service account of a cluster its auditor; returns its kubeconfig."""
    api, namespace = federation.lab.api(cluster), federation.namespace
    metadata = {"name": "auditor", "namespace": namespace}
    await api.create(SERVICE_ACCOUNTS, {"metadata": metadata} | _kind("ServiceAccount"))
    binding = {
        "apiVersion": CLUSTER_ROLE_BINDINGS.api_version,
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"auditor-{namespace}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "isthmus-auditor"},
        "subjects": [{"kind": "ServiceAccount", **metadata}],
    }
    await api.create(CLUSTER_ROLE_BINDINGS, binding)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    made = await api.create(SERVICE_ACCOUNTS, request, namespace, name="auditor", subresource="token")
    kubeconfig = json.loads(federation.lab.kubeconfig(cluster).read_text())
    kubeconfig["users"][0]["user"] = {"token": made["status"]["token"]}
    file = directory / f"{cluster}.json"
    file.write_text(json.dumps(kubeconfig))
    return file


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--kubeconfig", "/no/such/file"], "the source could not be read"),
        (["--target-kubeconfig", "arm-lab"], "is not NAME=FILE"),
        (["--lab", "/no/such/lab"], "there is no lab in /no/such/lab"),
        (["--lab", "x", "--kubeconfig", "y"], "leave out --kubeconfig"),
    ],
)
async def test_what_cannot_be_begun_is_named(arguments: list[str], complaint: str) -> None:
    found = await run_audit(*arguments)
    assert found.code == 2
    assert complaint in " ".join(found.errors.replace("│", " ").split())
    assert "Traceback" not in found.errors
