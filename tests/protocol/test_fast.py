"""The rules F1-F3 and C2: whom to ask, and how many at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import pairwise

from federation import names
from federation.kinds import POD_CHAPERONS, TARGETS
from federation.kube.resources import NODES, PODS
from federation.kube.store import Key, Store
from federation.kube.watch import follow
from federation.model.chaperon import parse_chaperon
from tests.protocol.federation import FOREVER, Federation, Manifest, is_gone, phase, pod

SELECTOR = "isthmus-test"


class Seen:
    """The chaperons of one namespace, now and ever, by cluster."""

    def __init__(self) -> None:
        self.now: dict[str, Store[Manifest]] = {}
        self.ever: set[tuple[str, str]] = set()
        self.most_of_one_parent = 0
        self._asked: dict[str, dict[str, datetime]] = {}

    def take(self, cluster: str, new: Manifest | None) -> None:
        """Take in one change."""
        if new is None:
            return
        self.ever.add((cluster, new["metadata"]["name"]))
        parent = new["metadata"]["labels"][names.PARENT_UID]
        created = datetime.fromisoformat(new["metadata"]["creationTimestamp"])
        self._asked.setdefault(parent, {}).setdefault(cluster, created)
        same = [c for c in self.all() if c["metadata"]["labels"][names.PARENT_UID] == parent]
        self.most_of_one_parent = max(self.most_of_one_parent, len(same))

    def unjustified(self, refused: int = 0) -> list[str]:
        """Return the parents that were asked of another target although the one before had time left to answer.

        `refused`: how many targets refuse at once. On a busy machine an answer may take longer than the second that
        is given to it: a further question is right then, and its moment shows it.
        """
        found = []
        for parent, by_cluster in self._asked.items():
            moments = sorted(by_cluster.values())[refused:]
            if any((later - earlier).total_seconds() < 1 for earlier, later in pairwise(moments)):
                found.append(f"{parent}: {by_cluster}")
        return found

    def all(self) -> list[Manifest]:
        """Those that are there now."""
        return [chaperon for store in self.now.values() for chaperon in store.values()]


@asynccontextmanager
async def watching(federation: Federation) -> AsyncIterator[Seen]:
    """Watch the namespace's chaperons everywhere for the length of the block."""
    seen = Seen()
    async with asyncio.TaskGroup() as group:
        tasks = []
        for cluster in federation.clusters:
            store = seen.now[cluster] = Store[Manifest](lambda manifest: manifest)

            def changed(_: Key, __: Manifest | None, new: Manifest | None, cluster: str = cluster) -> None:
                seen.take(cluster, new)

            store.subscribe(changed)
            api = federation.lab.api(cluster)
            tasks.append(group.create_task(follow(api, POD_CHAPERONS, store, namespace=federation.namespace)))
        await asyncio.gather(*(store.synced.wait() for store in seen.now.values()))
        yield seen
        for task in tasks:
            task.cancel()


async def prefer(federation: Federation, cluster: str) -> None:
    """Make a cluster the likeliest by its Target's weight, and wait until the agent has seen that."""
    patched = await federation.home.patch(TARGETS, cluster, {"spec": {"weight": 100}}, federation.namespace)
    generation = patched["metadata"]["generation"]
    await federation.until(
        federation.home, TARGETS, cluster, lambda t: t and t["status"].get("observedGeneration") == generation
    )


async def test_F1_one_target_is_asked_where_it_has_room(federation: Federation) -> None:
    async with watching(federation) as seen:
        for _ in range(3):
            await federation.until_running(await federation.submit())
        assert seen.unjustified() == []


async def test_F1_the_weight_of_a_target_says_who_is_asked_first(federation: Federation) -> None:
    await prefer(federation, "windows-lab")
    for _ in range(3):
        assert await federation.until_running(await federation.submit()) == "windows-lab"


async def test_F1_a_silent_target_is_evidence(federation: Federation) -> None:
    """The likeliest target's scheduler is frozen: after a second another is asked, and runs the pod."""
    await prefer(federation, "arm-lab")
    with federation.frozen("candidate-scheduler", "arm-lab"):
        async with watching(federation) as seen:
            name = await federation.submit()
            assert await federation.until_running(name) != "arm-lab"
            assert {cluster for cluster, _ in seen.ever} > {"arm-lab"}


async def test_F1_a_refusal_is_evidence(federation: Federation) -> None:
    await prefer(federation, "arm-lab")
    await federation.cordon("arm-lab")
    try:
        async with watching(federation) as seen:
            name = await federation.submit()
            assert await federation.until_running(name) != "arm-lab"
            assert "arm-lab" in {cluster for cluster, _ in seen.ever}
            assert seen.unjustified(refused=1) == []
    finally:
        await federation.cordon("arm-lab", is_cordoned=False)


async def test_F1_a_target_bears_a_window_of_unanswered_questions(federation: Federation) -> None:
    """40 pods for a target whose scheduler is frozen: 32 are asked, the others wait unasked, and all run in the end."""
    small = {"resources": {"requests": {"cpu": "1m"}}}
    with federation.frozen("candidate-scheduler", "arm-lab"):
        async with watching(federation) as seen:
            submitted = [await federation.submit("exit 0", only="arm-lab", container=small) for _ in range(40)]
            await asyncio.sleep(3)
            assert len(seen.all()) == 32
    for name in submitted:
        await federation.until_pod(name, lambda p: p and phase(p) == "Succeeded", seconds=60)


async def test_F2_a_refused_shape_keeps_four_probes_and_all_run_when_one_reserves(federation: Federation) -> None:
    node = federation.real_nodes["arm-lab"][0]
    selector = {SELECTOR: federation.namespace}
    async with watching(federation) as seen:
        submitted = [await federation.submit("exit 0", only="arm-lab", nodeSelector=selector) for _ in range(12)]
        settled = 0
        async with asyncio.timeout(60):
            while settled < 10:  # there are four on the way up too, before any answer has come
                are_few = (
                    len(seen.all()) in {4, 5} and sum(bool(parse_chaperon(one).refusal) for one in seen.all()) >= 4
                )
                settled = settled + 1 if are_few else 0
                await asyncio.sleep(0.1)
        for _ in range(8):
            await asyncio.sleep(1)
            assert len(seen.all()) in {4, 5}, "after a back-off, one more sees whether the refusal holds"
    labels = {"metadata": {"labels": selector}}
    await federation.lab.api("arm-lab").patch(NODES, node, labels)
    for name in submitted:
        await federation.until_pod(name, lambda p: p and phase(p) == "Succeeded", seconds=40)
    await federation.lab.api("arm-lab").patch(NODES, node, {"metadata": {"labels": {SELECTOR: None}}})


async def test_F2_losers_are_withdrawn_at_the_ungate(federation: Federation) -> None:
    """All are asked at once, all reserve; the source's scheduler stalls, and yet only what it may choose stays."""
    await prefer(federation, "arm-lab")
    await federation.cordon("home")
    await federation.cordon("windows-lab")
    try:
        with federation.frozen("scheduler", "home"):
            async with watching(federation) as seen:
                manifest = pod(FOREVER, annotations={names.ELECT: "", names.ASK: "all"})
                name = await federation.create(manifest)
                await federation.until_pod(name, lambda p: p and names.UNGATED_AT in p["metadata"]["annotations"])
                async with asyncio.timeout(20):
                    while len(seen.all()) != 1:  # noqa: ASYNC110  # several stores at once
                        await asyncio.sleep(0.1)
                assert {cluster for cluster, _ in seen.ever} == set(federation.clusters)
        assert await federation.until_running(name) == "arm-lab"
    finally:
        for cluster in federation.clusters:
            await federation.cordon(cluster, is_cordoned=False)


async def test_F3_a_pod_with_a_claim_is_asked_one_target_at_a_time(federation: Federation) -> None:
    """The claim exists nowhere: each target is asked and refuses, never two at once."""
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "nowhere"}}]
    async with watching(federation) as seen:
        name = await federation.submit(volumes=volumes)
        async with asyncio.timeout(40):
            while {cluster for cluster, _ in seen.ever} != set(federation.clusters):  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.1)
        assert seen.most_of_one_parent == 1
        await federation.home.delete(PODS, name, federation.namespace)
        await federation.until_pod(name, is_gone)


async def test_C2_spread_over_clusters_holds(federation: Federation) -> None:
    """20 pods, two targets, a skew of at most one: each has ten in the end, whatever order they came in."""
    constraints = f"""
        affinity:
          nodeAffinity:
            requiredDuringSchedulingIgnoredDuringExecution:
              nodeSelectorTerms:
              - matchExpressions:
                - {{key: {names.TARGET_NAME}, operator: In, values: [arm-lab, windows-lab]}}
        topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: {names.HOSTNAME}
          whenUnsatisfiable: DoNotSchedule
          labelSelector: {{matchLabels: {{app: spread}}}}
    """
    manifest = pod(FOREVER, annotations={names.ELECT: "", names.PROXY_CONSTRAINTS: constraints})
    manifest["metadata"]["labels"] = {"app": "spread"}
    manifest["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1m"}}
    submitted = await asyncio.gather(*(federation.create(manifest) for _ in range(20)))
    bound = [
        await federation.until_pod(name, lambda p: p and p["spec"].get("nodeName"), seconds=60) for name in submitted
    ]
    counts = dict.fromkeys(("arm-lab", "windows-lab"), 0)
    for found in bound:
        counts[federation.cluster_of(found["spec"]["nodeName"])] += 1
    assert counts == {"arm-lab": 10, "windows-lab": 10}
